"""Chooses the live rules and the thresholds that save most within a budget of reviews, and says how sure that is.

A review is a case: all alerts of a card that arrive on one UTC day, whether review or decline, are looked at together.

Each segment has two thresholds, for review and for decline. For every pair of candidates the number of cases and
the savings are known from mature decisions; a price per case (a Lagrange multiplier) makes the segments
independent of each other, and the least price that keeps the total within the budget is found by bisection. What is
left of the budget then goes to the best single step that still fits. A card whose alerts of a day lie in two segments
counts in both, so the budget is rather kept than spent.

A rule earns its reviews where what it finds beyond the model, the lists and the rules chosen before it saves more than
its additional cases cost at that price, in nearly all redraws of the days. The best such rule is added and the
thresholds are chosen again, until none earns its reviews. A rule that opens no case of its own costs nothing and stays
live; so do rules that the law asks for, whatever they find: what lists and they open counts against the budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fraud.backtest.costs import CostSheet, saved_in_cases
from fraud.backtest.labels import DAY_MS, Truth
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.evaluation import APPROVE, DECLINE, REVIEW, Bools, Findings, Floats, Outcomes
from fraud.decision.rules.rule import RuleState

CANDIDATES = 160
"""Candidate thresholds of a segment, dense where scores are high."""

RESAMPLES = 200
"""Bootstrap resamples of time blocks."""

INTERVAL = (5.0, 95.0)
"""Percentiles that are reported as the range."""

FEW_DAYS = 7
"""With fewer mature days, blocks are hours."""

HOUR_MS = 3_600_000

Ints = npt.NDArray[np.int64]

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
        cases: (blocks, k, 2) cases opened in each score bin: not by rules, and by them.
        reviewed_minor: (blocks, k, 2) what reviewing the bin's decisions saves.
        declined_minor: (blocks, k, 2) what declining them saves.
    """

    thresholds: Floats
    cases: Floats
    reviewed_minor: Floats
    declined_minor: Floats

    def options(self, weights: Floats) -> tuple[Floats, Floats]:
        """(k, k) cases and savings by (review, decline) index, over blocks weighted by `weights` (blocks).

        Impossible pairs (declining below the review threshold) save minus infinity. What rules send to review counts
        here, too.
        """
        cases, reviewed, declined = (
            np.cumsum(np.tensordot(weights, part, 1), axis=0)
            for part in (self.cases, self.reviewed_minor, self.declined_minor)
        )
        opened = np.broadcast_to(cases[-1, _RULED] + cases[:, None, _FREE], (len(cases), len(cases)))
        saved = (
            reviewed[:, None, _FREE]
            - reviewed[None, :, _FREE]
            + declined[None, :, _FREE]
            + reviewed[-1, _RULED]
            - reviewed[None, :, _RULED]
            + declined[None, :, _RULED]
        )
        possible = np.tri(len(self.thresholds), dtype=np.bool_)
        return opened, np.where(possible, saved, -np.inf)


class _Decisions(NamedTuple):
    """Mature decisions (n).

    Attributes:
        score: NaN where none counts: without a score, or on an allow list.
        amount_minor: billing amounts.
        fraud: whether each was fraud.
        listed: what lists ask for.
        segment: index of its segment.
        event_ms: event times.
        case: which case an alert would belong to.
    """

    score: Floats
    amount_minor: Floats
    fraud: Bools
    listed: Outcomes
    segment: npt.NDArray[np.intp]
    event_ms: Ints
    case: Ints


class _Plan(NamedTuple):
    """What a set of rules leaves to the thresholds.

    Attributes:
        outcome: (n) what lists and these rules ask for.
        curves: of each segment.
        fixed_cases: opened whatever the thresholds are.
        fixed_minor: what these decisions save.
        opened: (n) whether the decision's case is open without the model.
    """

    outcome: Outcomes
    curves: Sequence[SegmentCurve]
    fixed_cases: float
    fixed_minor: float
    opened: Bools


class _Earning(NamedTuple):
    """What a rule adds to the model, the lists and other rules.

    Attributes:
        by_block: (blocks) what it saves, less its cases at their price.
        cases: that only it opens.
        true_cases: of these, with a fraud that it fired on.
    """

    by_block: Floats
    cases: int
    true_cases: int


@dataclass
class BudgetSearch:
    """Gathers mature decisions, then answers what to do within a budget."""

    policy: CompiledPolicy
    costs: CostSheet
    _parts: list[_Decisions] = field(default_factory=list)
    _fired: list[tuple[Ints, Ints]] = field(default_factory=list)
    _rows: int = 0

    def add(
        self,
        findings: Findings,
        score: Floats,
        truth: Truth,
        amount_minor: Floats,
        event_ms: Ints,
        case: Ints,
    ) -> None:
        """Takes a chunk of the archive with the policy's findings in it; `case` is the same for decisions of one."""
        unscored = np.full(len(score), np.nan)
        listed = self.policy.evaluate(replace(findings, fired=np.zeros_like(findings.fired)), unscored).outcome
        counted = np.where(self.policy.allowed(findings), np.nan, score)
        rows = truth.mature
        whole = _Decisions(counted, amount_minor, truth.fraud, listed, findings.segment, event_ms, case)
        self._parts.append(_Decisions._make(column[rows] for column in whole))
        rule, at = np.nonzero(self.policy.evaluate(findings, unscored).effective[:, rows])
        self._fired.append((rule.astype(np.int64), at + self._rows))
        self._rows += int(np.count_nonzero(rows))

    def choose(self, reviews_per_day: float, rng: np.random.Generator) -> dict[str, Any] | None:
        """Rules and thresholds for a budget, what they do, and how sure that is; None without mature decisions.

        Args:
            reviews_per_day: the budget in cases; infinite where the cost of a review alone shall limit them. The curve
                then is around what that asks for.
            rng: source of chance.
        """
        if not self._rows:
            return None
        data = _Decisions._make(np.concatenate(column) for column in zip(*self._parts, strict=True))
        rule, at = (np.concatenate(column) for column in zip(*self._fired, strict=True))
        fired = {int(number): at[rule == number] for number in np.unique(rule)}
        block = _blocks(data.event_ms)
        blocks = int(block.max()) + 1
        days = max(int(np.ptp(data.event_ms)), HOUR_MS) / DAY_MS
        whole = np.ones(blocks)
        total = reviews_per_day * days
        chosen, plan = self._choose_rules(data, fired, block, total, rng)
        choices = _solve(plan.curves, whole, total - plan.fixed_cases)
        outcome = self._outcome(plan, choices, whole, days)
        middle = reviews_per_day if np.isfinite(reviews_per_day) else outcome["reviews_per_day"]
        early = (np.arange(blocks) < round(blocks * 2 / 3)).astype(np.float64)
        return {
            "reviews_per_day_budget": reviews_per_day if np.isfinite(reviews_per_day) else None,
            "days": days,
            "mature_frauds": int(data.fraud.sum()),
            "thresholds": self._thresholds(plan.curves, choices),
            "rules": self._rule_rows(data, plan, fired, chosen, block, total, rng),
            **outcome,
            "within_budget": bool(self._cases(plan, choices, whole) <= total),
            "range": self._resampled(plan, choices, total, days, rng),
            "held_out": self._held_out(plan, early, reviews_per_day, days),
            "curve": [
                {
                    "reviews_per_day_budget": rate,
                    **self._outcome(plan, _solve(plan.curves, whole, rate * days - plan.fixed_cases), whole, days),
                }
                for rate in middle * np.array([0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5])
            ],
        }

    def _choose_rules(
        self, data: _Decisions, fired: Mapping[int, Ints], block: Ints, total: float, rng: np.random.Generator
    ) -> tuple[list[int], _Plan]:
        """The rules that earn their reviews, and what they leave to the thresholds."""
        whole = np.ones(int(block.max()) + 1)
        chosen = [number for number in fired if self.policy.rules[number].rule.purpose == "regulation"]
        while True:
            plan = self._plan(data, fired, chosen, block)
            alerted, price = self._alerted(data, plan, whole, total)
            sure = {}
            for number in fired.keys() - set(chosen):
                earning = self._earning(data, number, fired[number], alerted, price, block)
                if _interval_of(earning.by_block, rng)[0] > 0:
                    sure[number] = float(earning.by_block.sum())
            if not sure:
                return chosen, plan
            chosen.append(max(sure, key=lambda number: (sure[number], -number)))

    def _plan(self, data: _Decisions, fired: Mapping[int, Ints], chosen: Sequence[int], block: Ints) -> _Plan:
        outcome = data.listed.copy()
        for number in chosen:
            outcome[fired[number]] = np.maximum(outcome[fired[number]], self.policy.rules[number].rule.asks_for)
        fixed = np.isnan(data.score) | (outcome == DECLINE)
        opened, opens = _cases_without_model(data.case, outcome > APPROVE, fixed)
        free = ~fixed & (outcome == APPROVE)
        opens |= _highest_of_each(data, np.flatnonzero(free & ~opened))
        blocks = int(block.max()) + 1
        curves = [
            _curve(
                self.costs, data, opens, outcome == REVIEW, np.flatnonzero(~fixed & (data.segment == i)), block, blocks
            )
            for i in range(len(self.policy.segment_names))
        ]
        saved = self._saved(data, outcome, opens, np.flatnonzero(fixed))
        return _Plan(outcome, curves, float(np.count_nonzero(opens & fixed)), float(saved.sum()), opened)

    def _alerted(self, data: _Decisions, plan: _Plan, whole: Floats, total: float) -> tuple[Bools, float]:
        """What alerts with the best thresholds (n), and the price of a case that keeps them within the budget."""
        choices = _solve(plan.curves, whole, total - plan.fixed_cases)
        price = _least_price([curve.options(whole) for curve in plan.curves], total - plan.fixed_cases)
        reviews = self._thresholds(plan.curves, choices).values()
        review = np.array([np.inf if of["review"] is None else of["review"] for of in reviews])
        return (plan.outcome > APPROVE) | (data.score >= review[data.segment]), price

    def _earning(
        self, data: _Decisions, number: int, rows: Ints, alerted: Bools, price: float, block: Ints
    ) -> _Earning:
        """What a rule adds, at a price of a case."""
        new = rows[~alerted[rows]]
        fresh = new[~np.isin(data.case[new], data.case[alerted])]
        first = fresh[np.unique(data.case[fresh], return_index=True)[1]]
        opens = np.zeros(len(data.case), np.bool_)
        opens[first] = True
        asked = np.full(len(data.case), self.policy.rules[number].rule.asks_for, np.uint8)
        gain = self._saved(data, asked, opens, new) - price * opens[new]
        true = np.unique(data.case[fresh[data.fraud[fresh]]])
        return _Earning(np.bincount(block[new], gain, int(block.max()) + 1).astype(np.float64), len(first), len(true))

    def _rule_rows(
        self,
        data: _Decisions,
        plan: _Plan,
        fired: Mapping[int, Ints],
        chosen: Sequence[int],
        block: Ints,
        total: float,
        rng: np.random.Generator,
    ) -> list[dict[str, Any]]:
        """Of every live rule what it finds, what only it finds, and whether it earns its reviews."""
        whole = np.ones(int(block.max()) + 1)
        rows = []
        for number, compiled in enumerate(self.policy.rules):
            if compiled.rule.state is not RuleState.LIVE:
                continue
            hits = fired.get(number, np.zeros(0, np.int64))
            others = self._plan(data, fired, [n for n in chosen if n != number], block) if number in chosen else plan
            alerted, price = self._alerted(data, others, whole, total)
            earning = self._earning(data, number, hits, alerted, price, block)
            cases, true = np.unique(data.case[hits]), np.unique(data.case[hits[data.fraud[hits]]])
            rows.append(
                {
                    "rule": compiled.rule.id,
                    "purpose": compiled.rule.purpose,
                    "live": number in chosen or not earning.cases,
                    "cases": len(cases),
                    "true_cases": len(true),
                    "only_cases": earning.cases,
                    "only_true_cases": earning.true_cases,
                    "earns_minor": float(earning.by_block.sum()),
                    "earns_minor_range": _interval_of(earning.by_block, rng),
                }
            )
        return rows

    def _saved(self, data: _Decisions, outcome: Outcomes, opens: Bools, rows: Ints) -> Floats:
        return saved_in_cases(self.costs, outcome[rows], data.fraud[rows], data.amount_minor[rows], opens[rows])

    def _cases(self, plan: _Plan, choices: Sequence[Choice], weights: Floats) -> float:
        return float(plan.fixed_cases * weights.mean() + _totals(plan.curves, choices, weights)[0])

    def _outcome(self, plan: _Plan, choices: Sequence[Choice], weights: Floats, days: float) -> dict[str, float]:
        _, saved = _totals(plan.curves, choices, weights)
        return {
            "reviews_per_day": self._cases(plan, choices, weights) / days,
            "saved_minor_per_day": (plan.fixed_minor * weights.mean() + saved) / days,
        }

    def _thresholds(
        self, curves: Sequence[SegmentCurve], choices: Sequence[Choice]
    ) -> dict[str, dict[str, float | None]]:
        named = zip(self.policy.segment_names, curves, choices, strict=True)
        return {name: _named(curve, choice) for name, curve, choice in named}

    def _resampled(
        self, plan: _Plan, choices: Sequence[Choice], total: float, days: float, rng: np.random.Generator
    ) -> dict[str, Any]:
        """What the chosen thresholds do, and which ones would be chosen, when time blocks are drawn again."""
        blocks = plan.curves[0].cases.shape[0]
        outcomes, redrawn = [], []
        for _ in range(RESAMPLES):
            weights = np.bincount(rng.integers(0, blocks, blocks), minlength=blocks).astype(np.float64)
            outcomes.append(self._outcome(plan, choices, weights, days))
            redrawn.append(self._thresholds(plan.curves, _solve(plan.curves, weights, total - plan.fixed_cases)))
        return {
            "blocks": blocks,
            **{name: _interval([outcome[name] for outcome in outcomes]) for name in outcomes[0]},
            "thresholds": {
                name: {kind: _interval([draw[name][kind] for draw in redrawn]) for kind in ("review", "decline")}
                for name in self.policy.segment_names
            },
        }

    def _held_out(self, plan: _Plan, early: Floats, reviews_per_day: float, days: float) -> dict[str, Any] | None:
        """Thresholds chosen on the first two thirds of the time, measured on the rest."""
        late = 1 - early
        if not early.any() or not late.any():
            return None
        share = early.mean()
        choices = _solve(plan.curves, early, reviews_per_day * days * share - plan.fixed_cases * share)
        return {
            "chosen_on": self._outcome(plan, choices, early, days * share),
            "measured_on": self._outcome(plan, choices, late, days * (1 - share)),
        }


def _cases_without_model(case: Ints, alerted: Bools, fixed: Bools) -> tuple[Bools, Bools]:
    """Whether each decision's case is open by lists and rules, and which of their alerts counts for it."""
    rows = np.flatnonzero(alerted)
    rows = rows[np.argsort(~fixed[rows], kind="stable")]  # what the thresholds cannot change counts first
    opens = np.zeros(len(case), np.bool_)
    opens[rows[np.unique(case[rows], return_index=True)[1]]] = True
    return np.isin(case, case[rows]), opens


def _highest_of_each(data: _Decisions, rows: Ints) -> Bools:
    """Whether a decision is the one of its case and segment that a falling threshold meets first."""
    rows = rows[np.lexsort([-data.score[rows], data.segment[rows], data.case[rows]])]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (np.diff(data.case[rows]) != 0) | (np.diff(data.segment[rows]) != 0)
    highest = np.zeros(len(data.case), np.bool_)
    highest[rows[new]] = True
    return highest


def _blocks(event_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Numbers time blocks from 0 on: days, or hours where there are few days."""
    block = event_ms // (DAY_MS if np.ptp(event_ms) >= FEW_DAYS * DAY_MS else HOUR_MS)
    return np.asarray(block - block.min())


def _curve(
    costs: CostSheet, data: _Decisions, opens: Bools, ruled: Bools, rows: Ints, block: Ints, blocks: int
) -> SegmentCurve:
    """The curve of the decisions `rows`, all open to the score."""
    score, fraud, amount, opening = data.score[rows], data.fraud[rows], data.amount_minor[rows], opens[rows]
    tail = np.geomspace(max(1, len(score)) ** -1.0, 1, CANDIDATES)
    candidates = np.unique(np.quantile(score, 1 - tail)) if len(score) else np.empty(0)
    thresholds = np.concatenate([[np.inf], candidates[::-1]])
    # A score belongs to the first (highest) threshold that it reaches; those below all candidates to none.
    bins = len(thresholds) - np.searchsorted(thresholds[::-1], score, side="right")
    size = len(thresholds) + 1
    place = (block[rows] * size + bins) * 2 + ruled[rows]

    def sums(values: Floats) -> Floats:
        flat = np.bincount(place, values, minlength=blocks * size * 2).astype(np.float64)
        return flat.reshape(blocks, size, 2)[:, :-1]

    reviewed, declined = (
        saved_in_cases(costs, np.full(len(score), outcome), fraud, amount, opening) for outcome in (REVIEW, DECLINE)
    )
    return SegmentCurve(thresholds, sums(opening.astype(np.float64)), sums(reviewed), sums(declined))


def _solve(curves: Sequence[SegmentCurve], weights: Floats, budget: float) -> list[Choice]:
    """For each segment the pair of thresholds that together save most with at most `budget` cases.

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


def _interval_of(by_block: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """The range of a sum over redraws of its blocks."""
    blocks = len(by_block)
    draws = by_block[rng.integers(0, blocks, (RESAMPLES, blocks))].sum(axis=1)
    low, high = np.percentile(draws, INTERVAL)
    return float(low), float(high)


def _named(curve: SegmentCurve, choice: Choice) -> dict[str, float | None]:
    def value(index: int) -> float | None:
        return None if index == 0 else float(curve.thresholds[index])

    review = value(choice.review) if choice.review > choice.decline else None
    return {"review": review if review is not None else value(choice.decline), "decline": value(choice.decline)}


def _interval(values: Sequence[float | None]) -> list[float | None] | None:
    """The range of some values; None (never) counts as above everything."""
    low, high = np.percentile([np.inf if value is None else value for value in values], INTERVAL, method="nearest")
    return [None if np.isinf(bound) else float(bound) for bound in (low, high)]
