"""Rules: read, check, draft, try, promote."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from pydantic import BaseModel, Field

from console.access import Role
from console.guard import Changer, Reader, at_least
from console.services.rules import RuleDesk
from fraud.backtest.page import FIGURES, render_page
from fraud.decision.rules.rule import RuleState

_ANALYST = [Depends(at_least(Role.ANALYST))]
_LEAD = [Depends(at_least(Role.LEAD))]

RuleId = Annotated[str, Field(max_length=64)]
Text = Annotated[str, Field(max_length=30_000)]
Version = Annotated[str, Field(max_length=64)]
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


class Trial(BaseModel):
    """A run of the backtest; without a text, of the policy as it is."""

    text: Text | None = None
    days: Days = 60
    maturity_days: MaturityDays = 30
    reviews_per_day: Annotated[float, Field(gt=0, le=1_000_000)] | None = None


def rules_router(desk: RuleDesk) -> APIRouter:
    """Routes over the desk."""
    router = APIRouter(prefix="/rules")

    @router.get("")
    def pack(_: Reader) -> dict[str, Any]:
        return desk.pack()

    @router.get("/vocabulary")
    def vocabulary(_: Reader) -> dict[str, Any]:
        return desk.vocabulary()

    @router.get("/rates")
    def rates(
        user: Reader, days: Annotated[Days, Query()] = 60, maturity_days: Annotated[MaturityDays, Query()] = 30
    ) -> dict[str, Any]:
        return desk.rates(days, maturity_days).shown_to(user)

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
        return {"version": desk.move(user, wanted.version, rule_id, wanted.state)}

    @router.post("/backtests", dependencies=_ANALYST, status_code=202)
    def backtest(trial: Trial, user: Changer) -> dict[str, Any]:
        return desk.backtest(user, trial.text, trial.days, trial.maturity_days, trial.reviews_per_day).progress()

    @router.get("/backtests/{job_id}", dependencies=_ANALYST)
    def outcome(job_id: str, user: Reader) -> dict[str, Any]:
        return desk.outcome(user, job_id).shown_to(user) | {"figures": FIGURES}

    @router.get("/backtests/{job_id}/report", dependencies=_ANALYST)
    def report(job_id: str, user: Reader) -> Response:
        result = desk.outcome(user, job_id).result
        if result is None:
            raise HTTPException(404, "the run has not ended")
        saved = {"Content-Disposition": 'attachment; filename="backtest.html"'}
        return Response(render_page(result), media_type="text/html; charset=utf-8", headers=saved)

    return router
