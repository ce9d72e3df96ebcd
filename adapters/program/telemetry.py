"""Metrics of `adapters.program.metrics` in memory, and how Prometheus reads them."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from adapters.program.metrics import REGISTRY, Metric

Labels = tuple[str, ...]
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Telemetry(Collector):
    """Values of all metrics; safe to use from several threads.

    Counters without labels and histograms are there from the start at zero, so that an alarm can distinguish "none"
    from "no exporter".
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Metric, dict[Labels, float]] = defaultdict(dict)
        self._counts: dict[Metric, dict[Labels, npt.NDArray[np.int64]]] = defaultdict(dict)
        for metric in REGISTRY:
            if not metric.labels and metric.kind == "counter":
                self._values[metric][()] = 0.0
            if not metric.labels and metric.kind == "histogram":
                self._counts[metric][()] = np.zeros(len(metric.buckets) + 1, np.int64)

    def add(self, metric: Metric, amount: float, *labels: str) -> None:
        """Raises a counter.

        Args:
            metric: of `adapters.program.metrics`.
            amount: by how much, not negative.
            labels: values in the order of the metric's labels.
        """
        with self._lock:
            series = self._values[metric]
            series[labels] = series.get(labels, 0.0) + amount

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Sets a gauge."""
        with self._lock:
            self._values[metric][labels] = value

    def observe(self, metric: Metric, counts: Sequence[int], total: float, *labels: str) -> None:
        """Adds observations to a histogram.

        Args:
            metric: of `adapters.program.metrics`.
            counts: observations by bucket, one more than bounds (`bucket_counts`).
            total: their sum.
            labels: values in the order of the metric's labels.
        """
        with self._lock:
            series = self._counts[metric]
            series[labels] = series.get(labels, 0) + np.asarray(counts, np.int64)
            sums = self._values[metric]
            sums[labels] = sums.get(labels, 0.0) + total

    def collect(self) -> Iterator[Family]:
        """The families that Prometheus reads."""
        with self._lock:
            families = [self._family(metric) for metric in REGISTRY]
        yield from families

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def _family(self, metric: Metric) -> Family:
        if metric.kind == "histogram":
            histogram = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            bounds = [f"{bound:g}" for bound in metric.buckets] + ["+Inf"]
            for labels, counts in self._counts[metric].items():
                cumulative = zip(bounds, np.cumsum(counts).tolist(), strict=True)
                histogram.add_metric(labels, list(cumulative), self._values[metric].get(labels, 0.0))
            return histogram
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.meaning, labels=metric.labels)
        for labels, value in self._values[metric].items():
            family.add_metric(labels, value)
        return family
