"""The queue: alerts that wait, alerts that were closed, and what is done to them."""

from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, model_validator

from console.access import Access, Role
from console.errors import ConflictError
from console.guard import Changer, Reader, access_of, at_least
from console.services.alerts import MAX_NOTE, MAX_SNOOZE_MINUTES, MAX_TAGS, AlertDesk, Change, Closed, Details, Worked
from console.services.queue import Filters, Order, Queue
from fraud.fraud_types import FraudType

_ANALYST = [Depends(at_least(Role.ANALYST))]
_Identifier = Annotated[str, Field(min_length=1, max_length=64)]
_Note = Annotated[str | None, Field(min_length=1, max_length=MAX_NOTE)]
_Tag = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="small letters, digits and -")]
_Words = Annotated[list[Annotated[str, Field(max_length=64)]], Query(max_length=50)]
_Limit = Annotated[int, Query(ge=1, le=100)]
_Cursor = Annotated[str | None, Query(max_length=200)]
AccessNow = Annotated[Access, Depends(access_of)]
_Minor = Annotated[int | None, Query(ge=0, le=10**12)]


class Seen(BaseModel):
    """An alert as it was seen, by its decision key."""

    key: _Identifier
    version: int = Field(ge=1, le=2**53)


class Wanted(BaseModel):
    """What to do: with a note; `assign` to a colleague, `snooze` for a time, `tag`, `confirm_fraud` of a type."""

    change: Change
    note: _Note = None
    to: _Identifier | None = None
    minutes: Annotated[int, Field(ge=1, le=MAX_SNOOZE_MINUTES)] | None = None
    tags: Annotated[list[_Tag], Field(max_length=MAX_TAGS)] | None = None
    fraud_type: FraudType | None = None

    @model_validator(mode="after")
    def _says_what_belongs_to_it(self) -> Self:
        for name, change in (
            ("to", "assign"),
            ("minutes", "snooze"),
            ("tags", "tag"),
            ("fraud_type", "confirm_fraud"),
        ):
            if getattr(self, name) is not None and self.change != change:
                raise ValueError(f"{name} belongs to the change {change}")
        return self

    @property
    def details(self) -> Details:
        """What it says beside its kind."""
        tags = None if self.tags is None else tuple(dict.fromkeys(self.tags))
        return Details(self.note, self.to, self.minutes, tags, self.fraud_type)


class AlertChange(Seen, Wanted):
    """What to do to one alert."""


class BulkChange(Wanted):
    """What to do to several alerts."""

    alerts: list[Seen] = Field(min_length=1, max_length=100)


def _filters(
    status: Worked | None = None,
    outcome: _Words = [],  # noqa: B006  FastAPI copies it
    country: _Words = [],  # noqa: B006
    channel: _Words = [],  # noqa: B006
    rule: Annotated[str | None, Query(max_length=64)] = None,
    assignee: Annotated[str | None, Query(max_length=64, description="empty: nobody")] = None,
    search: Annotated[
        str | None, Query(max_length=64, description="transaction, decision key, merchant or card")
    ] = None,
    min_score: Annotated[float | None, Query(ge=0, le=1)] = None,
    min_minor: _Minor = None,
    max_minor: _Minor = None,
    tag: Annotated[str | None, Query(max_length=32)] = None,
    snoozed: Annotated[bool, Query(description="those that are snoozed, in place of those that are not")] = False,
    older_than_minutes: Annotated[int | None, Query(ge=0, le=10**6)] = None,
) -> Filters:
    return Filters(
        status=status,
        outcome=tuple(outcome),
        min_score=min_score,
        min_minor=min_minor,
        max_minor=max_minor,
        country=tuple(country),
        channel=tuple(channel),
        rule=rule,
        assignee=assignee,
        older_than_ms=None if older_than_minutes is None else older_than_minutes * 60_000,
        search=search,
        tag=tag,
        snoozed=snoozed,
    )


def _require_colleague(access: Access, wanted: Wanted) -> None:
    if wanted.to is not None and wanted.to not in access.names(Role.ANALYST):
        raise ConflictError("this user does not work on alerts; assign it to an analyst or lead")


def alerts_router(desk: AlertDesk, queue: Queue, sla_minutes: int) -> APIRouter:
    """Routes over the desk and its queue."""
    router = APIRouter(prefix="/alerts")

    @router.get("")
    def waiting(
        user: Reader,
        filters: Annotated[Filters, Depends(_filters)],
        order: Order = "riskiest",
        limit: _Limit = 50,
        cursor: _Cursor = None,
    ) -> dict[str, Any]:
        """Open and escalated alerts, filtered and in order, a page at a time."""
        page = queue.page(user, filters, order, limit, cursor)
        return page._asdict() | {"sla_minutes": sla_minutes}

    @router.get("/cases")
    def cases(
        user: Reader,
        filters: Annotated[Filters, Depends(_filters)],
        order: Order = "riskiest",
        limit: Annotated[int, Query(ge=1, le=50)] = 25,
        cursor: _Cursor = None,
    ) -> dict[str, Any]:
        """The cases of open and escalated alerts, filtered and in order, a page at a time."""
        page = queue.cases(user, filters, order, limit, cursor)
        return page._asdict() | {"sla_minutes": sla_minutes}

    @router.get("/facets")
    def facets(_: Reader) -> dict[str, dict[str, int]]:
        """The values of each filter, with how many waiting alerts have them."""
        return queue.facets()

    @router.get("/closed")
    def closed(user: Reader, status: Closed, limit: _Limit = 50, cursor: _Cursor = None) -> dict[str, Any]:
        """Alerts that were disposed of, newest decision first."""
        items, more = desk.closed(user, status, limit, cursor)
        return {"alerts": items, "cursor": more}

    @router.get("/colleagues", dependencies=_ANALYST)
    def colleagues(_: Reader, access: AccessNow) -> list[str]:
        """To whom an alert can be assigned: users from analyst on."""
        return access.names(Role.ANALYST)

    @router.get("/one")
    def one(user: Reader, key: Annotated[str, Query(min_length=1, max_length=64)]) -> dict[str, Any]:
        """One alert with its history."""
        return desk.get(user, key)

    @router.post("/change", dependencies=_ANALYST)
    def change(wanted: AlertChange, user: Changer, access: AccessNow) -> dict[str, Any]:
        """Changes one alert, unless it was changed since it was seen (409)."""
        _require_colleague(access, wanted)
        return desk.change(user, wanted.key, wanted.version, wanted.change, wanted.details)

    @router.post("/changes", dependencies=_ANALYST)
    def changes(wanted: BulkChange, user: Changer, access: AccessNow) -> dict[str, Any]:
        """Changes several alerts, each by itself; `refused` says why one was not. A verdict can be undone so long."""
        _require_colleague(access, wanted)
        seen = [(alert.key, alert.version) for alert in wanted.alerts]
        results = desk.change_many(user, seen, wanted.change, wanted.details)
        refusals = [{"key": key, "refused": refused} for key, refused in results]
        return {"results": refusals, "undo_ms": desk.undo_ms}

    return router
