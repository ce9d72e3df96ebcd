"""Finding payments, cards, customers, merchants, devices and addresses."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from adapters.archive.payment_index import Kind
from console.guard import Changer, Reader
from console.services.find import FindDesk

_Key = Annotated[str, Query(min_length=1, max_length=64)]


class Wanted(BaseModel):
    """What is looked for: the beginning of a name, id or key."""

    text: Annotated[str, Field(min_length=2, max_length=100, pattern=r"^\s*[!-~]{2,}\s*$")]


def find_router(desk: FindDesk) -> APIRouter:
    """Routes over the index; what somebody searches is in a body, since it may be a card's token."""
    router = APIRouter(prefix="/find")

    @router.post("")
    def search(wanted: Wanted, user: Changer) -> dict[str, Any]:
        """Payments by transaction id or decision key, and cards and others by name: by their beginning, in any case."""
        return desk.search(user, wanted.text.strip())

    @router.get("/payment")
    def payment(user: Reader, key: _Key) -> dict[str, Any]:
        """One payment by its decision key, with or without an alert."""
        return desk.payment(user, key)

    @router.get("/about")
    def about(user: Reader, kind: Kind, key: _Key) -> dict[str, Any]:
        """A card, customer, merchant, device or address by its own key."""
        return desk.about(user, kind, key)

    return router
