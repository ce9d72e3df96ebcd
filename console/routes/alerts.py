"""Alerts: list, read, change."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from console.guard import Changer, Reader
from console.services.alerts import AlertDesk, Change, Status


class AlertChange(BaseModel):
    """What to do to an alert, as it was seen."""

    version: int = Field(ge=1, le=2**53)
    change: Change
    note: str | None = Field(default=None, min_length=1, max_length=2000)


def alerts_router(desk: AlertDesk) -> APIRouter:
    """Routes over the desk."""
    router = APIRouter(prefix="/alerts")

    @router.get("")
    def newest(
        user: Reader, status: Status = "open", limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> list[dict[str, Any]]:
        return desk.newest(user, status, limit)

    @router.get("/{alert_id}")
    def one(alert_id: str, user: Reader) -> dict[str, Any]:
        return desk.get(user, alert_id)

    @router.post("/{alert_id}/changes", status_code=204)
    def change(alert_id: str, wanted: AlertChange, user: Changer) -> None:
        desk.change(user, alert_id, wanted.version, wanted.change, wanted.note)

    return router
