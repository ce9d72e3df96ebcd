"""What was known of archived decisions at a given time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fraud.decision.policy.evaluation import Bools

DAY_MS = 86_400_000

LABEL_COLUMNS = (
    "transaction_id",
    "card_token",
    "merchant_id",
    "transaction_time",
    "transaction_time_precision_ms",
    "verdict",
    "label_time",
)
"""What is needed of `LABEL_SCHEMA`."""

NAMING_COLUMNS = ("transaction_id", "card_token", "merchant_id", "event_time")
"""What is needed of a decision to find out whether a label of some precision is about it."""

KEY_COLUMNS = ("transaction_id", "card_token", "event_time")
"""What is needed of a decision to find its label."""


@dataclass(frozen=True)
class Truth:
    """What is known of n decisions.

    Attributes:
        fraud: a label known by then says fraud.
        mature: the transaction is so old that a label would have come; without one it counts as good. A young one
            that is labelled does not count: among the young, frauds become known first.
    """

    fraud: Bools
    mature: Bools


_SUBJECT = ["transaction_id", "card_token", "merchant_id"]


def is_coarse(labels: pa.Table) -> pa.ChunkedArray:
    """Which labels leave open when their transactions were."""
    return pc.greater(pc.fill_null(labels["transaction_time_precision_ms"], 1), 1)


def with_exact_times(labels: pa.Table, decisions: Iterable[pa.Table]) -> pa.Table:
    """Labels that name the very event time of the transaction that each is about.

    As in the job, that is the transaction of its id, card and merchant at the very time that it states, else the only
    one within its precision. Of several it is none: the label keeps the time that it states.

    Args:
        labels: rows of `LABEL_COLUMNS`.
        decisions: rows of `NAMING_COLUMNS`: all that the coarse ones may be about, in any chunks.
    """
    coarse = is_coarse(labels)
    frame = _frame(labels.select([*_SUBJECT, "transaction_time", "transaction_time_precision_ms"]))
    numbered = frame.with_row_index("row").filter(pl.from_arrow(coarse))
    ids = pc.unique(numbered["transaction_id"].to_arrow().cast(pa.string()))
    named = [chunk.filter(pc.is_in(chunk["transaction_id"], value_set=ids)) for chunk in decisions]
    if not any(len(chunk) for chunk in named):
        return labels
    candidates = _frame(pa.concat_tables([chunk.select(list(NAMING_COLUMNS)) for chunk in named])).unique()
    end = pl.col("transaction_time") + pl.duration(milliseconds=pl.col("transaction_time_precision_ms"))
    found = (
        numbered.join(candidates, on=_SUBJECT)
        .filter((pl.col("event_time") >= pl.col("transaction_time")) & (pl.col("event_time") < end))
        .group_by("row")
        .agg(
            pl.col("event_time").n_unique().alias("several"),
            pl.col("event_time").min().alias("found"),
            (pl.col("event_time") == pl.col("transaction_time")).any().alias("exact"),
        )
        .filter((pl.col("several") == 1) & ~pl.col("exact"))
    )
    times = labels["transaction_time"].combine_chunks()
    mask = np.zeros(len(times), bool)
    order = found.sort("row")
    mask[order["row"].to_numpy()] = True
    replaced = pc.replace_with_mask(times, pa.array(mask), order["found"].to_arrow().cast(times.type))
    return labels.set_column(labels.schema.get_field_index("transaction_time"), "transaction_time", replaced)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


@dataclass(frozen=True)
class KnownLabels:
    """Labels with the time at which one looks back.

    Attributes:
        labels: rows of `LABEL_COLUMNS`, with exact times, in arrival order; of several of a transaction the last one
            that was known counts, as it does in the features.
        as_of_ms: labels that became known later are not seen.
        maturity_ms: age from which a transaction is mature.
    """

    labels: pa.Table
    as_of_ms: int
    maturity_ms: int

    @cached_property
    def _verdicts(self) -> pl.DataFrame:
        known = _frame(self.labels).filter(pl.col("label_time").dt.epoch("ms") <= self.as_of_ms)
        latest = known.unique(["transaction_id", "card_token", "transaction_time"], keep="last", maintain_order=True)
        return latest.select("transaction_id", "card_token", pl.col("transaction_time").alias("event_time"), "verdict")

    @cached_property
    def _ids(self) -> pa.Array:
        return pc.unique(self._verdicts["transaction_id"].to_arrow().cast(pa.string()))

    def look_up(self, decisions: pa.Table) -> Truth:
        """The truth of decisions, which have at least `KEY_COLUMNS`."""
        event_ms: npt.NDArray[np.int64] = decisions["event_time"].cast(pa.int64()).to_numpy()
        fraud = np.zeros(len(decisions), np.bool_)
        mature = event_ms <= self.as_of_ms - self.maturity_ms
        maybe = pc.is_in(decisions["transaction_id"], value_set=self._ids).to_numpy()
        rows = np.flatnonzero(maybe)
        if rows.size:
            keys = _frame(decisions.select(list(KEY_COLUMNS)).take(pa.array(rows)))
            joined = keys.join(self._verdicts, on=list(KEY_COLUMNS), how="left", maintain_order="left")
            fraud[rows] = (joined["verdict"] == "fraud").fill_null(value=False).to_numpy()
        return Truth(fraud, mature)
