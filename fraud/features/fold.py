"""The pure fold: state of entities and events in, features and new state out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fraud.errors import FatalError
from fraud.features.catalogue import DAY_MS, Aggregate, Entity, Feature, Input, features_of
from fraud.features.events import NO_TIME, Events, Floats, Ints
from fraud.features.kernel import BINS, DECAYED, HISTORY, fold

STATE_VERSION = 1
"""Version of the stored form of an entity's state; it changes together with the checkpoint path."""

LATENESS_MS = DAY_MS
"""How late an event may arrive and still find its longest window whole."""

EXPIRY_MS = 400 * DAY_MS
"""Default of the time without events after which an entity is forgotten."""

_COLUMNS = len(Input)
_HEADER = 3  # version, events, latest time that fell out
_DECAYING = (Aggregate.DECAYED_COUNT, Aggregate.DECAYED_SUM, Aggregate.DECAYED_UNUSUAL)


class Folded(NamedTuple):
    """What folding a sequence of events gave.

    Attributes:
        values: features of each event (n, f), NaN where undefined.
        exact: whether all windows of the event were whole (n).
        duplicate: whether the event repeats a transaction of the last 24 hours; it changed nothing (n).
        states: the new state of each entity of the events.
    """

    values: Floats
    exact: npt.NDArray[np.bool_]
    duplicate: npt.NDArray[np.bool_]
    states: list[bytes]


class EntityFold:
    """Folds the events of one kind of entity.

    Args:
        entity: card or merchant.
        most_events: events kept of one entity; beyond it the oldest fall out and `exact` becomes false.
        expiry_ms: an entity without events for longer begins anew.
        features: catalogue entries of that entity.
    """

    def __init__(
        self, entity: Entity, most_events: int, expiry_ms: int = EXPIRY_MS, features: Sequence[Feature] | None = None
    ) -> None:
        self.entity = entity
        self.features = tuple(features_of(entity) if features is None else features)
        self._most = most_events
        self._expiry = expiry_ms
        self._spec = _specification(self.features)
        self._horizon = max(f.window_ms + f.delay_ms for f in self.features if f.aggregate <= Aggregate.AMOUNT_RATIO)

    def run(self, states: Sequence[bytes | None], events: Events) -> Folded:
        """Folds events into the states of their entities.

        Args:
            states: state of each of `events.ids`; None for an entity not seen before.
            events: in arrival order.
        """
        old = [_Stored.read(state) for state in states]
        new = np.bincount(events.key, minlength=len(old))
        length = np.array([len(stored.ring) for stored in old], np.int64)
        room = length + new
        offset = np.concatenate([[0], np.cumsum(room)[:-1]]).astype(np.int64)
        start = offset.copy()
        ring = np.zeros((int(room.sum()), _COLUMNS), np.int64)
        for number, stored in enumerate(old):
            ring[start[number] : start[number] + length[number]] = stored.ring
        evicted = np.array([stored.evicted for stored in old], np.int64)
        history = np.array([stored.history for stored in old], np.float64).reshape(len(old), HISTORY)
        bins = np.array([stored.bins for stored in old], np.int64).reshape(len(old), BINS)
        count = len(events.key)
        values = np.full((count, len(self.features)), np.nan)
        exact = np.ones(count, np.bool_)
        duplicate = np.zeros(count, np.bool_)
        fold(
            events.key, events.matrix, events.places, ring, offset, length, evicted, history, bins, self._spec,
            self._horizon + LATENESS_MS, self._most, self._horizon, self._expiry, values, exact, duplicate,
        )  # fmt: skip
        stored_states = [
            _Stored(ring[offset[k] : offset[k] + length[k]], int(evicted[k]), history[k], bins[k]).write()
            for k in range(len(old))
        ]
        return Folded(values, exact, duplicate, stored_states)


class _Stored(NamedTuple):
    """One entity's state in its stored form: header, history, bins, then the events by time."""

    ring: Ints
    evicted: int
    history: Floats
    bins: Ints

    @classmethod
    def read(cls, state: bytes | None) -> _Stored:
        if state is None:
            return cls(np.zeros((0, _COLUMNS), np.int64), int(NO_TIME), np.zeros(HISTORY), np.zeros(BINS, np.int64))
        words = np.frombuffer(state, np.int64)
        if words[0] != STATE_VERSION:
            raise FatalError(f"state has version {words[0]}, this program writes {STATE_VERSION}: use a new checkpoint")
        history = words[_HEADER : _HEADER + HISTORY].view(np.float64)
        bins = words[_HEADER + HISTORY : _HEADER + HISTORY + BINS]
        return cls(words[_HEADER + HISTORY + BINS :].reshape(-1, _COLUMNS), int(words[2]), history, bins)

    def write(self) -> bytes:
        header = np.array([STATE_VERSION, len(self.ring), self.evicted], np.int64)
        return b"".join([header.tobytes(), self.history.tobytes(), self.bins.tobytes(), self.ring.tobytes()])


def last_event_ms(state: bytes) -> int:
    """Time of an entity's latest event, by which it expires."""
    return int(np.frombuffer(state, np.int64)[-_COLUMNS])


def _specification(features: Sequence[Feature]) -> Ints:
    rows = []
    decayed = 0
    for feature in features:
        slot = decayed if feature.aggregate in _DECAYING else 0
        decayed += feature.aggregate in _DECAYING
        rows.append((feature.aggregate, feature.window_ms, feature.delay_ms, feature.input, int(feature.flag), slot))
    assert decayed <= DECAYED, f"at most {DECAYED} decayed features for an entity"
    return np.array(rows, np.int64).reshape(len(features), 6)
