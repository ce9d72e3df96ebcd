"""Devices and BINs: measured where they are switched on and the transaction has them, null otherwise."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from fraud.entities import DEVICE, ENTITIES
from fraud.features.catalogue import FEATURE_NAMES, features_of
from fraud.path import FeaturePath
from fraud.settings import Job, Settings
from tests.support.feature_streams import TRANSACTIONS
from tests.support.paths import settings_keeping
from tests.support.records import NOON, transaction

OFF = [entity for entity in ENTITIES if entity.name not in Job().entities]
OFF_BY_DEFAULT = [feature.name for feature in features_of(*OFF)]


def measured(path: FeaturePath, *changes: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for number, change in enumerate(changes):
        place = {"stream": "s", "shard": "0", "sequence_number": str(number), "sub_sequence": 0, "arrival_ms": number}
        record = transaction(transaction_id=f"t-{number}") | change
        rows.append({name: record.get(name) for name in TRANSACTIONS.names} | place)
    found: list[dict[str, Any]] = path.featured(pa.RecordBatch.from_pylist(rows, schema=TRANSACTIONS)).to_pylist()
    return found


def minutes(count: int) -> dt.datetime:
    return NOON + dt.timedelta(minutes=count)


EVENTS: list[dict[str, Any]] = [
    {"device_id": "d", "card_token": "a", "event_time": minutes(0), "billing_amount_minor": 1_000},
    {"device_id": "d", "card_token": "b", "event_time": minutes(55), "billing_amount_minor": 2_500,
     "authorisation_result": "declined"},
    {"device_id": None, "card_token": "c", "event_time": minutes(56), "billing_amount_minor": 9_900},
    {"device_id": "d", "card_token": "b", "event_time": minutes(58), "billing_amount_minor": 500},
    {"device_id": "d", "card_token": "e", "event_time": minutes(59)},
]  # fmt: skip


def test_the_velocity_of_a_device_counts_all_its_cards() -> None:
    path = FeaturePath(Settings(job=Job(entities=("card", "device"))))
    last = measured(path, *EVENTS)[-1]
    # Of the ten minutes before 12:59: 12:55 and 12:58; of the hour: 12:00 too. The third has no device.
    assert {name: last[name] for name in ("device_count_10m", "device_count_1h", "device_count_7d")} == {
        "device_count_10m": 2, "device_count_1h": 3, "device_count_7d": 3,
    }  # fmt: skip
    assert (last["device_sum_10m"], last["device_sum_1h"]) == (5.0, 15.0)  # 25.00 was declined
    assert (last["device_cards_10m"], last["device_cards_1h"]) == (1, 2)
    assert (last["device_declines_10m"], last["device_declines_24h"]) == (1, 1)
    assert last["exact_device"]


def test_a_transaction_without_a_device_has_no_features_of_one_and_leaves_no_state() -> None:
    path = FeaturePath(Settings(job=Job(entities=("card", "device"))))
    without = measured(path, *EVENTS)[2]
    assert {without[name] for name in FEATURE_NAMES if name.startswith("device_")} == {None}
    assert without["exact_device"] is None
    assert path.states[DEVICE].keys == 1


def test_a_bin_sees_the_cards_of_its_range() -> None:
    last = measured(FeaturePath(Settings(job=Job(entities=("card", "bin")))), *EVENTS)[-1]
    # One BIN for all: 12:55, 12:56 and 12:58 in ten minutes, of cards b and c.
    assert (last["bin_count_10m"], last["bin_cards_10m"], last["bin_declines_10m"]) == (3, 2, 1)
    assert (last["bin_count_1h"], last["bin_cards_1h"]) == (4, 3)


def test_features_of_entities_that_are_off_are_null() -> None:
    for row in measured(FeaturePath(), *EVENTS):
        assert {row[name] for name in OFF_BY_DEFAULT} == {None}
        assert {row[entity.exact_column] for entity in OFF} == {None}
        assert row["merchant_count_1h"] is not None


def test_the_other_entities_change_nothing_for_cards_and_merchants() -> None:
    names = [name for name in FEATURE_NAMES if name not in OFF_BY_DEFAULT]
    some, every = (
        measured(path, *EVENTS) for path in (FeaturePath(), FeaturePath(settings_keeping(dict.fromkeys(ENTITIES, 64))))
    )
    assert [[row[name] for name in names] for row in some] == [[row[name] for name in names] for row in every]


def test_cards_cannot_be_switched_off() -> None:
    with pytest.raises(ValidationError, match="must hold card"):
        Job(entities=("merchant", "device"))
