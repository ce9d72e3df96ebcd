"""The pure fold: the state of an entity's keys and events in; features out, state changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fraud.features import kernel
from fraud.features.catalogue import (
    DUPLICATE_HORIZON_MS,
    LATENESS_MS,
    Aggregate,
    Entity,
    Feature,
    Flag,
    features_of,
)
from fraud.features.events import Events, Floats, Ints
from fraud.features.state import EntityState

_READING_LABELS = (Aggregate.FRAUD_NORMAL_SHARE, Aggregate.SINCE_FRAUD_NORMAL)
_DECAYING = (Aggregate.DECAYED_COUNT, Aggregate.DECAYED_SUM, Aggregate.DECAYED_UNUSUAL)


class Folded(NamedTuple):
    """What folding a sequence of events gave.

    Attributes:
        values: features of each event (n, f), NaN where undefined.
        exact: whether all windows of the event were whole (n); true where it has no entity.
        duplicate: whether the event repeats a transaction of the card; it changed nothing (n).
    """

    values: Floats
    exact: npt.NDArray[np.bool_]
    duplicate: npt.NDArray[np.bool_]


class EntityFold:
    """Folds the events of one kind of entity.

    Args:
        entity: whose.
        most_events: events kept of one entity; beyond it the oldest fall out and `exact` becomes false.
        expiry_ms: an entity without events for longer begins anew.
        features: the entries to compute; those of the catalogue by default.
    """

    def __init__(
        self, entity: Entity, most_events: int, expiry_ms: int, features: Sequence[Feature] | None = None
    ) -> None:
        self.entity = entity
        self.features = tuple(features_of(entity) if features is None else features)
        self.expiry_ms = expiry_ms
        self._spec = _specification(self.features)
        reach = max(f.window_ms + f.delay_ms for f in self.features if f.aggregate <= Aggregate.SINCE_FRAUD_NORMAL)
        # The card's fold comes first: no other meets a duplicate.
        horizon = DUPLICATE_HORIZON_MS if entity is Entity.CARD else 0
        self._limits = np.array([reach + LATENESS_MS, most_events, reach, horizon, expiry_ms], np.int64)

    @property
    def uses_labels(self) -> bool:
        """Whether any of the features depends on labels."""
        return any(f.flag & Flag.FRAUD or f.aggregate in _READING_LABELS for f in self.features)

    def run(self, state: EntityState, events: Events) -> Folded:
        """Folds events, in arrival order, into a state."""
        # One memory layout, so that the kernel is compiled once and for all.
        key, words, places = (
            np.require(array, requirements=["C", "W"]) for array in (events.key, events.words, events.places)
        )
        count = len(key)
        values = np.full((count, len(self.features)), np.nan)
        exact = np.ones(count, np.bool_)
        duplicate = np.zeros(count, np.bool_)
        done = 0
        while True:
            arrays = state.arrays
            done = kernel.fold(
                key, words, places, done, arrays.meta, arrays.index, arrays.rows, arrays.slab,
                self._spec, self._limits, self.entity is Entity.CARD, values, exact, duplicate,
            )  # fmt: skip
            if done == count:
                return Folded(values, exact, duplicate)
            state.make_room()


def _specification(features: Sequence[Feature]) -> Ints:
    rows = []
    decayed = 0
    for feature in features:
        slot = decayed if feature.aggregate in _DECAYING else 0
        decayed += feature.aggregate in _DECAYING
        row = (feature.aggregate, feature.window_ms, feature.delay_ms, feature.input, int(feature.flag), slot, 0)
        rows.append(row)
    assert decayed <= kernel.DECAYED, f"at most {kernel.DECAYED} decayed features for an entity"
    specification = np.array(rows, np.int64).reshape(len(features), 7)
    first = 0
    for place, feature in enumerate(features):
        if feature.aggregate is Aggregate.DISTINCT:
            if place == 0 or not _goes_on(features[place - 1], feature):
                first = place
            specification[first, 6] += 1
    return specification


def _goes_on(before: Feature, feature: Feature) -> bool:
    """Whether an entry counts what the one before it counts, over a longer window."""
    return (
        before.aggregate is feature.aggregate
        and (before.input, before.delay_ms) == (feature.input, feature.delay_ms)
        and before.window_ms <= feature.window_ms
    )
