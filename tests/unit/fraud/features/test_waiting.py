"""Labels that wait: what a rebuilt state knows of them is what the one it was logged from knew."""

from __future__ import annotations

import numpy as np

from fraud.features.events import Events
from fraud.features.kernel.layout import EVENT_DELAY, EVENT_ID, EVENT_TIME, EVENT_WORDS
from fraud.features.waiting import Change, Stage, WaitingLabel, WaitingLabels
from fraud.records.arrival import Place

MERCHANT, PAYMENT = 1, 7
DAY_MS = 86_400_000


def label(stage: Stage) -> WaitingLabel:
    """Of a payment at 100, arrived at 500."""
    return WaitingLabel("labels", "s", "5", 0, 500, 500, MERCHANT, PAYMENT, 0, 100, 1, True, b"", stage=stage)


def payments(*of: tuple[int, int, int]) -> tuple[Events, list[Place]]:
    """Payments of the merchant by (id, time, arrival)."""
    words = np.zeros((len(of), EVENT_WORDS), np.int64)
    for row, (payment, time_ms, arrival_ms) in zip(words, of, strict=True):
        row[EVENT_ID], row[EVENT_TIME], row[EVENT_DELAY] = payment, time_ms, arrival_ms - time_ms
    places: list[Place] = [(arrival_ms, "transactions", "s", 1, "1", 0) for *_, arrival_ms in of]
    return Events(np.full(len(of), MERCHANT), words, np.zeros((len(of), 2))), places


def test_a_label_that_waits_for_its_payment_takes_effect_behind_it_also_after_a_rebuild() -> None:
    logged = WaitingLabels()
    logged.apply(Change(added=[label(Stage.AHEAD)]))
    logged.apply(Change(moved=[(0, Stage.DUE, False)]))
    snapshot = WaitingLabels()
    snapshot.apply(Change(added=[label(Stage.DUE)]))
    # The payment itself, one that arrived before the label, one that arrived after it.
    events, places = payments((PAYMENT, 100, 200), (8, 300, 300), (9, 600, 600))
    for waiting in (logged, snapshot):
        turn = waiting.turn([], events, lambda: places, 0, DAY_MS)
        assert turn.places.tolist() == [0, 2, 3]
        assert turn.due == frozenset()


def test_a_label_that_waits_for_its_place_takes_effect_there() -> None:
    waiting = WaitingLabels()
    waiting.apply(Change(added=[label(Stage.AHEAD)]))
    events, places = payments((PAYMENT, 100, 200), (8, 300, 300), (9, 600, 600))
    turn = waiting.turn([], events, lambda: places, 0, DAY_MS)
    assert turn.places.tolist() == [0, 1, 3]
    assert turn.due == {0}
