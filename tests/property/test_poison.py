"""No record stops the path that it takes: whatever its bytes, it is decided or becomes a dead letter."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.alerts.alert import Item, alert_item
from adapters.alerts.dynamodb_items import stored_form
from adapters.archive.archive import to_parquet
from fraud.decision.decide import decide
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import RulesOnly
from fraud.features import CATALOGUE, FEATURE_NAMES
from fraud.path import FeaturePath
from fraud.records.intake import Intake
from tests.support.decisions import rule
from tests.support.records import KEPT_DAYS, NOON, label, stream_records, transaction, wire

ALL_ALERT = f"thresholds: {{}}\nrules:\n  - {json.dumps(rule('all', 'amount_minor >= 0', owner='tests', severity=1))}\n"
POLICY = compile_policy(PolicyBundle({ROOT: ALL_ALERT}), fields_of(CATALOGUE), "EUR")

NASTY: list[Any] = [
    None, "", " ", 0, -1, 1, 0.5, -0.0, 1e308, 2**31, 2**63 - 1, 2**63, 2**64, 10**12, 10**30, True, [], {}, [[]],
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00",
    "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z", "2261-12-31T23:59:59.999Z", "2262-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z", "2026-01-15T12:00:00", "x" * 64, "x" * 65, "\u0000", "é", "\ud800", "'\"`{}#:",
    "4111111111111111", "#", ":", "a:b#c",
]  # fmt: skip


def as_json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, default=str).encode("utf-8", "surrogatepass")


def mutated(record: dict[str, Any]) -> st.SearchStrategy[bytes]:
    plain = json.loads(wire(record))
    changes = st.dictionaries(
        st.sampled_from([*plain, "merchant_lat", "home_lon", "device_id", "extra"]), st.sampled_from(NASTY), max_size=3
    )
    return changes.map(lambda changed: as_json(plain | changed))


RAW = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"[" * 100_000, b'{"a":' * 5_000, b"{}", b"null", b"NaN", b'{"score": Infinity}', b"x" * 17_000]),
)


def through_the_job(records: list[bytes]) -> tuple[pa.Table | None, list[Item], int]:
    """What the job makes of transactions: decisions, alerts as read back, and how many dead letters."""
    featured, _, dead_letters, *_ = FeaturePath().advance(
        Intake("labels", 10**15, 10**15).read(stream_records(records))
    )
    dead_letter_count = 0
    if dead_letters is not None:
        dead_letter_count = dead_letters.num_rows
        to_parquet(pa.Table.from_batches([dead_letters]))
    if featured is None:
        return None, [], dead_letter_count
    verdicts = decide(featured, RulesOnly(), POLICY)
    table = pa.table({name: part[name] for part in (featured, verdicts) for name in part.schema.names})
    to_parquet(table)
    items = [
        stored_form(alert_item(row | {"decided_at": NOON}, {name: row[name] for name in FEATURE_NAMES}, KEPT_DAYS))
        for row in table.to_pylist()
    ]
    return table, items, dead_letter_count


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(mutated(transaction()), RAW), min_size=1, max_size=5))
def test_every_record_is_decided_or_a_dead_letter_and_its_neighbours_do_not_mind(records: list[bytes]) -> None:
    good = [wire(transaction(transaction_id=f"good-{n}", card_token="card-good", merchant_id="m-good")) for n in (1, 2)]
    table, items, dead_letter_count = through_the_job([good[0], *records, good[1]])
    alone, _, _ = through_the_job([good[0], *[b""] * len(records), good[1]])  # so that both arrive when they did
    assert table is not None
    assert alone is not None
    assert table.num_rows + dead_letter_count == len(records) + 2
    assert len(items) == table.num_rows
    neighbours = table.filter(pa.compute.equal(table["card_token"], "card-good"))
    assert neighbours.select(FEATURE_NAMES).equals(alone.select(FEATURE_NAMES))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(mutated(label()), RAW), min_size=1, max_size=5))
def test_every_label_is_folded_or_a_dead_letter(records: list[bytes]) -> None:
    intake = Intake("labels")
    _, found, refused, *_ = FeaturePath().advance(intake.read(stream_records(records, stream="labels")))
    parts = [part for part in (found, refused) if part is not None]
    assert sum(part.num_rows for part in parts) == len(records)
    for part in parts:
        to_parquet(pa.Table.from_batches([part]))
