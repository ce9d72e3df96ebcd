"""The tally finds what is lost and what is doubled, by id."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from adapters.ground_truth import Truth
from embedded.tally import Tally
from fraud.schema import TIMESTAMP_MS
from tests.support.records import NOON


def decisions(outcomes: dict[str, str], latency_ms: int = 100, scored_by: str = "endpoint") -> pa.Table:
    rows = len(outcomes)
    return pa.table(
        {
            "transaction_id": list(outcomes),
            "outcome": list(outcomes.values()),
            "scored_by": [scored_by] * rows,
            "sent_at": pa.array([NOON] * rows, TIMESTAMP_MS),
            "decided_at": pa.array([NOON + dt.timedelta(milliseconds=latency_ms)] * rows, TIMESTAMP_MS),
        }
    )


def test_lost_and_duplicated_are_counted_by_id() -> None:
    tally = Tally()
    tally.sent([Truth("a"), Truth("b"), Truth("c", is_fraud=True)])
    tally.decided(decisions({"a": "approve", "b": "review"}))
    tally.decided(decisions({"a": "approve"}))
    figures = tally.figures()
    assert (figures["sent"], figures["decided"], figures["lost"], figures["duplicated"]) == (3, 2, 1, 1)


def test_precision_and_recall_compare_alerts_with_the_truth() -> None:
    tally = Tally()
    tally.sent([Truth("a", is_fraud=True), Truth("b", is_fraud=True), Truth("c"), Truth("d")])
    tally.decided(decisions({"a": "decline", "b": "approve", "c": "review", "d": "approve"}))
    figures = tally.figures()
    # alerts: a (fraud) and c (good): precision 1/2; frauds: a caught, b missed: recall 1/2
    assert (figures["alerts"], figures["precision"], figures["recall"]) == (2, 0.5, 0.5)


def test_latency_is_from_sent_to_decided() -> None:
    tally = Tally()
    tally.decided(decisions({"a": "approve"}, latency_ms=100))
    tally.decided(decisions({"b": "approve"}, latency_ms=300))
    assert tally.latency_ms(0.5) == pytest.approx(200)
    # two decisions within 300 ms of the first sending
    assert tally.figures()["tx_per_s"] == pytest.approx(2 / 0.3)


def test_what_scored_is_counted() -> None:
    tally = Tally()
    tally.decided(decisions({"a": "approve", "b": "review"}))
    tally.decided(decisions({"c": "approve"}, scored_by="in_process"))
    figures = tally.figures()
    counts = [figures[f"scored_by_{name}"] for name in ("endpoint", "in_process", "rules_only")]
    assert counts == [2, 1, 0]


def test_an_empty_run_has_no_figures_to_divide() -> None:
    tally = Tally()
    tally.decided(decisions({}))
    figures = tally.figures()
    assert (figures["sent"], figures["precision"], figures["tx_per_s"]) == (0, None, None)
