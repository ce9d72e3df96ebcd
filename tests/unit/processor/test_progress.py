"""What a batch's progress becomes: metrics of the source, from what Spark reports."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from msgspec import structs

from adapters.program.telemetry import Telemetry
from fraud.errors import UnavailableError
from processor.health import Pulse
from processor.progress import ProgressObserver
from processor.sink.report import BatchReports, Committed, GroupSize

END = {"tx": {"shard-1": {"after": "1", "closed": False, "read_until_ms": 1_000, "records": 40}}}
START = {"tx": {"shard-1": {"after": "0", "closed": False, "read_until_ms": 500, "records": 37}}}


def progress(health: dict[str, Any] | None, start: Any = START, end: Any = END) -> Any:
    source = SimpleNamespace(
        startOffset=json.dumps(start), endOffset=json.dumps(end), latestOffset=json.dumps(health) if health else None
    )
    fields = {"durationMs": {}, "stateOperators": [], "sources": [source], "batchId": 1}
    return SimpleNamespace(progress=SimpleNamespace(timestamp="1970-01-01T00:00:04.500Z", **fields))


def health(**changed: float) -> dict[str, Any]:
    state = {"lag_records": 7, "buffer_bytes": 512, "fetch_ms": 4.5, "reads": 10, "empty_reads": 4}
    return {"tx": {"shard-1": state | {"lag_ms": 0, "throttles": 2, "failures": 1} | changed}}


def test_lag_and_fetching_of_each_shard_become_metrics_and_counts_grow_across_restarts(
    tmp_path: Path,
) -> None:
    telemetry = Telemetry()
    observer = ProgressObserver(telemetry, Pulse(10.0), BatchReports(tmp_path))
    for state in (None, health(), health(reads=15, throttles=3), health(reads=1, empty_reads=1, throttles=0)):
        observer.onQueryProgress(progress(state))
    text = telemetry.exposition().decode()
    place = 'shard="shard-1",stream="tx"'
    assert f"fraud_source_lag_milliseconds{{{place}}} 3500.0" in text
    assert f"fraud_source_lag_records{{{place}}} 7.0" in text
    assert f"fraud_source_buffer_bytes{{{place}}} 512.0" in text
    assert f"fraud_source_fetch_milliseconds{{{place}}} 4.5" in text
    for result, count in {"records": 11, "empty": 5, "throttled": 3, "failed": 1}.items():
        assert f'fraud_source_reads_total{{result="{result}",{place}}} {count}.0' in text


def test_records_that_executors_read_are_counted_by_spark_and_leave_no_note(tmp_path: Path) -> None:
    telemetry, notes = Telemetry(), list[int]()
    note, clock = lambda batches, _: notes.append(batches), itertools.count(step=1_000).__next__
    observer = ProgressObserver(telemetry, Pulse(10.0), BatchReports(tmp_path), [], note, clock)
    read = progress(None, START, {"tx": {"shard-1": END["tx"]["shard-1"] | {"records": None}}})
    read.progress.numInputRows = 25
    observer.onQueryProgress(read)
    assert "fraud_input_records_total 25.0" in telemetry.exposition().decode()
    assert not notes
    observer.onQueryProgress(progress(None))
    assert notes == [2]


def test_sizes_of_key_groups_add_up_by_entity_and_the_last_of_each_counts(tmp_path: Path) -> None:
    telemetry, reports = Telemetry(), BatchReports(tmp_path)
    observer = ProgressObserver(telemetry, Pulse(10.0), reports)
    card = GroupSize("card", 0, keys=2, events=9, copy_bytes=900, log_bytes=500, owed_bytes=40, free_bytes=70)
    other = GroupSize("card", 1, keys=1, events=1, copy_bytes=100, log_bytes=700, owed_bytes=2, free_bytes=90)
    merchant = GroupSize("merchant", 0, keys=4, events=4, copy_bytes=40, log_bytes=10, owed_bytes=0, free_bytes=80)
    larger = structs.replace(card, events=10, copy_bytes=1_000, log_bytes=300, free_bytes=85)
    for batch, sizes in enumerate([[card, other, merchant], [], [larger]]):
        reports.leave(batch, Committed(sizes=sizes))
        observer.onQueryProgress(progress(None))
    text = telemetry.exposition().decode()
    for name, total in {"keys": 3, "events": 11, "copy_bytes": 1_100, "log_bytes": 1_000, "owed_bytes": 42}.items():
        assert f'fraud_state_{name}{{entity="card"}} {total}.0' in text
    assert 'fraud_state_largest_log_bytes{entity="card"} 700.0' in text
    assert 'fraud_state_events{entity="merchant"} 4.0' in text
    assert "fraud_state_volume_free_bytes 80.0" in text  # of the fullest volume, by what each said last


def test_a_repeated_batch_whose_source_has_fetched_nothing_is_taken_up(tmp_path: Path) -> None:
    telemetry = Telemetry()
    repeated = progress(None)
    repeated.progress.sources[0].latestOffset = "None"
    ProgressObserver(telemetry, Pulse(10.0), BatchReports(tmp_path)).onQueryProgress(repeated)
    assert "fraud_input_records_total 3.0" in telemetry.exposition().decode()


def test_records_are_those_that_the_offsets_span_however_often_tasks_ran(tmp_path: Path) -> None:
    telemetry = Telemetry()
    observer = ProgressObserver(telemetry, Pulse(10.0), BatchReports(tmp_path))
    new = {"tx": {"shard-2": {"after": "9", "closed": False, "read_until_ms": 1_000, "records": 5}}}
    observer.onQueryProgress(progress(None, start=None))  # the first batch, 40
    observer.onQueryProgress(progress(None))  # 40 - 37
    observer.onQueryProgress(progress(None, start=END, end=new))  # a drained shard is forgotten, its child gave 5
    assert "fraud_input_records_total 48.0" in telemetry.exposition().decode()


def test_offsets_are_noted_once_a_minute_and_a_failed_note_stops_nothing(tmp_path: Path) -> None:
    seconds = iter([0.0, 0.0, 59.0, 60.0, 60.0, 61.0, 120.0, 120.0])
    noted: list[tuple[int, dict[str, int]]] = []

    def note(batches: int, records: dict[str, int]) -> None:
        noted.append((batches, records))
        if len(noted) == 2:
            raise UnavailableError("s3", "PutObject", "EndpointConnectionError", "http://archive")

    observer = ProgressObserver(Telemetry(), Pulse(10.0), BatchReports(tmp_path), [], note, lambda: next(seconds))
    for _ in range(5):
        observer.onQueryProgress(progress(None))
    assert noted == [(2, {"tx/shard-1": 40})] * 3


def test_series_of_known_labels_are_there_at_zero_from_the_start(tmp_path: Path) -> None:
    telemetry = Telemetry()
    ProgressObserver(telemetry, Pulse(10.0), BatchReports(tmp_path), ["dynamodb"])
    lines = telemetry.exposition().decode().splitlines()
    for series in (
        'fraud_dead_letters_total{reason="oversize"}',
        'fraud_sink_retries_total{sink="s3"}',
        'fraud_sink_retries_total{sink="dynamodb"}',
        'fraud_alerts_put_total{receiver="dynamodb"}',
        'fraud_transactions_decided_total{outcome="decline"}',
    ):
        assert f"{series} 0.0" in lines
