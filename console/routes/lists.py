"""Lists that change while programs run: read, change, import and export."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from console.access import Role
from console.guard import Changer, Reader, at_least
from console.services.lists import ListPart
from fraud.decision.policy.document import EntityName, ListKind
from fraud.decision.policy.living import MAX_TEXT

_ANALYST = [Depends(at_least(Role.ANALYST))]
_LEAD = [Depends(at_least(Role.LEAD))]

MOST_ENTRIES = 10_000
MOST_CHARACTERS = 4 << 20

Name = Annotated[str, Field(max_length=64)]
Value = Annotated[str, Field(min_length=1, max_length=100)]
Why = Annotated[str, Field(max_length=MAX_TEXT)]


class Reasoned(BaseModel):
    """Why something is changed."""

    why: Why = ""


class NewList(Reasoned):
    """A list to make."""

    name: Name
    kind: ListKind
    of: EntityName


class NewEntry(BaseModel):
    """An entry to put on a list."""

    value: Value
    expires: Annotated[str, Field(max_length=40)] | None = None
    note: Annotated[str, Field(max_length=MAX_TEXT)] = ""


class Addition(Reasoned):
    """Entries to put on a list."""

    entries: Annotated[list[NewEntry], Field(min_length=1, max_length=MOST_ENTRIES)]


class Wanted(BaseModel):
    """Which entries of a list: those behind a value, that contain a text."""

    after: Annotated[str, Field(max_length=100)] = ""
    search: Annotated[str, Field(max_length=100)] = ""
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class Removal(Reasoned):
    """Values to take off a list."""

    values: Annotated[list[Value], Field(min_length=1, max_length=MOST_ENTRIES)]


class Import(Reasoned):
    """CSV with the columns value, expires, note; `replace` takes off what it does not have."""

    text: Annotated[str, Field(max_length=MOST_CHARACTERS)]
    replace: bool = False


def lists_router(part: ListPart) -> APIRouter:
    """Routes over the lists; whoever sees entries sees tokens of cards, so they are for analysts."""
    router = APIRouter(prefix="/lists", tags=["lists"])

    @router.get("")
    def all_(_: Reader) -> dict[str, Any]:
        """Every list in short, and the version of them all."""
        return part.all()

    @router.post("", dependencies=_LEAD, status_code=201)
    def create(wanted: NewList, user: Changer) -> dict[str, Any]:
        """Makes a list without entries."""
        return part.create(user, wanted.name, wanted.kind, wanted.of, wanted.why)

    @router.get("/{name}", dependencies=_ANALYST)
    def entries(
        name: Name,
        user: Reader,
        after: Annotated[str, Query(max_length=100)] = "",
        search: Annotated[str, Query(max_length=100)] = "",
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> dict[str, Any]:
        """Entries of a list in the order of their values; `next` begins the following page as `after`."""
        return part.entries(user, name, after, search, limit)

    @router.post("/{name}/search", dependencies=_ANALYST)
    def search(name: Name, wanted: Wanted, user: Changer) -> dict[str, Any]:
        """The same for pages: what is searched, which may be a card's token, is in no address."""
        return part.entries(user, name, wanted.after, wanted.search, wanted.limit)

    @router.delete("/{name}", dependencies=_LEAD)
    def delete(name: Name, user: Changer, why: Annotated[str, Query(max_length=MAX_TEXT)] = "") -> dict[str, Any]:
        """Removes a list of the store; one that the policy's files have is theirs again."""
        return part.delete(user, name, why)

    @router.post("/{name}/entries", dependencies=_LEAD)
    def add(name: Name, wanted: Addition, user: Changer) -> dict[str, Any]:
        """Puts entries on a list, or in place of those of the same value: all, or none where one is refused."""
        return part.add(user, name, [(each.value, each.expires, each.note) for each in wanted.entries], wanted.why)

    @router.post("/{name}/removals", dependencies=_LEAD)
    def remove(name: Name, wanted: Removal, user: Changer) -> dict[str, Any]:
        """Takes values off a list."""
        return part.remove(user, name, wanted.values, wanted.why)

    @router.post("/{name}/imports", dependencies=_LEAD)
    def import_(name: Name, wanted: Import, user: Changer) -> dict[str, Any]:
        """Puts the entries of a CSV file on a list; a bad line is named, and then nothing is changed."""
        return part.import_(user, name, wanted.text, wanted.why, replace=wanted.replace)

    @router.get(
        "/{name}/export",
        dependencies=_ANALYST,
        response_class=Response,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    def export(name: Name, user: Reader) -> Response:
        """The list as CSV."""
        saved = {"Content-Disposition": 'attachment; filename="list.csv"'}
        return Response(part.export(user, name), media_type="text/csv; charset=utf-8", headers=saved)

    @router.get("/{name}/history", dependencies=_ANALYST)
    def history(name: Name, user: Reader, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> dict[str, Any]:
        """What was done to a list, newest first: who, when, why, and how many entries."""
        return part.history(user, name, limit)

    return router
