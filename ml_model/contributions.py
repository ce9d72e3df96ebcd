"""Which features move the scores of some transactions: a summary of their exact contributions (SHAP values)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from ml_model.metrics import Bools, Floats

if TYPE_CHECKING:
    from ml_model.evaluate import Labelled
    from ml_model.predict import InProcessScorer

SAMPLE = 1_000
"""Transactions that are explained, of good ones and of frauds each; that costs many times as much as their scores."""


class Sample:
    """Good transactions and frauds, so many of each at most, drawn evenly from batches as they pass.

    Every row draws a number and the smallest are kept, so that each is as likely as any other (a reservoir by random
    keys, Efraimidis and Spirakis 2006).

    Attributes:
        size: of each.
        columns: that are kept.
    """

    def __init__(self, columns: Iterable[str], rng: np.random.Generator, size: int = SAMPLE) -> None:
        self.size, self.columns = size, list(columns)
        self._rng = rng
        self._kept: dict[bool, tuple[Floats, pa.Table]] = {}

    def passing(self, parts: Iterable[Labelled]) -> Iterator[Labelled]:
        """The parts as they are."""
        for part in parts:
            for kind in (False, True):
                self._add(part.transactions, part.fraud == kind, kind)
            yield part

    def drawn(self, fraud: bool) -> pa.RecordBatch | None:
        """Those drawn of one kind; None where none passed."""
        if fraud not in self._kept:
            return None
        (batch,) = self._kept[fraud][1].combine_chunks().to_batches()
        return batch

    def _add(self, transactions: pa.RecordBatch, chosen: Bools, kind: bool) -> None:
        if not chosen.any():
            return
        keys = self._rng.random(int(chosen.sum()))
        table = pa.Table.from_batches([transactions.filter(pa.array(chosen)).select(self.columns)])
        if kind in self._kept:
            before, others = self._kept[kind]
            keys, table = np.concatenate([before, keys]), pa.concat_tables([others, table])
        smallest = np.sort(np.argsort(keys)[: self.size])
        self._kept[kind] = keys[smallest], table.take(pa.array(smallest))


class Moved(NamedTuple):
    """How one feature moves scores, in log-odds.

    Attributes:
        size: mean size of its contributions, good transactions and frauds weighing the same.
        frauds: mean contribution to frauds; above 0 raises their scores.
        good: the same to good transactions.
    """

    size: float
    frauds: float
    good: float


def summary(sample: Sample, scorer: InProcessScorer) -> dict[str, dict[str, float]]:
    """For each feature that moves a score how it does, see `Moved`; the largest first."""
    moves = {fraud: _contributions(sample.drawn(fraud), scorer) for fraud in (True, False)}
    names, frauds, good = scorer.description.features, moves[True], moves[False]
    size = np.mean([np.abs(kind).mean(axis=0) for kind in (frauds, good)], axis=0)
    found = [
        (name, Moved(*map(float, row)))
        for name, *row in zip(names, size, frauds.mean(axis=0), good.mean(axis=0), strict=True)
        if row[0] > 0
    ]
    return {name: moved._asdict() for name, moved in sorted(found, key=lambda pair: -pair[1].size)}


def _contributions(rows: pa.RecordBatch | None, scorer: InProcessScorer) -> Floats:
    """Of each feature to each row's score (rows, features); a single row of zeros where there are none."""
    place = {name: number for number, name in enumerate(scorer.description.features)}
    result = np.zeros((max(1, 0 if rows is None else rows.num_rows), len(place)))
    for number, contributions in enumerate([] if rows is None else scorer.explain(rows)):
        for contribution in contributions:
            result[number, place[contribution.feature]] = contribution.log_odds
    return result
