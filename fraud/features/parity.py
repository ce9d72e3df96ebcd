"""Compares features that a job stored with those that the same fold gives offline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from fraud.features.catalogue import Catalogue
from fraud.records.arrival import ARRIVAL_COLUMNS


class Parity(NamedTuple):
    """What a comparison found.

    Attributes:
        transactions: how many were compared.
        compared: values compared, so many of each transaction as its object stores of the catalogue's columns.
        mismatched: by column, how many values differ; null equals null only.
        not_stored: by column, how many transactions were stored without it: it did not exist yet.
        unmatched: transactions that only one side has.
    """

    transactions: int
    compared: int
    mismatched: Counter[str]
    not_stored: Counter[str]
    unmatched: int

    def __add__(self, other: object) -> Parity:
        """Both comparisons together."""
        assert isinstance(other, Parity)
        return Parity(
            self.transactions + other.transactions,
            self.compared + other.compared,
            self.mismatched + other.mismatched,
            self.not_stored + other.not_stored,
            self.unmatched + other.unmatched,
        )


NOTHING = Parity(0, 0, Counter(), Counter(), 0)


def compare(stored: Sequence[pa.Table], computed: pa.RecordBatch, catalogue: Catalogue) -> Parity:
    """Compares stored with computed features, bit by bit; transactions are matched by their place in the stream.

    Args:
        stored: tables of stored transactions, each with what its writer knew of the catalogue's columns.
        computed: the same transactions, with all of them.
        catalogue: whose columns are compared.
    """
    place, columns = list(ARRIVAL_COLUMNS), [field.name for field in catalogue.columns]
    values = pl.DataFrame(computed.select([*place, *columns]))
    mismatched: Counter[str] = Counter()
    not_stored: Counter[str] = Counter()
    matched = compared = rows = 0
    for table in stored:
        there = [name for name in columns if name in table.schema.names]
        both = pl.DataFrame(table.select([*place, *there])).join(values, on=place, suffix="_computed", how="inner")
        for name in columns:
            if name in there:
                mismatched[name] += both.filter(pl.col(name).ne_missing(pl.col(f"{name}_computed"))).height
            else:
                not_stored[name] += both.height
        matched += both.height
        compared += both.height * len(there)
        rows += table.num_rows
    # Unary plus leaves out the columns with none.
    return Parity(matched, compared, +mismatched, +not_stored, rows + values.height - 2 * matched)
