"""What the archive of decisions gives to training, comparison and drift.

Features are those that the job computed when it decided, so they hold nothing that became known later.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from adapters.archive.decision_archive import DecisionArchive
from fraud.backtest.labels import DAY_MS, KEY_COLUMNS, KnownLabels
from fraud.decision.scorer import Scorer
from fraud.declared import NOTHING_DECLARED, Declared
from fraud.errors import MisconfiguredError
from fraud.features import catalogue_with
from ml_model.dataset import Dataset
from ml_model.drift import Window
from ml_model.evaluate import CASE_COLUMNS, Labelled
from ml_model.sampling import sample_of_cards


def labels_known_now(archive: DecisionArchive, maturity_days: float) -> KnownLabels:
    """All labels of the archive, as known at its latest event or label, whichever is later."""
    known_ms = round(archive.last_known().timestamp() * 1000)
    return KnownLabels(archive.labels(), known_ms, round(maturity_days * DAY_MS))


def matured_until(known: KnownLabels) -> dt.datetime:
    """The latest event time whose transactions are mature."""
    return dt.datetime.fromtimestamp((known.as_of_ms - known.maturity_ms) / 1000, dt.UTC)


def labelled(chunks: Iterable[pa.Table], known: KnownLabels) -> Iterator[Labelled]:
    """The mature ones of archived decisions (`CASE_COLUMNS`, features) with their truth."""
    for chunk in chunks:
        truth = known.look_up(chunk)
        if truth.mature.any():
            (batch,) = chunk.filter(pa.array(truth.mature)).combine_chunks().to_batches()
            yield Labelled(batch, truth.fraud[truth.mature], [""] * batch.num_rows)


def matured_cases(
    archive: DecisionArchive, known: KnownLabels, since: dt.datetime, rows: int, declared: Declared = NOTHING_DECLARED
) -> tuple[list[Labelled], float]:
    """Mature decisions from a time on, and the share of cards that they are of.

    Args:
        archive: to read.
        known: labels.
        since: first event time.
        rows: the most to take.
        declared: features of the deployment's own.
    """
    columns = [*CASE_COLUMNS, *catalogue_with(declared).names]
    table, share = sample_of_cards(archive.decisions(columns, since, matured_until(known)), rows)
    return list(labelled([] if table is None else [table], known)), share


def training_set(
    archive: DecisionArchive,
    known: KnownLabels,
    since: dt.datetime,
    until: dt.datetime,
    rows: int,
    declared: Declared = NOTHING_DECLARED,
) -> tuple[Dataset, float | None]:
    """Mature decisions of a time range as training data: all frauds, and as many others as fit.

    Args:
        archive: to read.
        known: labels.
        since: first event time.
        until: last event time.
        rows: the most to take, frauds not counted.
        declared: features of the deployment's own.

    Returns:
        The data in event order, and the share of fraud before others were left out; None where none were.

    Raises:
        MisconfiguredError: there are none.
    """
    last, names = min(until, matured_until(known)), catalogue_with(declared).names
    table, share = sample_of_cards(
        archive.decisions([*KEY_COLUMNS, *names], since, last), rows, lambda chunk: known.look_up(chunk).fraud
    )
    if table is None:
        raise MisconfiguredError(
            "retraining.training_days", f"no mature decisions archived from {since:%Y-%m-%d} to {last:%Y-%m-%d}"
        )
    time_ms = table["event_time"].cast(pa.int64()).to_numpy()
    order = np.argsort(time_ms, kind="stable")
    matrix = np.column_stack([table[name].to_numpy() for name in names]).astype(np.float32)
    fraud = known.look_up(table).fraud
    frauds = int(fraud.sum())
    rate = None if share == 1 else frauds / (frauds + (len(table) - frauds) / share)
    return Dataset(matrix[order], fraud[order], time_ms[order], names, declared), rate


def window(
    archive: DecisionArchive,
    scorer: Scorer,
    since: dt.datetime,
    until: dt.datetime,
    rows: int,
    declared: Declared = NOTHING_DECLARED,
) -> Window | None:
    """Decisions of a time range as drift compares them, None where there are none.

    Args:
        archive: to read.
        scorer: gives the scores, so that those of both windows are of the same model.
        since: first event time.
        until: last event time.
        rows: the most to take.
        declared: features of the deployment's own.
    """
    names = catalogue_with(declared).names
    columns = ["card_token", "event_time", "outcome", *names]
    table, _ = sample_of_cards(archive.decisions(columns, since, until), rows)
    if table is None:
        return None
    (batch,) = table.combine_chunks().to_batches()
    return Window(
        {name: batch[name].to_numpy(zero_copy_only=False) for name in names},
        scorer.score(batch).score.to_numpy(zero_copy_only=False),
        batch["outcome"].to_pylist(),
        batch["event_time"].cast(pa.int64()).to_numpy(),
    )
