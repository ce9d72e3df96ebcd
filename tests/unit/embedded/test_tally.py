"""The tally finds what is lost and what is duplicated."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.files.asked import Asked
from adapters.files.ground_truth import Truth
from embedded.tally import REFUSED_COLUMNS, RunTally
from fraud.backtest.cases import CaseFigures
from fraud.records.schema import TIMESTAMP_MS
from tests.support.records import NOON, label, transaction, truth, wire


def sent(name: str, **fields: Any) -> Truth:
    return Truth(**truth(transaction_id=name, **fields))


def decisions(
    outcomes: dict[str, str],
    latency_ms: int = 100,
    scored_by: str = "endpoint",
    card: str = "card-1",
    answered_by: str | None = None,
) -> pa.Table:
    rows = len(outcomes)
    return pa.table(
        {
            "transaction_id": list(outcomes),
            "card_token": [card] * rows,
            "event_time": pa.array([NOON] * rows, TIMESTAMP_MS),
            "outcome": list(outcomes.values()),
            "scored_by": [scored_by] * rows,
            "sent_at": pa.array([NOON] * rows, TIMESTAMP_MS),
            "decided_at": pa.array([NOON + dt.timedelta(milliseconds=latency_ms)] * rows, TIMESTAMP_MS),
            "arrival_ms": [round(NOON.timestamp() * 1000)] * rows,
            "recorded_arrival": pa.array([None] * rows, TIMESTAMP_MS),
            "billing_amount_minor": [1_000] * rows,
            "answered_by": pa.array([answered_by] * rows, pa.string()),
        }
    )


def test_lost_and_duplicated_are_counted_by_transaction() -> None:
    tally = RunTally()
    tally.sent([sent("a"), sent("b"), sent("c", is_fraud=True)])
    tally.decided(decisions({"a": "approve", "b": "review"}))
    tally.decided(decisions({"a": "approve"}))
    figures = tally.figures()
    assert (figures["sent"], figures["decided"], figures["lost"], figures["duplicated"]) == (3, 2, 1, 1)


def dead_letters(*records: bytes, replayable: bool = True, stream: str = "fraud-transactions") -> pa.Table:
    columns = [[stream] * len(records), ["duplicate"] * len(records), list(records), [replayable] * len(records)]
    return pa.table(columns, names=REFUSED_COLUMNS)


def test_what_was_refused_is_not_lost() -> None:
    tally = RunTally()
    tally.sent([sent("a"), sent("b"), sent("c")])
    tally.decided(decisions({"a": "approve"}))
    tally.refuse(dead_letters(wire(transaction(transaction_id="b"))))
    figures = tally.figures()
    assert [figures[name] for name in ("sent", "decided", "refused", "lost")] == [3, 1, 1, 1]


def asked(name: str, status: int = 200, repeated: bool = False, took_ms: float = 4.0) -> Asked:
    return Asked(name, "card-1", NOON, status, repeated, took_ms)


def test_what_was_asked_has_an_end_of_its_own_and_another_latency() -> None:
    tally = RunTally()
    tally.sent([sent("a"), sent("a"), sent("b"), sent("c"), sent("d")])
    tally.asked([asked("a"), asked("a", repeated=True), asked("b", status=422), asked("c", took_ms=6.0)])
    tally.decided(decisions({"a": "approve", "c": "approve"}, latency_ms=5_000, answered_by="i-1"))
    tally.decided(decisions({"d": "approve"}, latency_ms=300))
    figures = tally.figures()
    assert [figures[name] for name in ("sent", "decided", "refused", "lost", "duplicated")] == [5, 3, 2, 0, 0]
    assert (figures["answered"], figures["answer_p50_ms"], figures["latency_p99_ms"]) == (2, 5.0, 300.0)


def test_a_record_sent_twice_is_two_records() -> None:
    tally = RunTally()
    tally.sent([sent("a"), sent("a")])
    tally.decided(decisions({"a": "approve"}))
    assert (tally.records_sent, tally.lost) == (2, 1)
    tally.refuse(dead_letters(wire(transaction(transaction_id="a"))))
    assert (tally.refused, tally.lost, tally.duplicated) == (1, 0, 0)


def test_a_refused_record_of_somebody_else_hides_no_loss() -> None:
    tally = RunTally()
    tally.sent([sent("a"), sent("b")])
    tally.decided(decisions({"a": "approve"}))
    tally.refuse(dead_letters(b"junk", b"[" * 5_000, b"\xff", wire(transaction(transaction_id="theirs"))))
    tally.refuse(dead_letters(wire(label()), stream="fraud-labels"))
    figures = tally.figures()
    assert [figures[name] for name in ("refused", "lost", "dead_letters")] == [4, 1, 5]


def test_a_redacted_record_may_be_any_of_those_sent() -> None:
    tally = RunTally()
    tally.sent([sent("a"), sent("b")])
    tally.decided(decisions({"a": "approve"}))
    tally.refuse(dead_letters(b'{"card_token": "[card number]"}', replayable=False))
    assert (tally.refused, tally.lost) == (1, 0)


def test_a_job_that_died_has_lost_what_it_did_not_decide() -> None:
    tally = RunTally()
    tally.sent([sent(f"t-{number}") for number in range(100)])
    tally.decided(decisions({"t-0": "review"}))
    figures = tally.figures()
    assert [figures[name] for name in ("sent", "decided", "alerts", "lost")] == [100, 1, 1, 99]


steps = st.tuples(
    st.sampled_from(["sent", "decided", "refused"]), st.sampled_from("abc"), st.sampled_from(["k-1", "k-2"])
)


@given(st.lists(steps, max_size=20).flatmap(st.permutations))
def test_the_order_in_which_a_run_is_seen_changes_no_figure(seen: list[tuple[str, str, str]]) -> None:
    tally = RunTally()
    for kind, name, card in seen:
        if kind == "sent":
            tally.sent([sent(name, card_token=card)])
        elif kind == "decided":
            tally.decided(decisions({name: "approve"}, card=card))
        else:
            tally.refuse(dead_letters(wire(transaction(transaction_id=name, card_token=card))))
    counts = Counter(seen)
    records = {(name, card) for _, name, card in seen}
    # of each transaction, how many more were sent than decided and refused
    left = (counts["sent", *one] - counts["decided", *one] - counts["refused", *one] for one in records)
    assert tally.lost == sum(max(0, count) for count in left)


def test_one_id_on_two_cards_is_two_transactions() -> None:
    tally = RunTally()
    tally.sent([sent("a", is_fraud=True), sent("a", card_token="card-2"), sent("a", card_token="card-3")])
    tally.decided(decisions({"a": "approve"}))
    tally.decided(decisions({"a": "decline"}, card="card-2"))
    figures = tally.figures()
    assert (figures["sent"], figures["decided"], figures["lost"], figures["duplicated"]) == (3, 2, 1, 0)
    assert (figures["fraud_missed"], figures["false_alerts"]) == (1, 1)


def test_precision_and_recall_compare_alerts_with_the_truth() -> None:
    tally = RunTally()
    tally.sent([sent("a", is_fraud=True), sent("b", is_fraud=True), sent("c"), sent("d")])
    tally.decided(decisions({"a": "decline", "b": "approve", "c": "review", "d": "approve"}))
    figures = tally.figures()
    # alerts: a (fraud) and c (good): precision 1/2; frauds: a caught, b missed: recall 1/2
    assert (figures["alerts"], figures["precision"], figures["recall"]) == (2, 0.5, 0.5)


def test_alerts_of_a_card_and_day_are_one_case_and_cards_known_to_be_compromised_are_nobodys_find() -> None:
    tally = RunTally(compromised={"card-2"})
    tally.sent([sent("a", is_fraud=True), sent("b", is_fraud=True), sent("c", card_token="card-2", is_fraud=True)])
    tally.sent([sent("d", card_token="card-3")])
    tally.decided(decisions({"a": "approve", "b": "review"}))
    tally.decided(decisions({"b": "review"}))
    tally.decided(decisions({"c": "decline"}, card="card-2"))
    tally.decided(decisions({"d": "review"}, card="card-3"))
    figures = tally.figures()
    live = {name: figures[f"live_{name}"] for name in CaseFigures._fields}
    # one case a card; those of card-1 and card-2 have a fraud in them; card-1 is found by its second fraud
    assert live == {"payments": 4, "cases": 3, "true_cases": 2, "compromised_cards": 1, "cards_found": 1}
    # a and b are authorised before anybody looks; nothing follows the alerts
    assert (figures["saved_minor"], figures["lost_minor"]) == (0, 3_000)


def test_latency_is_from_sent_to_decided() -> None:
    tally = RunTally()
    tally.decided(decisions({"a": "approve"}, latency_ms=100))
    tally.decided(decisions({"b": "approve"}, latency_ms=300))
    assert tally.latency_ms(0.5) == pytest.approx(200)
    # two decisions within 300 ms of the first sending
    assert tally.figures()["tx_per_s"] == pytest.approx(2 / 0.3)


def test_what_scored_is_counted() -> None:
    tally = RunTally()
    tally.decided(decisions({"a": "approve", "b": "review"}))
    tally.decided(decisions({"c": "approve"}, scored_by="in_process"))
    figures = tally.figures()
    counts = [figures[f"scored_by_{name}"] for name in ("endpoint", "in_process", "rules_only")]
    assert counts == [2, 1, 0]


def test_an_empty_run_has_no_figures_to_divide() -> None:
    tally = RunTally()
    tally.decided(decisions({}))
    figures = tally.figures()
    assert (figures["sent"], figures["precision"], figures["tx_per_s"]) == (0, None, None)
