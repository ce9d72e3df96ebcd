"""The truth is read while producers write it."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from adapters.files.ground_truth import Truth, ground_truth, truth_file
from fraud.decision.key import Subject
from tests.support.records import transaction, truth, wire


def test_whole_lines_of_every_producer_are_read_once(tmp_path: Path) -> None:
    reader = ground_truth(tmp_path)
    assert list(reader.read_new()) == []
    fraud = truth(transaction_id="b", is_fraud=True, campaign="mule_ring", case_id="mule_ring-1")
    first, whole = truth_file(tmp_path, "demo"), wire(fraud) + b"\n"
    first.write_bytes(wire(truth(transaction_id="a")) + b"\n" + whole[:40])
    assert list(reader.read_new()) == [("demo", [Truth(**truth(transaction_id="a"))])]
    with first.open("ab") as file:
        file.write(whole[40:])
    truth_file(tmp_path, "lab-1").write_bytes(wire(truth(transaction_id="c")) + b"\n")
    assert dict(reader.read_new()) == {"demo": [Truth(**fraud)], "lab-1": [Truth(**truth(transaction_id="c"))]}
    assert list(reader.read_new()) == []


def test_truth_is_of_the_decision_on_its_record(tmp_path: Path) -> None:
    truth_file(tmp_path, "demo").write_bytes(wire(truth()) + b"\n")
    ((_, (read,)),) = ground_truth(tmp_path).read_new()
    assert read.subject == Subject.of(transaction())


def test_lines_that_do_not_name_their_card_are_counted_and_the_others_read(tmp_path: Path) -> None:
    lines = [b'{"transaction_id":"a","is_fraud":true}', b"}", wire(truth())]
    truth_file(tmp_path, "demo").write_bytes(b"\n".join(lines) + b"\n")
    with capture_logs() as logged:
        assert list(ground_truth(tmp_path).read_new()) == [("demo", [Truth(**truth())])]
    assert [(entry["event"], entry["lines"]) for entry in logged] == [("lines_not_read", 2)]
