"""Fraud campaigns against the local stack."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi import Path as PathPart
from pydantic import BaseModel, Field

from console.access import Role
from console.guard import Changer, Reader, at_least
from console.services.lab import MAX_CASES, Lab, Pace


class Campaign(BaseModel):
    """What to start."""

    campaign: str = Field(min_length=1, max_length=64)
    cases: int = Field(default=3, ge=1, le=MAX_CASES)
    pace: Pace = "stream"


def lab_router(lab: Lab) -> APIRouter:
    """Routes over the lab."""
    router = APIRouter(prefix="/lab")
    leads = [Depends(at_least(Role.LEAD))]

    @router.get("")
    def snapshot(_: Reader) -> dict[str, Any]:
        """The campaigns that there are, and the runs started here, newest first."""
        return lab.snapshot()

    @router.post("/runs", status_code=201, dependencies=leads)
    def start(wanted: Campaign, user: Changer) -> dict[str, str]:
        """Starts a campaign; from lead on."""
        return {"name": lab.start(user, wanted.campaign, wanted.cases, wanted.pace)}

    @router.post("/runs/{name}/stop", status_code=204, dependencies=leads)
    def stop(name: Annotated[str, PathPart(max_length=64)], user: Changer) -> None:
        """Ends a campaign; from lead on."""
        lab.stop(user, name)

    return router
