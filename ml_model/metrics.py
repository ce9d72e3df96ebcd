"""What a model's scores are worth on transactions whose truth is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from fraud.backtest.cases import FIRST_FRAUDS
from fraud.backtest.costs import CostSheet, savings
from fraud.decision.policy.evaluation import REVIEW

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
THURSDAY_MS = 3 * DAY_MS
"""From a Monday to the weekday on which the epoch began."""

TOP_CARDS = (10, 50, 100)
"""Cards that could be looked at on a day, for card precision."""
FALSE_POSITIVE_RATES = (0.001, 0.01)
"""Shares of good transactions that may be alerted, for recall."""
BUDGETS = (5, 20, 50)
"""Alerts a day that could be worked on."""
AMOUNT_BANDS_MINOR = (0, 1_000, 5_000, 20_000, 100_000)
"""Lower bounds of the amount bands."""
OBSERVED_DAYS = (0, 1, 7, 15, 30)
"""Lower bounds of the bands of how long a card had been observed, in days."""
SCORE_BINS = (0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Bounds of the reliability bins; spaced by ratio, because most scores are near 0."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Coded(NamedTuple):
    """A column of few values.

    Attributes:
        code: place of the value among the names (n).
        names: the values.
    """

    code: Ints
    names: tuple[str, ...]


@dataclass(frozen=True)
class ScoredCases:
    """Scored transactions with their truth, (n) each.

    Attributes:
        score: calibrated probability of fraud.
        fraud: the truth.
        card: number of the card, from 0.
        time_ms: event time.
        amount_minor: billing amount.
        observed_days: how long the card had been observed; NaN where that is not known.
        campaign: kind of fraud; of no meaning where good.
        kinds: by name, what else parts are formed by, such as the channel.
    """

    score: Floats
    fraud: Bools
    card: Ints
    time_ms: Ints
    amount_minor: Ints
    observed_days: Floats
    campaign: Coded
    kinds: Mapping[str, Coded]

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: Ints | Bools) -> ScoredCases:
        """Some of the rows."""
        return replace(
            self,
            score=self.score[rows],
            fraud=self.fraud[rows],
            card=self.card[rows],
            time_ms=self.time_ms[rows],
            amount_minor=self.amount_minor[rows],
            observed_days=self.observed_days[rows],
            campaign=self.campaign._replace(code=self.campaign.code[rows]),
            kinds={name: kind._replace(code=kind.code[rows]) for name, kind in self.kinds.items()},
        )

    @property
    def days(self) -> float:
        """Length of the stretch in days, at least one."""
        return max(1.0, float(self.time_ms.max() - self.time_ms.min()) / DAY_MS)


def headline(cases: ScoredCases) -> dict[str, float]:
    """Ranking and calibration over all cases."""
    day = cases.time_ms // DAY_MS
    return {
        "auc": float(roc_auc_score(cases.fraud, cases.score)),
        "average_precision": float(average_precision_score(cases.fraud, cases.score)),
        **{
            f"card_precision_at_{top}": card_precision(cases.score, cases.fraud, cases.card, day, top)
            for top in TOP_CARDS
        },
        **{
            f"recall_at_fpr_{rate:g}": _share((cases.score >= threshold_at_fpr(cases, rate))[cases.fraud])
            for rate in FALSE_POSITIVE_RATES
        },
        "brier": float(brier_score_loss(cases.fraud, cases.score)),
        "fraud_rate": float(cases.fraud.mean()),
        "mean_score": float(cases.score.mean()),
    }


def card_precision(score: Floats, fraud: Bools, card: Ints, day: Ints, top: int) -> float:
    """Mean over days of the share of compromised cards among the `top` with the highest score.

    A card's score is its highest of the day. Cards caught on an earlier day are left out (Le Borgne et al. 2022).
    """
    caught: set[int] = set()
    precisions = []
    by_day = np.argsort(day, kind="stable")
    for today in np.split(by_day, np.flatnonzero(np.diff(day[by_day])) + 1):
        rows = today[~np.isin(card[today], list(caught))]
        cards, number = np.unique(card[rows], return_inverse=True)
        highest = np.full(len(cards), -np.inf)
        np.maximum.at(highest, number, score[rows])
        compromised = np.zeros(len(cards), bool)
        np.logical_or.at(compromised, number, fraud[rows])
        first = np.argsort(-highest, kind="stable")[:top]
        precisions.append(compromised[first].sum() / top)
        caught.update(cards[first][compromised[first]].tolist())
    return float(np.mean(precisions))


def threshold_at_fpr(cases: ScoredCases, rate: float) -> float:
    """The lowest score from which on at most this share of good transactions is alerted."""
    false_positive_rate, _, thresholds = roc_curve(cases.fraud, cases.score)
    return float(thresholds[np.searchsorted(false_positive_rate, rate, "right") - 1])


def threshold_at_budget(cases: ScoredCases, alerts_per_day: float) -> float:
    """The lowest score from which on there are at most so many alerts a day on average; infinite where none fits.

    >>> none = np.zeros(4, int)
    >>> cases = ScoredCases(np.array([.9, .5, .5, .1]), none > 0, none, none, none, none * 1.0, Coded(none, ("",)), {})
    >>> [threshold_at_budget(cases, alerts) for alerts in (1, 2, 3)]
    [0.9, 0.9, 0.5]
    """
    levels, counts = np.unique(-cases.score, return_counts=True)
    fitting = np.flatnonzero(np.cumsum(counts) <= alerts_per_day * cases.days)
    return float(-levels[fitting[-1]]) if fitting.size else float("inf")


def alerting(cases: ScoredCases, alerted: Bools, costs: CostSheet) -> dict[str, float | None]:
    """What reviewing the alerted transactions brings; None where nothing is there to take a share of.

    Args:
        cases: the transactions.
        alerted: which of them are reviewed.
        costs: stated costs; `saved_minor_per_day` is against doing nothing.
    """
    money = cases.amount_minor.astype(np.float64)
    saved = savings(costs, np.where(alerted, REVIEW, 0).astype(np.uint8), cases.fraud, money)
    caught = alerted & cases.fraud
    lost = float(money[cases.fraud].sum())
    return {
        "alerts_per_day": float(alerted.sum() / cases.days),
        "precision": float(cases.fraud[alerted].mean()) if alerted.any() else None,
        "recall": float(alerted[cases.fraud].mean()) if cases.fraud.any() else None,
        "recall_by_money": float(money[caught].sum()) / lost if lost else None,
        "saved_minor_per_day": float(saved.sum() / cases.days),
    }


def found_cards(cases: ScoredCases, alerted: Bools) -> dict[str, float | None]:
    """How many compromised cards and cases the alerts find, and how soon; None where there is none to take a share of.

    A case is a card and a UTC day of event time; a card is found where one of its frauds is alerted, in time where one
    of its first `FIRST_FRAUDS` is.

    Args:
        cases: the transactions.
        alerted: which of them are.
    """
    rows = np.flatnonzero(cases.fraud)
    rows = rows[np.lexsort([cases.time_ms[rows], cases.card[rows]])]
    if not len(rows):
        return dict.fromkeys(("recall_by_card", "cards_in_time", "recall_by_case", "hours_to_detect"))
    found, time_ms = alerted[rows], cases.time_ms[rows]
    _, first, number = np.unique(cases.card[rows], return_index=True, return_inverse=True)
    place = np.arange(len(rows)) - first[number]
    by_card = np.logical_or.reduceat(found, first)
    alerted_ms = np.minimum.reduceat(np.where(found, time_ms, np.iinfo(np.int64).max), first)
    hours = (alerted_ms - time_ms[first])[by_card] / HOUR_MS
    case = np.unique(np.stack([number, time_ms // DAY_MS]), axis=1, return_inverse=True)[1].ravel()
    return {
        "recall_by_card": _share(by_card),
        "cards_in_time": _share(np.logical_or.reduceat(found & (place < FIRST_FRAUDS), first)),
        "recall_by_case": _share(np.bincount(case, found) > 0),
        "hours_to_detect": float(np.median(hours)) if len(hours) else None,
    }


def worth_a_review(cases: ScoredCases, costs: CostSheet) -> Bools:
    """Where the expected loss that a review prevents is more than the review (Elkan 2001): no threshold is fitted."""
    return cases.score * cases.amount_minor * costs.loss_share * costs.review_catches > costs.review_minor


def reliability(cases: ScoredCases) -> dict[str, dict[str, float]]:
    """For each bin of the score that is not empty: cases, mean score, share of fraud."""
    number = np.digitize(cases.score, SCORE_BINS[1:-1])
    bins = {}
    for which in np.unique(number):
        inside = number == which
        bins[f"{SCORE_BINS[which]:g} to {SCORE_BINS[which + 1]:g}"] = {
            "cases": float(inside.sum()),
            "mean_score": float(cases.score[inside].mean()),
            "fraud_rate": float(cases.fraud[inside].mean()),
        }
    return bins


def slices(cases: ScoredCases, threshold: float) -> dict[str, dict[str, dict[str, float | None]]]:
    """Figures of parts of the cases: by campaign, channel, country, MCC, amount band, card's age and week.

    A campaign is ranked against all good transactions.

    Args:
        cases: all of them.
        threshold: score from which on a transaction is alerted, the same in every part.

    Returns:
        Dimension, value, figure. Weeks are named by their Monday, amount bands are in minor units. `calibration` is how
        much fraud the scores say, of what there is.
    """
    band = np.digitize(cases.amount_minor, AMOUNT_BANDS_MINOR[1:])
    observed = np.where(np.isnan(cases.observed_days), -1, np.digitize(cases.observed_days, OBSERVED_DAYS[1:]))
    week = (cases.time_ms + THURSDAY_MS) // WEEK_MS
    return {
        "campaign": {
            cases.campaign.names[code] or "unnamed": _part(
                cases, ~cases.fraud | (cases.campaign.code == code), threshold
            )
            for code in np.unique(cases.campaign.code[cases.fraud])
        },
        **{
            name: {kind.names[code]: _part(cases, inside, threshold) for code, inside in _groups(kind.code)}
            for name, kind in cases.kinds.items()
        },
        "amount_minor": {
            _band_name(AMOUNT_BANDS_MINOR, code): _part(cases, inside, threshold) for code, inside in _groups(band)
        },
        "card_observed_days": {
            _band_name(OBSERVED_DAYS, code): _part(cases, inside, threshold) for code, inside in _groups(observed)
        },
        "week": {_monday(code): _part(cases, inside, threshold) for code, inside in _groups(week)},
    }


def _groups(code: Ints) -> Iterator[tuple[int, Bools]]:
    for value in np.unique(code):
        yield int(value), code == value


def _part(cases: ScoredCases, inside: Bools, threshold: float) -> dict[str, float | None]:
    fraud, score = cases.fraud[inside], cases.score[inside]
    alerted = score >= threshold
    both = bool(fraud.any() and not fraud.all())
    return {
        "cases": float(len(score)),
        "frauds": float(fraud.sum()),
        "auc": float(roc_auc_score(fraud, score)) if both else None,
        "average_precision": float(average_precision_score(fraud, score)) if both else None,
        "recall": _share(alerted[fraud]) if fraud.any() else None,
        "precision": _share(fraud[alerted]) if alerted.any() else None,
        "calibration": float(score.sum() / fraud.sum()) if fraud.any() else None,
    }


def _monday(week: int) -> str:
    return dt.datetime.fromtimestamp((week * WEEK_MS - THURSDAY_MS) / 1000, dt.UTC).date().isoformat()


def _band_name(bounds: Sequence[int], number: int) -> str:
    if number < 0:
        return "not known"
    low, *high = bounds[number : number + 2]
    return f"{low} to {high[0]}" if high else f"from {low}"


def standard_error(values: npt.ArrayLike, axis: int = 0) -> Floats:
    """Of the mean of independent values, along an axis; NaN of a single one.

    >>> round(float(standard_error([0.74, 0.76, 0.75, 0.79])), 4)
    0.0108
    """
    given = np.asarray(values, np.float64)
    count = given.shape[axis]
    if count < 2:
        return np.full(np.delete(given.shape, axis), np.nan)
    return np.asarray(np.std(given, axis=axis, ddof=1) / np.sqrt(count))


def _share(flags: Bools) -> float:
    return float(flags.mean())


def resampled(cases: ScoredCases, rng: np.random.Generator) -> ScoredCases:
    """Cases of cards drawn with replacement; a card drawn twice counts as two cards.

    Transactions of a card stand or fall together, so drawing transactions would make the intervals too narrow.
    """
    cards = int(cases.card.max()) + 1
    copies = np.bincount(rng.integers(0, cards, cards), minlength=cards)[cases.card]
    rows = np.repeat(np.arange(len(cases)), copies)
    copy = np.arange(len(rows)) - np.repeat(np.cumsum(copies) - copies, copies)
    drawn = cases.take(rows)
    return replace(drawn, card=drawn.card + copy * cards)


def bootstrap(
    cases: ScoredCases, figures: Callable[[ScoredCases], Mapping[str, Any]], draws: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Figures with the 90 % interval that resampling cards gives (Efron's percentiles).

    Args:
        cases: what was measured.
        figures: gives numbers, None or mappings of these, by name.
        draws: how often to draw; 0 gives no intervals.
        rng: source of chance.

    Returns:
        The shape of `figures`, each number replaced by `{"value": x, "interval": [low, high] or None}`.
    """
    again: list[Mapping[str, Any]] = []
    while len(again) < draws:
        drawn = resampled(cases, rng)
        if drawn.fraud.any() and not drawn.fraud.all():
            again.append(figures(drawn))
    return _with_intervals(figures(cases), again)


def _with_intervals(measured: Mapping[str, Any], again: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in measured.items():
        others = [other[name] for other in again if other.get(name) is not None]
        if isinstance(value, Mapping):
            result[name] = _with_intervals(value, others)
        else:
            known = value is not None and len(others) > 1
            interval = [float(bound) for bound in np.quantile(others, [0.05, 0.95])] if known else None
            result[name] = {"value": value, "interval": interval}
    return result
