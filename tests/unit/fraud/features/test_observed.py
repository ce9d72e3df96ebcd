"""How long an entity is observed, by hand."""

from __future__ import annotations

import datetime as dt

from fraud.path import FeaturePath
from fraud.settings import Job, Settings
from tests.support.feature_streams import TRANSACTIONS, batch
from tests.support.records import NOON, transaction


def observed_days(name: str, *transactions: dict[str, object], expiry_days: int = 400) -> list[float | None]:
    """Of transactions that arrive `day` days after noon and happened `late` days before."""
    rows = []
    for number, given in enumerate(transactions):
        record = dict(given)
        arrival = NOON + dt.timedelta(days=float(str(record.pop("day"))))
        late = dt.timedelta(days=float(str(record.pop("late", 0))))
        plain = transaction(transaction_id=f"t-{number}", event_time=arrival - late, **record)
        place = {"stream": "s", "shard": "0", "sequence_number": str(number), "sub_sequence": 0}
        arrived = {"arrival_ms": round(arrival.timestamp() * 1000)}
        rows.append({column: plain.get(column) for column in TRANSACTIONS.names} | place | arrived)
    path = FeaturePath(Settings(job=Job(state_expiry_days=expiry_days)))
    values: list[float | None] = path.featured(batch(rows, TRANSACTIONS))[name].to_pylist()
    return values


def test_a_card_is_observed_from_its_first_transaction_on_of_whatever_kind() -> None:
    check = {"transaction_type": "account_check", "billing_amount_minor": 0}
    assert observed_days("card_observed_days", {"day": 0, **check}, {"day": 1.5}, {"day": 90}) == [0, 1.5, 90]


def test_the_clock_is_arrival_whatever_time_a_sender_writes() -> None:
    assert observed_days("card_observed_days", {"day": 0, "late": 300}, {"day": 2, "late": 1}) == [0, 2]


def test_a_new_card_at_a_known_merchant_is_new_and_the_merchant_is_not() -> None:
    two = ({"day": 0, "card_token": "card-1"}, {"day": 9, "card_token": "card-2"})
    assert observed_days("card_observed_days", *two) == [0, 0]
    assert observed_days("merchant_observed_days", *two) == [0, 9]


def test_what_was_forgotten_begins_again() -> None:
    assert observed_days("card_observed_days", {"day": 0}, {"day": 61}, {"day": 62}, expiry_days=60) == [0, 0, 1]


def test_who_has_no_such_entity_has_no_value() -> None:
    assert observed_days("device_observed_days", {"day": 0, "device_id": None}) == [None]
