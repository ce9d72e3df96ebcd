"""Labels that wait: whichever copy of them goes on, they settle alike."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.features.events import Events
from fraud.features.kernel.layout import (
    EVENT_DELAY,
    EVENT_ID,
    EVENT_TIME,
    EVENT_WORDS,
    LABEL_MATCHED,
    LABEL_UNMATCHED,
)
from fraud.features.waiting import Change, WaitingLabel, WaitingLabels
from fraud.records.arrival import Place

MERCHANT, PAID_AT, RETENTION_MS, MOST = 1, 100, 1_000, 4

Batch = tuple[list[int], list[tuple[int, int]]]
"""Payments by id, and labels by the payment's id and how long after the batch's begin they arrive."""


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    ids = st.integers(1, 3)
    label = st.tuples(ids, st.integers(0, 250))
    return draw(st.lists(ids, max_size=3)), draw(st.lists(label, max_size=draw(st.integers(1, 2))))


class Labels:
    """One stream of labels and payments, taken by whichever copy it is given to."""

    def __init__(self) -> None:
        self.paid: set[int] = set()
        self.count = 0

    def take(self, waiting: WaitingLabels, batch: Batch, began_ms: int) -> tuple[Any, ...]:
        """What a batch makes of them, whatever numbers a copy gives its labels."""
        payments, labels = batch
        added = [self._label(payment, began_ms + after_ms) for payment, after_ms in labels]
        words = np.zeros((len(payments), EVENT_WORDS), np.int64)
        for row, payment in zip(words, payments, strict=True):
            row[EVENT_ID], row[EVENT_TIME], row[EVENT_DELAY] = payment, PAID_AT, began_ms - PAID_AT
        places: list[Place] = [(began_ms, "transactions", "s", 1, str(n), 0) for n in range(len(payments))]
        events = Events(np.full(len(payments), MERCHANT), words, np.zeros((len(payments), 2)))
        turn = waiting.turn(added, events, lambda: places, began_ms - 1, RETENTION_MS)
        self.paid |= set(payments)
        outcomes = [LABEL_MATCHED if label.id in self.paid else LABEL_UNMATCHED for label in turn.tried]
        tried = [label.place for label in turn.tried]
        due = {label.place for label in turn.tried if label.number in turn.due}
        settled = waiting.settle(turn, np.array(outcomes, np.int64), len(added), MOST)
        refused = [(label.place, reject) for label, reject in settled.refused]
        return turn.places.tolist(), tried, due, settled.notes, refused

    def _label(self, payment: int, arrival_ms: int) -> WaitingLabel:
        self.count += 1
        number = f"{self.count:04}"
        return WaitingLabel(
            "labels", "s", number, 0, arrival_ms, arrival_ms, MERCHANT, payment, 0, PAID_AT, 1, True, b""
        )


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(batches(), st.booleans()), min_size=6, max_size=12))
def test_labels_settle_alike_whichever_copy_goes_on(drawn: list[tuple[Batch, bool]]) -> None:
    """A task folds into a copy to which others' changes were applied, or into one rebuilt from a snapshot."""
    plain, moved = Labels(), Labels()
    alone, kept = WaitingLabels(), WaitingLabels()
    for number, (batch, is_moved) in enumerate(drawn):
        goes_on = rebuilt(kept) if is_moved else kept
        began_ms = 200 + 100 * number
        assert moved.take(goes_on, batch, began_ms) == plain.take(alone, batch, began_ms)
        alone.take_change()
        change = goes_on.take_change()
        if is_moved:
            kept.apply(sent(change))


def rebuilt(waiting: WaitingLabels) -> WaitingLabels:
    copy = WaitingLabels()
    copy.apply(sent(waiting.whole()))
    return copy


def sent(change: Change) -> Change:
    """As it comes from a log."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(change), type=Change)
