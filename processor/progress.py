"""Reports each micro-batch: in the log, in the metrics, and as a sign of life."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import structlog
from pyspark import SparkContext
from pyspark.sql.streaming import StreamingQueryListener
from pyspark.sql.streaming.listener import (
    JStreamingQueryListener,
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryProgress,
)

from adapters.program import metrics
from adapters.program.telemetry import Telemetry
from fraud.decision.record import Outcome
from fraud.errors import ServiceError
from fraud.records import notes
from fraud.records.dead_letter import Reason
from processor.health import Pulse
from processor.sink.report import BatchReports, Committed, GroupSize, Moments

log = structlog.get_logger()

_PLANNING = ("latestOffset", "walCommit", "getBatch", "queryPlanning")
"""Phases of a micro-batch before its tasks start."""

_KNOWN_LABELS: dict[metrics.Metric, Sequence[str]] = {
    metrics.TRANSACTIONS_DECIDED: [outcome.label for outcome in Outcome],
    metrics.DEAD_LETTERS: list(Reason),
    metrics.RECORDS_NOTED: list(notes.Note),
}
"""Series that are there from the start at zero, so that an alarm can distinguish "none" from "no job"."""

_WAY_OUT = {
    notes.Note.RECORDED_ARRIVAL_IGNORED.value: (
        "set job.recorded_arrival to true where replays and generated runs are trusted"
    ),
    notes.Note.ANSWER_UNVERIFIED.value: (
        "give the job every key that a decision service signs with (answers.keys); without, these were decided here"
    ),
    notes.Note.ANSWER_UNREADABLE.value: "upgrade the job before its decision services; these were decided here",
}
"""What to do about a note, where its setting is the one to look at."""

_SIZES = {
    metrics.STATE_KEYS: "keys",
    metrics.STATE_EVENTS: "events",
    metrics.STATE_COPY_BYTES: "copy_bytes",
    metrics.STATE_LOG_BYTES: "log_bytes",
    metrics.STATE_OWED_BYTES: "owed_bytes",
}
"""What is summed over the key groups of an entity."""

NOTE_EVERY_S = 60.0

Note = Callable[[int, dict[str, int]], None]


class _Events(JStreamingQueryListener):
    """Takes a micro-batch's progress over as one text.

    PySpark asks the JVM for each of its many fields, and the JVM then looks through all jars: a third of its work.
    """

    def onQueryProgress(self, jevent: Any) -> None:  # noqa: N802 - Spark's name
        self.pylistener.onQueryProgress(QueryProgressEvent.fromJson(json.loads(jevent.json())))


class ProgressObserver(StreamingQueryListener):
    """Logs a line for each batch that had records, and feeds metrics and health.

    Args:
        telemetry: takes the counts.
        pulse: takes the signs of life.
        reports: what the sink committed.
        receivers: names of those that get the alerts.
        note: now and then takes how many batches are committed and how many records of each shard they have read.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        pulse: Pulse,
        reports: BatchReports,
        receivers: Sequence[str] = (),
        note: Note = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._telemetry = telemetry
        self._pulse = pulse
        self._reports = reports
        self._note = note
        self._clock = clock
        self._noted_at = -NOTE_EVERY_S
        self._reads: dict[tuple[str, str, str], int] = {}
        self._said: set[str] = set()
        self._sizes: dict[tuple[str, int], GroupSize] = {}
        known = _KNOWN_LABELS | {metrics.ALERTS_PUT: receivers, metrics.SINK_RETRIES: ["s3", *receivers]}
        for metric, labels in known.items():
            for label in labels:
                telemetry.add(metric, 0.0, label)

    @cached_property
    def _jlistener(self) -> Any:
        jvm: Any = SparkContext._jvm
        return jvm.PythonStreamingQueryListenerWrapper(_Events(self))

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802, ARG002 - Spark's names
        """The start is logged by the program."""
        self._pulse.beat()

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802 - Spark's name
        """Takes up a batch."""
        progress = event.progress
        self._pulse.beat()
        self._pulse.ready = True
        for batch, committed in self._reports.take():
            record_committed(self._telemetry, committed)
            self._record_sizes(committed.sizes)
            self._say_once(committed)
            if batch == progress.batchId:
                self._record_budget(committed.moments, progress)
        self._record_progress(progress)
        if self._clock() - self._noted_at >= NOTE_EVERY_S:
            self._noted_at = self._clock()
            self._leave_note(progress)
        if records := _records_of(progress):
            log.info("batch", batch=progress.batchId, records=records, ms=dict(progress.durationMs))

    def onQueryIdle(self, event: QueryIdleEvent) -> None:  # noqa: N802, ARG002 - Spark's names
        """Nothing to do is a sign of life, too."""
        self._pulse.beat()
        self._pulse.ready = True

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802 - Spark's name
        """The end is logged by the program."""

    def _say_once(self, committed: Committed) -> None:
        """Logs what a setting would change, when it is first met; the metrics count each record."""
        new = [note for note in committed.notes if note in _WAY_OUT and note not in self._said]
        for note in new:
            self._said.add(note)
            log.warning(note, records=committed.notes[note], way_out=_WAY_OUT[note])

    def _record_sizes(self, sizes: Sequence[GroupSize]) -> None:
        """What the state takes, by entity: over all key groups that have said so since the start."""
        self._sizes |= {(size.entity, size.key_group): size for size in sizes}
        for entity in {size.entity for size in sizes}:
            known = [size for size in self._sizes.values() if size.entity == entity]
            for metric, name in _SIZES.items():
                self._telemetry.set(metric, sum(getattr(size, name) for size in known), entity)
            self._telemetry.set(metrics.STATE_LARGEST_LOG_BYTES, max(size.log_bytes for size in known), entity)
        if sizes:
            self._telemetry.set(metrics.STATE_FREE_BYTES, min(size.free_bytes for size in self._sizes.values()))

    def _record_budget(self, moments: Moments, progress: StreamingQueryProgress) -> None:
        plan_ms = sum(progress.durationMs.get(phase, 0) for phase in _PLANNING)
        for phase, seconds in moments.budget_s(_epoch_ms(progress.timestamp), plan_ms).items():
            self._telemetry.observe(metrics.LATENCY_BUDGET_S, metrics.LATENCY_BUDGET_S.count([seconds]), seconds, phase)

    def _record_progress(self, progress: StreamingQueryProgress) -> None:
        for phase, duration_ms in progress.durationMs.items():
            seconds = duration_ms / 1000
            self._telemetry.observe(metrics.TRIGGER_S, metrics.TRIGGER_S.count([seconds]), seconds, phase)
        for operator in progress.stateOperators:
            self._telemetry.set(metrics.STATE_BYTES, operator.memoryUsedBytes, operator.operatorName)
        self._telemetry.add(metrics.INPUT_RECORDS, _records_of(progress))
        for source in progress.sources:
            self._record_lag(json.loads(source.endOffset), _epoch_ms(progress.timestamp))
            self._record_fetching(_json_object(source.latestOffset))

    def _leave_note(self, progress: StreamingQueryProgress) -> None:
        records = {
            f"{stream}/{shard}": position.get("records", 0)
            for source in progress.sources
            for stream, shards in json.loads(source.endOffset).items()
            for shard, position in shards.items()
        }
        if None in records.values():
            return  # executors read: nobody counted before the records were stored
        try:
            self._note(progress.batchId + 1, records)
        except ServiceError as error:
            log.warning("offsets_not_noted", batch=progress.batchId, problem=str(error))

    def _record_lag(self, offsets: Mapping[str, Mapping[str, Mapping[str, Any]]], began_ms: int) -> None:
        """How far the batch's beginning was ahead of what it has read, for each shard that goes on."""
        lag_ms = {
            (stream, shard): max(0, began_ms - position["read_until_ms"])
            for stream, shards in offsets.items()
            for shard, position in shards.items()
            if not position["closed"] and position["read_until_ms"]
        }
        for (stream, shard), behind_ms in lag_ms.items():
            self._telemetry.set(metrics.SOURCE_LAG_MS, behind_ms, stream, shard)
        self._pulse.lag_ms = {f"{stream}/{shard}": behind_ms for (stream, shard), behind_ms in lag_ms.items()}

    def _record_fetching(self, health: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        """What the source says of each shard (`processor.kinesis_source.fetch.ShardHealth`)."""
        for stream, shards in health.items():
            for shard, state in shards.items():
                self._telemetry.set(metrics.SOURCE_RECORDS_BEHIND, state["lag_records"], stream, shard)
                self._telemetry.set(metrics.SOURCE_BUFFER_BYTES, state["buffer_bytes"], stream, shard)
                self._telemetry.set(metrics.SOURCE_FETCH_MS, state["fetch_ms"], stream, shard)
                full = state["reads"] - state["empty_reads"]
                counts = {"records": full, "empty": state["empty_reads"]}
                counts |= {"throttled": state["throttles"], "failed": state["failures"]}
                for result, count in counts.items():
                    before = self._reads.get((stream, shard, result), 0)
                    self._reads[stream, shard, result] = int(count)
                    # A restarted fetcher counts from zero again.
                    grown = count - before if count >= before else count
                    self._telemetry.add(metrics.SOURCE_READS, grown, stream, shard, result)


def record_committed(telemetry: Telemetry, committed: Committed) -> None:
    """Adds what a batch committed to the metrics."""
    by_label = (
        (metrics.TRANSACTIONS_DECIDED, committed.outcomes),
        (metrics.SCORED, committed.scored_by),
        (metrics.ENDPOINT_FALLBACKS, committed.endpoint.fallbacks),
        (metrics.INEXACT, committed.inexact),
        (metrics.DEAD_LETTERS, committed.dead_letters),
        (metrics.RECORDS_NOTED, committed.notes),
        (metrics.ALERTS_PUT, committed.alerts_put),
        (metrics.SINK_RETRIES, committed.retries),
    )
    for metric, counts in by_label:
        for label, count in counts.items():
            telemetry.add(metric, count, label)
    for result, counts in committed.rules.items():
        for rule, count in counts.items():
            telemetry.add(metrics.RULES, count, rule, result)
    telemetry.add(metrics.ANSWERED, committed.answered)
    telemetry.add(metrics.ENDPOINT_RETRIES, committed.endpoint.retries)
    telemetry.observe(metrics.ENDPOINT_S, committed.endpoint.answered.counts, committed.endpoint.answered.total_s)
    telemetry.observe(metrics.EVENT_TO_DECISION_S, committed.decision.counts, committed.decision.total_s)
    telemetry.observe(metrics.EVENT_TO_ALERT_S, committed.alert.counts, committed.alert.total_s)


def _records_of(progress: StreamingQueryProgress) -> int:
    """How many records the offsets of a batch span.

    Spark's own count, `numInputRows`, has those of a lost executor's tasks twice; it counts where executors read, whose
    records the offsets do not know.
    """
    total = 0
    for source in progress.sources:
        before = _json_object(source.startOffset)
        for stream, shards in json.loads(source.endOffset).items():
            for shard, position in shards.items():
                if position["records"] is None:
                    return int(progress.numInputRows)
                total += position["records"] - before.get(stream, {}).get(shard, {}).get("records", 0)
    return total


def _epoch_ms(timestamp: str) -> int:
    return int(dt.datetime.fromisoformat(timestamp).timestamp() * 1000)


def _json_object(text: str | None) -> dict[str, Any]:
    """What a source reports; a batch that was repeated after a restart shows no JSON, as nothing was fetched yet."""
    try:
        found = json.loads(text or "null")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
