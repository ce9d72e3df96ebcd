"""The kernel against an obviously right implementation, and what no cutting, order or future may change."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.features import CATALOGUE, FEATURE_NAMES
from fraud.features.catalogue import DAY_MS, KEYED_ENTITIES, LABEL_DELAY_MS, Entity
from fraud.features.offline import FeaturePath, compute_features, feature_columns
from fraud.features.state import EntityState
from tests.support.feature_oracle import fold, ms
from tests.support.feature_streams import LABELS, TRANSACTIONS, Stream, batch, same, streams, tables

PLACE = ["shard", "sequence_number"]
EVERY = dict.fromkeys(KEYED_ENTITIES, 1_024)


def differences(computed: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> list[tuple[int, str, Any, Any]]:
    assert len(computed) == len(wanted)
    return [
        (row, name, got[name], value)
        for row, (got, expected) in enumerate(zip(computed, wanted, strict=True))
        for name, value in expected.items()
        if not same(got[name], value)
    ]


@st.composite
def entities(draw: st.DrawFn) -> dict[Entity, int]:
    """Cards and any of the others, some with room for few events."""
    others = draw(st.sets(st.sampled_from(KEYED_ENTITIES[1:])))
    kept = (entity for entity in KEYED_ENTITIES if entity is Entity.CARD or entity in others)
    return {entity: draw(st.sampled_from([1_024, 20, 3])) for entity in kept}


@settings(max_examples=150, deadline=None)
@given(streams(), entities())
def test_every_value_equals_the_oracles(stream: Stream, most_events: dict[Entity, int]) -> None:
    transactions, labels = tables(stream)
    computed = compute_features(transactions, labels, most_events).to_pylist()
    wanted = fold(stream, most_events)
    assert set(FEATURE_NAMES) <= {name for values in wanted if values for name in values} or not computed
    assert differences(computed, [values for values in wanted if values is not None]) == []


@settings(max_examples=60, deadline=None)
@given(streams(most=120), st.randoms(use_true_random=False))
def test_cutting_the_stream_into_other_batches_changes_nothing(stream: Stream, rng: random.Random) -> None:
    names = ["sequence_number", *feature_columns_of_catalogue()]
    whole = compute_features(*tables(stream), EVERY).select(names).to_pylist()
    path = FeaturePath(EVERY)
    cut: list[dict[str, Any]] = []
    rest = stream
    while rest:
        size = rng.randrange(1, 20)
        part, rest = rest[:size], rest[size:]
        transactions = batch((row for kind, row in part if kind == "transaction"), TRANSACTIONS)
        labels = batch((row for kind, row in part if kind == "label"), LABELS)
        cut += path.run(transactions or empty(TRANSACTIONS), labels).to_pylist()
    assert [{name: row[name] for name in whole[0]} for row in cut] == whole


def empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def feature_columns_of_catalogue() -> list[str]:
    return [*FEATURE_NAMES, "exact_card", "exact_merchant", "exact_device", "exact_bin"]


@settings(max_examples=60, deadline=None)
@given(streams(most=80), st.integers(0, 79), st.randoms(use_true_random=False))
def test_scrambling_the_future_changes_nothing(stream: Stream, at: int, rng: random.Random) -> None:
    """What arrives after an event, and labels of transactions younger than the delay, reach none of its features."""
    at = min(at, len(stream) - 1)
    if at < 0 or stream[at][0] == "label":
        return
    subject = stream[at][1]
    past = [
        (kind, scrambled_verdict(row, rng) if kind == "label" and is_young(row, subject) else row)
        for kind, row in stream[:at]
    ]
    future = [(kind, scrambled(row, rng)) for kind, row in stream[at + 1 :]]
    was, now = values_of(stream, subject), values_of([*past, stream[at], *future], subject)
    assert was == now


def is_young(label: dict[str, Any], subject: dict[str, Any]) -> bool:
    return ms(subject["event_time"]) - ms(label["transaction_time"]) < LABEL_DELAY_MS


def scrambled_verdict(row: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    return row | {"verdict": rng.choice(["fraud", "legitimate"])}


def scrambled(row: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    changed = row | {"billing_amount_minor": rng.randrange(10**9), "merchant_id": f"merchant-{rng.randrange(4)}"}
    time = "event_time" if "event_time" in row else "transaction_time"
    return changed | {time: row[time] + dt.timedelta(seconds=rng.randrange(-(10**6), 10**6))}


def values_of(stream: Stream, subject: dict[str, Any]) -> dict[str, Any] | None:
    rows = compute_features(*tables(stream), EVERY).to_pylist()
    found = [row for row in rows if all(row[name] == subject[name] for name in PLACE)]
    return {name: found[0][name] for name in feature_columns_of_catalogue()} if found else None


@settings(max_examples=60, deadline=None)
@given(streams())
def test_a_duplicate_changes_no_state(stream: Stream) -> None:
    transactions, labels = tables(stream)
    kept = set(compute_features(transactions, labels, EVERY)["sequence_number"].to_pylist())
    unrepeated = [(kind, row) for kind, row in stream if kind == "label" or row["sequence_number"] in kept]
    assert compute_features(*tables(unrepeated), EVERY).equals(compute_features(transactions, labels, EVERY))


@settings(max_examples=60, deadline=None)
@given(streams())
def test_a_dumped_state_goes_on_like_the_original(stream: Stream) -> None:
    half = len(stream) // 2
    original, restored = FeaturePath(EVERY), FeaturePath(EVERY)
    run(original, stream[:half])
    for entity, state in original.states.items():
        restored.states[entity] = EntityState()
        for piece in state.dump():
            restored.states[entity].load(piece)
        assert restored.states[entity].is_sound()
    assert run(original, stream[half:]).equals(run(restored, stream[half:]))


def run(path: FeaturePath, stream: Stream) -> pa.RecordBatch:
    transactions = batch((row for kind, row in stream if kind == "transaction"), TRANSACTIONS)
    labels = batch((row for kind, row in stream if kind == "label"), LABELS)
    return path.run(transactions or empty(TRANSACTIONS), labels)


@settings(max_examples=40, deadline=None)
@given(streams())
def test_an_entity_without_events_for_the_expiry_time_begins_anew(stream: Stream) -> None:
    expiry_ms = 60 * DAY_MS
    later = [
        (kind, row | {name: row[name] + dt.timedelta(days=200) for name in row if name.endswith("_time")})
        for kind, row in stream
        if kind == "transaction"
    ]
    renamed = [
        (kind, row | {"transaction_id": f"again-{number}", "sequence_number": str(10_000 + number)})
        for number, (kind, row) in enumerate(later)
    ]
    path, fresh = FeaturePath(EVERY, expiry_ms), FeaturePath(EVERY, expiry_ms)
    run(path, [(kind, row) for kind, row in stream if kind == "transaction"])
    assert run(path, renamed).equals(run(fresh, renamed))


def test_the_oracle_knows_every_entry_of_the_catalogue() -> None:
    assert {feature.entity for feature in CATALOGUE} == set(Entity)
    assert sorted(feature_columns(compute_features(*tables([])))) == sorted(feature_columns_of_catalogue())
