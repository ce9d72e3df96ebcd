"""Events have the published shape; filters choose among those about payments; signatures are the standard's."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import ValidationError

from adapters.alerts.alert import alert_item
from console.services.alerts import Change
from fraud.events.event import (
    EVENT_JSON_SCHEMA,
    AlertChange,
    ChangedList,
    Event,
    ListChanged,
    decode_event,
    encode_event,
    of_change,
    of_decision,
    trial,
)
from fraud.events.filters import wants
from fraud.events.signing import parse_secrets, signature_headers
from fraud.events.wording import message
from fraud.settings import EventReceiver, Events
from tests.support.records import KEPT_DAYS, VERDICT, transaction

NOON_MS = 1_768_478_400_000
SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "schemas" / "event-1.json").read_text())


def item(*changes: str, **fields: Any) -> dict[str, Any]:
    alert = alert_item(transaction() | VERDICT | fields, {}, KEPT_DAYS)
    history = [{"at_ms": NOON_MS + n, "by": "ann", "change": change} for n, change in enumerate(changes, 1)]
    return alert | {"history": history}


def decision_events(**fields: Any) -> list[Event]:
    given = item(**fields)
    return of_decision(given, given["alert_id"], "bank")


def list_event() -> ListChanged:
    data = ChangedList(
        list="blocked", kind="block", of="card", version="3-pfjcihab", put=1, removed=0, deleted=False, by="lea"
    )
    return ListChanged(
        id="list-3-pfjcihab", source="bank", subject="blocked", time="2026-01-15T12:00:00.000Z", data=data
    )


def test_every_event_is_valid_by_the_published_schema_and_reads_back() -> None:
    assert SCHEMA == EVENT_JSON_SCHEMA
    worked = item("assign", "escalate", "confirm_fraud", "undo", "reopen", "false_positive")
    changes = [event for version in range(2, 8) for event in of_change(worked, version, worked["alert_id"], "bank")]
    events = [*decision_events(), *changes, list_event(), trial("siem", NOON_MS, "bank")]
    assert len({event.id for event in events}) == len(events) == 2 + 6 + 4 + 2
    for event in events:
        jsonschema.validate(json.loads(encode_event(event)), SCHEMA)
        assert decode_event(encode_event(event)) == event


def test_an_event_without_an_attribute_that_cloudevents_requires_is_not_valid() -> None:
    for name in ("specversion", "id", "source", "type", "data"):
        given = json.loads(encode_event(decision_events()[0]))
        del given[name]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(given, SCHEMA)


def test_a_change_is_shown_as_it_left_the_alert_whatever_came_later() -> None:
    worked = item("escalate", "confirm_fraud", "undo")
    shown = [of_change(worked, version, worked["alert_id"], "bank") for version in (2, 3, 4)]
    assert [each[0].data.status for each in shown] == ["escalated", "confirmed_fraud", "escalated"]  # type: ignore[union-attr]
    assert [[event.data.verdict for event in each[1:]] for each in shown] == [[], ["fraud"], ["withdrawn"]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [
        ({}, True),
        ({"outcomes": ["review"]}, True),
        ({"outcomes": ["decline"]}, False),
        ({"rules": ["r0", "r1"]}, True),
        ({"rules": ["r2"]}, False),
        ({"min_severity": 40}, True),
        ({"min_severity": 41}, False),
        ({"min_billing_amount_minor": 1234}, True),
        ({"min_billing_amount_minor": 1235}, False),
        ({"types": ["fraud.alert.opened"]}, False),
    ],
    ids=str,
)
def test_a_filter_chooses_among_events_about_payments(wish: Mapping[str, Any], wanted: bool) -> None:
    receiver = EventReceiver(kind="file", address="x", **wish)
    assert wants(receiver, decision_events()[0]) is wanted
    assert wants(receiver, trial("x", NOON_MS, "bank"))
    assert wants(receiver, list_event()) is ("types" not in wish)


def test_a_signature_is_that_of_the_standards_own_example() -> None:
    (secret,) = parse_secrets(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signature_headers([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_make_two_signatures() -> None:
    lines = b"\n".join(b"whsec_" + base64.b64encode(letter * 32) for letter in (b"a", b"b"))
    first, second = parse_secrets(lines)
    both = signature_headers([first, second], "e", 1, b"")["webhook-signature"].split(" ")
    assert both == [signature_headers([each], "e", 1, b"")["webhook-signature"] for each in (first, second)]


@pytest.mark.parametrize(
    "text", [b"", b"secret", b"whsec_c2hvcnQ=", b"whsec_no!base64"], ids=["empty", "plain", "short", "no base64"]
)
def test_what_is_no_secret_is_refused_and_not_repeated(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"empty|line 1 is not whsec_") as refused:
        parse_secrets(text)
    assert not text or text.decode().removeprefix("whsec_") not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"kind": "webhook", "address": "https://x.example"}, "secret is missing"),
        ({"kind": "webhook", "address": "nowhere", "secret": "env:S"}, "is no address"),
        ({"kind": "webhook", "address": "https://x.example", "secret": "hush"}, "must say where it is kept"),
        ({"kind": "webhook", "address": "https://u:p@x.example", "secret": "env:S"}, "holds a user"),
        ({"kind": "file", "address": "x", "secret": "env:S"}, "is for a webhook"),
        ({"kind": "pigeon", "address": "x"}, "Input should be"),
        ({"kind": "slack", "address": "https://hooks.example.com/T0"}, "must say where it is kept"),
        ({"kind": "sqs", "address": "queue"}, "is no URL of a queue"),
        ({"kind": "sns", "address": "topic"}, "is no ARN of a topic"),
        ({"kind": "eventbridge", "address": "a bus"}, "is no bus"),
        ({"kind": "file", "address": "x", "types": ["fraud.nothing"]}, "Input should be"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_receiver_that_cannot_be_is_refused(given: Mapping[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Events.model_validate({"receivers": {"x": given}})


def test_events_are_worded_for_people() -> None:
    decision, alert = decision_events(amount_minor=123_456, reasons=["first", "second"])
    assert message(decision) == (
        "Review: EUR 1,234.56 at merchant-1 with card card-1 (transaction t-1)\n- first\n- second"
    )
    assert message(alert).startswith("Alert, severity 40, review: EUR 1,234.56 at merchant-1")
    worked = item("confirm_fraud", "reopen", currency="JPY")
    said = [message(event) for version in (2, 3) for event in of_change(worked, version, worked["alert_id"], "bank")]
    payment = "JPY 1,234 at merchant-1 with card card-1 (transaction t-1)"
    assert said == [
        f"ann confirmed fraud on the alert on {payment}",
        f"ann says fraud of {payment}",
        f"ann reopened the alert on {payment}",
        f"ann withdraws what was said of {payment}",
    ]
    assert message(list_event()) == "List blocked by lea: 1 put on, 0 taken off"


def test_every_change_that_the_console_makes_is_an_event_with_words() -> None:
    assert get_args(AlertChange) == get_args(Change)
    for change in get_args(AlertChange):
        changed, *_ = of_change(item(change), 2, item()["alert_id"], "bank")
        jsonschema.validate(json.loads(encode_event(changed)), SCHEMA)
        assert message(changed).startswith("ann ")
