"""What a batch committed reaches the driver once, and adds up in the metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import structlog

from adapters.program.metrics import EVENT_TO_DECISION_S
from adapters.program.telemetry import Telemetry
from processor.progress import record_committed
from processor.sink.report import BatchReports, Committed, Latencies, Moments


def committed() -> Committed:
    latencies = Latencies.of(EVENT_TO_DECISION_S, np.array([40, 450, 450, 400_000]))
    return Committed(
        outcomes={"approve": 3, "review": 1},
        scored_by={"in_process": 4},
        inexact={"card": 0},
        rules={"fired": {"burst": 1}, "undefined": {"burst": 2, "far": 3}},
        dead_letters={"invalid": 2},
        alerts_put={"dynamodb": 1},
        decision=latencies,
    )


def test_a_report_is_taken_up_once(tmp_path: Path) -> None:
    reports = BatchReports(tmp_path / "reports")
    assert list(reports.take()) == []
    reports.leave(7, committed())
    assert list(reports.take()) == [(7, committed())]
    assert list(reports.take()) == []


def test_partitions_add_up_in_the_exposition() -> None:
    telemetry = Telemetry()
    record_committed(telemetry, committed().plus(committed()))
    lines = telemetry.exposition().decode().splitlines()
    assert 'fraud_transactions_decided_total{outcome="approve"} 6.0' in lines
    assert 'fraud_transactions_decided_total{outcome="review"} 2.0' in lines
    assert 'fraud_dead_letters_total{reason="invalid"} 4.0' in lines
    assert 'fraud_alerts_put_total{receiver="dynamodb"} 2.0' in lines
    assert 'fraud_rules_total{result="fired",rule="burst"} 2.0' in lines
    assert 'fraud_rules_total{result="undefined",rule="far"} 6.0' in lines
    assert 'fraud_event_to_decision_seconds_bucket{le="0.05"} 2.0' in lines
    assert 'fraud_event_to_decision_seconds_bucket{le="0.5"} 6.0' in lines
    assert 'fraud_event_to_decision_seconds_bucket{le="300"} 6.0' in lines
    assert 'fraud_event_to_decision_seconds_bucket{le="+Inf"} 8.0' in lines
    assert "fraud_event_to_decision_seconds_sum 801.88" in lines  # 2 x (0.04 + 0.45 + 0.45 + 400)
    assert "fraud_event_to_alert_seconds_count 0.0" in lines


@pytest.mark.parametrize(("name", "content"), [("8", b""), ("8", b'{"outcomes": 3}'), ("eight", b"{}")])
def test_a_report_that_cannot_be_read_is_logged_once_and_spoils_no_other(
    tmp_path: Path, name: str, content: bytes
) -> None:
    reports = BatchReports(tmp_path)
    (tmp_path / f"{name}.json").write_bytes(content)
    reports.leave(9, committed())
    with structlog.testing.capture_logs() as logs:
        assert [batch for batch, _ in reports.take()] == [9]
    assert [(entry["event"], entry["report"]) for entry in logs] == [("report_not_read", f"{name}.json")]
    assert list(reports.take()) == []


def test_the_latency_budget_adds_up_to_the_time_from_sent_to_readable() -> None:
    one = Moments(transactions=1, sent=0, arrived=10, featured=500, decided=520, stored=540, alerted=550)
    two = Moments(transactions=3, sent=300, arrived=330, featured=1_500, decided=1_560, stored=1_620, alerted=1_680)
    budget = one.plus(two).budget_s(began_ms=200, plan_ms=40)
    # means: sent 75, arrived 85, begun 200, planned 240, featured 500, decided 520, stored 540, alerted 557.5
    expected = {"put": 10, "wait": 115, "plan": 40, "state": 260, "score": 20, "archive": 20, "alerts": 17.5}
    assert {phase: round(seconds * 1000, 1) for phase, seconds in budget.items()} == expected
    assert sum(expected.values()) == 557.5 - 75


def test_a_batch_without_transactions_has_no_budget() -> None:
    assert Moments().budget_s(began_ms=200, plan_ms=40) == {}


def test_counters_without_labels_are_there_at_zero_from_the_start() -> None:
    assert "fraud_input_records_total 0.0" in Telemetry().exposition().decode().splitlines()
