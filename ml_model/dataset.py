"""Training data: features as they were at each transaction, labels as they are known at training time."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraud.decision.key import Subject, subjects_of
from fraud.declared import NOTHING_DECLARED, Declared
from fraud.features import FEATURE_NAMES
from fraud.path import FeaturePath
from fraud.records.arrival import with_arrival
from fraud.settings import Money, Settings


@dataclass(frozen=True)
class Dataset:
    """Transactions in event order.

    Attributes:
        features: (n, len(names)) float32, NaN where undefined.
        known_fraud: whether a fraud label was known at the end of the data (n).
        time_ms: event times (n).
        names: of the features.
        declared: those of them that a deployment declares.
    """

    features: npt.NDArray[np.float32]
    known_fraud: npt.NDArray[np.bool_]
    time_ms: npt.NDArray[np.int64]
    names: tuple[str, ...] = FEATURE_NAMES
    declared: Declared = NOTHING_DECLARED

    def __len__(self) -> int:
        return len(self.time_ms)

    @property
    def sha256(self) -> str:
        """Of all values, in hexadecimal digits: the same data has the same."""
        digest = hashlib.sha256("\0".join(self.names).encode())
        for values in (self.features, self.known_fraud, self.time_ms):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()

    def take(self, which: npt.NDArray[np.bool_]) -> Dataset:
        """Some of the rows."""
        return replace(
            self, features=self.features[which], known_fraud=self.known_fraud[which], time_ms=self.time_ms[which]
        )

    def of(self, names: tuple[str, ...]) -> Dataset:
        """The rows with the features of these names, in their order."""
        return replace(self, features=self.features[:, [self.names.index(name) for name in names]], names=names)

    def having(self, which: npt.NDArray[np.bool_]) -> Dataset:
        """The rows with some of the features."""
        return replace(self, features=self.features[:, which], names=tuple(itertools.compress(self.names, which)))


def build_dataset(parts: Iterable[tuple[pa.RecordBatch, pa.RecordBatch]], base_currency: str) -> Dataset:
    """Computes features of one run of a stream.

    Args:
        parts: transactions and the labels that came due with them, in order.
        base_currency: of billing amounts.
    """
    path = FeaturePath(Settings(money=Money(base_currency=base_currency)))
    matrices, times = [], []
    subjects: list[Subject] = []
    verdict_of: dict[Subject, bool] = {}
    for number, (transactions, labels) in enumerate(parts):
        featured = path.featured(
            with_arrival(transactions, "event_time", number), with_arrival(labels, "label_time", number)
        )
        columns = [featured[name].to_numpy(zero_copy_only=False) for name in FEATURE_NAMES]
        matrices.append(np.column_stack(columns).astype(np.float32))
        subjects.extend(subjects_of(featured))
        times.append(featured["event_time"].cast(pa.int64()).to_numpy())
        verdict_of.update(
            zip(
                subjects_of(labels, "transaction_time"),
                (verdict == "fraud" for verdict in labels["verdict"].to_pylist()),
                strict=True,
            )
        )
    known = np.array([verdict_of.get(subject, False) for subject in subjects], bool)
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
