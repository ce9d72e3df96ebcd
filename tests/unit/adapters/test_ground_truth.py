"""The truth is read while producers write it."""

from __future__ import annotations

from pathlib import Path

from adapters.ground_truth import GroundTruth, Truth, truth_file


def test_whole_lines_of_every_producer_are_read_once(tmp_path: Path) -> None:
    truth = GroundTruth(tmp_path)
    assert list(truth.read_new()) == []
    first = truth_file(tmp_path, "demo")
    first.write_bytes(b'{"transaction_id":"a"}\n{"transaction_id":"b","is_fr')
    assert list(truth.read_new()) == [("demo", [Truth("a")])]
    with first.open("ab") as file:
        file.write(b'aud":true,"campaign":"mule_ring","case_id":"mule_ring-1"}\n')
    truth_file(tmp_path, "lab-1").write_bytes(b'{"transaction_id":"c"}\n')
    assert dict(truth.read_new()) == {"demo": [Truth("b", True, "mule_ring", "mule_ring-1")], "lab-1": [Truth("c")]}
    assert list(truth.read_new()) == []
