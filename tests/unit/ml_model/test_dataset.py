"""Training data: each transaction has the labels of its own, whoever shares its id."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa

from fraud.records.decode import LABELS, TRANSACTIONS
from ml_model.dataset import build_dataset
from tests.support.records import NOON, label, transaction, wire

NEXT_DAY = NOON + dt.timedelta(days=1, minutes=1)
SHARED: list[dict[str, Any]] = [{}, {"card_token": "card-2"}, {"event_time": NEXT_DAY}, {"transaction_id": "t-2"}]
"""Of one id three uses, and one of another."""


def known_fraud(labels: list[dict[str, Any]]) -> list[bool]:
    transactions = TRANSACTIONS.decode(wire(transaction(**fields)) for fields in SHARED).batch
    labelled = LABELS.decode(wire(label(**fields)) for fields in labels).batch
    order = pa.array([0, 1, 3, 2])  # as they arrive
    return list(map(bool, build_dataset([(transactions.take(order), labelled)], "EUR").known_fraud))


def test_a_label_is_of_its_card_and_day() -> None:
    assert known_fraud([{"card_token": "card-2"}]) == [False, True, False, False]
    assert known_fraud([{"transaction_time": NEXT_DAY}]) == [False, False, False, True]
    assert known_fraud([{}]) == [True, False, False, False]


def test_the_last_label_of_a_transaction_counts() -> None:
    later = {"label_time": NOON + dt.timedelta(days=8), "verdict": "legitimate"}
    assert known_fraud([{}, later, {"card_token": "card-2"}]) == [False, True, False, False]
