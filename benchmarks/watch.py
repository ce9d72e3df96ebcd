"""What a running job has done and holds, looked at from outside: its metrics, and its processes in the system."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psutil
import typer
from prometheus_client.parser import text_string_to_metric_families

from adapters.program import metrics
from adapters.program.metrics import Metric

_LOOK_S = 1.0
_STALL_S = 120.0
_PARTS = 10

Samples = dict[tuple[str, str], float]
"""Values of the exposition by sample name and the label that matters (`le`, `phase`, `outcome`; empty without)."""


def read_samples(port: int) -> Samples:
    """What the job's metrics address shows now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        (sample.name, "".join(sample.labels.get(label, "") for label in ("phase", "outcome", "le"))): sample.value
        for family in families
        for sample in family.samples
    }


def decided(samples: Samples) -> int:
    """Transactions decided so far."""
    name = metrics.TRANSACTIONS_DECIDED.name
    return int(sum(value for (found, _), value in samples.items() if found == name))


def histogram(before: Samples, after: Samples, metric: Metric) -> dict[str, int]:
    """Observations in between by upper bound, of a metric whose only label is the bound."""
    bounds = [f"{bound:g}" for bound in metric.buckets] + ["+Inf"]
    cumulative = [int(_at(after, metric, bound) - _at(before, metric, bound)) for bound in bounds]
    return {bound: count - below for bound, count, below in zip(bounds, cumulative, [0, *cumulative], strict=False)}


def _at(samples: Samples, metric: Metric, bound: str) -> float:
    """The cumulative count, however the exposition writes the bound."""
    name = f"{metric.name}_bucket"
    return next(
        (value for (found, label), value in samples.items() if found == name and float(label) == float(bound)), 0.0
    )


def quantile_s(counts: dict[str, int], quantile: float) -> float | None:
    """A quantile of a histogram, by even spread inside its bucket; None without observations.

    >>> quantile_s({"1": 0, "2": 4, "+Inf": 0}, 0.5)
    1.5
    """
    left, below = quantile * sum(counts.values()), 0.0
    for bound, count in counts.items():
        if count and count >= left:
            return below if bound == "+Inf" else round(below + (float(bound) - below) * left / count, 3)
        left, below = left - count, float(bound)
    return None


def phases_ms(before: Samples, after: Samples, metric: Metric = metrics.TRIGGER_S) -> dict[str, float]:
    """Mean of each phase of a micro-batch in between."""
    total, count = f"{metric.name}_sum", f"{metric.name}_count"
    means = {}
    for name, phase in after:
        batches = after.get((count, phase), 0.0) - before.get((count, phase), 0.0)
        if name == total and batches:
            means[phase] = round(1000 * (after[name, phase] - before.get((name, phase), 0.0)) / batches, 1)
    return means


@dataclass(frozen=True)
class Look:
    """One look.

    Attributes:
        at_s: when, monotonic.
        samples: of its metrics.
        memory_mb: of the driver's Python, its JVM, and the Python workers; shared pages count once.
        files: open files of all of them.
        cpu_s: processor seconds that they have used.
    """

    at_s: float
    samples: Samples
    memory_mb: dict[str, float]
    files: int
    cpu_s: float

    @property
    def decided(self) -> int:
        """Transactions decided so far."""
        return decided(self.samples)

    @property
    def total_mb(self) -> float:
        """Memory of all processes."""
        return sum(self.memory_mb.values())


def tenths(looks: list[Look]) -> list[Look]:
    """The looks at the beginning of each tenth, and the last one."""
    return [looks[round(part * (len(looks) - 1) / _PARTS)] for part in range(_PARTS + 1)]


def between(before: Look, after: Look) -> dict[str, Any]:
    """What happened from one look to another, and what the job held at the latter."""
    to_alert = histogram(before.samples, after.samples, metrics.EVENT_TO_ALERT_S)
    return {
        "seconds": round(after.at_s - before.at_s, 1),
        "decided": after.decided - before.decided,
        "alerts": sum(to_alert.values()),
        "alert_p50_s": quantile_s(to_alert, 0.5),
        "alert_p99_s": quantile_s(to_alert, 0.99),
        "trigger_ms": phases_ms(before.samples, after.samples).get("triggerExecution"),
        "cores_used": round((after.cpu_s - before.cpu_s) / (after.at_s - before.at_s), 2),
        **{f"{role}_mb": round(size) for role, size in after.memory_mb.items()},
        "files": after.files,
    }


def course(cuts: list[Look]) -> list[dict[str, Any]]:
    """What happened from each look to the next."""
    return [between(before, after) for before, after in pairwise(cuts) if after != before]


def echo_figures(figures: dict[str, Any]) -> None:
    """Prints figures, a line each; of a course a line for each part."""
    for name, value in figures.items():
        typer.echo("\n".join(map(str, value)) if name == "course" else f"{name}: {value}")


class Watch:
    """Looks at a job again and again.

    Args:
        port: of its metrics.
        pid: of its driver; children count.

    Attributes:
        looks: so far.
    """

    def __init__(self, port: int, pid: int) -> None:
        self.looks: list[Look] = []
        self._port = port
        self._process = psutil.Process(pid)

    def look(self, min_age_s: float = 0.0) -> None:
        """Looks, unless the last look is younger than `min_age_s`."""
        if self.looks and time.monotonic() - self.looks[-1].at_s < min_age_s:
            return
        memory_mb: dict[str, float] = defaultdict(float)
        files, cpu_s = 0, 0.0
        for role, process in self._processes():
            try:
                memory_mb[role] += process.memory_full_info().pss / 2**20
                files += process.num_fds()
                cpu_s += sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
        self.looks.append(Look(time.monotonic(), read_samples(self._port), dict(memory_mb), files, cpu_s))

    def until(self, count: int) -> None:
        """Looks each second until so many are decided.

        Raises:
            TimeoutError: nothing was decided for two minutes.
        """
        moved_at, before = time.monotonic(), -1
        while True:
            began = time.monotonic()
            self.look()
            now = self.looks[-1].decided
            if now > before:
                moved_at, before = began, now
            if now >= count:
                return
            if began - moved_at > _STALL_S:
                raise TimeoutError(f"{now} of {count} transactions decided, none in the last {_STALL_S:.0f} s")
            threading.Event().wait(max(0.0, _LOOK_S - (time.monotonic() - began)))

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        yield "driver", self._process
        for child in self._process.children(recursive=True):
            try:
                yield ("jvm" if child.name() == "java" else "workers"), child
            except psutil.NoSuchProcess:
                continue
