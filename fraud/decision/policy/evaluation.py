"""What a policy finds in a batch, and how findings and scores combine into outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Outcomes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

APPROVE, REVIEW, DECLINE = np.uint8(0), np.uint8(1), np.uint8(2)


@dataclass(frozen=True)
class Findings:
    """What rules and lists say of a batch of n transactions, whatever the score.

    Attributes:
        fired: (rules, n): the rule's condition is true. Live and shadow rules, in the policy's order.
        undefined: (rules, n): the rule's condition is null.
        listed: (lists, n): the entity is on the list at event time. Live lists and those in shadow.
        segment: (n): index of the segment that applies; the last index stands for no segment.
    """

    fired: Bools
    undefined: Bools
    listed: Bools
    segment: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Evaluation:
    """Outcomes of a batch of n transactions with the share that each part has in them.

    Attributes:
        outcome: (n) the most severe of the three parts.
        lists: (n) what lists ask for.
        rules: (n) what live rules ask for, without the silenced ones.
        model: (n) what the score asks for, unless silenced.
        effective: (rules, n) live rules that fired and were not silenced.
        silenced: (rules, n) live rules that fired and were silenced by an allow-list.
        listed: (lists, n) live lists that the entity is on.
        shadow: (n) the outcome if rules, lists and thresholds in shadow were live.
        tried: (names, n) what in shadow had something to say, by the policy's `tried_names`.
    """

    outcome: Outcomes
    lists: Outcomes
    rules: Outcomes
    model: Outcomes
    effective: Bools
    silenced: Bools
    listed: Bools
    shadow: Outcomes
    tried: Bools


def ask_by_score(score: Floats, review: Floats, decline: Floats) -> Outcomes:
    """What scores ask for at given thresholds; NaN (no score) asks for nothing.

    >>> ask_by_score(np.array([0.2, 0.6, 0.9, np.nan]), np.full(4, 0.5), np.full(4, 0.9)).tolist()
    [0, 1, 2, 0]
    """
    return np.where(score >= decline, DECLINE, np.where(score >= review, REVIEW, APPROVE))


def ask_of_one(score: float | None, review: float, decline: float) -> int:
    """The same of a single score; None is no score.

    >>> [ask_of_one(score, 0.5, 0.9) for score in (0.2, 0.6, 0.9, None)]
    [0, 1, 2, 0]
    """
    if score is None:
        return int(APPROVE)
    return int(DECLINE if score >= decline else REVIEW if score >= review else APPROVE)


def ask_by_rules(fired: Bools, asks_for: Outcomes) -> Outcomes:
    """The most severe of what fired rules ask for: `fired` (rules, n), `asks_for` (rules)."""
    declined = fired[asks_for == DECLINE].any(axis=0)
    reviewed = fired[asks_for == REVIEW].any(axis=0)
    return np.where(declined, DECLINE, np.where(reviewed, REVIEW, APPROVE))
