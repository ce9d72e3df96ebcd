"""The pure fold: the state of an entity's keys and events in; features out, state changed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fraud.entities import Entity
from fraud.features import aggregates
from fraud.features.aggregates import Shape
from fraud.features.catalogue import LATENESS_MS, Feature
from fraud.features.events import Events, Floats, Ints
from fraud.features.kernel import fold, layout
from fraud.features.kernel.layout import (
    COUNTED_IDS,
    COUNTED_WORDS,
    DECAYED,
    SPAN_WORDS,
    SPEC_COUNTED,
    SPEC_SERIES,
    SPEC_WORDS,
    Input,
)
from fraud.features.state import EntityState, arrays_of
from fraud.money import minor_units
from fraud.records.arrival import DUPLICATE_HORIZON_MS

AnyArray = TypeVar("AnyArray", Ints, Floats)

BUSY_EVENTS = 512
"""Events from which a key's values are counted in a table, no longer by walks: see `fraud.features.kernel.counts`."""


class Folded(NamedTuple):
    """What folding a sequence of events gave.

    Attributes:
        values: features of each event (n, f), NaN where undefined.
        exact: whether all windows of the event were whole (n); true where it has no entity.
        duplicate: how the event repeats a transaction of the card, see `fraud.features.kernel.layout`; it changed
            nothing. 0 for all others (n).
        labelled: what became of the label of each ticket, less 1; see `fraud.features.kernel.layout` (n).
    """

    values: Floats
    exact: npt.NDArray[np.bool_]
    duplicate: Ints
    labelled: Ints


def read_labels(features: Sequence[Feature]) -> bool:
    """Whether any of the features depends on labels."""
    return any(feature.reads_labels for feature in features)


class EntityFold:
    """Folds the events of one kind of entity.

    Args:
        entity: whose.
        most_events: events kept of one entity; beyond it the oldest fall out and `exact` becomes false.
        expiry_ms: an entity without events for longer starts from nothing.
        base_currency: of the amounts; features hold them in its major units.
        features: the entries to compute, of the entity.

    Attributes:
        retention_ms: an event that happened longer before an arrival can lie in no window any more.
    """

    def __init__(
        self,
        entity: Entity,
        most_events: int,
        expiry_ms: int,
        base_currency: str,
        features: Sequence[Feature],
    ) -> None:
        self.entity = entity
        self.features = tuple(features)
        self.expiry_ms = expiry_ms
        self.retention_ms, self._plan = _planned(
            entity, most_events, BUSY_EVENTS, expiry_ms, base_currency, self.features
        )
        walked = max(2, min(most_events, BUSY_EVENTS))
        seen = np.zeros((1 + (1 << (2 * walked - 1).bit_length()), 2), np.int64)
        self._scratch = (seen, np.zeros((len(self._plan[1]), SPAN_WORDS), np.int64))
        self._undefined = np.full((1, len(self.features)), np.nan)

    def run(self, state: EntityState, events: Events) -> Folded:
        """Folds events, in arrival order, into a state."""
        batch = (_laid_out(events.key), _laid_out(events.words), _laid_out(events.places))
        count = len(events.key)
        values = self._undefined.copy() if count == 1 else np.full((count, len(self.features)), np.nan)
        exact = np.ones(count, np.bool_)
        duplicate, labelled = np.zeros(count, np.int64), np.zeros(count, np.int64)
        results = (values, exact, duplicate, labelled)
        done = 0
        while True:
            done = fold.fold(batch, done, arrays_of(state.arrays), self._plan, results, self._scratch)
            if done == count:
                state.tidy()
                return Folded(values, exact, duplicate, labelled)
            state.make_room()


def _laid_out(array: AnyArray) -> AnyArray:
    """The array in the one memory layout that the kernel is compiled for."""
    flags = array.flags
    return array if flags.c_contiguous and flags.writeable else np.require(array, requirements=["C", "W"])


@lru_cache(maxsize=64)
def _planned(
    entity: Entity,
    most_events: int,
    busy_events: int,
    expiry_ms: int,
    base_currency: str,
    features: tuple[Feature, ...],
) -> tuple[int, tuple[Ints, Ints, Ints, Ints]]:
    """How long an event can lie in a window, and the kernel's plan, which it only reads: every task asks for them."""
    reach = max(f.window_ms + f.delay_ms for f in features if f.aggregate.shape is Shape.WINDOW)
    retention_ms = reach + LATENESS_MS
    # The card's fold comes first: no other meets a duplicate, and it decides which amounts are unusual.
    horizon = DUPLICATE_HORIZON_MS if entity.leads else 0
    limits = (retention_ms, most_events, reach, horizon, expiry_ms, entity.leads, minor_units(base_currency))
    spans = sorted({_span_of(f) for f in features if f.aggregate.shape is Shape.WINDOW})
    counted = _counted(features, spans, entity.leads)
    busy = (busy_events, zlib.crc32(counted.tobytes()))
    kept = (_kept_of_ids(entity, features), *_kept_of_attributes(features))
    return retention_ms, (
        _specification(features, spans),
        np.array(spans, np.int64).reshape(-1, 2),
        counted,
        np.array((*limits, *busy, *kept), np.int64),
    )


_EVERY_CODE = layout.CODE_COUNTRY | layout.CODE_MCC | layout.CODE_CHANNEL


def _kept_of_ids(entity: Entity, features: Sequence[Feature]) -> int:
    """Which bits of a transaction's hash its events keep: none where neither duplicates nor labels are looked for."""
    if entity.leads:
        return (1 << layout.ID_BITS) - 1
    return (1 << layout.SHORT_ID_BITS) - 1 if read_labels(features) else 0


def _kept_of_attributes(features: Sequence[Feature]) -> tuple[int, bool]:
    """Which codes of events are kept, and whether their devices: those that a feature compares."""
    compared = {feature.input for feature in features}
    codes = _EVERY_CODE if compared & {Input.COUNTRY, Input.MCC, Input.CHANNEL} else 0
    return codes, Input.DEVICE in compared


def _span_of(feature: Feature) -> tuple[int, int]:
    """Window and delay."""
    return feature.window_ms, feature.delay_ms


_TABLED = (aggregates.DISTINCT, aggregates.IS_NEW)


def _counted(features: Sequence[Feature], spans: Sequence[tuple[int, int]], by_id: bool) -> Ints:
    """What the table of a busy key counts: see `fraud.features.kernel.layout.Plan`."""
    counted = [
        (
            feature.aggregate.code,
            int(feature.input),
            feature.window_ms,
            feature.delay_ms,
            spans.index(_span_of(feature)),
        )
        for feature in features
        if feature.aggregate in _TABLED
    ]
    if by_id:
        counted.append((COUNTED_IDS, 0, 1 << 62, 0, 0))
    return np.array(counted, np.int64).reshape(-1, COUNTED_WORDS)


def _specification(features: Sequence[Feature], spans: Sequence[tuple[int, int]]) -> Ints:
    specification = np.zeros((len(features), SPEC_WORDS), np.int64)
    decayed = 0
    for row, feature in zip(specification, features, strict=True):
        aggregate = feature.aggregate
        slot = decayed if aggregate.shape is Shape.DECAY else 0
        decayed += aggregate.shape is Shape.DECAY
        flag, column = int(feature.flag), int(feature.input)
        span = spans.index(_span_of(feature)) if aggregate.shape is Shape.WINDOW else 0
        row[:] = aggregate.code, aggregate.shape, feature.window_ms, column, flag, slot, span, 0, 0
    assert decayed <= DECAYED, f"at most {DECAYED} decayed features for an entity"
    tabled = [place for place, feature in enumerate(features) if feature.aggregate in _TABLED]
    specification[tabled, SPEC_COUNTED] = np.arange(1, len(tabled) + 1)
    first = 0
    for place, feature in enumerate(features):
        if feature.aggregate is aggregates.DISTINCT:
            if place == 0 or not _goes_on(features[place - 1], feature):
                first = place
            specification[first, SPEC_SERIES] += 1
    return specification


def _goes_on(before: Feature, feature: Feature) -> bool:
    """Whether an entry counts what the one before it counts, over a longer window."""
    return (
        before.aggregate is feature.aggregate
        and (before.input, before.delay_ms) == (feature.input, feature.delay_ms)
        and before.window_ms <= feature.window_ms
    )
