"""Compares features that a job stored with those that the same fold gives offline."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from fraud.arrival import ARRIVAL_COLUMNS
from fraud.features.catalogue import EXACT_FIELDS, FEATURE_FIELDS

PARITY_COLUMNS = tuple(field.name for field in (*FEATURE_FIELDS, *EXACT_FIELDS))
"""What is compared."""


class Parity(NamedTuple):
    """What a comparison found.

    Attributes:
        transactions: how many were compared.
        compared: values compared, so many of each transaction as `PARITY_COLUMNS`.
        mismatched: by column, how many values differ; null equals null only.
        unmatched: transactions that only one side has.
    """

    transactions: int
    compared: int
    mismatched: Counter[str]
    unmatched: int

    def __add__(self, other: object) -> Parity:
        """Both comparisons together."""
        assert isinstance(other, Parity)
        return Parity(
            self.transactions + other.transactions,
            self.compared + other.compared,
            self.mismatched + other.mismatched,
            self.unmatched + other.unmatched,
        )


NOTHING = Parity(0, 0, Counter(), 0)


def compare(stored: pa.Table | pa.RecordBatch, computed: pa.Table | pa.RecordBatch) -> Parity:
    """Compares stored with computed features, bit by bit; transactions are matched by their place in the stream."""
    place = list(ARRIVAL_COLUMNS)
    sides = [pl.DataFrame(side.select([*place, *PARITY_COLUMNS])) for side in (stored, computed)]
    both = sides[0].join(sides[1], on=place, suffix="_computed", how="inner")
    mismatched = {
        name: both.filter(pl.col(name).ne_missing(pl.col(f"{name}_computed"))).height for name in PARITY_COLUMNS
    }
    return Parity(
        transactions=both.height,
        compared=both.height * len(PARITY_COLUMNS),
        mismatched=Counter({name: count for name, count in mismatched.items() if count}),
        unmatched=sides[0].height + sides[1].height - 2 * both.height,
    )
