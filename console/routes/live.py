"""The system at a glance."""

from typing import Any

from fastapi import APIRouter

from console.guard import Reader
from console.services.live import LiveBoard


def live_router(board: LiveBoard) -> APIRouter:
    """Routes over the board."""
    router = APIRouter(prefix="/live")

    @router.get("")
    def snapshot(user: Reader) -> dict[str, Any]:
        """Rates, latency, outcomes, money, campaigns and the newest alerts."""
        return board.snapshot(user)

    return router
