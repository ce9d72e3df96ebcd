"""A case, in parts that load beside each other."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from console.guard import Reader
from console.services.case import CaseDesk

_Transaction = Annotated[str, Query(min_length=1, max_length=64)]


def cases_router(cases: CaseDesk) -> APIRouter:
    """Routes over cases; changes go through those of alerts."""
    router = APIRouter(prefix="/cases")

    @router.get("/one")
    def one(user: Reader, transaction_id: _Transaction) -> dict[str, Any]:
        """The alert with its history, and its features in words."""
        return cases.case(user, transaction_id)

    @router.get("/card")
    def card(user: Reader, transaction_id: _Transaction) -> dict[str, Any]:
        """The card's latest payments, with how its alerts stand."""
        return cases.card(user, transaction_id)

    @router.get("/merchant")
    def merchant(_: Reader, transaction_id: _Transaction) -> dict[str, Any]:
        """The merchant's last days."""
        return cases.merchant(transaction_id)

    @router.get("/linked")
    def linked(user: Reader, transaction_id: _Transaction) -> dict[str, list[dict[str, Any]]]:
        """Other alerts of the same card, device and merchant."""
        return cases.linked(user, transaction_id)

    @router.get("/contributions")
    def contributions(_: Reader, transaction_id: _Transaction) -> dict[str, Any]:
        """How much each feature moved the model's score."""
        return cases.contributions(transaction_id)

    return router
