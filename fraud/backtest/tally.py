"""Counts what one variant of the policy would have done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fraud.backtest.costs import CostSheet, savings
from fraud.backtest.labels import Truth
from fraud.decision.policy.evaluation import APPROVE, DECLINE, REVIEW, Floats, Outcomes

SUMS = (
    "decisions",
    "reviews",
    "declines",
    "mature",
    "caught",
    "missed",
    "good_alerted",
    "good_declined",
    "caught_minor",
    "missed_minor",
    "saved_minor",
)
"""What is summed; from `mature` on over mature decisions only."""


class Cells(NamedTuple):
    """Which cell of the report each row belongs to.

    Attributes:
        place: (n) the cell of each row.
        names: one row a cell, one column a dimension.
    """

    place: npt.NDArray[np.int64]
    names: pl.DataFrame


def cells_of(dimensions: Mapping[str, pa.Array | pa.ChunkedArray]) -> Cells:
    """The cells that occur, from the values of each dimension."""
    combined: npt.NDArray[np.int64] = np.zeros(1, np.int64)
    for values in dimensions.values():
        codes = pc.dictionary_encode(values)
        codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
        combined = combined * len(codes.dictionary) + codes.indices.to_numpy()
    encoded = pa.array(combined).dictionary_encode()
    place = encoded.indices.to_numpy().astype(np.int64)
    first = np.empty(len(encoded.dictionary), np.int64)
    first[place[::-1]] = np.arange(len(place))[::-1]
    names = pl.from_arrow(pa.table(dict(dimensions)).take(pa.array(first)))
    assert isinstance(names, pl.DataFrame)
    return Cells(place, names)


@dataclass(frozen=True)
class Slice:
    """A chunk of the archive as all tallies see it.

    Attributes:
        truth: what is known of its decisions.
        amount_minor: billing amounts.
        cells: the cell of the report of every row.
        customers: customer ids.
    """

    truth: Truth
    amount_minor: Floats
    cells: Cells
    customers: pa.ChunkedArray


@dataclass
class Tally:
    """Counts of one variant, kept by the smallest cells; every figure is a sum of some of them."""

    costs: CostSheet
    _cells: list[pl.DataFrame] = field(default_factory=list)
    _good_customers: set[str] = field(default_factory=set)

    def add(self, outcome: Outcomes, chunk: Slice) -> None:
        """Counts a chunk of n decisions with the outcomes (n) of this variant."""
        place, names = chunk.cells
        marks = self._marks(outcome, chunk)
        self._cells.append(
            names.with_columns(pl.Series(name, np.bincount(place, marks[name], len(names))) for name in SUMS)
        )
        hit = np.flatnonzero(chunk.truth.mature & ~chunk.truth.fraud & (outcome > APPROVE))
        self._good_customers.update(chunk.customers.take(pa.array(hit)).to_pylist())

    @property
    def counted(self) -> bool:
        """Whether anything was counted."""
        return bool(self._cells)

    def total(self) -> dict[str, Any]:
        """The figures over everything; one of the dimensions must be `day`."""
        row = pl.concat(self._cells).select(pl.col(SUMS).sum()).row(0, named=True)
        figures = _figures(row)
        days = len(self.by("day"))
        return figures | {"good_customers": len(self._good_customers), "alerts_per_day": figures["alerts"] / days}

    def by(self, dimension: str) -> Sequence[dict[str, Any]]:
        """The figures of each cell of a dimension, in its order."""
        sums = pl.concat(self._cells).group_by(dimension).agg(pl.col(SUMS).sum()).sort(dimension)
        return [{dimension: row[dimension], **_figures(row)} for row in sums.iter_rows(named=True)]

    def _marks(self, outcome: Outcomes, chunk: Slice) -> Mapping[str, npt.NDArray[Any]]:
        mature = chunk.truth.mature
        fraud = chunk.truth.fraud & mature
        good = mature & ~fraud
        alerted = outcome > APPROVE
        saved = np.where(mature, savings(self.costs, outcome, fraud, chunk.amount_minor), 0.0)
        return {
            "decisions": np.ones(len(outcome), np.bool_),
            "reviews": outcome == REVIEW,
            "declines": outcome == DECLINE,
            "mature": mature,
            "caught": fraud & alerted,
            "missed": fraud & ~alerted,
            "good_alerted": good & alerted,
            "good_declined": good & (outcome == DECLINE),
            "caught_minor": np.where(fraud & alerted, chunk.amount_minor, 0.0),
            "missed_minor": np.where(fraud & ~alerted, chunk.amount_minor, 0.0),
            "saved_minor": saved,
        }


def _figures(sums: Mapping[str, Any]) -> dict[str, Any]:
    """The sums with the shares that follow from them; a share of nothing is None."""
    return {
        **{name: round(sums[name]) for name in SUMS},
        "alerts": round(sums["reviews"] + sums["declines"]),
        "precision": _share(sums["caught"], sums["caught"] + sums["good_alerted"]),
        "recall": _share(sums["caught"], sums["caught"] + sums["missed"]),
        "recall_by_money": _share(sums["caught_minor"], sums["caught_minor"] + sums["missed_minor"]),
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
