"""What decisions cost and save, in minor units of the base currency."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from fraud.decision.policy.evaluation import APPROVE, DECLINE, REVIEW, Bools, Floats, Outcomes


class CostSheet(BaseModel):
    """Stated costs. They are assumptions, so every report repeats them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    review_minor: Annotated[int, Field(ge=0)] = 400
    """An analyst's time for one review."""
    good_decline_minor: Annotated[int, Field(ge=0)] = 2_000
    """Harm of declining one good transaction: contact, lost margin, a customer who leaves."""
    loss_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of a fraudulent amount that is lost when nothing is done."""
    card_minor: Annotated[int, Field(ge=0)] = 15_000
    """What a compromised card loses beside the payments that are alerted, where nobody looks: its next payments, and a
    new card."""
    review_catches: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of fraud that a review stops in time."""


def savings(costs: CostSheet, outcome: Outcomes, fraud: Bools, amount_minor: Floats) -> Floats:
    """What each decision saves against doing nothing; negative where it only costs.

    Args:
        costs: the cost sheet.
        outcome: (n) outcomes.
        fraud: (n) whether the transaction turned out to be fraud.
        amount_minor: (n) billing amounts.

    >>> savings(CostSheet(review_minor=5, good_decline_minor=20), np.array([0, 1, 1, 2, 2], np.uint8),
    ...         np.array([True, True, False, True, False]), np.full(5, 100.0)).tolist()
    [0.0, 95.0, -5.0, 100.0, -20.0]
    """
    loss: npt.NDArray[np.float64] = np.where(fraud, costs.loss_share * amount_minor, 0.0)
    reviewed = costs.review_catches * loss - costs.review_minor
    declined = loss - np.where(fraud, 0.0, costs.good_decline_minor)
    return np.where(outcome == DECLINE, declined, np.where(outcome == REVIEW, reviewed, 0.0))


def saved_in_cases(costs: CostSheet, outcome: Outcomes, fraud: Bools, amount_minor: Floats, opens: Bools) -> Floats:
    """The same where alerts are looked at by case: its first one costs the review and saves the card.

    Args:
        costs: the cost sheet.
        outcome: (n) outcomes.
        fraud: (n) whether the transaction turned out to be fraud.
        amount_minor: (n) billing amounts.
        opens: (n) whether it is the one that opens its case.

    >>> costs = CostSheet(review_minor=5, good_decline_minor=20, card_minor=50)
    >>> saved_in_cases(costs, np.array([1, 1, 2], np.uint8), np.array([True, True, False]), np.full(3, 100.0),
    ...                np.array([True, False, True])).tolist()
    [145.0, 100.0, -25.0]
    """
    alone = savings(costs.model_copy(update={"review_minor": 0}), outcome, fraud, amount_minor)
    opening = opens & (outcome > APPROVE)
    return np.asarray(alone - opening * costs.review_minor + (opening & fraud) * costs.card_minor, np.float64)
