"""A case, in parts that load beside each other."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from console.access import Role
from console.guard import Changer, Reader, at_least
from console.services.case import JOINED_CARDS, CaseDesk
from console.services.links import LinkDesk

_Key = Annotated[str, Query(min_length=1, max_length=64, description="decision key")]
_Transaction = Annotated[str, Query(min_length=1, max_length=64, description="transaction id")]


class Joining(BaseModel):
    """Whose alerts to take into the case of an alert: cards, by their keys."""

    key: Annotated[str, Field(min_length=1, max_length=64)]
    cards: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=JOINED_CARDS)]


def cases_router(cases: CaseDesk, links: LinkDesk) -> APIRouter:
    """Routes over cases; changes go through those of alerts."""
    router = APIRouter(prefix="/cases")

    @router.get("/find")
    def find(user: Reader, transaction_id: _Transaction) -> dict[str, Any]:
        """Every alert on a transaction id: cards may share it, and it may come again."""
        return cases.find(user, transaction_id)

    @router.get("/one")
    def one(user: Reader, key: _Key) -> dict[str, Any]:
        """The alert with its history, and its features in words."""
        return cases.case(user, key)

    @router.get("/alerts")
    def alerts(user: Reader, key: _Key) -> dict[str, Any]:
        """All alerts of the case that the alert belongs to."""
        return cases.alerts(user, key)

    @router.get("/card")
    def card(user: Reader, key: _Key) -> dict[str, Any]:
        """The card's payments around the alert's, with how its alerts stand, and what was usual."""
        return cases.card(user, key)

    @router.get("/merchant")
    def merchant(_: Reader, key: _Key) -> dict[str, Any]:
        """The merchant's last days."""
        return cases.merchant(key)

    @router.get("/linked")
    def linked(user: Reader, key: _Key) -> dict[str, list[dict[str, Any]]]:
        """Other alerts of the same card, device and merchant."""
        return cases.linked(user, key)

    @router.get("/links")
    def joining(user: Reader, key: _Key) -> dict[str, Any]:
        """What cards share, as a graph, around an alert's card or around anything that has a key of its own."""
        return links.around(user, key)

    @router.post("/joins", dependencies=[Depends(at_least(Role.ANALYST))])
    def join(wanted: Joining, user: Changer) -> dict[str, Any]:
        """Takes the waiting alerts of other cards into this case, each by itself; `refused` says why one was not."""
        results = cases.join(user, wanted.key, wanted.cards)
        return {"results": [{"key": key, "refused": refused} for key, refused in results]}

    @router.get("/contributions")
    def contributions(_: Reader, key: _Key) -> dict[str, Any]:
        """How much each feature moved the model's score."""
        return cases.contributions(key)

    @router.get("/counterfactual")
    def counterfactual(_: Reader, key: _Key) -> dict[str, Any]:
        """What would have been approved: the smallest change of amount, time, merchant or velocity."""
        return cases.counterfactual(key)

    return router
