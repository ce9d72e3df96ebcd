"""How the system runs: shards, triggers, state, what scores, versions; from the job's metrics and the archive."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from adapters.program import metrics
from adapters.program.metrics import Metric
from console.services.job_window import JobWindow, quantile
from console.services.reach import Clock, Reach
from fraud.decision.record import ScoredBy
from fraud.settings import Model

_SPAN_MS = 5 * 60_000
_SCORED_MS = 60_000
_STEP_MS = 5_000
_WHOLE = "triggerExecution"


class SystemBoard:
    """What the System page shows.

    Args:
        query: the job's.
        model: what scores.
        stall_s: how long the job may be silent.
        clock: the time.
        job: samples of the job's metrics.
        reaches: by name, whether what the page is fed from can be reached.
        versions: of the latest decision.
    """

    def __init__(
        self,
        query: str,
        model: Model,
        stall_s: float,
        clock: Clock,
        job: JobWindow,
        reaches: Mapping[str, Callable[[], Reach]],
        versions: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._query = query
        self._model = model
        self._stall_s = stall_s
        self._clock = clock
        self._job = job
        self._reaches = reaches
        self._versions = versions

    def snapshot(self) -> dict[str, Any]:
        """All that the page shows, but for single dead letters."""
        latest = self._job.latest
        return {
            "reach": {name: reach()._asdict() for name, reach in self._reaches.items()},
            "read_ms": None if latest is None else latest.at_ms,
            "silent_s": None if latest is None else latest.silent_s,
            "stall_s": self._stall_s,
            "span_s": _SPAN_MS // 1000,
            "shards": self._shards(),
            "phases": self._phases(),
            "triggers": self._job.means_ms(metrics.TRIGGER_S, (_WHOLE,), _STEP_MS),
            "state": self._state(),
            "scoring": self._scoring(),
            "retries": {labels[0]: int(count) for labels, count in self._total(metrics.SINK_RETRIES).items()},
            "versions": self._shown_versions(),
        }

    def _total(self, metric: Metric) -> Mapping[tuple[str, ...], float]:
        return {} if self._job.latest is None else self._job.latest.value(metric)

    def _shards(self) -> list[dict[str, Any]]:
        gauges = {
            "lag_ms": metrics.SOURCE_LAG_MS,
            "lag_records": metrics.SOURCE_RECORDS_BEHIND,
            "buffer_bytes": metrics.SOURCE_BUFFER_BYTES,
            "fetch_ms": metrics.SOURCE_FETCH_MS,
        }
        values = {name: self._total(metric) for name, metric in gauges.items()}
        reads = self._job.grown(metrics.SOURCE_READS, _SPAN_MS)
        shards = sorted({labels for of in values.values() for labels in of})
        return [
            {
                "stream": stream,
                "shard": shard,
                **{name: of.get((stream, shard)) for name, of in values.items()},
                "throttled": int(reads.get((stream, shard, "throttled"), 0)),
                "failed": int(reads.get((stream, shard, "failed"), 0)),
            }
            for stream, shard in shards
        ]

    def _phases(self) -> list[dict[str, Any]]:
        """Mean and 99th percentile of each phase of a micro-batch, the longest first."""
        sums = self._job.grown(metrics.TRIGGER_S, _SPAN_MS)
        phases = []
        for labels, counts in self._job.observed(metrics.TRIGGER_S, _SPAN_MS).items():
            count = sum(counts)
            p99 = quantile(metrics.TRIGGER_S, counts, 0.99)
            if count and p99 is not None:
                mean_ms = sums.get(labels, 0.0) / count * 1000
                phases.append({"phase": labels[0], "batches": count, "mean_ms": mean_ms, "p99_ms": p99 * 1000})
        return sorted(phases, key=lambda phase: -float(phase["mean_ms"]))

    def _state(self) -> list[dict[str, Any]]:
        sizes = sorted(self._total(metrics.STATE_BYTES).items())
        return [{"operator": labels[0], "bytes": int(size)} for labels, size in sizes]

    def _scoring(self) -> dict[str, Any]:
        """What scored lately, against what should: anything else is a fallback."""
        model = self._model
        expected = ScoredBy.RULES_ONLY if not model.artifact else ScoredBy.IN_PROCESS
        if model.endpoint is not None:
            expected = ScoredBy.ENDPOINT
        lately = {labels[0]: int(count) for labels, count in self._job.grown(metrics.SCORED, _SCORED_MS).items()}
        calls = self._job.observed(metrics.ENDPOINT_S, _SPAN_MS).get((), [])
        fallbacks = self._job.grown(metrics.ENDPOINT_FALLBACKS, _SPAN_MS)
        return {
            "expected": expected.value,
            "endpoint": model.endpoint,
            "lately": {kind.value: lately.get(kind.value, 0) for kind in ScoredBy},
            "total": {labels[0]: int(count) for labels, count in self._total(metrics.SCORED).items()},
            "calls": sum(calls),
            "call_p50_ms": _milliseconds(quantile(metrics.ENDPOINT_S, calls, 0.5)),
            "call_p99_ms": _milliseconds(quantile(metrics.ENDPOINT_S, calls, 0.99)),
            "call_retries": int(sum(self._job.grown(metrics.ENDPOINT_RETRIES, _SPAN_MS).values())),
            "fallbacks": {labels[0]: int(count) for labels, count in fallbacks.items() if count},
        }

    def _shown_versions(self) -> dict[str, Any]:
        return {
            "program": version("card-fraud-streaming"),
            "python": platform.python_version(),
            "query": self._query,
            **self._versions(),
        }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
