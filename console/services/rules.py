"""The rule pack: what it is, what it does, a draft of it, and its way to effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from console.access import Role, User
from console.services.background import Background, Job, Progress
from console.services.changes import ChangeDesk
from console.services.policy import PolicyNow
from fraud.decision.key import Subject
from fraud.decision.policy.amend import amend
from fraud.decision.policy.bundle import PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy, PolicyError
from fraud.decision.policy.document import Thresholds
from fraud.decision.policy.edit import MOVES, EditError, draft_id, text_of, with_draft
from fraud.decision.rules.functions import FUNCTIONS
from fraud.decision.rules.rule import Rule, RuleState

RATES = "hit rates"
BACKTEST = "backtest"
_RATES_AGE_MS = 60_000


class Replay(Protocol):
    """A backtest over the archive; see `operations.backtest.run_backtest`."""

    def __call__(  # noqa: D102
        self,
        live: CompiledPolicy,
        candidate: CompiledPolicy,
        *,
        days: int,
        maturity_days: float,
        reviews_per_day: float | None,
        progress: Progress,
    ) -> dict[str, Any]: ...


class RuleDesk:
    """The desk where rules are written, tried and promoted.

    Args:
        compile_bundle: checks a policy and makes it ready.
        replay: the backtest.
        background: where it runs.
        policy: as it is now.
        changes: writes it.
    """

    def __init__(
        self,
        compile_bundle: Callable[[PolicyBundle], CompiledPolicy],
        replay: Replay,
        background: Background,
        policy: PolicyNow,
        changes: ChangeDesk,
    ) -> None:
        self._compile = compile_bundle
        self._replay = replay
        self._background = background
        self._policy = policy
        self._changes = changes

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
            "lists": [
                {"name": each.name, "kind": each.kind, "of": each.of, "entries": each.size} for each in policy.lists
            ],
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

    def rates(self, days: int, maturity_days: float) -> Job:
        """How often each rule fired lately and how often rightly, measured again after a minute when somebody asks."""

        def measure(progress: Progress) -> dict[str, Any]:
            live = self._policy()
            report = self._replay(
                live, live, days=days, maturity_days=maturity_days, reviews_per_day=None, progress=progress
            )
            return {key: report[key] for key in ("decisions", "first_event", "last_event", "rules")} | {
                "mature": report["variants"]["live"]["mature"]
            }

        return self._background.latest(f"{RATES} {days} {maturity_days}", measure, _RATES_AGE_MS)

    def backtest(
        self,
        user: User,
        text: str | None,
        proposal: str | None,
        days: int,
        maturity_days: float,
        reviews_per_day: float | None,
    ) -> Job:
        """Begins a backtest, with a draft as if it were live, with a proposal, or of the policy as it is.

        Raises:
            ForbiddenError: the user's role is below analyst.
            PolicyError: the draft does not compile.
            ConflictError: the user's last run is under way.
        """
        user.require(Role.ANALYST)
        live = self._policy()
        candidate = live if proposal is None else self._changes.candidate(proposal)
        if text is not None:
            candidate = self._compile(amend(candidate.bundle, text))

        def run(progress: Progress) -> dict[str, Any]:
            return self._replay(
                live,
                candidate,
                days=days,
                maturity_days=maturity_days,
                reviews_per_day=reviews_per_day,
                progress=progress,
            )

        return self._background.start(BACKTEST, user.name, run)

    def outcome(self, user: User, job_id: str) -> Job:
        """A run of the backtest.

        Raises:
            ForbiddenError: the user's role is below analyst: its cases name cards.
            NotFoundError: there is no such run.
        """
        user.require(Role.ANALYST)
        job = self._background.get(BACKTEST, job_id)
        for cases in (job.result or {}).get("samples", {}).values():
            for case in cases:
                user.saw(Subject.of(case).key)
        return job


def _described(rule: Rule) -> dict[str, Any]:
    return rule.model_dump(mode="json") | {"may_become": list(MOVES[rule.state])}


def _limits(name: str, limits: Thresholds, condition: str) -> dict[str, Any]:
    return {"segment": name, "when": condition, "review": limits.review, "decline": limits.decline}
