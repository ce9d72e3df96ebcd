"""What was noticed about records and has no record of its own: counts that travel to the metrics with their batch."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc


class Note(enum.StrEnum):
    """What was noticed; the value is the metric's label."""

    RECORDED_ARRIVAL_IGNORED = "recorded_arrival_ignored"  # carried by a record, but `job.recorded_arrival` is off
    ANSWER_UNVERIFIED = "answer_unverified"  # carried an answer that no key of `answers.keys` authenticates
    ANSWER_UNREADABLE = "answer_unreadable"  # carried an authentic answer that this version cannot read
    LABEL_MATCHED = "label_matched"  # a label met its transaction in the state
    LABEL_UNMATCHED = "label_unmatched"  # a label's transaction has not come; the label waits for it
    LABEL_AMBIGUOUS = "label_ambiguous"  # within the precision of its time, several are; none was taken
    LABEL_PAST = "label_past"  # a label's transaction is not remembered, and so old that it matters no more


NOTE_SCHEMA = pa.schema([pa.field(note.value, pa.int64()) for note in Note])
"""A column for each: how often; null for never. Rows add up."""


def notes(counts: Mapping[Note, int]) -> pa.RecordBatch | None:
    """The notes of a batch; None where nothing was noticed."""
    if not any(counts.values()):
        return None
    return pa.RecordBatch.from_pylist([{note.value: count for note, count in counts.items()}], schema=NOTE_SCHEMA)


def totals(part: pa.RecordBatch) -> Counter[str]:
    """How often each thing was noticed that was."""
    return +Counter({name: pc.sum(part[name], min_count=0).as_py() for name in part.schema.names})
