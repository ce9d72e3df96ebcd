"""Drift: whether transactions look as they did in a reference window.

The population stability index compares the shares a_i of a window with the shares e_i of the reference over bins,
sum (a_i - e_i) ln(a_i / e_i); by convention below 0.1 is stable and from 0.25 on shifted (Siddiqi, Credit Risk
Scorecards, 2006). Two guards keep what always varies from being called a shift. Where nothing drifts, the index of
independent rows is about (1/n + 1/m) times a chi-squared of one degree of freedom less than bins (Yurdakul and Naranjo,
Statistical properties of the population stability index, 2020). But transactions of a card or merchant are alike, so
the reference is also cut into stretches as long as the live window: what moves from one to the next is usual.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from fraud.settings import Drift

BINS = 10
"""Bins of a feature, equally full in the reference, beside one for undefined values."""
OUTCOMES = ("approve", "review", "decline")

_CERTAINTY = 0.99
_MAX_STRETCHES = 12
_PSEUDO_COUNT = 0.5  # in each bin, so that an empty one has a logarithm

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Level(enum.StrEnum):
    """What an index means."""

    STABLE = "stable"
    WATCH = "watch"
    SHIFTED = "shifted"


@dataclass(frozen=True)
class Window:
    """A stretch of decided transactions.

    Attributes:
        features: values by name, NaN where undefined (n each).
        score: of one and the same model in both windows (n).
        outcome: names of the outcomes that were stored (n).
        time_ms: event times (n).
    """

    features: Mapping[str, Floats]
    score: Floats
    outcome: Sequence[str]
    time_ms: Ints

    def __len__(self) -> int:
        return len(self.score)

    def outcomes(self) -> Ints:
        """How often each of `OUTCOMES` was decided."""
        names, counts = np.unique(np.asarray(self.outcome), return_counts=True)
        found = dict(zip(names.tolist(), counts.tolist(), strict=True))
        return np.array([found.get(outcome, 0) for outcome in OUTCOMES])

    @property
    def alert_rate(self) -> float:
        """Share of transactions that became alerts."""
        return float(self.outcomes()[1:].sum() / len(self))


@dataclass(frozen=True)
class Shift:
    """How far one distribution moved.

    Attributes:
        name: a feature, or `score`.
        index: population stability index.
        usual: what it stays below where nothing drifts: by chance in 99 of 100 windows, and in each stretch of the
            reference against the rest of it.
        reference_median: None where all values are undefined.
        live_median: the same of the live window.
        reference_undefined: share of undefined values.
        live_undefined: the same of the live window.
        level: what the index means.
    """

    name: str
    index: float
    usual: float
    reference_median: float | None
    live_median: float | None
    reference_undefined: float
    live_undefined: float
    level: Level


@dataclass(frozen=True)
class AlertRate:
    """How far the share of alerts moved. It is so small that an index over outcomes would not show it.

    Attributes:
        reference: share of alerts in the reference window.
        live: in the live window.
        level: `SHIFTED` where the ratio is beyond the setting and chance does not explain it.
    """

    reference: float
    live: float
    level: Level


@dataclass(frozen=True)
class DriftReport:
    """What moved.

    Attributes:
        alert_rate: of the decisions as stored.
        shifts: score and features, furthest first.
    """

    alert_rate: AlertRate
    shifts: tuple[Shift, ...]

    @property
    def shifted(self) -> list[str]:
        """Names of everything that shifted."""
        names = [shift.name for shift in self.shifts if shift.level is Level.SHIFTED]
        return names + (["alert_rate"] if self.alert_rate.level is Level.SHIFTED else [])


def measure_drift(reference: Window, live: Window, settings: Drift) -> DriftReport:
    """Compares two windows, neither of them empty."""
    pairs = {name: (values, live.features[name]) for name, values in reference.features.items()}
    pairs["score"] = (reference.score, live.score)
    stretch = _stretches(reference.time_ms, live.time_ms)
    shifts = [_shift(name, before, now, stretch, settings) for name, (before, now) in pairs.items()]
    return DriftReport(
        _alert_rate(reference, live, settings.alert_rate_ratio),
        tuple(sorted(shifts, key=lambda shift: -shift.index)),
    )


def bin_edges(values: Floats) -> Floats:
    """Upper bounds of bins that are about equally full; fewer than `BINS - 1` where values repeat.

    >>> bin_edges(np.array([0.0] * 85 + [1.0] * 10 + [2.0] * 5)).tolist()
    [0.0, 1.0]
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        return np.array([])
    return np.unique(np.quantile(defined, np.arange(1, BINS) / BINS, method="inverted_cdf"))


def bin_counts(values: Floats, edges: Floats) -> Ints:
    """Values in each bin, bounds included above; the last count is of the undefined.

    >>> bin_counts(np.array([0.0, 0.5, 1.0, 7.0, np.nan]), np.array([0.0, 1.0])).tolist()
    [1, 2, 1, 1]
    """
    undefined = np.isnan(values)
    counts = np.bincount(np.digitize(values[~undefined], edges, right=True), minlength=len(edges) + 1)
    return np.append(counts, undefined.sum())


def stability_index(reference: Ints, live: Ints) -> tuple[float, float]:
    """The population stability index of counts by bin, and what chance alone keeps it below.

    >>> index, by_chance = stability_index(np.array([5_000, 5_000]), np.array([6_000, 4_000]))
    >>> round(index, 4), round(0.1 * math.log(0.6 / 0.4), 4), round(by_chance, 4)
    (0.0405, 0.0405, 0.0013)
    """
    used = (reference > 0) | (live > 0)
    freedom = int(used.sum()) - 1
    if freedom < 1:
        return 0.0, 0.0
    e, a = (counts[used] + _PSEUDO_COUNT for counts in (reference, live))
    e, a = e / e.sum(), a / a.sum()
    return (
        float(((a - e) * np.log(a / e)).sum()),
        float(_chi_squared_quantile(_CERTAINTY, freedom) * (1 / reference.sum() + 1 / live.sum())),
    )


def _shift(name: str, reference: Floats, live: Floats, stretch: Ints, settings: Drift) -> Shift:
    edges = bin_edges(reference)
    by_stretch = np.array([bin_counts(reference[stretch == number], edges) for number in np.unique(stretch)])
    counts = by_stretch.sum(axis=0)
    index, by_chance = stability_index(counts, bin_counts(live, edges))
    within = [stability_index(counts - part, part)[0] for part in by_stretch if len(by_stretch) > 1]
    usual = max([by_chance, *within])
    level = Level.STABLE
    if index > usual and index >= settings.watch_index:
        level = Level.SHIFTED if index >= settings.shifted_index else Level.WATCH
    return Shift(
        name,
        index,
        usual,
        _median(reference),
        _median(live),
        float(np.isnan(reference).mean()),
        float(np.isnan(live).mean()),
        level,
    )


def _stretches(reference_ms: Ints, live_ms: Ints) -> Ints:
    """Numbers stretches of the reference that are about as long as the live window, between 2 and 12 of them."""
    begin, length = reference_ms.min(), reference_ms.max() - reference_ms.min() + 1
    stretches = min(max(round(length / (live_ms.max() - live_ms.min() + 1)), 2), _MAX_STRETCHES)
    number: Ints = (reference_ms - begin) * stretches // length
    return number


def _alert_rate(reference: Window, live: Window, ratio: float) -> AlertRate:
    before, now = reference.alert_rate, live.alert_rate
    n, m = len(reference), len(live)
    pooled = (before * n + now * m) / (n + m)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    beyond = max(before, now) > ratio * min(before, now)
    continuity = (1 / n + 1 / m) / 2  # Yates (1934): a single alert more is no evidence
    certain = abs(now - before) - continuity > NormalDist().inv_cdf((1 + _CERTAINTY) / 2) * spread
    return AlertRate(before, now, Level.SHIFTED if beyond and certain else Level.STABLE)


def _median(values: Floats) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmedian(values))


def _chi_squared_quantile(share: float, freedom: int) -> float:
    """By Wilson and Hilferty's cube (1931), within 3 % for one degree of freedom and better for more."""
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + NormalDist().inv_cdf(share) * math.sqrt(spread)) ** 3
