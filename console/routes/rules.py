"""Rules: read, check, draft, try, promote."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from pydantic import BaseModel, Field, model_validator

from console.access import Role
from console.guard import Changer, Reader, at_least
from console.services.backtests import BacktestDesk
from console.services.changes import ChangeDesk
from console.services.rules import RuleDesk
from fraud.backtest.page import FIGURES, render_page
from fraud.decision.policy.document import EntityName, ListKind
from fraud.decision.rules.rule import Identifier, RuleState

_ANALYST = [Depends(at_least(Role.ANALYST))]
_LEAD = [Depends(at_least(Role.LEAD))]

RuleId = Annotated[str, Field(max_length=64)]
Text = Annotated[str, Field(max_length=30_000)]
Version = Annotated[str, Field(max_length=64)]
Share = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[int, Field(ge=1, le=400)]
MaturityDays = Annotated[float, Field(ge=0, le=400)]


class Draft(BaseModel):
    """A rule file with one draft."""

    text: Text


class SavedDraft(Draft):
    """A draft, and the policy version that its author saw."""

    version: Version


class Move(BaseModel):
    """Where a rule goes, and the policy version that was seen."""

    version: Version
    state: RuleState


Limits = Annotated[dict[RuleId, dict[Literal["review", "decline"], Share | None]], Field(min_length=1)]


class NewList(BaseModel):
    """A list that begins as draft or in shadow, and the policy version that was seen."""

    version: Version
    name: Identifier
    kind: ListKind
    of: EntityName
    state: Literal[RuleState.DRAFT, RuleState.SHADOW] = RuleState.SHADOW


class Edit(BaseModel):
    """A change that is tried: a rule's or a list's state, or thresholds of segments."""

    kind: Literal["state", "list", "thresholds"]
    rule: RuleId | None = None
    list: RuleId | None = None
    state: RuleState | None = None
    thresholds: Limits | None = None

    @model_validator(mode="after")
    def _whole(self) -> Edit:
        states = {"state": (self.rule, self.state), "list": (self.list, self.state)}
        if None in (states | {"thresholds": (self.thresholds,)})[self.kind]:
            raise ValueError("an edit of a state names rule or list and state, one of thresholds has them")
        return self


class Window(BaseModel):
    """Which decisions, and from which age they are evaluated."""

    days: Days = 60
    maturity_days: MaturityDays = 30


class Trial(Window):
    """A run of the backtest; without anything to try, of the policy as it is."""

    text: Text | None = None
    proposal: Version | None = None
    edit: Edit | None = None
    reviews_per_day: Annotated[float, Field(gt=0, le=1_000_000)] | None = None


class Thresholds(BaseModel):
    """Review and decline of segments by name; null is never."""

    version: Version
    thresholds: Limits


class Rollout(BaseModel):
    """The percentage of cards that a rule is about; null is all."""

    version: Version
    percent: Annotated[float, Field(gt=0, lt=100)] | None


class Rollback(BaseModel):
    """The change before which the policy was as it shall be again."""

    version: Version
    number: Annotated[int, Field(ge=1, le=10**8)]


class Seen(BaseModel):
    """The policy version that was seen."""

    version: Version


class Decision(Seen):
    """What becomes of a proposal."""

    approve: bool


def rules_router(desk: RuleDesk, changes: ChangeDesk, backtests: BacktestDesk) -> APIRouter:
    """Routes over the desks."""
    router = APIRouter(prefix="/rules")

    @router.get("")
    def pack(_: Reader) -> dict[str, Any]:
        return desk.pack()

    @router.get("/vocabulary")
    def vocabulary(_: Reader) -> dict[str, Any]:
        return desk.vocabulary()

    @router.get("/rates")
    def rates(
        _: Reader, days: Annotated[Days, Query()] = 60, maturity_days: Annotated[MaturityDays, Query()] = 30
    ) -> dict[str, Any]:
        """What rules found, with the span of days that there is."""
        return desk.rates(days, maturity_days)

    @router.get("/changes")
    def changed(_: Reader) -> dict[str, Any]:
        """Proposals and the policy's history, newest first, with what each changes."""
        return changes.shown()

    @router.post("/thresholds", dependencies=_LEAD)
    def thresholds(wanted: Thresholds, user: Changer) -> dict[str, str]:
        """Proposes thresholds of the model's score."""
        limits = {
            segment: {str(name): limit for name, limit in of.items()} for segment, of in wanted.thresholds.items()
        }
        return {"proposal": changes.propose_thresholds(user, wanted.version, limits)}

    @router.post("/proposals/{name}", dependencies=_LEAD)
    def decide(name: Version, wanted: Decision, user: Changer) -> dict[str, str]:
        """Approves a proposal, or rejects or withdraws it."""
        return {"version": changes.decide(user, wanted.version, name, approve=wanted.approve)}

    @router.post("/proposals/{name}/shadow", dependencies=_LEAD)
    def try_out(name: Version, wanted: Seen, user: Changer) -> dict[str, str]:
        """Puts proposed thresholds in shadow: what they would decide is recorded from the next decisions on."""
        return {"version": changes.try_out(user, wanted.version, name)}

    @router.post("/lists", dependencies=_LEAD, status_code=201)
    def new_list(wanted: NewList, user: Changer) -> dict[str, str]:
        """Makes a list that has no effect yet."""
        return changes.move_list(user, wanted.version, wanted.name, wanted.state, (wanted.kind, wanted.of))

    @router.post("/lists/{name}/state", dependencies=_LEAD)
    def move_list(name: RuleId, wanted: Move, user: Changer) -> dict[str, str]:
        """Takes a list to another state, or proposes that where another must approve it."""
        return changes.move_list(user, wanted.version, name, wanted.state)

    @router.post("/rollbacks", dependencies=_LEAD)
    def roll_back(wanted: Rollback, user: Changer) -> dict[str, str]:
        """Puts the policy back to what it was before a change, or proposes that."""
        return changes.roll_back(user, wanted.version, wanted.number)

    @router.get("/{rule_id}/text")
    def text(rule_id: RuleId, _: Reader) -> dict[str, str]:
        return {"text": desk.text(rule_id)}

    @router.post("/check", dependencies=_ANALYST)
    def check(draft: Draft, _: Changer) -> dict[str, list[str]]:
        return {"faults": desk.check(draft.text)}

    @router.post("/drafts", dependencies=_LEAD)
    def save(draft: SavedDraft, user: Changer) -> dict[str, str]:
        return {"version": desk.save(user, draft.version, draft.text)}

    @router.post("/{rule_id}/state", dependencies=_LEAD)
    def move(rule_id: RuleId, wanted: Move, user: Changer) -> dict[str, str]:
        """Takes a rule to another state, or proposes that where another must approve it."""
        return desk.move(user, wanted.version, rule_id, wanted.state)

    @router.post("/{rule_id}/rollout", dependencies=_LEAD)
    def roll_out(rule_id: RuleId, wanted: Rollout, user: Changer) -> dict[str, str]:
        """Makes a rule one about a percentage of cards, or proposes that where another must approve it."""
        return changes.roll_out(user, wanted.version, rule_id, wanted.percent)

    @router.get("/suggestions", dependencies=_ANALYST)
    def suggested(user: Reader) -> dict[str, Any]:
        """What the figures suggested when somebody last asked."""
        return desk.suggestions(user)

    @router.post("/suggestions", dependencies=_ANALYST, status_code=202)
    def suggest(window: Window, user: Changer) -> dict[str, Any]:
        """Looks again, in a backtest of the policy as it is."""
        return desk.suggest(user, window.days, window.maturity_days)

    @router.get("/backtests", dependencies=_ANALYST)
    def runs(user: Reader) -> dict[str, Any]:
        """Backtests of everybody, newest first."""
        return {"runs": backtests.shown(user)}

    @router.post("/backtests", dependencies=_ANALYST, status_code=202)
    def backtest(trial: Trial, user: Changer) -> dict[str, Any]:
        """Puts a backtest into the queue."""
        edit = None if trial.edit is None else trial.edit.model_dump(mode="json", exclude_none=True)
        return desk.backtest(
            user, trial.text, trial.proposal, edit, trial.days, trial.maturity_days, trial.reviews_per_day
        )

    @router.post("/backtests/{job_id}/cancel", dependencies=_ANALYST, status_code=204)
    def cancel(job_id: str, user: Changer) -> None:
        """Ends a backtest: one's own; a lead, anybody's."""
        backtests.cancel(user, job_id)

    @router.get("/backtests/{job_id}", dependencies=_ANALYST)
    def outcome(job_id: str, user: Reader) -> dict[str, Any]:
        """How a backtest stands, and what it found."""
        return desk.outcome(user, job_id) | {"figures": FIGURES}

    @router.get("/backtests/{job_id}/report", dependencies=_ANALYST)
    def report(job_id: str, user: Reader) -> Response:
        result = desk.outcome(user, job_id)["result"]
        if result is None:
            raise HTTPException(404, "the run has not ended")
        saved = {"Content-Disposition": 'attachment; filename="backtest.html"'}
        return Response(render_page(result), media_type="text/html; charset=utf-8", headers=saved)

    return router
