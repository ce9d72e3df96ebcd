"""Models: who they are, what they are worth, what drifts."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from console.guard import Reader
from console.services.models import ModelDesk


def models_router(desk: ModelDesk) -> APIRouter:
    """Routes over the desk."""
    router = APIRouter(prefix="/models")

    @router.get("")
    def models(_: Reader) -> dict[str, Any]:
        return desk.models()

    @router.get("/worth")
    def worth(
        user: Reader,
        days: Annotated[int, Query(ge=7, le=400)] = 90,
        maturity_days: Annotated[float, Query(ge=0, le=400)] = 30,
    ) -> dict[str, Any]:
        return desk.worth(days, maturity_days).shown_to(user)

    @router.get("/drift")
    def drift(user: Reader, reference_days: Annotated[int | None, Query(ge=1, le=400)] = None) -> dict[str, Any]:
        return desk.drift(reference_days).shown_to(user)

    return router
