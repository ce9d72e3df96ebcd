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
DEAD_LETTERS = Metric("fraud_dead_letters_total", "counter", "records refused", ("reason",))
ALERTS_PUT = Metric("fraud_alerts_put_total", "counter", "alerts newly written to the alert store")
SCORED = Metric("fraud_scored_total", "counter", "transactions by what scored them", ("scored_by",))
INEXACT = Metric("fraud_inexact_total", "counter", "decisions whose windows were cut by the state bound", ("entity",))
RULES = Metric(
    "fraud_rules_total",
    "counter",
    "transactions by what a rule did: fired, shadow, silenced by an allow-list, or undefined",
    ("rule", "result"),
)
EVENT_TO_ALERT_S = Metric(
    "fraud_event_to_alert_seconds", "histogram", "from sent_at to the alert readable", (), _LATENCY_S
)
EVENT_TO_DECISION_S = Metric(
    "fraud_event_to_decision_seconds", "histogram", "from sent_at to the decision stored", (), _LATENCY_S
)
TRIGGER_S = Metric("fraud_trigger_seconds", "histogram", "duration of a micro-batch by phase", ("phase",), _LATENCY_S)
LATENCY_BUDGET_S = Metric(
    "fraud_latency_budget_seconds",
    "histogram",
    "mean share of each phase in the time from sent_at to the alerts readable, of each micro-batch",
    ("phase",),
    _LATENCY_S,
)
SOURCE_LAG_MS = Metric("fraud_source_lag_milliseconds", "gauge", "how far behind a shard's tip", ("stream", "shard"))
SOURCE_RECORDS_BEHIND = Metric(
    "fraud_source_lag_records", "gauge", "records of a shard not yet in a batch", ("stream", "shard")
)
SOURCE_BUFFER_BYTES = Metric(
    "fraud_source_buffer_bytes", "gauge", "fetched from a shard and not yet committed", ("stream", "shard")
)
SOURCE_FETCH_MS = Metric("fraud_source_fetch_milliseconds", "gauge", "last read of a shard", ("stream", "shard"))
SOURCE_READS = Metric(
    "fraud_source_reads_total", "counter", "reads of a shard by how they ended", ("stream", "shard", "result")
)
INPUT_RECORDS = Metric("fraud_input_records_total", "counter", "records read from the streams")
SINK_RETRIES = Metric("fraud_sink_retries_total", "counter", "sink calls tried again", ("sink",))
ENDPOINT_S = Metric(
    "fraud_endpoint_seconds", "histogram", "an attempt to call the model endpoint that was answered", (), _CALL_S
)
ENDPOINT_RETRIES = Metric("fraud_endpoint_retries_total", "counter", "calls of the model endpoint tried again")
ENDPOINT_FALLBACKS = Metric(
    "fraud_endpoint_fallbacks_total", "counter", "batches that the model endpoint did not score", ("reason",)
)

STATE_BYTES = Metric("fraud_state_memory_bytes", "gauge", "memory of keyed state", ("operator",))

DRIFT_INDEX = Metric(
    "fraud_drift_stability_index", "gauge", "population stability index against the reference window", ("what",)
)
DRIFT_USUAL = Metric(
    "fraud_drift_usual_index", "gauge", "what the stability index stays below where nothing drifts", ("what",)
)
ALERT_RATE = Metric("fraud_drift_alert_ratio", "gauge", "alerts per transaction", ("window",))

REGISTRY: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All metrics, in the order of this file."""
