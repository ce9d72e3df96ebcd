"""The registry of metrics: name, kind, unit, labels and meaning. Dashboards and alarms refer to these only."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Metric:
    """One metric; `name` follows Prometheus naming (unit as suffix, `_total` for counters)."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def count(self, values: Iterable[float]) -> list[int]:
        """How many values fall into each bucket of a histogram; the last count is of those above all bounds.

        >>> Metric("fraud_seconds", "histogram", "", (), (0.5, 1.0)).count([0.1, 0.5, 0.7, 3.0])
        [2, 1, 1]
        """
        counts = [0] * (len(self.buckets) + 1)
        for value in values:
            counts[bisect_left(self.buckets, value)] += 1
        return counts


_LATENCY_S = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_CALL_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)

TRANSACTIONS_DECIDED = Metric("fraud_transactions_decided_total", "counter", "decisions stored", ("outcome",))
ANSWERED = Metric(
    "fraud_answered_total", "counter", "decisions stored that were answered in the call, as they were answered"
)
DEAD_LETTERS = Metric("fraud_dead_letters_total", "counter", "records refused", ("reason",))
RECORDS_NOTED = Metric(
    "fraud_records_noted_total",
    "counter",
    "records about which something was noticed that did not refuse them, by what it was",
    ("note",),
)
ALERTS_PUT = Metric("fraud_alerts_put_total", "counter", "alerts newly taken by a receiver", ("receiver",))
SCORED = Metric("fraud_scored_total", "counter", "transactions by what scored them", ("scored_by",))
INEXACT = Metric(
    "fraud_inexact_total",
    "counter",
    "decisions with a window that the bounded state could not hold in full",
    ("entity",),
)
RULES = Metric(
    "fraud_rules_total",
    "counter",
    "transactions by what a rule did: fired, shadow (lists and thresholds, too), suppressed by an allow list, "
    "or undefined",
    ("rule", "result"),
)
EVENT_TO_ALERT_S = Metric(
    "fraud_event_to_alert_seconds", "histogram", "from sent_at until every receiver has the alert", (), _LATENCY_S
)
EVENT_TO_DECISION_S = Metric(
    "fraud_event_to_decision_seconds", "histogram", "from sent_at to the stored decision", (), _LATENCY_S
)
TRIGGER_S = Metric("fraud_trigger_seconds", "histogram", "duration of a micro-batch by phase", ("phase",), _LATENCY_S)
LATENCY_BUDGET_S = Metric(
    "fraud_latency_budget_seconds",
    "histogram",
    "mean time of each phase between sent_at and readable alerts, for each micro-batch",
    ("phase",),
    _LATENCY_S,
)
SOURCE_LAG_MS = Metric(
    "fraud_source_lag_milliseconds", "gauge", "how far the job is behind a shard's tip", ("stream", "shard")
)
SOURCE_RECORDS_BEHIND = Metric(
    "fraud_source_lag_records", "gauge", "records of a shard not yet in a batch", ("stream", "shard")
)
SOURCE_BUFFER_BYTES = Metric(
    "fraud_source_buffer_bytes", "gauge", "bytes fetched from a shard and not yet committed", ("stream", "shard")
)
SOURCE_FETCH_MS = Metric(
    "fraud_source_fetch_milliseconds", "gauge", "duration of the last read of a shard", ("stream", "shard")
)
SOURCE_READS = Metric(
    "fraud_source_reads_total", "counter", "reads of a shard by result", ("stream", "shard", "result")
)
INPUT_RECORDS = Metric("fraud_input_records_total", "counter", "records read from the streams")
SINK_RETRIES = Metric("fraud_sink_retries_total", "counter", "retried sink calls", ("sink",))
ENDPOINT_S = Metric(
    "fraud_endpoint_seconds", "histogram", "duration of answered calls of the model endpoint", (), _CALL_S
)
ENDPOINT_RETRIES = Metric("fraud_endpoint_retries_total", "counter", "retried calls of the model endpoint")
ENDPOINT_FALLBACKS = Metric(
    "fraud_endpoint_fallbacks_total", "counter", "batches that the model endpoint did not score", ("reason",)
)

_ANSWER_S = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
DECIDE_ANSWERS = Metric(
    "fraud_decide_answers_total", "counter", "requests answered by the decision service", ("status",)
)
DECIDE_FRAUDDETECTOR = Metric(
    "fraud_decide_frauddetector_total",
    "counter",
    "calls of the API of Amazon Fraud Detector by operation and error code, none where answered",
    ("operation", "code"),
)
DECIDE_S = Metric("fraud_decide_seconds", "histogram", "from the head of a request to its answer", (), _ANSWER_S)
DECIDE_STAGE_S = Metric(
    "fraud_decide_stage_seconds_total",
    "counter",
    "processor time of decisions by stage, measured on one decision in sixteen, and the time until they are durable",
    ("stage",),
)
DECIDE_PROCESSOR_S = Metric(
    "fraud_decide_processor_seconds_total", "counter", "processor time of the decision service by thread", ("thread",)
)
DECIDE_LAG_MS = Metric(
    "fraud_decide_lag_milliseconds", "gauge", "how far the decision service is behind what others write"
)
DECIDE_UNSHIPPED_BYTES = Metric(
    "fraud_decide_unshipped_bytes", "gauge", "bytes in the journal that are not on the stream yet"
)

EVENTS_COLLECTED = Metric("fraud_events_collected_total", "counter", "references written to the outbox of events")
EVENTS_DELIVERED = Metric("fraud_events_delivered_total", "counter", "events taken by a receiver", ("receiver",))
EVENTS_RETRIES = Metric(
    "fraud_events_retries_total", "counter", "events sent again after a receiver did not take them", ("receiver",)
)
EVENTS_LAG_MS = Metric(
    "fraud_events_lag_milliseconds",
    "gauge",
    "age of the oldest outbox entry that a receiver has not had",
    ("receiver",),
)
EVENTS_PAUSED = Metric("fraud_events_paused", "gauge", "1 while a receiver is paused, else 0", ("receiver",))

STATE_BYTES = Metric("fraud_state_memory_bytes", "gauge", "memory of keyed state", ("operator",))
STATE_KEYS = Metric("fraud_state_keys", "gauge", "cards, merchants, ... in the state", ("entity",))
STATE_EVENTS = Metric("fraud_state_events", "gauge", "events remembered in the state", ("entity",))
STATE_COPY_BYTES = Metric("fraud_state_copy_bytes", "gauge", "bytes in use in local copies of the state", ("entity",))
STATE_LOG_BYTES = Metric(
    "fraud_state_log_bytes", "gauge", "bytes of the state's logs, which a rebuild reads", ("entity",)
)
STATE_LARGEST_LOG_BYTES = Metric(
    "fraud_state_largest_log_bytes", "gauge", "bytes of the largest log of one key group", ("entity",)
)
STATE_OWED_BYTES = Metric(
    "fraud_state_owed_bytes", "gauge", "bytes that were logged and wait to be compacted", ("entity",)
)
STATE_FREE_BYTES = Metric(
    "fraud_state_volume_free_bytes", "gauge", "bytes left on the fullest volume that has local copies of the state"
)

DRIFT_INDEX = Metric(
    "fraud_drift_stability_index", "gauge", "population stability index against the reference window", ("what",)
)
DRIFT_USUAL = Metric(
    "fraud_drift_usual_index", "gauge", "bound that the stability index stays below if nothing drifts", ("what",)
)
ALERT_RATE = Metric("fraud_drift_alert_ratio", "gauge", "alerts per transaction", ("window",))

REGISTRY: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All metrics, in the order of this file."""
