"""The job's counters over time."""

from __future__ import annotations

import pytest

from adapters.program import metrics
from adapters.program.job_metrics import Sample, parse
from adapters.program.telemetry import Telemetry
from console.services.job_window import JobWindow, quantile


def sample(at_ms: int, telemetry: Telemetry) -> Sample:
    return parse(telemetry.exposition().decode(), at_ms)


def test_what_the_job_exposes_is_read_back_with_labels_in_the_registry_s_order() -> None:
    telemetry = Telemetry()
    telemetry.set(metrics.SOURCE_LAG_MS, 7, "stream-a", "shard-b")
    telemetry.add(metrics.SOURCE_READS, 3, "stream-a", "shard-b", "empty")
    telemetry.add(metrics.RULES, 2, "rule-1", "fired")
    telemetry.observe(metrics.TRIGGER_S, metrics.TRIGGER_S.count([0.07, 0.07, 400]), 400.14, "addBatch")
    read = sample(0, telemetry)
    assert read.value(metrics.SOURCE_LAG_MS) == {("stream-a", "shard-b"): 7}
    assert read.value(metrics.SOURCE_READS) == {("stream-a", "shard-b", "empty"): 3}
    assert read.value(metrics.RULES) == {("rule-1", "fired"): 2}
    assert read.value(metrics.TRIGGER_S) == {("addBatch",): pytest.approx(400.14)}
    assert read.histogram(metrics.TRIGGER_S) == {("addBatch",): metrics.TRIGGER_S.count([0.07, 0.07, 400])}


def test_growth_is_between_the_window_s_ends() -> None:
    window, telemetry = JobWindow(), Telemetry()
    for minute in range(10):
        telemetry.add(metrics.INPUT_RECORDS, 100)
        window.take(sample(minute * 60_000, telemetry))
    assert window.grown(metrics.INPUT_RECORDS, 120_000) == {(): 200}
    assert window.grown(metrics.INPUT_RECORDS, 3_600_000) == {(): 900}  # what was counted before the first look is old


def test_a_job_that_restarted_counts_from_zero() -> None:
    window, old, new = JobWindow(), Telemetry(), Telemetry()
    old.observe(metrics.EVENT_TO_ALERT_S, metrics.EVENT_TO_ALERT_S.count([0.1] * 9), 0.9)
    window.take(sample(0, old))
    new.observe(metrics.EVENT_TO_ALERT_S, metrics.EVENT_TO_ALERT_S.count([2.5]), 2.5)
    window.take(sample(60_000, new))
    assert sum(window.observed(metrics.EVENT_TO_ALERT_S, 60_000)[()]) == 1
    assert quantile(metrics.EVENT_TO_ALERT_S, window.observed(metrics.EVENT_TO_ALERT_S, 60_000)[()], 0.5) == 2.5


def test_mean_trigger_over_time_has_gaps_where_there_was_no_batch() -> None:
    window, telemetry = JobWindow(), Telemetry()
    for at_ms, durations in [(0, [0.5]), (5_000, [0.4, 0.6]), (10_000, []), (15_000, [1.0])]:
        telemetry.observe(metrics.TRIGGER_S, metrics.TRIGGER_S.count(durations), sum(durations), "triggerExecution")
        window.take(sample(at_ms, telemetry))
    points = window.means_ms(metrics.TRIGGER_S, ("triggerExecution",), 5_000)
    assert points == [(5_000, pytest.approx(500)), (10_000, None), (15_000, pytest.approx(1_000))]


def test_quantile_of_nothing_is_unknown() -> None:
    assert quantile(metrics.TRIGGER_S, [0] * (len(metrics.TRIGGER_S.buckets) + 1), 0.5) is None
    assert JobWindow().grown(metrics.INPUT_RECORDS, 1_000) == {}
