"""Alerts as the cases that an analyst opens, and how many of the compromised cards they find in time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from fraud.backtest.labels import DAY_MS

FIRST_FRAUDS = 2
"""A card is found in time where one of so many of its first frauds raised an alert."""


class Case(NamedTuple):
    """What an analyst opens once: the alerts of a card that arrived on one UTC day.

    Budgets and figures count cases of cards; the console can group by merchant or device instead.

    Attributes:
        entity: token of the card, or id of the merchant or device.
        day: days since 1970 of the recorded arrival.
    """

    entity: str
    day: int


def case_of(entity: str, arrived_ms: int) -> Case:
    """The case that an alert belongs to.

    >>> case_of("card-1", 1_768_478_400_000)  # noon of 15 January 2026
    Case(entity='card-1', day=20468)
    """
    return Case(entity, arrived_ms // DAY_MS)


def case_numbers(card_token: pa.ChunkedArray | pa.Array, arrived_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The case that an alert on each decision would belong to: one number for each card and UTC day of arrival.

    >>> one, other, later = case_numbers(pa.array(["a", "b", "a"]), np.array([0, 1, DAY_MS]))
    >>> len({int(one), int(other), int(later)}), case_numbers(pa.array(["a"]), np.array([DAY_MS - 1])).tolist() == [one]
    (3, True)
    """
    card = pl.Series(values=card_token.cast(pa.string())).hash(seed=1).to_numpy()
    day = np.asarray(arrived_ms // DAY_MS, np.uint64)
    return np.asarray((card + day * np.uint64(0x9E3779B97F4A7C15)).view(np.int64), np.int64)


class Decided(NamedTuple):
    """A decided transaction with the truth about it.

    Attributes:
        card_token: of the card.
        arrived_ms: its recorded arrival.
        fraud: whether it is fraud.
        alerted: whether its outcome is above approve.
    """

    card_token: str
    arrived_ms: int
    fraud: bool
    alerted: bool


class CaseFigures(NamedTuple):
    """What the alerts on a stretch of transactions were worth.

    Attributes:
        payments: transactions decided.
        cases: opened.
        true_cases: with an alert on a fraud in them.
        compromised_cards: whose first fraud is in the stretch.
        cards_found: of these, with an alert on the first or the second fraud.
    """

    payments: int
    cases: int
    true_cases: int
    compromised_cards: int
    cards_found: int


def case_figures(decided: Iterable[Decided], compromised_before: Collection[str] = ()) -> CaseFigures:
    """Counts the cases of a stretch.

    Args:
        decided: its transactions, in any order.
        compromised_before: cards with a fraud before the stretch; they count as nobody's find.

    >>> day = 86_400_000
    >>> case_figures([
    ...     Decided("a", 0, True, False), Decided("a", 1, True, True),  # found on the second fraud
    ...     Decided("b", 0, False, True), Decided("b", 1, False, True),  # one false case
    ...     Decided("c", 0, True, False), Decided("c", 1, True, False), Decided("c", day, True, True),  # too late
    ... ])
    CaseFigures(payments=7, cases=3, true_cases=2, compromised_cards=2, cards_found=1)
    """
    payments = 0
    opened: dict[Case, bool] = defaultdict(bool)
    frauds: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for card, arrived_ms, fraud, alerted in decided:
        payments += 1
        if alerted:
            opened[case_of(card, arrived_ms)] |= fraud
        if fraud and card not in compromised_before:
            frauds[card].append((arrived_ms, alerted))
    first = [sorted(seen, key=lambda one: one[0])[:FIRST_FRAUDS] for seen in frauds.values()]
    found = sum(any(alerted for _, alerted in seen) for seen in first)
    return CaseFigures(payments, len(opened), sum(opened.values()), len(frauds), found)
