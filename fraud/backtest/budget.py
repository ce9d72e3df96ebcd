"""Chooses thresholds that save most within a budget of reviews, and says how sure that is.

Each segment has two thresholds, for review and for decline. For every pair of candidates the number of reviews and
the savings are known from mature decisions; a price per review (a Lagrange multiplier) makes the segments
independent of each other, and the least price that keeps the total within the budget is found by bisection. What is
left of the budget then goes to the best single step that still fits.

Rules and lists stay as they are: what they already send to review counts against the budget, and the model can only
turn it into a decline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fraud.backtest.costs import CostSheet, savings
from fraud.backtest.labels import DAY_MS, Truth
from fraud.policy.compiled import CompiledPolicy
from fraud.policy.judgement import DECLINE, REVIEW, Bools, Findings, Floats

CANDIDATES = 160
"""Candidate thresholds of a segment, dense where scores are high."""

RESAMPLES = 200
"""Bootstrap resamples of time blocks."""

INTERVAL = (5.0, 95.0)
"""Percentiles that are reported as the range."""

FEW_DAYS = 7
"""With fewer mature days, blocks are hours."""

HOUR_MS = 3_600_000

_FREE, _RULED = 0, 1


class Choice(NamedTuple):
    """Candidate indices of a segment: review from `review`, decline from `decline`; index 0 is never."""

    review: int
    decline: int


_NEVER = Choice(0, 0)


@dataclass(frozen=True)
class SegmentCurve:
    """What each threshold would have done in a segment.

    Attributes:
        thresholds: (k) candidates, falling; the first is infinite.
        counts: (blocks, k, 2) decisions in each score bin: not asked for by rules, and sent to review by them.
        reviewed_minor: (blocks, k, 2) what reviewing them saves.
        declined_minor: (blocks, k, 2) what declining them saves.
    """

    thresholds: Floats
    counts: Floats
    reviewed_minor: Floats
    declined_minor: Floats

    def options(self, weights: Floats) -> tuple[Floats, Floats]:
        """(k, k) reviews and savings by (review, decline) index, over blocks weighted by `weights` (blocks).

        Impossible pairs (declining below the review threshold) save minus infinity. Decisions that rules send to
        review count here, too.
        """
        counts, reviewed, declined = (
            np.cumsum(np.tensordot(weights, part, 1), axis=0)
            for part in (self.counts, self.reviewed_minor, self.declined_minor)
        )
        ruled = counts[-1, _RULED]
        reviews = ruled + counts[:, None, _FREE] - counts[None, :, _FREE] - counts[None, :, _RULED]
        saved = (
            reviewed[:, None, _FREE]
            - reviewed[None, :, _FREE]
            + declined[None, :, _FREE]
            + reviewed[-1, _RULED]
            - reviewed[None, :, _RULED]
            + declined[None, :, _RULED]
        )
        possible = np.tri(len(self.thresholds), dtype=np.bool_)
        return reviews, np.where(possible, saved, -np.inf)


@dataclass
class BudgetSearch:
    """Gathers mature decisions, then answers what to do within a budget."""

    policy: CompiledPolicy
    costs: CostSheet
    _parts: list[tuple[npt.NDArray[Any], ...]] = field(default_factory=list)
    _fixed_reviews: int = 0
    _fixed_saved: float = 0.0
    _first_ms: int = 2**62
    _last_ms: int = 0

    def add(self, findings: Findings, score: Floats, truth: Truth, amount_minor: Floats, event_ms: Any) -> None:
        """Takes a chunk of the archive with the policy's findings in it."""
        by_rules = self.policy.judge(findings, np.full(len(score), np.nan)).outcome
        saved = savings(self.costs, by_rules, truth.fraud, amount_minor)
        open_to_score = truth.mature & (by_rules < DECLINE) & ~self.policy.allowed(findings) & ~np.isnan(score)
        fixed = truth.mature & ~open_to_score
        mature_ms = event_ms[truth.mature]
        self._first_ms = int(mature_ms.min(initial=self._first_ms))
        self._last_ms = int(mature_ms.max(initial=self._last_ms))
        self._fixed_reviews += int(np.count_nonzero(fixed & (by_rules == REVIEW)))
        self._fixed_saved += float(saved[fixed].sum())
        parts = (score, amount_minor, truth.fraud, by_rules == REVIEW, findings.segment, event_ms)
        self._parts.append(tuple(part[open_to_score] for part in parts))

    def choose(self, reviews_per_day: float, rng: np.random.Generator) -> dict[str, Any] | None:
        """The thresholds for a budget, with the trade-off curve and how sure it is; None without mature decisions.

        Args:
            reviews_per_day: the budget; infinite where the cost of a review alone shall limit them. The curve then
                is around what that asks for.
            rng: source of chance.
        """
        if not any(len(part[0]) for part in self._parts):
            return None
        score, amount, fraud, ruled, segment, event_ms = (
            np.concatenate(column) for column in zip(*self._parts, strict=True)
        )
        block = _blocks(event_ms)
        blocks = int(block.max()) + 1
        days = max(self._last_ms - self._first_ms, HOUR_MS) / DAY_MS
        curves = [
            _curve(self.costs, score[rows], amount[rows], fraud[rows], ruled[rows], block[rows], blocks)
            for i in range(len(self.policy.segment_names))
            for rows in [segment == i]
        ]
        whole = np.ones(blocks)
        budget = reviews_per_day * days - self._fixed_reviews
        choices = _solve(curves, whole, budget)
        outcome = self._outcome(curves, choices, whole, days)
        middle = reviews_per_day if np.isfinite(reviews_per_day) else outcome["reviews_per_day"]
        early = (np.arange(blocks) < round(blocks * 2 / 3)).astype(np.float64)
        return {
            "reviews_per_day_budget": reviews_per_day if np.isfinite(reviews_per_day) else None,
            "days": days,
            "mature_frauds": int(fraud.sum()),
            "thresholds": self._thresholds(curves, choices),
            **outcome,
            "within_budget": bool(self._reviews(curves, choices, whole) <= reviews_per_day * days),
            "range": self._resampled(curves, choices, budget, days, rng),
            "held_out": self._held_out(curves, early, reviews_per_day, days),
            "curve": [
                {
                    "reviews_per_day_budget": rate,
                    **self._outcome(curves, _solve(curves, whole, rate * days - self._fixed_reviews), whole, days),
                }
                for rate in middle * np.array([0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5])
            ],
        }

    def _reviews(self, curves: Sequence[SegmentCurve], choices: Sequence[Choice], weights: Floats) -> float:
        return float(self._fixed_reviews * weights.mean() + _totals(curves, choices, weights)[0])

    def _outcome(
        self, curves: Sequence[SegmentCurve], choices: Sequence[Choice], weights: Floats, days: float
    ) -> dict[str, float]:
        _, saved = _totals(curves, choices, weights)
        return {
            "reviews_per_day": self._reviews(curves, choices, weights) / days,
            "saved_minor_per_day": (self._fixed_saved * weights.mean() + saved) / days,
        }

    def _thresholds(
        self, curves: Sequence[SegmentCurve], choices: Sequence[Choice]
    ) -> dict[str, dict[str, float | None]]:
        named = zip(self.policy.segment_names, curves, choices, strict=True)
        return {name: _named(curve, choice) for name, curve, choice in named}

    def _resampled(
        self,
        curves: Sequence[SegmentCurve],
        choices: Sequence[Choice],
        budget: float,
        days: float,
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """What the chosen thresholds do, and which ones would be chosen, when time blocks are drawn anew."""
        blocks = curves[0].counts.shape[0]
        outcomes, redrawn = [], []
        for _ in range(RESAMPLES):
            weights = np.bincount(rng.integers(0, blocks, blocks), minlength=blocks).astype(np.float64)
            outcomes.append(self._outcome(curves, choices, weights, days))
            redrawn.append(self._thresholds(curves, _solve(curves, weights, budget)))
        return {
            "blocks": blocks,
            **{name: _interval([outcome[name] for outcome in outcomes]) for name in outcomes[0]},
            "thresholds": {
                name: {kind: _interval([draw[name][kind] for draw in redrawn]) for kind in ("review", "decline")}
                for name in self.policy.segment_names
            },
        }

    def _held_out(
        self, curves: Sequence[SegmentCurve], early: Floats, reviews_per_day: float, days: float
    ) -> dict[str, Any] | None:
        """Thresholds chosen on the first two thirds of the time, measured on the rest."""
        late = 1 - early
        if not early.any() or not late.any():
            return None
        share = early.mean()
        choices = _solve(curves, early, reviews_per_day * days * share - self._fixed_reviews * share)
        return {
            "chosen_on": self._outcome(curves, choices, early, days * share),
            "measured_on": self._outcome(curves, choices, late, days * (1 - share)),
        }


def _blocks(event_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Numbers time blocks from 0 on: days, or hours where there are few days."""
    block = event_ms // (DAY_MS if np.ptp(event_ms) >= FEW_DAYS * DAY_MS else HOUR_MS)
    return np.asarray(block - block.min())


def _curve(
    costs: CostSheet,
    score: Floats,
    amount: Floats,
    fraud: Bools,
    ruled: Bools,
    block: npt.NDArray[np.int64],
    blocks: int,
) -> SegmentCurve:
    tail = np.geomspace(max(1, len(score)) ** -1.0, 1, CANDIDATES)
    candidates = np.unique(np.quantile(score, 1 - tail)) if len(score) else np.empty(0)
    thresholds = np.concatenate([[np.inf], candidates[::-1]])
    # A score belongs to the first (highest) threshold that it reaches; those below all candidates to none.
    bins = len(thresholds) - np.searchsorted(thresholds[::-1], score, side="right")
    size = len(thresholds) + 1
    place = (block * size + bins) * 2 + ruled

    def sums(values: Floats) -> Floats:
        flat = np.bincount(place, values, minlength=blocks * size * 2).astype(np.float64)
        return flat.reshape(blocks, size, 2)[:, :-1]

    reviewed = savings(costs, np.full(len(score), REVIEW), fraud, amount)
    declined = savings(costs, np.full(len(score), DECLINE), fraud, amount)
    return SegmentCurve(thresholds, sums(np.ones(len(score))), sums(reviewed), sums(declined))


def _solve(curves: Sequence[SegmentCurve], weights: Floats, budget: float) -> list[Choice]:
    """For each segment the pair of thresholds that together save most with at most `budget` reviews.

    A budget below what rules alone send to review is raised to that: declining only to spare reviews is no answer.
    """
    options = [curve.options(weights) for curve in curves]
    budget = max(budget, sum(float(reviews[_NEVER]) for reviews, _ in options))
    price = _least_price(options, budget)
    chosen = [_best(reviews, saved, price) for reviews, saved in options]
    left = budget - sum(float(reviews[choice]) for (reviews, _), choice in zip(options, chosen, strict=True))
    while step := _best_step(options, chosen, left):
        segment, choice, used = step
        chosen[segment] = choice
        left -= used
    return chosen


def _least_price(options: Sequence[tuple[Floats, Floats]], budget: float) -> float:
    def used(price: float) -> float:
        return sum(float(reviews[_best(reviews, saved, price)]) for reviews, saved in options)

    if used(0.0) <= budget:
        return 0.0
    low, high = 0.0, 1.0
    while used(high) > budget and high < 2.0**50:
        low, high = high, high * 4
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if used(middle) > budget else (low, middle)
    return high


def _best(reviews: Floats, saved: Floats, price: float) -> Choice:
    return Choice(*map(int, np.unravel_index(np.argmax(saved - price * reviews), saved.shape)))


def _best_step(
    options: Sequence[tuple[Floats, Floats]], chosen: Sequence[Choice], left: float
) -> tuple[int, Choice, float] | None:
    """The change of one segment that gains most and fits into what is left: (segment, choice, reviews used)."""
    found, best_gain = None, 1e-9
    for segment, ((reviews, saved), choice) in enumerate(zip(options, chosen, strict=True)):
        used = reviews - reviews[choice]
        gain = np.where(used <= left, saved - saved[choice], -np.inf)
        place = Choice(*map(int, np.unravel_index(np.argmax(gain), gain.shape)))
        if gain[place] > best_gain:
            found, best_gain = (segment, place, float(used[place])), float(gain[place])
    return found


def _totals(curves: Sequence[SegmentCurve], choices: Sequence[Choice], weights: Floats) -> tuple[float, float]:
    """Reviews and savings of the chosen thresholds."""
    reviews_total, saved_total = 0.0, 0.0
    for curve, choice in zip(curves, choices, strict=True):
        reviews, saved = curve.options(weights)
        reviews_total += float(reviews[choice])
        saved_total += float(saved[choice])
    return reviews_total, saved_total


def _named(curve: SegmentCurve, choice: Choice) -> dict[str, float | None]:
    def value(index: int) -> float | None:
        return None if index == 0 else float(curve.thresholds[index])

    review = value(choice.review) if choice.review > choice.decline else None
    return {"review": review if review is not None else value(choice.decline), "decline": value(choice.decline)}


def _interval(values: Sequence[float | None]) -> list[float | None] | None:
    """The range of some values; None (never) counts as above everything."""
    low, high = np.percentile([np.inf if value is None else value for value in values], INTERVAL, method="nearest")
    return [None if np.isinf(bound) else float(bound) for bound in (low, high)]
