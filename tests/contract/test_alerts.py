"""The alert table against a real endpoint: the first decision stays, each has its outcome, pages show each once."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.alerts.alert import (
    LABEL_PENDING,
    LABEL_SENT,
    WRITE_SHARDS,
    AlertUpdate,
    Item,
    alert_item,
    shard_of,
    subject_of,
)
from adapters.alerts.dynamodb_items import stored_form
from adapters.alerts.pages import AlertPage, CursorError, Span
from adapters.alerts.table import BATCH, AlertTable
from adapters.aws.backoff import Backoff
from adapters.aws.provision import provision
from embedded.simulation.clients import Client
from embedded.simulation.dynamodb import InMemoryDynamoDB
from embedded.simulation.plan import Plan
from embedded.simulation.world import Inline, Process, World
from fraud.errors import FatalError, MisconfiguredError, RefusedError, RetryableError
from fraud.settings import Alerts, Aws, Settings
from tests.support.dynamodb_server import serving_table
from tests.support.emulators import provisioned
from tests.support.former_alerts import RECORDED, former
from tests.support.records import KEPT_DAYS, NOON, VERDICT, transaction

DAY = NOON + dt.timedelta(days=1)
IMMEDIATE = partial(Backoff, sleep=lambda _: None)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Settings]:
    with provisioned() as settings:
        yield settings


@pytest.fixture
def settings(emulator: Settings, request: pytest.FixtureRequest) -> Settings:
    """Settings with a table of the test's own."""
    located = emulator.model_copy(update={"alerts": Alerts(table=re.sub("[^a-z0-9]+", "-", request.node.name))})
    provision(located)
    return located


@pytest.fixture(params=["emulator", "simulated", "disk"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AlertTable]:
    """A table of the test's own: the emulator's, the simulator's double, or that with its items on disk."""
    if request.param == "simulated":
        client = Client(World(Plan(0, events={})), Process("test"), "dynamodb", InMemoryDynamoDB("alerts"))
        yield AlertTable(Alerts(table="alerts"), Aws(), backoff=IMMEDIATE, client=client, pool=Inline())
    elif request.param == "disk":
        with serving_table("alerts", tmp_path / "table.db") as address:
            yield AlertTable(Alerts(table="alerts"), Aws(endpoint_url=address), backoff=IMMEDIATE)
    else:
        yield request.getfixturevalue("emulated")


@pytest.fixture
def emulated(settings: Settings) -> AlertTable:
    return AlertTable(settings.alerts, settings.aws, backoff=IMMEDIATE)


def alert(**fields: Any) -> Item:
    return alert_item(transaction() | VERDICT | fields, {"card_count_1h": 3.0, "absent": None}, KEPT_DAYS)


def alerts(count: int, a_second: int = 1, **fields: Any) -> list[Item]:
    """Alerts decided one after the other from `DAY` on, so many in each second."""
    return [
        alert(transaction_id=f"n-{n:04d}", decided_at=DAY + dt.timedelta(seconds=n // a_second), **fields)
        for n in range(count)
    ]


def update(
    status: str, assignee: str | None = None, label: Item | None = None, due: Item | None = None, **entry: Any
) -> AlertUpdate:
    return AlertUpdate(status, assignee, {"by": "ann"} | entry, label, due)


def ids(items: list[Item]) -> list[str]:
    return [item["transaction_id"] for item in items]


def pages(first: AlertPage, read_on: Any) -> Iterator[AlertPage]:
    yield first
    while first.cursor is not None:
        first = read_on(first.cursor)
        yield first


class Throttled:
    """A client whose batches take only some statements, as DynamoDB does when an item is throttled.

    Args:
        client: does the rest.
        refuse: whether to refuse a statement, given the number of the call and its place in it.
        code: the error of what is refused.
    """

    def __init__(self, client: Any, refuse: Any, code: str = "ThrottlingError") -> None:
        self._client = client
        self._refuse = refuse
        self._code = code
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_execute_statement(self, Statements: list[Any]) -> dict[str, Any]:  # noqa: N803
        call, self.calls = self.calls, self.calls + 1
        assert len(Statements) <= BATCH
        refused = [self._refuse(call, place) for place in range(len(Statements))]
        taken = [s for s, no in zip(Statements, refused, strict=True) if not no]
        done = iter(self._client.batch_execute_statement(Statements=taken)["Responses"] if taken else [])
        error = {"Error": {"Code": self._code, "Message": "scripted"}}
        return {"Responses": [error if no else next(done) for no in refused]}


def test_the_first_alert_of_a_transaction_stays_and_each_item_has_its_own_outcome(table: AlertTable) -> None:
    first, second = alert(transaction_id="one"), alert(transaction_id="two")
    assert table.put_new([first]) == [True]
    assert table.put_new([first | {"outcome": "decline"}, second, second]) == [False, True, False]
    stored = {item["alert_id"]: item for item in table.of_card("card-1").items}
    assert stored[first["alert_id"]] == stored_form(first)
    assert "absent" not in stored[first["alert_id"]]["features"]


def test_each_use_of_an_id_has_an_alert_of_its_own(table: AlertTable) -> None:
    uses = [
        alert(transaction_id="000123"),
        alert(transaction_id="000123", event_time=NOON + dt.timedelta(days=1)),
        alert(transaction_id="000123", event_time=NOON + dt.timedelta(milliseconds=1)),
        alert(transaction_id="000123", card_token="card-2"),
        alert(transaction_id="1:000123", card_token="card"),
        alert(transaction_id="000123", card_token="card:1"),
    ]
    assert table.put_new(uses) == [True] * len(uses)
    assert table.put_new(uses) == [False] * len(uses)
    found = table.of_decisions(map(subject_of, uses))
    assert sorted(item["alert_id"] for item in found) == sorted(item["alert_id"] for item in uses)


def test_an_alert_of_an_earlier_version_is_found_by_its_decision_and_changed(table: AlertTable) -> None:
    assert former(alert_item(transaction() | VERDICT, {"card_count_1h": 3.0}, KEPT_DAYS)) == RECORDED
    collides = [
        former(alert(transaction_id="b:c", card_token="a")),
        former(alert(transaction_id="x", event_time=NOON + dt.timedelta(days=1))),
    ]
    table.put_new([RECORDED, *collides])
    wanted = subject_of(RECORDED)
    others = [subject_of(alert(transaction_id="c", card_token="a:b")), subject_of(alert(transaction_id="x"))]
    assert table.of_decisions([wanted, *others]) == [stored_form(RECORDED)]
    assert table.get(wanted.key) is None
    assert table.update(RECORDED["alert_id"], 1, update("confirmed_fraud", "ann"))
    (changed,) = table.of_decisions([wanted])
    assert (changed["status"], changed["version"]) == ("confirmed_fraud", 2)


def test_a_batch_that_an_earlier_version_began_is_not_alerted_again(table: AlertTable) -> None:
    items = [alert(transaction_id=f"n-{n}") for n in range(3)]
    again = alert(transaction_id="n-0", event_time=NOON + dt.timedelta(days=2))
    table.put_new(list(map(former, items[:2])))
    assert table.put_new([*items, again]) == [False, False, True, True]
    assert sorted(ids(list(table.all()))) == ["n-0", "n-0", "n-1", "n-2"]


def test_decisions_of_this_program_s_own_time_cost_no_look_for_former_alerts(settings: Settings) -> None:
    started = NOON.timestamp()
    table = AlertTable(settings.alerts, settings.aws, clock=lambda: started)
    table._client = client = Counted(table._client)
    table.put_new([alert(transaction_id="soon", decided_at=NOON + dt.timedelta(minutes=4))])
    assert client.looks == 1, "an earlier program's clock may run ahead"
    table.put_new([alert(transaction_id="later", decided_at=NOON + dt.timedelta(minutes=6))])
    assert client.looks == 1


class Counted:
    """A client that counts how often alerts are read by their ids."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.looks = 0

    def __getattr__(self, name: str) -> Any:
        self.looks += name == "batch_get_item"
        return getattr(self._client, name)


def test_items_that_are_throttled_are_put_again_and_only_those(table: AlertTable) -> None:
    items = alerts(2 * BATCH + 3)
    table.put_new(items[:1])
    throttled = Throttled(table._client, lambda call, place: call < 3 and place % 2)
    table._client = throttled
    assert table.put_new(items) == [False] + [True] * (len(items) - 1)
    assert throttled.calls == 3 + 1  # 12 + 12 + 1 were refused, which fit one batch
    assert table.take_retries() == 25
    assert len(list(table.all())) == len(items)


def test_items_that_stay_throttled_are_given_up_and_the_others_are_there(table: AlertTable) -> None:
    table._client = Throttled(table._client, lambda _, place: place == 0)
    with pytest.raises(RetryableError, match="1 alerts could not be put"):
        table.put_new(alerts(3))
    assert sorted(ids(list(table.all()))) == ["n-0001", "n-0002"]


def test_an_item_that_the_table_refuses_is_named_without_its_card(table: AlertTable) -> None:
    table._client = Throttled(table._client, lambda *_: True, "ValidationError")
    with pytest.raises(FatalError, match="on transaction n-0000 was refused: ValidationError") as refused:
        table.put_new(alerts(1))
    assert "card-1" not in str(refused.value)


@pytest.mark.parametrize("a_second", [1, 7, 60])
def test_pages_show_every_alert_once_newest_first_however_many_were_decided_at_a_time(
    table: AlertTable, a_second: int
) -> None:
    table.put_new(alerts(60, a_second))
    found = list(pages(table.newest(limit=11), lambda cursor: table.newest(limit=11, cursor=cursor)))
    assert [len(page.items) for page in found] == [11, 11, 11, 11, 11, 5]
    items = [item for page in found for item in page.items]
    assert len(set(ids(items))) == 60
    times = [item["decided_ms"] for item in items]
    assert times == sorted(times, reverse=True)
    assert table.newest(limit=60).cursor is None


def test_pages_go_on_where_they_were_though_alerts_come_and_are_closed(table: AlertTable) -> None:
    items = alerts(30, 10)
    table.put_new(items)
    first = table.newest(limit=10)
    last = first.items[-1]
    assert table.update(last["alert_id"], 1, update("closed"))
    table.put_new([alert(transaction_id="newer", decided_at=DAY + dt.timedelta(hours=1))])
    read_on = pages(table.newest(limit=9, cursor=first.cursor), lambda cursor: table.newest("open", 9, cursor))
    rest = [name for page in read_on for name in ids(page.items)]
    assert sorted(ids(first.items) + rest) == sorted(ids(items))


def test_alerts_are_found_by_card_merchant_day_and_status_on_a_day(table: AlertTable) -> None:
    table.put_new([*alerts(9, merchant_id="m-1"), alert(transaction_id="before", card_token="card-2")])
    (fourth,) = (item for item in alerts(9, merchant_id="m-1") if item["transaction_id"] == "n-0004")
    assert table.update(fourth["alert_id"], 1, update("escalated"))
    assert ids(table.of_card("card-2").items) == ["before"]
    assert len(table.of_merchant("m-1").items) == 9
    by_merchant = pages(table.of_merchant("m-1", limit=4), lambda cursor: table.of_merchant("m-1", 4, cursor))
    assert [len(page.items) for page in by_merchant] == [4, 4, 1]
    assert len(table.of_day(DAY.date()).items) == 9
    assert ids(table.of_day(DAY.date(), "escalated").items) == ["n-0004"]
    assert len(table.of_day(DAY.date(), "open").items) == 8
    second = int(DAY.timestamp() * 1000) + 1000
    assert ids(table.newest(span=Span(second, second)).items) == ["n-0001"]


def test_alerts_of_a_status_are_spread_over_the_parts_of_its_index() -> None:
    shards = [shard_of(alert(transaction_id=f"n-{n}")["alert_id"]) for n in range(8_000)]
    assert all(800 < shards.count(shard) < 1_200 for shard in range(WRITE_SHARDS))


@pytest.mark.parametrize("text", ["", "1", "x.y", "1.0123456789AB", "1.0123456789ab\n", "²1.0123456789ab"])
def test_a_text_that_is_no_cursor_is_refused(table: AlertTable, text: str) -> None:
    with pytest.raises(CursorError):
        table.newest(cursor=text)


def test_a_cursor_holds_no_card(table: AlertTable) -> None:
    table.put_new(alerts(2))
    cursor = table.newest(limit=1).cursor
    assert cursor is not None
    assert "card" not in cursor


def test_of_two_analysts_who_saw_the_same_version_only_one_changes_the_status(table: AlertTable) -> None:
    item = alert(transaction_id="status")
    table.put_new([item])
    assert table.update(item["alert_id"], 1, update("confirmed_fraud", "ann", note="called the customer"))
    assert not table.update(item["alert_id"], 1, update("dismissed", "bob"))
    assert table.update(item["alert_id"], 2, update("confirmed_fraud", note="again"))
    (stored,) = table.of_card("card-1").items
    assert (stored["status"], stored.get("assignee"), stored["version"]) == ("confirmed_fraud", None, 3)
    assert [entry["note"] for entry in stored["history"]] == ["called the customer", "again"]
    assert [found["alert_id"] for found in table.newest("confirmed_fraud").items] == [item["alert_id"]]


def test_a_closed_alert_waits_for_its_label_apart_from_its_status(table: AlertTable) -> None:
    item = alert(transaction_id="label")
    table.put_new([item])
    key, due = item["alert_id"], {"verdict": "fraud", "at_ms": 7, "due_ms": 8}
    assert table.update(key, 1, update("confirmed_fraud", "ann", label=due))
    assert table.newest("confirmed_fraud").items == []
    (waiting,) = table.each(LABEL_PENDING)
    assert (waiting["status"], waiting[LABEL_PENDING]) == ("confirmed_fraud", due)
    taken = due | {"taken": True, "due_ms": 9}
    assert [table.take_label(key, due, taken), table.take_label(key, due, taken)] == [True, False]
    assert not table.label_written(key, "confirmed_fraud", due)
    assert table.label_written(key, "confirmed_fraud", taken)
    assert not table.label_written(key, "confirmed_fraud", taken)
    assert list(table.each(LABEL_PENDING)) == []
    (written,) = table.newest("confirmed_fraud").items
    assert (written["transaction_id"], written[LABEL_SENT]) == ("label", "fraud")


def test_a_change_keeps_the_label_that_is_due_and_fails_where_another_one_is(table: AlertTable) -> None:
    item = alert(transaction_id="due")
    table.put_new([item])
    key, due = item["alert_id"], {"verdict": "fraud", "at_ms": 7, "due_ms": 8}
    assert not table.update(key, 1, update("escalated", due=due)), "none is due"
    assert table.update(key, 1, update("confirmed_fraud", label=due))
    assert not table.update(key, 2, update("confirmed_fraud")), "one is due"
    assert not table.update(key, 2, update("open", due=due | {"due_ms": 9}))
    assert table.update(key, 2, update("confirmed_fraud", label=due, due=due, note="a note"))
    assert [one["alert_id"] for one in table.each(LABEL_PENDING)] == [key]
    assert table.update(key, 3, update("open", due=due))
    assert [ids(table.newest().items), list(table.each(LABEL_PENDING))] == [["due"], []]


def test_many_alerts_are_read_at_once_and_those_of_a_span_with_what_is_needed_of_them(table: AlertTable) -> None:
    items = alerts(130)
    table.put_new(items)
    found = table.get_many([item["alert_id"] for item in items] + ["none"])
    assert sorted(ids(found)) == sorted(ids(items))
    assert table.get_many([items[0]["alert_id"]], ["status", "version"]) == [{"status": "open", "version": 1}]
    last = list(table.each("open", Span(since_ms=items[128]["decided_ms"]), ["transaction_id", "status"]))
    assert sorted(last, key=lambda item: item["transaction_id"]) == [
        {"transaction_id": f"n-{n:04d}", "status": "open"} for n in (128, 129)
    ]


def test_items_expire_by_the_table_s_time_to_live(settings: Settings, emulated: AlertTable) -> None:
    described = emulated._client.describe_time_to_live(TableName=settings.alerts.table)["TimeToLiveDescription"]
    assert (described["TimeToLiveStatus"], described["AttributeName"]) == ("ENABLED", "expires_at")
    decided = dt.datetime(2026, 1, 15, 12, tzinfo=dt.UTC)
    assert alert(decided_at=decided)["expires_at"] == (decided + dt.timedelta(days=KEPT_DAYS)).timestamp()


def test_a_missing_table_or_right_stops_a_start_with_its_name(settings: Settings, table: AlertTable) -> None:
    absent = AlertTable(Alerts(table="no-such-table"), settings.aws)
    with pytest.raises(MisconfiguredError, match=r"alerts\.table: no-such-table cannot be used"):
        absent.require_writable()
    table.require_writable()
    assert list(table.all()) == []
    table._client = Throttled(table._client, lambda *_: True, "AccessDenied")
    with pytest.raises(MisconfiguredError, match=r"alerts\.table: alerts cannot be put into .*: scripted"):
        table.require_writable()
    denied = RefusedError("dynamodb", "BatchExecuteStatement", "AccessDeniedException", "no")
    table._insert = _raising(denied)  # type: ignore[method-assign]
    with pytest.raises(MisconfiguredError, match="AccessDeniedException"):
        table.require_writable()


def test_a_busy_table_does_not_look_like_a_forbidden_one(table: AlertTable) -> None:
    client, refused = table._client, iter([True, True, False])
    table._client = Throttled(client, lambda *_: next(refused), "ThrottlingError")
    table.require_writable()
    table._client = Throttled(client, lambda *_: True, "ThrottlingError")
    with pytest.raises(RetryableError, match="refused the trial 10 times"):
        table.require_writable()


def _raising(error: Exception) -> Any:
    def fail(*_: object) -> Any:
        raise error

    return fail


def test_a_change_and_its_note_for_other_systems_are_one_step(settings: Settings) -> None:
    announcing = AlertTable(settings.alerts, settings.aws, backoff=IMMEDIATE, announce=True)
    item = alert()
    announcing.put_new([item])
    assert announcing.update(item["alert_id"], 1, update("open", "ann", at_ms=7))
    assert not announcing.update(item["alert_id"], 1, update("open", "bob", at_ms=8))
    (note,) = announcing.changes()
    assert (note["changed_alert"], note["changed_version"]) == (item["alert_id"], 2)
    assert [each["alert_id"] for each in announcing.all()] == [item["alert_id"]]
    assert [each["alert_id"] for each in announcing.newest().items] == [item["alert_id"]]
    announcing.delete(note["alert_id"])
    assert announcing.changes() == []


def test_without_receivers_of_events_no_change_is_noted(table: AlertTable) -> None:
    item = alert()
    table.put_new([item])
    assert table.update(item["alert_id"], 1, update("open", "ann", at_ms=7))
    assert table.changes() == []
