"""The gate before a new champion: it must win on the latest matured transactions, which neither model has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

from fraud.backtest.costs import CostSheet, savings
from fraud.decision.policy.evaluation import REVIEW
from fraud.money import format_money
from fraud.settings import Retraining
from ml_model.metrics import ScoredCases, worth_a_review

# Of 160 simulated pairs of equally good models 5 gained surely where 4 are to be expected.
_INTERVAL = (0.025, 0.975)

Ints = npt.NDArray[np.int64]


class Worth(NamedTuple):
    """What a model is worth.

    Attributes:
        average_precision: of its ranking.
        saved_minor_per_day: by reviewing what is worth a review, against doing nothing.
    """

    average_precision: float
    saved_minor_per_day: float


@dataclass(frozen=True)
class Comparison:
    """A champion and a challenger on the same transactions.

    Attributes:
        champion: its worth.
        challenger: its worth.
        gain: the challenger's less the champion's.
        low: 2.5 % of the draws gained less than this.
        high: 97.5 % gained less than this.
    """

    champion: Worth
    challenger: Worth
    gain: Worth
    low: Worth
    high: Worth

    def objections(self, settings: Retraining, currency: str) -> list[str]:
        """Why the challenger must not be promoted; none where it wins.

        Args:
            settings: the margin.
            currency: of the money saved.
        """
        found = []
        if self.gain.average_precision <= 0 or self.gain.average_precision < settings.margin:
            found.append(
                f"gains {self.gain.average_precision:+.4f} average precision, not the margin of "
                f"{settings.margin:g} (retraining.margin)"
            )
        if self.low.average_precision <= 0 < self.gain.average_precision:
            found.append(
                f"95% of draws gain between {self.low.average_precision:+.4f} and {self.high.average_precision:+.4f} "
                "average precision: it may be chance"
            )
        if self.gain.saved_minor_per_day < 0:
            found.append(f"saves {format_money(round(-self.gain.saved_minor_per_day), currency)} a day less")
        return found


def compare(
    champion: ScoredCases,
    challenger: ScoredCases,
    costs: CostSheet,
    draws: int,
    rng: np.random.Generator,
    share: float = 1.0,
) -> Comparison:
    """Compares two models on the same transactions.

    Each draw of the bootstrap takes the same cards for both, so that what is hard for both models does not blur the
    difference.

    Args:
        champion: scored transactions.
        challenger: the same transactions with the other scores, in any order.
        costs: for the money saved.
        draws: of the bootstrap by card.
        rng: source of chance.
        share: of all cards that these are of.
    """
    cards = int(champion.card.max()) + 1
    once = np.ones(cards, np.int64)
    before, after = _Weighed(champion, costs, share), _Weighed(challenger, costs, share)
    gains: list[npt.NDArray[np.float64]] = []
    while len(gains) < draws:
        copies = np.bincount(rng.integers(0, cards, cards), minlength=cards)
        if copies[champion.card[champion.fraud]].any():
            gains.append(np.subtract(after.worth(copies), before.worth(copies)))
    low, high = np.quantile(gains, _INTERVAL, axis=0)
    measured = before.worth(once), after.worth(once)
    return Comparison(*measured, Worth(*np.subtract(measured[1], measured[0]).tolist()), Worth(*low), Worth(*high))


class _Weighed:
    """The worth of a model where each card counts as often as it was drawn."""

    def __init__(self, cases: ScoredCases, costs: CostSheet, share: float) -> None:
        self._cases = cases
        outcome = np.where(worth_a_review(cases, costs), REVIEW, 0).astype(np.uint8)
        saved = savings(costs, outcome, cases.fraud, cases.amount_minor.astype(np.float64))
        self._saved = saved / (cases.days * share)

    def worth(self, copies: Ints) -> Worth:
        weight = copies[self._cases.card]
        precision = average_precision_score(self._cases.fraud, self._cases.score, sample_weight=weight)
        return Worth(float(precision), float(self._saved @ weight))
