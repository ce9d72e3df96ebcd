"""What a look at an alert is worth, and the order that follows: one definition for queue, backtest and budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fraud.backtest.costs import CostSheet
from fraud.decision.policy.evaluation import Floats, Outcomes
from fraud.decision.record import Outcome

MUST_BE_SEEN = 90
"""Severity from which an alert comes before all others of its outcome, whatever the money."""

Numbers = npt.NDArray[np.int64]


def loss_prevented(costs: CostSheet, probability: Floats | float, amount_minor: Floats | float) -> Floats | float:
    """The loss that a look at an alert is expected to prevent, in minor units of the base currency.

    At risk are this payment and what a compromised card loses beside it. It is what `saved_in_cases` counts once the
    truth is known, without the cost of the look.

    Args:
        costs: stated costs.
        probability: of fraud, calibrated.
        amount_minor: billing amount.

    >>> loss_prevented(CostSheet(card_minor=10_000), 0.25, 20_000)
    7500.0
    """
    return probability * (costs.review_catches * costs.loss_share * amount_minor + costs.card_minor)


class Worth(NamedTuple):
    """Where alerts stand in the order of work: the larger comes first, attribute by attribute.

    Attributes:
        outcome: decline before review.
        must: the severity of those that must be seen, 0 of others.
        prevented_minor: see `loss_prevented`.
        severity: between those that prevent the same.
    """

    outcome: Outcomes
    must: Numbers
    prevented_minor: Floats
    severity: Numbers


def worths(costs: CostSheet, outcome: Outcomes, severity: Numbers, score: Floats, amount_minor: Floats) -> Worth:
    """The place of n alerts in the order of work; where no model gave a probability, severity is taken for one.

    >>> outcome, severity, score = np.array([1, 1, 1]), np.array([95, 50, 50]), np.array([0.1, 0.2, np.nan])
    >>> of = worths(CostSheet(card_minor=0), outcome, severity, score, np.full(3, 1_000.0))
    >>> of.must.tolist(), of.prevented_minor.tolist()
    ([95, 0, 0], [100.0, 200.0, 500.0])
    """
    probability = np.where(np.isnan(score), severity / 100, score)
    must = np.where(severity >= MUST_BE_SEEN, severity, 0)
    return Worth(outcome, must, np.asarray(loss_prevented(costs, probability, amount_minor)), severity)


def in_order(worth: Worth) -> npt.NDArray[np.intp]:
    """The alerts' places, first what is to be looked at first; those worth the same as they were."""
    return np.lexsort([-np.asarray(terms, np.float64) for terms in reversed(worth)])


def worth_of(costs: CostSheet, alert: Mapping[str, Any]) -> Worth:
    """The place of one alert, a stored decision or an item of the alert table, in plain numbers.

    >>> alert = {"outcome": "review", "severity": 50, "score": 0.2, "billing_amount_minor": 1_000}
    >>> tuple(worth_of(CostSheet(card_minor=500), alert))
    (1, 0, 300.0, 50)
    """
    score = alert.get("score")
    one = worths(
        costs,
        np.array([Outcome[alert["outcome"].upper()]]),
        np.array([alert["severity"]]),
        np.array([np.nan if score is None else score]),
        np.array([alert["billing_amount_minor"]], np.float64),
    )
    return Worth(*(column[0].item() for column in one))
