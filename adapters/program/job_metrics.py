"""Reads the metrics that the job serves at its health address."""

from __future__ import annotations

import json
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from adapters.program.metrics import REGISTRY, Metric
from fraud.settings import Settings

_TIMEOUT_S = 5.0
_LABELS = {metric.name: metric.labels for metric in REGISTRY}

Labels = tuple[str, ...]
"""Values in the order of the metric's labels."""


@dataclass(frozen=True)
class Sample:
    """All metrics at one time.

    Attributes:
        at_ms: when they were read.
        values: of counters and gauges, and sums of histograms, by metric and labels.
        counts: observations of histograms by bucket, one more than bounds.
        silent_s: since the query's last sign of life.
    """

    at_ms: int
    values: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)
    counts: Mapping[str, Mapping[Labels, list[int]]] = field(default_factory=dict)
    silent_s: float = 0.0

    def value(self, metric: Metric) -> Mapping[Labels, float]:
        """A counter's or gauge's values by labels."""
        return self.values.get(metric.name, {})

    def total(self, metric: Metric) -> float:
        """A counter over all labels."""
        return sum(self.value(metric).values())

    def histogram(self, metric: Metric) -> Mapping[Labels, list[int]]:
        """A histogram's observations by labels and bucket."""
        return self.counts.get(metric.name, {})


def job_url(settings: Settings) -> str | None:
    """The URL of the job's metrics; None where nothing is configured."""
    if settings.console.job_url is not None:
        return settings.console.job_url
    return f"http://127.0.0.1:{settings.health.port}" if settings.health.port else None


class JobAddress:
    """The job's health address.

    Args:
        url: `http://host:port`.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def read(self, at_ms: int) -> Sample:
        """Reads all metrics.

        Raises:
            OSError: nothing answers there.
            ValueError: something else answers.
        """
        pulse: dict[str, Any] = json.loads(self._get("/lag"))
        return parse(self._get("/metrics"), at_ms, float(pulse["silent_s"]))

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self._url + path, timeout=_TIMEOUT_S) as answer:
            return bytes(answer.read()).decode()


def parse(exposition: str, at_ms: int, silent_s: float = 0.0) -> Sample:
    """A sample from Prometheus' text format.

    >>> text = "# TYPE fraud_input_records_total counter\\nfraud_input_records_total 7\\n"
    >>> parse(text, 0).values["fraud_input_records_total"][()]
    7.0
    """
    values: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    cumulative: defaultdict[str, defaultdict[Labels, list[int]]] = defaultdict(lambda: defaultdict(list))
    for family in text_string_to_metric_families(exposition):
        for name, labels, value, *_ in family.samples:
            order = _LABELS.get(name) or _LABELS.get(family.name) or ()
            key = tuple(labels.get(label, "") for label in order)
            if name.endswith("_bucket"):
                cumulative[family.name][key].append(int(value))
            elif name.endswith("_sum"):
                values[family.name][key] = float(value)
            elif not name.endswith("_count"):
                values[name][key] = float(value)
    counts = {
        name: {
            key: [after - before for before, after in zip([0, *line], line, strict=False)] for key, line in of.items()
        }
        for name, of in cumulative.items()
    }
    return Sample(at_ms, values, counts, silent_s)
