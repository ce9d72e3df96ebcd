"""Training data: features as they were at each transaction, labels as they are known at training time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraud.arrival import ARRIVAL_FIELDS
from fraud.features import FEATURE_NAMES
from fraud.features.offline import FeaturePath


@dataclass(frozen=True)
class Dataset:
    """Transactions in event order.

    Attributes:
        features: (n, len(names)) float32, NaN where undefined.
        known_fraud: whether a fraud label was known at the end of the data (n).
        time_ms: event times (n).
        names: of the features.
    """

    features: npt.NDArray[np.float32]
    known_fraud: npt.NDArray[np.bool_]
    time_ms: npt.NDArray[np.int64]
    names: tuple[str, ...] = FEATURE_NAMES

    def __len__(self) -> int:
        return len(self.time_ms)

    def take(self, which: npt.NDArray[np.bool_]) -> Dataset:
        """Some of the rows."""
        return replace(
            self, features=self.features[which], known_fraud=self.known_fraud[which], time_ms=self.time_ms[which]
        )

    def having(self, which: npt.NDArray[np.bool_]) -> Dataset:
        """The rows with some of the features."""
        return replace(self, features=self.features[:, which], names=tuple(itertools.compress(self.names, which)))


def build_dataset(parts: Iterable[tuple[pa.RecordBatch, pa.RecordBatch]]) -> Dataset:
    """Computes features of one run of a stream.

    Args:
        parts: transactions and the labels that came due with them, in order.
    """
    path = FeaturePath()
    matrices, ids, times = [], [], []
    verdict_of: dict[str, bool] = {}
    for number, (transactions, labels) in enumerate(parts):
        featured = path.run(
            with_arrival(transactions, "event_time", number), with_arrival(labels, "label_time", number)
        )
        columns = [featured[name].to_numpy(zero_copy_only=False) for name in FEATURE_NAMES]
        matrices.append(np.column_stack(columns).astype(np.float32))
        ids.extend(featured["transaction_id"].to_pylist())
        times.append(featured["event_time"].cast(pa.int64()).to_numpy())
        verdict_of.update(
            zip(
                labels["transaction_id"].to_pylist(),
                (verdict == "fraud" for verdict in labels["verdict"].to_pylist()),
                strict=True,
            )
        )
    known = np.array([verdict_of.get(known, False) for known in ids], bool)
    return Dataset(np.concatenate(matrices), known, np.concatenate(times))


def join(parts: Iterable[Dataset]) -> Dataset:
    """Several runs as one, in event order."""
    parts = list(parts)
    time_ms = np.concatenate([part.time_ms for part in parts])
    order = np.argsort(time_ms, kind="stable")
    return Dataset(
        np.concatenate([part.features for part in parts])[order],
        np.concatenate([part.known_fraud for part in parts])[order],
        time_ms[order],
    )


def with_arrival(records: pa.RecordBatch, time_column: str, batch: int) -> pa.RecordBatch:
    """Records as if they had arrived at the time that a column holds, in their order."""
    n = records.num_rows
    arrival = {
        "stream": pa.repeat(pa.scalar("recorded"), n),
        "shard": pa.repeat(pa.scalar("0"), n),
        "sequence_number": pa.array(np.arange(n) + (batch + 1) * 10**10).cast(pa.string()),
        "sub_sequence": pa.repeat(pa.scalar(0, pa.int64()), n),
        "arrival_ms": records[time_column].cast(pa.int64()),
    }
    arrays = [arrival[field.name] for field in ARRIVAL_FIELDS] + records.columns
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([*ARRIVAL_FIELDS, *records.schema]))
