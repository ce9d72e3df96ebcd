"""Keys with many events, whose values are counted in tables: the same values, however the windows have moved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from embedded.simulation.feature_oracle import fold
from fraud.declared import Declared
from fraud.documents import parse_yaml
from fraud.entities import CARD, MERCHANT, Entity, measured
from fraud.features import catalogue_of
from fraud.features import fold as features_fold
from fraud.features.catalogue import DAY_MS
from fraud.features.events import Events
from fraud.features.fold import EntityFold
from fraud.features.kernel import layout
from fraud.features.state import EntityState
from fraud.path import FeaturePath
from fraud.records import Records
from fraud.settings import Job, Settings
from tests.support.feature_streams import LABELS, TRANSACTIONS, Stream, batch, differences, streams

ROWS = """
features:
  - {entity: card, name: merchants_before, aggregate: distinct, input: other, windows: 1h 14d, delay: 1d,
     unit: merchants}
  - {entity: card, name: new_before, aggregate: is new, input: other, windows: 7d, delay: 1d, unit: flag}
  - {entity: merchant, name: devices, aggregate: distinct, input: device, windows: 45d, unit: devices}
  - {entity: merchant, name: new_country, aggregate: is new, input: country, windows: 10m, unit: flag}
"""
SETTINGS = Settings(
    job=Job(
        features=Declared.model_validate(parse_yaml("rows", ROWS)),
        entities={"card": {"events": 32}, "merchant": {}, "device": {}, "card_merchant": {}},
    )
)
CATALOGUE = catalogue_of(SETTINGS)


@pytest.fixture(scope="module", autouse=True)
def _three_events_make_a_key_busy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features_fold, "BUSY_EVENTS", 3)
        yield


@settings(max_examples=50, deadline=None)
@given(streams())
def test_every_value_equals_the_oracles(stream: Stream) -> None:
    """Half of it is folded into a state that was dumped and loaded, and has no tables yet."""
    path = FeaturePath(SETTINGS)
    computed: list[dict[str, Any]] = []
    half = len(stream) // 2
    for part in (stream[:half], stream[half:]):
        transactions = batch((row for kind, row in part if kind == "transaction"), TRANSACTIONS)
        labels = batch((row for kind, row in part if kind == "label"), LABELS)
        advanced = path.advance(Records(transactions, labels))
        computed += [] if advanced.transactions is None else advanced.transactions.to_pylist()
        for entity, state in path.states.items():
            assert state.is_sound()
            path.states[entity] = EntityState()
            path.states[entity].waiting = state.waiting
            for piece in state.dump():
                path.states[entity].load(piece)
    wanted = [values for values in fold(stream, measured(SETTINGS.job), CATALOGUE) if values is not None]
    assert differences(computed, wanted) == []


def events_of(count: int) -> Events:
    """Of three keys, in bursts and with pauses, some of them late, some repeated."""
    rng = np.random.default_rng(8)
    time = 1_780_315_200_000 + np.cumsum(
        np.where(rng.random(count) < 0.01, 3 * 3_600_000, rng.integers(0, 9_000, count))
    )
    late = np.where(rng.random(count) < 0.1, rng.choice([2_000, 600_000, 5 * DAY_MS], count), 0)
    words = rng.integers(1, 1 << 60, (count, layout.EVENT_WORDS))
    words[:, layout.EVENT_TIME], words[:, layout.EVENT_DELAY] = time - late, late
    words[:, layout.EVENT_AMOUNT] = rng.integers(0, 9_000, count)
    words[:, layout.EVENT_OTHER] = rng.integers(1, 1_500, count)
    words[:, layout.EVENT_DEVICE] = rng.integers(0, 40, count)
    words[:, layout.EVENT_CODES] = ord("D") << 8 | rng.integers(65, 91, count) | rng.integers(1, 200, count) << 16
    words[:, layout.EVENT_CODES] |= ord("p") << 32 | rng.choice([0, 1, 64], count) << layout.CODE_FLAGS_SHIFT
    again = rng.random(count) < 0.02
    words[again] = words[np.maximum(np.flatnonzero(again) - rng.integers(1, 90, again.sum()), 0)]
    return Events(rng.choice([5, 5, 5, 5, 6, 7], count), words, np.full((count, 2), np.nan))


@pytest.mark.parametrize("entity", [CARD, MERCHANT])
def test_thousands_of_events_have_the_values_that_walks_give(entity: Entity, monkeypatch: pytest.MonkeyPatch) -> None:
    folds = []
    for busy in (3, 1_000_000):
        monkeypatch.setattr(features_fold, "BUSY_EVENTS", busy)
        folds.append(EntityFold(entity, 2_000, 400 * DAY_MS, "EUR", CATALOGUE.features_of(entity)))
    with_tables, with_walks = EntityState(), EntityState()
    for part in range(3):
        every, rows = events_of(6_000), slice(part * 2_000, part * 2_000 + 2_000)
        events = [Events(every.key[rows].copy(), every.words[rows].copy(), every.places[rows].copy()) for _ in folds]
        counted, walked = folds[0].run(with_tables, events[0]), folds[1].run(with_walks, events[1])
        for name in counted._fields:
            assert np.array_equal(getattr(counted, name), getattr(walked, name), equal_nan=name == "values"), name
        assert with_tables.is_sound()
        with_tables._pack()
        assert with_tables.is_sound()
    assert int(with_tables.arrays.meta[layout.META_COUNTS]) >= 3 * 1_024
    assert int(with_walks.arrays.meta[layout.META_COUNTS]) == 0
    # Whatever word of a table changes, the copy is not taken for sound.
    counts = with_tables.arrays.counts
    row = with_tables.arrays.rows[: with_tables.keys]
    base = int(row[row[:, layout.ROW_KEY] == 5, layout.ROW_COUNTS][0]) - 1
    filled = base + np.flatnonzero(counts[base : base + (1 << int(counts[base]))])
    for at in np.random.default_rng(1).choice(filled, 20):
        counts[at] += 1
        assert not with_tables.is_sound()
        counts[at] -= 1
    assert with_tables.is_sound()
