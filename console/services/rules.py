"""The rule pack: what it is, what it does, a draft of it, and its way to effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from adapters.archive.rule_sums import NOTHING, RuleFigures
from console.access import Role, User
from console.services.backtests import BacktestDesk, Run
from console.services.changes import ChangeDesk, title_of
from console.services.policy import PolicyNow
from fraud.decision.key import Subject
from fraud.decision.policy.amend import amend
from fraud.decision.policy.bundle import PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy, PolicyError
from fraud.decision.policy.document import ListKind, Thresholds
from fraud.decision.policy.edit import MOVES, EditError, draft_id, text_of, with_draft
from fraud.decision.policy.lists import CompiledList
from fraud.decision.rules.functions import FUNCTIONS
from fraud.decision.rules.rule import Rule, RuleState

BACKTEST = "backtest"
SUGGEST = "suggestions"


class Sums(Protocol):
    """What rules found; see `adapters.archive.rule_sums.RuleSums`."""

    def figures(self, days: int, maturity_days: float) -> RuleFigures: ...  # noqa: D102


class Request(Protocol):
    """What a backtest's process is asked; see `operations.backtest_process.request_of`."""

    def __call__(  # noqa: D102
        self,
        live: PolicyBundle,
        candidate: PolicyBundle,
        *,
        days: int,
        maturity_days: float,
        reviews_per_day: float | None,
        suggest: bool = False,
    ) -> dict[str, Any]: ...


class RuleDesk:
    """The desk where rules are written, tried and promoted.

    Args:
        compile_bundle: checks a policy and makes it ready.
        sums: what rules found.
        complete: whether all of the archive is in them.
        backtests: runs them.
        request: what it is asked.
        policy: as it is now.
        changes: writes it.
        reviews_per_day: cases that the team can look at; None for as many as there are now.
    """

    def __init__(
        self,
        compile_bundle: Callable[[PolicyBundle], CompiledPolicy],
        sums: Sums,
        complete: Callable[[], bool],
        backtests: BacktestDesk,
        request: Request,
        policy: PolicyNow,
        changes: ChangeDesk,
        reviews_per_day: float | None = None,
    ) -> None:
        self._compile = compile_bundle
        self._sums = sums
        self._complete = complete
        self._backtests = backtests
        self._request = request
        self._policy = policy
        self._changes = changes
        self._reviews_per_day = reviews_per_day
        self._looked: dict[str, Run] = {}

    def pack(self) -> dict[str, Any]:
        """Rules of every state, lists and thresholds, and the policy version that they are of."""
        policy = self._policy()
        rules = [compiled.rule for compiled in [*policy.rules, *policy.idle_rules]]
        return {
            "version": policy.version,
            "base_currency": policy.base_currency,
            "rules": [_described(rule) for rule in rules],
            "thresholds": [
                *(_limits(segment.name, segment.thresholds, segment.condition.text) for segment in policy.segments),
                _limits("default", policy.thresholds, "everything else"),
            ],
            "shadow_thresholds": [
                _limits(name, limits, "in shadow") for name, limits in policy.shadow_thresholds.items()
            ],
            "lists": [_described_list(policy, each) for each in policy.lists],
        }

    def vocabulary(self) -> dict[str, Any]:
        """What conditions may use: fields with their kinds and choices, and functions."""
        fields = self._policy().fields.values()
        return {
            "fields": [{"name": field.name, "kind": field.kind, "choices": field.choices} for field in fields],
            "functions": sorted(FUNCTIONS),
        }

    def text(self, rule_id: str) -> str:
        """A rule as a rule file of its own."""
        return text_of(self._policy().bundle, rule_id)

    def check(self, text: str) -> list[str]:
        """The faults of a draft, each with its place; none where it could be saved and would compile."""
        try:
            self._compile(with_draft(self._policy().bundle, text))
        except PolicyError as error:
            return error.faults
        except EditError as error:
            return [str(error)]
        return []

    def save(self, user: User, version: str, text: str) -> str:
        """Puts a draft into the policy; gives the new version.

        Raises:
            ForbiddenError: the user's role is below lead.
            EditError: it is not a draft.
            PolicyError: it does not compile.
            ConflictError: the policy is another one by now.
        """
        return self._changes.write(user, version, lambda bundle: with_draft(bundle, text), "draft", draft_id(text))

    def move(self, user: User, version: str, rule_id: str, state: RuleState) -> dict[str, str]:
        """Takes a rule to another state; see `ChangeDesk.move`."""
        return self._changes.move(user, version, rule_id, state)

    def rates(self, days: int, maturity_days: float) -> dict[str, Any]:
        """How often each rule fired lately and how often rightly, from what is summed up so far.

        Lists and thresholds in shadow are among them, as they are recorded.
        """
        found, policy = self._sums.figures(days, maturity_days), self._policy()
        evaluated = {*policy.rule_ids, *policy.tried_names}
        rows = {rule: {"rule": rule} | dict(found.rules.get(rule, NOTHING)) for rule in sorted(evaluated)}
        return {
            "complete": self._complete(),
            "decisions": found.decisions,
            "mature": found.mature,
            "first_ms": found.first_ms,
            "last_ms": found.last_ms,
            "rules": list(rows.values()),
        }

    def backtest(
        self,
        user: User,
        text: str | None,
        proposal: str | None,
        edit: dict[str, Any] | None,
        days: int,
        maturity_days: float,
        reviews_per_day: float | None,
    ) -> Run:
        """Begins a backtest, with a draft as if it were live, with a proposal, an edit, or of the policy as it is.

        Raises:
            ForbiddenError: the user's role is below analyst.
            PolicyError: the candidate does not compile.
            ConflictError: too many of the user's runs have not ended.
        """
        user.require(Role.ANALYST)
        live = candidate = self._policy()
        title = "the policy as it is"
        if proposal is not None:
            candidate, title = self._changes.candidate(proposal)
        if edit is not None:
            candidate, title = self._changes.edited(edit), title_of(edit)
        if text is not None:
            candidate, title = self._compile(amend(candidate.bundle, text)), f"draft {draft_id(text)}"
        request = self._request(
            live.bundle, candidate.bundle, days=days, maturity_days=maturity_days, reviews_per_day=reviews_per_day
        )
        return self._backtests.start(user, BACKTEST, title, request)

    def outcome(self, user: User, job_id: str) -> Run:
        """A run of the backtest.

        Raises:
            ForbiddenError: the user's role is below analyst: its cases name cards.
            NotFoundError: there is no such run.
        """
        job = self._backtests.outcome(user, job_id)
        for cases in (job["result"] or {}).get("samples", {}).values():
            for case in cases:
                user.saw(Subject.of(case).key)
        return job

    def suggest(self, user: User, days: int, maturity_days: float) -> Run:
        """Begins to look for what the figures suggest; errors as of `backtest`."""
        bundle = self._policy().bundle
        request = self._request(
            bundle, bundle, days=days, maturity_days=maturity_days, reviews_per_day=self._reviews_per_day, suggest=True
        )
        return self._backtests.start(user, SUGGEST, "what the figures suggest", request)

    def suggestions(self, user: User) -> dict[str, Any]:
        """What was suggested last, of that what still fits the policy, and the run that looks again."""
        name, under_way = self._backtests.newest(SUGGEST)
        shown: dict[str, Any] = {"under_way": under_way, "looked": None, "suggestions": []}
        if name is None:
            return shown
        if name not in self._looked:
            self._looked = {name: self._backtests.outcome(user, name)}
        run = self._looked[name]
        result = run["result"]
        shown["looked"] = {key: run[key] for key in ("owner", "ended_ms")} | {
            "decisions": result["decisions"],
            "mature": result["variants"]["live"]["mature"],
            "reviews_per_day": (result["budget"] or {}).get("reviews_per_day_budget"),
        }
        shown["suggestions"] = [each for each in result["suggestions"] if self._changes.would_change(each["edit"])]
        return shown


def _described(rule: Rule) -> dict[str, Any]:
    return rule.model_dump(mode="json") | {"may_become": list(MOVES[rule.state])}


def _described_list(policy: CompiledPolicy, each: CompiledList) -> dict[str, Any]:
    state = policy.state_of_list(each.name)
    moves = () if each.kind is ListKind.NAMED else MOVES[state]
    shown = {"name": each.name, "kind": each.kind, "of": each.of, "entries": each.size}
    return shown | {"state": state, "may_become": list(moves)}


def _limits(name: str, limits: Thresholds, condition: str) -> dict[str, Any]:
    return {"segment": name, "when": condition, "review": limits.review, "decline": limits.decline}
