"""What was known of archived decisions at a given time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fraud.policy.judgement import Bools

DAY_MS = 86_400_000

LABEL_COLUMNS = ("transaction_id", "card_token", "transaction_time", "verdict", "label_time")
"""What is needed of `LABEL_SCHEMA`."""

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


@dataclass(frozen=True)
class KnownLabels:
    """Labels with the time at which one looks back.

    Attributes:
        labels: rows of `LABEL_COLUMNS`, any number a transaction; the latest known one counts.
        as_of_ms: labels that became known later are not seen.
        maturity_ms: age from which a transaction is mature.
    """

    labels: pa.Table
    as_of_ms: int
    maturity_ms: int

    @cached_property
    def _verdicts(self) -> pl.DataFrame:
        frame = pl.from_arrow(self.labels.select(list(LABEL_COLUMNS)))
        assert isinstance(frame, pl.DataFrame)
        known = frame.filter(pl.col("label_time").dt.epoch("ms") <= self.as_of_ms).sort("label_time")
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
            keys = pl.from_arrow(decisions.select(list(KEY_COLUMNS)).take(pa.array(rows)))
            assert isinstance(keys, pl.DataFrame)
            joined = keys.join(self._verdicts, on=list(KEY_COLUMNS), how="left", maintain_order="left")
            fraud[rows] = (joined["verdict"] == "fraud").fill_null(value=False).to_numpy()
        return Truth(fraud, mature)
