"""The kernel against an obviously right implementation, and what no cutting, order or future may change."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import msgspec
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embedded.simulation.feature_oracle import Oracle, fold, ms
from fraud.entities import CARD, ENTITIES, TRANSACTION, Entity
from fraud.features import CATALOGUE, FEATURE_NAMES
from fraud.features.catalogue import LABEL_DELAY_MS
from fraud.features.kernel.layout import LEAST_VALUE
from fraud.features.state import EntityState
from fraud.features.waiting import Change
from fraud.path import FeaturePath, compute_features
from fraud.records import Records
from fraud.records.dead_letter import Reason
from tests.support.feature_streams import (
    LABELS,
    TRANSACTIONS,
    Stream,
    arrival,
    batch,
    differences,
    hasty,
    never_seen,
    postponed,
    streams,
    tables,
)
from tests.support.paths import settings_keeping
from tests.support.records import NOON, transaction

PLACE = ["shard", "sequence_number"]
EVERY = settings_keeping(dict.fromkeys(ENTITIES, 1_024))
SOON_EXPIRED = settings_keeping(dict.fromkeys(ENTITIES, 1_024), state_expiry_days=60)


@st.composite
def entities(draw: st.DrawFn) -> dict[Entity, int]:
    """Cards and any of the others, some with room for few events."""
    others = draw(st.sets(st.sampled_from(ENTITIES[1:])))
    kept = (entity for entity in ENTITIES if entity is CARD or entity in others)
    return {entity: draw(st.sampled_from([1_024, 20, 16])) for entity in kept}


@settings(max_examples=150, deadline=None)
@given(streams(), entities())
def test_every_value_equals_the_oracles(stream: Stream, most_events: dict[Entity, int]) -> None:
    transactions, labels = tables(stream)
    computed = compute_features(transactions, labels, settings_keeping(most_events)).to_pylist()
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
        cut += path.featured(transactions or empty(TRANSACTIONS), labels).to_pylist()
    assert [{name: row[name] for name in whole[0]} for row in cut] == whole


@settings(max_examples=60, deadline=None)
@given(hasty(most=40), st.randoms(use_true_random=False))
def test_a_label_takes_effect_at_its_place_however_far_ahead_it_is_read(stream: Stream, rng: random.Random) -> None:
    """Before its transaction or behind it: the same values, the same dead letters, for batches of any size."""
    oracle = Oracle(dict.fromkeys(ENTITIES, 1_024))
    wanted = oracle.fold(stream)
    path, computed, ended = FeaturePath(EVERY), [], []
    for part in cut_with_labels_ahead(stream, rng):
        advanced = path.advance(part)
        if advanced.transactions is not None:
            computed += advanced.transactions.to_pylist()
        ended += [] if advanced.dead_letters is None else of_labels(advanced.dead_letters)
    assert differences(computed, [values for values in wanted if values is not None]) == []
    assert sorted(ended) == sorted(row["sequence_number"] for row in oracle.ended)


def cut_with_labels_ahead(stream: Stream, rng: random.Random) -> list[Records]:
    """Batches of any size, each label in that of its place or in one before."""
    parts: list[Stream] = [[]]
    for kind, row in stream:
        if kind == "label":
            parts[rng.choice([0, len(parts) - 1, rng.randrange(len(parts))])].append((kind, row))
        else:
            if rng.random() < 0.2:
                parts.append([])
            parts[-1].append((kind, row))
    return [Records(*(one_batch(table) for table in tables(part))) for part in parts]


def one_batch(table: pa.Table) -> pa.RecordBatch | None:
    return table.combine_chunks().to_batches()[0] if table.num_rows else None


def of_labels(dead_letters: pa.RecordBatch) -> list[str]:
    return [row["sequence_number"] for row in dead_letters.to_pylist() if row["reason"] == Reason.UNMATCHED_LABEL]


def empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def feature_columns_of_catalogue() -> list[str]:
    return [*FEATURE_NAMES, *(entity.exact_column for entity in ENTITIES)]


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
        waiting = msgspec.msgpack.encode(state.waiting.whole())
        restored.states[entity].waiting.apply(msgspec.msgpack.decode(waiting, type=Change))
        for piece in state.dump():
            restored.states[entity].load(piece)
        assert restored.states[entity].is_sound()
    assert run(original, stream[half:]).equals(run(restored, stream[half:]))


def run(path: FeaturePath, stream: Stream) -> pa.RecordBatch:
    transactions = batch((row for kind, row in stream if kind == "transaction"), TRANSACTIONS)
    labels = batch((row for kind, row in stream if kind == "label"), LABELS)
    return path.featured(transactions or empty(TRANSACTIONS), labels)


@settings(max_examples=40, deadline=None)
@given(streams())
def test_an_entity_without_events_for_the_expiry_time_starts_again(stream: Stream) -> None:
    later = [(kind, postponed(row, dt.timedelta(days=200))) for kind, row in stream if kind == "transaction"]
    renamed = [
        (kind, row | {"transaction_id": f"again-{number}", "sequence_number": str(10_000 + number)})
        for number, (kind, row) in enumerate(later)
    ]
    path, fresh = (FeaturePath(SOON_EXPIRED) for _ in range(2))
    run(path, [(kind, row) for kind, row in stream if kind == "transaction"])
    assert run(path, renamed).equals(run(fresh, renamed))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.1, 399), min_size=1, max_size=4), st.sampled_from([(0.0, 0.0), (1e-160, 0.0), (48.0, 11.0)])
)
@example([130.0], (0.0, 0.0))
@example([268.0], (1e-160, 0.0))
def test_a_card_that_sleeps_for_months_has_the_oracles_values_none_too_small(
    gaps_days: list[float], home: tuple[float, float]
) -> None:
    now, rows = NOON, []
    for number, gap in enumerate([0.0, *gaps_days]):
        now += dt.timedelta(days=gap)
        row = transaction(
            transaction_id=f"t-{number}", event_time=now, merchant_lat=0.0, merchant_lon=0.0, home_lat=home[0],
            home_lon=home[1],
        )  # fmt: skip
        rows.append(("transaction", {name: row.get(name) for name in TRANSACTIONS.names} | arrival(number, now)))
    computed = compute_features(*tables(rows), EVERY).to_pylist()
    assert differences(computed, [values for values in fold(rows, dict.fromkeys(ENTITIES, 1_024)) if values]) == []
    numbers = [row[name] for row in computed for name in FEATURE_NAMES if row[name]]
    assert min(abs(number) for number in numbers) >= LEAST_VALUE


def test_every_feature_is_somewhere_neither_null_nor_zero() -> None:
    """So that equal to the oracle's means something: nobody compares nulls with nulls alone."""
    assert never_seen(FEATURE_NAMES, EVERY) == set()


def test_the_oracle_knows_every_entry_of_the_catalogue() -> None:
    assert {feature.entity for feature in CATALOGUE} == {TRANSACTION, *ENTITIES}
    columns = compute_features(*tables([])).schema.names
    assert sorted(set(columns) - set(TRANSACTIONS.names)) == sorted(feature_columns_of_catalogue())
