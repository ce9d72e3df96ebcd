"""A label is about one transaction of one card."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from fraud.entities import CARD, MERCHANT
from fraud.features import CATALOGUE, SHIPPED, Catalogue, catalogue
from fraud.path import FeaturePath
from fraud.records import Records
from fraud.records.intake import Intake
from fraud.records.notes import totals
from tests.support.feature_streams import LABELS, TRANSACTIONS
from tests.support.paths import settings_keeping
from tests.support.records import NOON, label, stream_records, transaction, wire

DAY_MS = 86_400_000
NOON_MS = round(NOON.timestamp() * 1000)


def arrived(number: int, schema: pa.Schema, record: dict[str, Any]) -> dict[str, Any]:
    place = {"stream": "s", "shard": "0", "sequence_number": str(number), "sub_sequence": 0, "arrival_ms": number}
    return {name: record.get(name) for name in schema.names} | place


def test_of_two_cards_with_one_id_at_one_instant_each_gets_its_own_label() -> None:
    bought: list[dict[str, Any]] = [
        {"card_token": "card-1", "transaction_id": "t"},
        {"card_token": "card-2", "transaction_id": "t"},
        {"card_token": "card-3", "transaction_id": "later", "event_time": NOON + dt.timedelta(days=7)},
    ]
    rows = [
        arrived(number, TRANSACTIONS, transaction(**changed)) for number, changed in zip((0, 1, 9), bought, strict=True)
    ]
    verdicts = [("card-1", "fraud"), ("card-2", "legitimate")]
    labels = [
        arrived(2 + number, LABELS, label(card_token=card, transaction_id="t", verdict=verdict))
        for number, (card, verdict) in enumerate(verdicts)
    ]
    featured = FeaturePath().featured(
        pa.RecordBatch.from_pylist(rows, TRANSACTIONS), pa.RecordBatch.from_pylist(labels, LABELS)
    )
    # The window of a day that ends a week before holds both purchases.
    assert featured["merchant_matured_count_24h"].to_pylist()[-1] == 2
    assert featured["merchant_fraud_rate_24h"].to_pylist()[-1] == 0.5


@pytest.mark.parametrize(
    ("stated", "rate", "note"),
    [
        ("2026-01-15T12:00:01.400Z", 0.25, "label_matched"),
        ("2026-01-15T12:00:01.4Z", 0.25, "label_matched"),
        ("2026-01-15T12:00:01Z", 0.25, "label_matched"),
        ("2026-01-15T13:00:01+01:00", 0.25, "label_matched"),
        ("2026-01-15T00:00:00Z", 0.25, "label_matched"),
        ("2026-01-15T12:00:02Z", 0.0, "label_unmatched"),
        ("2026-01-15T12:00:01.000Z", 0.0, "label_unmatched"),
        ("2026-01-16T00:00:00Z", 0.0, "label_unmatched"),
    ],
)
def test_a_label_matches_within_the_precision_that_it_states(stated: str, rate: float, note: str) -> None:
    at = [NOON + dt.timedelta(seconds=number, milliseconds=400) for number in range(4)]
    assert rated(at, ["t-0", "t-1", "t-2", "t-3"], stated) == (rate, {note: 1})


@pytest.mark.parametrize("correction", ["withdrawn", "legitimate"])
def test_of_several_labels_the_last_to_arrive_counts_whatever_time_it_states(correction: str) -> None:
    """One in four payments of the merchant was fraud, until the label that arrives later says otherwise."""
    at = [NOON + dt.timedelta(seconds=number) for number in range(4)]
    rows = [
        arrived(number, TRANSACTIONS, transaction(transaction_id=f"t-{number}", event_time=time))
        for number, time in enumerate(at)
    ]
    rows.append(arrived(9, TRANSACTIONS, transaction(transaction_id="z", event_time=NOON + dt.timedelta(days=8))))
    said: list[dict[str, Any]] = [
        {"transaction_time": at[1], "verdict": verdict, "label_time": NOON + dt.timedelta(days=days)}
        for verdict, days in (("fraud", 2), (correction, 1))
    ]
    for given, rate_of in ((said[:1], 0.25), (said, 0.0), (said[::-1], 0.25)):
        labels = [arrived(5 + number, LABELS, label(**fields)) for number, fields in enumerate(given)]
        featured = FeaturePath().featured(
            pa.RecordBatch.from_pylist(rows, TRANSACTIONS), pa.RecordBatch.from_pylist(labels, LABELS)
        )
        assert featured["merchant_fraud_rate_30d"].to_pylist()[-1] == rate_of


def test_of_two_transactions_within_its_precision_a_label_takes_none() -> None:
    """A trace number comes again for the card at the same merchant on the same day."""
    ahead, later = NOON - dt.timedelta(hours=11), NOON + dt.timedelta(hours=11)
    rate = rated([ahead, later], ["t-1", "t-1"], "2026-01-15T00:00:00Z", days_between_arrivals=2)
    assert rate == (0.0, {"label_ambiguous": 1})


def rated(
    times: list[dt.datetime], ids: list[str], stated: str, days_between_arrivals: int = 0
) -> tuple[float, dict[str, int]]:
    """The merchant's rate of fraud eight days later, and what was noted of a label for t-1 that states this time."""
    first_ms = round(NOON.timestamp() * 1000)
    rows = [
        arrived(number, TRANSACTIONS, transaction(transaction_id=name, event_time=time))
        | {"arrival_ms": first_ms + number * days_between_arrivals * DAY_MS}
        for number, (time, name) in enumerate(zip(times, ids, strict=True))
    ]
    path = FeaturePath()
    path.featured(pa.RecordBatch.from_pylist(rows, TRANSACTIONS))
    sent = wire(label(transaction_id="t-1")).replace(NOON.isoformat().encode(), stated.encode(), 1)
    read = Intake("labels").read(stream_records([sent], stream="labels"))
    assert read.labels is not None
    assert path.advance(read).notes is None  # its place is before the next transaction
    after = path.advance(Records(purchase(8, transaction_id="z")))
    assert after.transactions is not None
    assert after.notes is not None
    return after.transactions["merchant_fraud_rate_30d"][0].as_py(), dict(totals(after.notes))


def purchase(day: float, late_days: float = 0, **fields: Any) -> pa.RecordBatch:
    """A purchase so many days after the first noon, and how much later it arrived."""
    time = NOON + dt.timedelta(days=day)
    row = arrived(0, TRANSACTIONS, transaction(transaction_id=f"t-{day}", event_time=time) | fields)
    return pa.RecordBatch.from_pylist([row | {"arrival_ms": NOON_MS + round((day + late_days) * DAY_MS)}], TRANSACTIONS)


def verdict(day: float, of: float, number: int = 0, **fields: Any) -> pa.RecordBatch:
    """A label that arrived so many days after the first noon, of the purchase of a day."""
    about: dict[str, Any] = {"transaction_id": f"t-{of}", "transaction_time": NOON + dt.timedelta(days=of)}
    row = arrived(number, LABELS, label(**about) | fields) | {"arrival_ms": NOON_MS + round(day * DAY_MS)}
    schema = LABELS.append(pa.field("raw", pa.binary(), nullable=False))
    return pa.RecordBatch.from_pylist([row | {"raw": b"label %d" % number}], schema)


def rate(records: Records) -> Any:
    assert records.transactions is not None
    return records.transactions["merchant_fraud_rate_30d"][-1].as_py()


def seen(records: Records) -> dict[str, int]:
    return {} if records.notes is None else dict(totals(records.notes))


def refused(records: Records) -> list[tuple[str, bytes]]:
    found = [] if records.dead_letters is None else records.dead_letters.to_pylist()
    assert all(row["stream"] == "s" and row["replayable"] for row in found)
    return [(row["reason"], row["data"]) for row in found]


def test_a_label_that_is_read_before_its_transaction_counts_as_if_it_had_been_read_behind_it() -> None:
    path = FeaturePath()
    assert seen(path.advance(Records(labels=verdict(3, of=0)))) == {}
    assert seen(path.advance(Records(purchase(0)))) == {}
    assert rate(path.advance(Records(purchase(2)))) is None  # nothing is a week old
    after = path.advance(Records(purchase(8)))
    assert (rate(after), seen(after)) == (1.0, {"label_matched": 1})


def test_a_label_is_unknown_until_it_arrives_though_it_was_read_before() -> None:
    path = FeaturePath()
    path.advance(Records(labels=verdict(9, of=0)))
    path.advance(Records(purchase(0)))
    assert rate(path.advance(Records(purchase(8)))) == 0.0
    assert rate(path.advance(Records(purchase(8.9)))) == 0.0
    assert rate(path.advance(Records(purchase(9.1)))) == 1.0


def test_a_label_whose_transaction_arrives_behind_it_waits_for_it() -> None:
    path = FeaturePath()
    path.advance(Records(purchase(-9)))
    path.advance(Records(labels=verdict(0.5, of=0)))
    waits = path.advance(Records(purchase(1)))
    assert seen(waits) == {"label_unmatched": 1}
    assert seen(path.advance(Records(purchase(0, late_days=2)))) == {"label_matched": 1}
    assert rate(path.advance(Records(purchase(7.5)))) == 0.5


def test_a_label_whose_transaction_never_comes_becomes_a_dead_letter_when_that_could_matter_no_more() -> None:
    """A window of 30 days that ends 7 days before, and a day of lateness: 38 days after the transaction's time."""
    path = FeaturePath()
    path.advance(Records(purchase(-1), verdict(1, of=0, number=7)))
    assert seen(path.advance(Records(purchase(2)))) == {"label_unmatched": 1}
    assert refused(path.advance(Records(purchase(37.9)))) == []
    assert refused(path.advance(Records(purchase(38.1)))) == []  # one arrival alone is no clock
    assert refused(path.advance(Records(purchase(38.2)))) == [("unmatched_label", b"label 7")]
    assert refused(path.advance(Records(purchase(39)))) == []


def test_each_transaction_lets_one_label_go() -> None:
    path = FeaturePath()
    labels = [verdict(1, of=0, number=number, transaction_id=f"never-{number}") for number in range(3)]
    path.advance(Records(purchase(-1), pa.concat_batches(labels)))
    path.advance(Records(purchase(50)))
    gone = [refused(path.advance(Records(purchase(51 + number)))) for number in range(4)]
    assert [[data for _, data in each] for each in gone] == [[b"label 0"], [b"label 1"], [b"label 2"], []]


def test_a_label_of_long_ago_is_counted_and_waits_for_nothing() -> None:
    path = FeaturePath()
    path.advance(Records(purchase(-1)))
    path.advance(Records(labels=verdict(60, of=0)))
    after = path.advance(Records(purchase(61)))
    assert (seen(after), refused(after)) == ({"label_past": 1}, [])
    assert len(path.states[MERCHANT].waiting) == 0


def test_of_more_labels_than_may_wait_the_first_become_dead_letters() -> None:
    path = FeaturePath(settings_keeping({CARD: 64, MERCHANT: 64}, waiting_labels=2))
    path.advance(Records(purchase(0)))
    labels = [verdict(1, of=0, number=number, transaction_id=f"never-{number}") for number in range(3)]
    assert refused(path.advance(Records(labels=pa.concat_batches(labels)))) == [("unmatched_label", b"label 0")]
    assert refused(path.advance(Records(labels=verdict(1, of=0, number=3)))) == [("unmatched_label", b"label 1")]
    assert seen(path.advance(Records(purchase(2)))) == {"label_unmatched": 1, "label_matched": 1}


def test_an_ambiguous_label_waits_for_the_transaction_of_the_very_time() -> None:
    path = FeaturePath()
    day: dict[str, Any] = {"transaction_id": "t", "transaction_time_precision_ms": DAY_MS}
    for at in (0.1, 1.2):
        stays = purchase(at, transaction_id="t", event_time=NOON + dt.timedelta(days=at / 2))
        path.advance(Records(stays))
    path.advance(Records(labels=verdict(2, of=0, **day)))
    assert seen(path.advance(Records(purchase(3)))) == {"label_ambiguous": 1}
    exact = purchase(4, transaction_id="t", event_time=NOON)
    assert seen(path.advance(Records(exact))) == {"label_matched": 1}


def test_what_becomes_of_a_label_is_counted_once_however_many_entities_read_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = next(feature for feature in CATALOGUE if feature.name == "merchant_fraud_rate_30d")
    of_card = dataclasses.replace(mine, name="card_fraud_rate_30d", entity=CARD)
    monkeypatch.setattr(catalogue, "SHIPPED", Catalogue(SHIPPED.entities, (*CATALOGUE, of_card)))
    path = FeaturePath()
    path.advance(Records(purchase(0), verdict(1, of=0, transaction_id="never")))
    assert seen(path.advance(Records(purchase(2)))) == {"label_unmatched": 1}
    path.advance(Records(purchase(50)))
    assert len(refused(path.advance(Records(purchase(51))))) == 1
