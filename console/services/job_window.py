"""What the job's counters and histograms say of the last minutes: differences between samples."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from adapters.program.job_metrics import Labels, Sample
from adapters.program.metrics import Metric

_KEEP_MS = 15 * 60_000


class JobWindow:
    """Samples of the last quarter of an hour; a job that restarted begins a new window.

    Attributes:
        latest: None before the first.
    """

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()
        self._begin: Sample | None = None
        self.latest: Sample | None = None

    def take(self, sample: Sample) -> None:
        """Adds a sample."""
        if self.latest is None:
            self._begin = sample  # what a job counted before anybody looked was not counted lately
        elif _restarted(self.latest, sample):
            self._samples.clear()
            self._begin = Sample(self.latest.at_ms)
        self._samples.append(sample)
        while self._samples[0].at_ms < sample.at_ms - _KEEP_MS:
            self._samples.popleft()
        self.latest = sample

    def _before(self, span_ms: int) -> Sample:
        """The sample that a span up to the latest begins with; the first one where the window is shorter."""
        assert self.latest is not None
        assert self._begin is not None
        begin_ms = self.latest.at_ms - span_ms
        older = [sample for sample in list(self._samples) if sample.at_ms <= begin_ms]
        return older[-1] if older else self._begin

    def grown(self, metric: Metric, span_ms: int) -> dict[Labels, float]:
        """How much a counter, or the sum of a histogram, grew within a span, by labels."""
        if self.latest is None:
            return {}
        before = self._before(span_ms).value(metric)
        return {labels: value - before.get(labels, 0.0) for labels, value in self.latest.value(metric).items()}

    def observed(self, metric: Metric, span_ms: int) -> dict[Labels, list[int]]:
        """A histogram's observations within a span, by labels and bucket."""
        if self.latest is None:
            return {}
        before = self._before(span_ms).histogram(metric)
        return {
            labels: [now - then for now, then in zip(counts, before.get(labels, [0] * len(counts)), strict=True)]
            for labels, counts in self.latest.histogram(metric).items()
        }

    def means_ms(self, metric: Metric, labels: Labels, every_ms: int) -> list[tuple[int, float | None]]:
        """The mean of a histogram in seconds over time, in milliseconds: a point for each so many milliseconds."""
        chosen: list[Sample] = []
        for sample in list(self._samples):
            if not chosen or sample.at_ms - chosen[-1].at_ms >= every_ms:
                chosen.append(sample)
        points = []
        for before, after in pairwise(chosen):
            count = sum(after.histogram(metric).get(labels, [])) - sum(before.histogram(metric).get(labels, []))
            total = after.value(metric).get(labels, 0.0) - before.value(metric).get(labels, 0.0)
            points.append((after.at_ms, total / count * 1000 if count else None))
        return points


def quantile(metric: Metric, counts: list[int], share: float) -> float | None:
    """A quantile of a histogram, in its unit, by linear interpolation inside a bucket; None without observations.

    Above the last bound it is that bound.

    >>> quantile(Metric("fraud_seconds", "histogram", "", (), (1.0, 2.0)), [0, 10, 0], 0.5)
    1.5
    """
    total = sum(counts)
    if total == 0:
        return None
    wanted, seen, low = share * total, 0, 0.0
    for bound, count in zip(metric.buckets, counts, strict=False):
        if count and seen + count >= wanted:
            return low + (bound - low) * (wanted - seen) / count
        seen, low = seen + count, bound
    return metric.buckets[-1]


def _restarted(before: Sample, after: Sample) -> bool:
    return any(
        sum(counts) < sum(before.counts.get(name, {}).get(labels, []))
        for name, of in after.counts.items()
        for labels, counts in of.items()
    )
