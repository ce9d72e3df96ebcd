"""An event of the API becomes the transaction that a row of the same stored event becomes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from adapters.recordings.mapping import load_mapping
from decision_service.afd.errors import ApiError
from decision_service.afd.events import Event, EventReader
from decision_service.afd.requests import time_of_text
from fraud.errors import MisconfiguredError
from fraud.migration.shapes import EventType, Variable
from fraud.records.transaction import TRANSACTION_SCHEMA, Transaction
from tests.support.recordings import read_recording

NOW = dt.datetime(2026, 1, 15, 12, tzinfo=dt.UTC)
VARIABLES = ("price", "money", "card", "bin", "country", "shop", "kind", "device", "lat")
RECORDING: dict[str, Any] = {
    "columns": {
        "transaction_id": "EVENT_ID", "event_time": "EVENT_TIMESTAMP", "customer_id": "ENTITY_ID", "amount": "price",
        "currency": "money", "card_token": "card", "bin": "bin", "issuer_country": "country", "merchant_id": "shop",
        "channel": "kind", "device_id": "device", "merchant_lat": "lat",
    },
    "constants": {
        "transaction_type": "purchase", "authorisation_result": "approved", "response_code": "00",
        "initiation": "cardholder", "mcc": "5411", "merchant_country": "DE", "entry_mode": "manual",
    },
    "hashed": ["card_token"],
    "prefixes": {"card_token": "card-", "merchant_id": "shop-"},
    "values": {"channel": {"web": "ecommerce", "*": "pos"}},
    "defaults": {"issuer_country": "ZZ"},
    "missing": ["NULL"],
    "rates": {"JPY": 0.006},
}  # fmt: skip


def reader(tmp_path: Path, **changed: Any) -> EventReader:
    file = tmp_path / "recording-payment.yaml"
    file.write_text(yaml.safe_dump(RECORDING | changed))
    event_type = EventType(name="payment", eventVariables=VARIABLES, entityTypes=("customer",))
    defaults = {"bin": "000000", "device": "none", "card": "none"}
    variables = {name: Variable(name=name, dataType="STRING", defaultValue=defaults.get(name)) for name in VARIABLES}
    return EventReader(event_type, load_mapping(str(file)), file.name, variables, {}, "EUR")


def event(**variables: str) -> Event:
    plain = {"price": "12.345", "money": "eur", "card": "4929 1", "bin": "411111", "country": "fr", "shop": "7",
             "kind": "WEB", "lat": "48.5"}  # fmt: skip
    return Event("e-1", "payment", "customer", "c-1", "2026-01-15T11:00:00.250Z", plain | variables)


def decoded(record: bytes) -> Transaction:
    return msgspec.json.decode(record, type=Transaction)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"price": "0.005"},
        {"price": "1000000", "money": "JPY"},
        {"country": "NULL", "device": "d-1"},
        {"kind": "till", "lat": "-12"},
        {"price": " 7 ", "shop": " 9 "},
    ],
)
def test_an_event_becomes_what_its_row_becomes(tmp_path: Path, variables: dict[str, str]) -> None:
    one = event(**variables)
    made = decoded(reader(tmp_path).record(one, NOW))
    row = {"EVENT_ID": one.id, "EVENT_TIMESTAMP": one.timestamp, "ENTITY_ID": one.entity_id}
    row |= {name: one.variables.get(name, "") for name in VARIABLES}
    csv = tmp_path / "events.csv"
    csv.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")

    (stretch,) = read_recording(csv, tmp_path / "recording-payment.yaml")
    (expected,) = stretch.transactions.to_pylist()

    names = set(TRANSACTION_SCHEMA.names) - {"sent_at"}
    assert {name: getattr(made, name) for name in names} == {name: expected[name] for name in names}
    assert made.sent_at == NOW


def test_all_that_an_event_said_goes_with_its_transaction(tmp_path: Path) -> None:
    one = event()
    said = msgspec.json.decode(reader(tmp_path).record(one, NOW))["event"]
    assert said == {
        "event_type": "payment", "entity_type": "customer", "entity_id": "c-1", "variables": one.variables,
    }  # fmt: skip


def test_a_missing_variable_takes_its_default_where_a_transaction_needs_one(tmp_path: Path) -> None:
    one = event()
    without = one._replace(variables={name: v for name, v in one.variables.items() if name not in ("bin", "card")})
    made = msgspec.json.decode(reader(tmp_path).record(without, NOW))

    assert made["bin"] == "000000"
    assert "device_id" not in made  # rules take the default where they ask
    assert "card_token" not in made  # a default would make one card of all


def test_an_amount_without_a_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match=r"eventVariables.money: .* give rates in recording-payment.yaml"):
        reader(tmp_path).record(event(money="USD"), NOW)


def test_a_mapping_that_means_files_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="money: events of the API are read without it"):
        reader(tmp_path, money={"decimal": ","})


def test_an_unknown_card_is_refused(tmp_path: Path) -> None:
    columns = RECORDING["columns"] | {"card_token": "ENTITY_ID"}
    with pytest.raises(ApiError, match="a payment needs its card"):
        reader(tmp_path, columns=columns).record(event()._replace(entity_id="UNKNOWN"), NOW)


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "2026-01-15T11:00:60Z"]
)
def test_a_time_that_no_calendar_has_in_utc_is_refused(tmp_path: Path, time: str) -> None:
    with pytest.raises(ApiError, match="no ISO 8601 time"):
        reader(tmp_path).record(event()._replace(timestamp=time), NOW)
    with pytest.raises(ApiError, match="labelTimestamp: is no ISO 8601 time"):
        time_of_text("labelTimestamp", time)
