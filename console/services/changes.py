"""Changes of the policy: written, kept with what was before, proposed for another's approval, rolled back."""

from __future__ import annotations

import difflib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import structlog

from adapters.policy.changes import Kept
from console.access import ForbiddenError, Role, User
from console.audit import Audit
from console.errors import ConflictError, NotFoundError
from console.services.policy import PolicyNow, Store
from fraud.decision.policy.bundle import PolicyBundle, files_version
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.document import ListKind
from fraud.decision.policy.edit import (
    EditError,
    with_choice,
    with_list_state,
    with_rollout,
    with_shadow_thresholds,
    with_state,
)
from fraud.decision.rules.rule import RuleState
from fraud.errors import FraudError, ServiceError

log = structlog.get_logger()

SHOWN = 50
"""Changes and proposals of the page."""

_NAME = re.compile(r"[0-9]{13}-[0-9a-f]{8}")

Limits = Mapping[str, Mapping[str, float | None]]
"""Review and decline of segments by name; None is never."""


class Keeper(Protocol):
    """See `adapters.policy.changes.PolicyChanges`."""

    def add(self, change: dict[str, Any]) -> int: ...  # noqa: D102

    def change(self, number: int) -> dict[str, Any] | None: ...  # noqa: D102

    def newest(self, most: int) -> Iterator[tuple[int, dict[str, Any]]]: ...  # noqa: D102

    def propose(self, name: str, proposal: dict[str, Any]) -> bool: ...  # noqa: D102

    def proposal(self, name: str) -> Kept | None: ...  # noqa: D102

    def replace(self, name: str, proposal: dict[str, Any], tag: str) -> bool: ...  # noqa: D102

    def proposals(self, most: int) -> Iterator[tuple[str, dict[str, Any]]]: ...  # noqa: D102


class ChangeDesk:
    """Writes the policy.

    Args:
        store: of the policy.
        policy: as it is now.
        compile_bundle: checks a policy and makes it ready.
        keeper: of history and proposals.
        clock_ms: UTC milliseconds.
        audit: called with who did what, after it was done.
        approval: whether another lead must approve what changes decisions.
    """

    def __init__(
        self,
        store: Store,
        policy: PolicyNow,
        compile_bundle: Callable[[PolicyBundle], CompiledPolicy],
        keeper: Keeper,
        clock_ms: Callable[[], int],
        audit: Audit,
        *,
        approval: bool,
    ) -> None:
        self._store = store
        self._policy = policy
        self._compile = compile_bundle
        self._keeper = keeper
        self._clock_ms = clock_ms
        self._audit = audit
        self._approval = approval

    def write(self, user: User, version: str, edit: Callable[[PolicyBundle], PolicyBundle], act: str, what: str) -> str:
        """Changes the policy at once; gives its new version.

        Raises:
            ForbiddenError: the user's role is below lead.
            EditError: the change is refused.
            PolicyError: the policy would not compile.
            ConflictError: the policy is another one by now, or nothing would change.
        """
        user.require(Role.LEAD)
        before = self._policy().bundle
        if before.files_version != files_version(version):  # lists change all the time, and no edit touches them
            raise ConflictError("the policy was changed since you loaded it; look at it again")
        after = edit(before)
        if after.files_version == before.files_version:
            raise ConflictError("the policy says so already")
        self._compile(after)
        if not self._store.write(before, after):
            raise ConflictError("somebody else changed the policy at the same moment; look at it again")
        self._audit(user.name, act, what)
        self._keep(user, before, after, act, what)
        return after.version

    def move(self, user: User, version: str, rule_id: str, state: RuleState) -> dict[str, str]:
        """Takes a rule to another state, or proposes it where that changes decisions and another must approve.

        Returns:
            The new `version`, or the `proposal`.

        Raises:
            EditError: there is no such rule, or it may not go there; see also `write`.
        """
        user.require(Role.LEAD)
        edit = {"kind": "state", "rule": rule_id, "state": state.value}
        if self._approval and RuleState.LIVE in (state, self._state_of(rule_id)):
            return {"proposal": self.propose(user, version, edit)}
        return {"version": self.write(user, version, lambda bundle: self._edited(bundle, edit), state, rule_id)}

    def move_list(
        self, user: User, version: str, name: str, state: RuleState, shape: tuple[ListKind, str] | None = None
    ) -> dict[str, str]:
        """Takes a list to another state, or makes one, of a kind and an entity, that begins there; see `move`."""
        user.require(Role.LEAD)
        edit = {"kind": "list", "list": name, "state": state.value, "shape": shape and [shape[0].value, shape[1]]}
        if self._approval and RuleState.LIVE in (state, self._policy().state_of_list(name)) and shape is None:
            return {"proposal": self.propose(user, version, edit)}
        title = title_of(edit)
        return {"version": self.write(user, version, lambda bundle: self._edited(bundle, edit), state, title)}

    def roll_out(self, user: User, version: str, rule_id: str, percent: float | None) -> dict[str, str]:
        """Changes the percentage of cards that a rule is about, None for all; see `move`."""
        user.require(Role.LEAD)
        edit = {"kind": "rollout", "rule": rule_id, "percent": percent}
        if self._approval and self._state_of(rule_id) is RuleState.LIVE:
            return {"proposal": self.propose(user, version, edit)}
        title = title_of(edit)
        return {"version": self.write(user, version, lambda bundle: self._edited(bundle, edit), "rollout", title)}

    def propose_thresholds(self, user: User, version: str, limits: Limits) -> str:
        """Proposes thresholds; gives the proposal. Errors as of `write`."""
        return self.propose(user, version, {"kind": "thresholds", "thresholds": limits})

    def try_out(self, user: User, version: str, name: str) -> str:
        """Puts the thresholds of a proposal in shadow; gives the policy's new version.

        Raises:
            NotFoundError: there is no such proposal.
            ConflictError: it was decided already; see also `write`.
            EditError: it proposes something else.
        """
        user.require(Role.LEAD)
        proposal = self._open(name).data
        if proposal["edit"]["kind"] != "thresholds":
            raise EditError("thresholds are tried in shadow; rules and lists have a state of their own")
        tried = proposal["edit"]["thresholds"]
        return self.write(
            user, version, lambda bundle: with_shadow_thresholds(bundle, tried), "shadow", f"{name} {proposal['title']}"
        )

    def propose(self, user: User, version: str, edit: dict[str, Any]) -> str:
        """Keeps a change as a proposal, which has no effect until it is approved. Errors as of `write`."""
        user.require(Role.LEAD)
        before = self._policy().bundle
        if before.files_version != files_version(version):
            raise ConflictError("the policy was changed since you loaded it; look at it again")
        after = self._edited(before, edit)
        if after.files_version == before.files_version:
            raise ConflictError("the policy says so already")
        self._compile(after)
        now_ms = self._clock_ms()
        name, title = f"{now_ms:013d}-{secrets.token_hex(4)}", title_of(edit)
        self._keeper.propose(
            name, {"by": user.name, "at_ms": now_ms, "title": title, "edit": edit, "state": "proposed"}
        )
        self._audit(user.name, "proposed", f"{name} {title}")
        return name

    def roll_back(self, user: User, version: str, number: int) -> dict[str, str]:
        """Puts the policy back to what it was before a change of the history, as a change of its own; see `move`."""
        user.require(Role.LEAD)
        edit = {"kind": "rollback", "number": number}
        if self._approval:
            return {"proposal": self.propose(user, version, edit)}
        title = title_of(edit)
        return {"version": self.write(user, version, lambda bundle: self._edited(bundle, edit), "rollback", title)}

    def decide(self, user: User, version: str, name: str, *, approve: bool) -> str:
        """Approves a proposal, which then takes effect, or rejects it; its author may withdraw it by rejecting.

        Thresholds are approved only while they run in shadow, and leave it with the decision.

        Returns:
            The policy's version after that.

        Raises:
            ForbiddenError: the role is below lead, or the user's own change needs another's approval.
            NotFoundError: there is no such proposal.
            ConflictError: it was decided already, or was not in shadow; see also `write`.
        """
        user.require(Role.LEAD)
        kept = self._open(name)
        proposal = kept.data
        own = proposal["by"] == user.name
        if approve and own and self._approval:
            raise ForbiddenError("another lead must approve your change")
        in_shadow = self._in_shadow(proposal["edit"])
        if approve and in_shadow is False:
            raise ConflictError("thresholds take effect after they were in shadow: run them in shadow first")
        if not approve and in_shadow:
            out = dict.fromkeys(proposal["edit"]["thresholds"])
            what = f"{name} {proposal['title']}"
            version = self.write(
                user, version, lambda bundle: with_shadow_thresholds(bundle, out), "out of shadow", what
            )
        if approve:
            edit, what = proposal["edit"], f"{name} {proposal['title']}, proposed by {proposal['by']}"
            version = self.write(user, version, lambda bundle: self._edited(bundle, edit), "approved", what)
        state = "approved" if approve else "withdrawn" if own else "rejected"
        ended = proposal | {"state": state, "decided_by": user.name, "decided_ms": self._clock_ms()}
        if not self._keeper.replace(name, ended, kept.tag) and not approve:
            raise ConflictError("somebody else decided on it at the same moment")
        if not approve:
            self._audit(user.name, state, f"{name} {proposal['title']}")
        return version

    def candidate(self, name: str) -> tuple[CompiledPolicy, str]:
        """The policy as a proposal would make it now, for a backtest, and the proposal's title.

        Raises:
            NotFoundError: there is no such proposal.
        """
        proposal = self._open(name).data
        return self.edited(proposal["edit"]), proposal["title"]

    def edited(self, edit: dict[str, Any]) -> CompiledPolicy:
        """The policy as an edit would make it now.

        Raises:
            EditError: the edit is refused.
            PolicyError: the policy would not compile.
        """
        return self._compile(self._edited(self._policy().bundle, edit))

    def would_change(self, edit: dict[str, Any]) -> bool:
        """Whether an edit fits the policy as it is now, and would change it."""
        bundle = self._policy().bundle
        try:
            return self._edited(bundle, edit).files_version != bundle.files_version
        except FraudError:
            return False

    def shown(self) -> dict[str, Any]:
        """Proposals and history, newest first, each with what it changes or changed."""
        current = self._policy().bundle
        return {
            "approval": self._approval,
            "version": current.version,
            "proposals": [self._proposal_shown(current, name, each) for name, each in self._keeper.proposals(SHOWN)],
            "history": [_change_shown(number, change) for number, change in self._keeper.newest(SHOWN)],
        }

    def _proposal_shown(self, current: PolicyBundle, name: str, proposal: dict[str, Any]) -> dict[str, Any]:
        shown = {"name": name} | {key: value for key, value in proposal.items() if key != "edit"}
        if proposal["state"] != "proposed":
            return shown
        try:
            after = self._edited(current, proposal["edit"])
            self._compile(after)
        except FraudError as error:  # it no longer fits the policy
            return shown | {"fault": str(error), "diff": ""}
        seen = {"in_shadow": self._in_shadow(proposal["edit"]), "diff": diff(_written(current), _written(after))}
        return shown | seen

    def _open(self, name: str) -> Kept:
        kept = self._keeper.proposal(name) if _NAME.fullmatch(name) else None
        if kept is None:
            raise NotFoundError("there is no such proposal")
        if kept.data["state"] != "proposed":
            raise ConflictError(f"it was {kept.data['state']} by {kept.data['decided_by']}")
        return kept

    def _edited(self, bundle: PolicyBundle, edit: dict[str, Any]) -> PolicyBundle:
        if edit["kind"] == "state":
            return with_state(bundle, edit["rule"], RuleState(edit["state"]))
        if edit["kind"] == "rollout":
            return with_rollout(bundle, edit["rule"], edit["percent"])
        if edit["kind"] == "list":
            shape = edit.get("shape")
            kind_and_of = None if shape is None else (ListKind(shape[0]), str(shape[1]))
            return with_list_state(bundle, edit["list"], RuleState(edit["state"]), kind_and_of)
        if edit["kind"] == "thresholds":
            live = with_choice(bundle, {}, edit["thresholds"])
            return with_shadow_thresholds(live, dict.fromkeys(edit["thresholds"]))
        change = self._keeper.change(edit["number"])
        if change is None:
            raise NotFoundError("there is no such change")
        lists = {name: text for name, text in bundle.files.items() if not _is_written(name)}
        return replace(bundle, files={**lists, **change["before"]})

    def _in_shadow(self, edit: Mapping[str, Any]) -> bool | None:
        """Whether the thresholds of an edit run in shadow; None where it is of something else."""
        if edit["kind"] != "thresholds":
            return None
        now = self._policy()
        try:
            tried = self._compile(with_shadow_thresholds(now.bundle, edit["thresholds"]))
        except FraudError:  # a segment is gone
            return False
        return tried.shadow_thresholds == now.shadow_thresholds

    def _state_of(self, rule_id: str) -> RuleState | None:
        policy = self._policy()
        rules = (compiled.rule for compiled in (*policy.rules, *policy.idle_rules))
        return next((rule.state for rule in rules if rule.id == rule_id), None)

    def _keep(self, user: User, before: PolicyBundle, after: PolicyBundle, act: str, what: str) -> None:
        change = {
            "by": user.name,
            "at_ms": self._clock_ms(),
            "act": act,
            "what": what,
            "version": after.files_version,
            "before": _written(before),
            "after": _written(after),
        }
        try:
            self._keeper.add(change)
        except ServiceError as error:  # the policy is changed by then
            log.warning("policy_history_misses_a_change", version=after.files_version, reason=str(error))


def title_of(edit: Mapping[str, Any]) -> str:
    """What an edit does, in a few words.

    >>> title_of({"kind": "thresholds", "thresholds": {"default": {"review": 0.1, "decline": None}}})
    'thresholds of default: review 0.1, decline never'
    """
    if edit["kind"] == "state":
        return f"{edit['rule']}: {edit['state']}"
    if edit["kind"] == "list":
        return f"list {edit['list']}: {edit['state']}"
    if edit["kind"] == "rollout":
        return f"{edit['rule']}: {'all' if edit['percent'] is None else format(edit['percent'], 'g') + ' % of'} cards"
    if edit["kind"] == "rollback":
        return f"back to before change {edit['number']}"
    said = "; ".join(
        f"{segment}: " + ", ".join(f"{name} {'never' if value is None else f'{value:g}'}" for name, value in of.items())
        for segment, of in edit["thresholds"].items()
    )
    return f"thresholds of {said}"


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """What differs between the files of two policies, as a unified diff."""
    lines: list[str] = []
    for name in sorted({*before, *after}):
        texts = (before.get(name, "").splitlines(), after.get(name, "").splitlines())
        lines += difflib.unified_diff(*texts, f"before/{name}", f"after/{name}", lineterm="")
    return "\n".join(lines)


def _change_shown(number: int, change: dict[str, Any]) -> dict[str, Any]:
    known = {name: change[name] for name in ("by", "at_ms", "act", "what", "version")}
    return {"number": number, **known, "diff": diff(change["before"], change["after"])}


def _is_written(name: str) -> bool:
    """Whether people write a file by hand: lists as CSV are long and change by themselves."""
    return not name.endswith(".csv")


def _written(bundle: PolicyBundle) -> dict[str, str]:
    return {name: text for name, text in bundle.files.items() if _is_written(name)}
