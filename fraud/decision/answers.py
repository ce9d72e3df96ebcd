"""Decisions on a batch of which some were answered in the call: those stay as they were answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from fraud.decision.columns import VERDICT_SCHEMA
from fraud.decision.record import ANSWER_FIELDS
from fraud.records.answered import Answered, answer_of, answered_among
from fraud.records.schema import TIMESTAMP_MS

_ANSWER_SCHEMA = pa.schema([*VERDICT_SCHEMA, *ANSWER_FIELDS, pa.field("decided_at", TIMESTAMP_MS)])


def decide_unanswered(batch: pa.RecordBatch, decide: Callable[[pa.RecordBatch], pa.RecordBatch]) -> pa.RecordBatch:
    """Decides what was not answered in the call.

    Args:
        batch: transactions with their features, as `fraud.records.intake` and the path gave them; with `raw` where any
            was answered.
        decide: gives one row of `VERDICT_FIELDS` for each row of a batch.

    Returns:
        `VERDICT_FIELDS`, `ANSWER_FIELDS` and `decided_at` of each row: as answered, or as decided now, with nulls for
        what only an answer has.
    """
    answered = answered_among(batch)
    if not answered.any():
        return _with_nulls(decide(batch))
    places = np.flatnonzero(answered)
    parts = [_as_columns([answer_of(data) for data in batch["raw"].take(pa.array(places)).to_pylist()])]
    if not answered.all():
        others = np.flatnonzero(~answered)
        parts.append(_with_nulls(decide(batch.take(pa.array(others)))))
        places = np.concatenate([places, others])
    return pa.concat_batches(parts).take(pa.array(np.argsort(places)))


def _with_nulls(verdicts: pa.RecordBatch) -> pa.RecordBatch:
    missing = [pa.nulls(verdicts.num_rows, field.type) for field in list(_ANSWER_SCHEMA)[len(VERDICT_SCHEMA) :]]
    return pa.RecordBatch.from_arrays([*verdicts.columns, *missing], schema=_ANSWER_SCHEMA)


def _as_columns(answers: Sequence[Answered]) -> pa.RecordBatch:
    columns = [pa.array([getattr(answer, field.name) for answer in answers], field.type) for field in VERDICT_SCHEMA]
    columns.append(pa.array([answer.instance for answer in answers], pa.string()))
    columns += [
        pa.array([getattr(answer, name) for answer in answers], pa.int64()).cast(TIMESTAMP_MS)
        for name in ("received_ms", "decided_ms")
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_ANSWER_SCHEMA)
