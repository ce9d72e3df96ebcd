"""The first stage of the job: stream records become columns, addressed to the key groups of their cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud import decode
from fraud.arrival import ARRIVAL_COLUMNS, ARRIVAL_FIELDS, RAW_FIELD
from fraud.card_number import redact
from fraud.dead_letter import DEAD_LETTER_SCHEMA, Reason, Reject
from fraud.settings import Settings
from processor.envelope import Kind, address, key_group_of, row_batch
from processor.worker import freeze_imports


@dataclass(frozen=True)
class DecodeStage:
    """A function for `DataFrame.mapInArrow`: from source rows to `processor.envelope.ROWS`.

    Attributes:
        labels_stream: records of this stream are labels, all others transactions.
        key_groups: number of key groups.
        max_age_ms: refuse transactions whose event time lies further before their arrival; None accepts any.
        max_ahead_ms: the same for event times after arrival.
    """

    labels_stream: str
    key_groups: int
    max_age_ms: int | None
    max_ahead_ms: int | None

    @classmethod
    def from_settings(cls, settings: Settings) -> DecodeStage:
        """The stage as the settings have it."""
        job = settings.job
        return cls(
            labels_stream=settings.streams.labels,
            key_groups=job.key_groups,
            max_age_ms=None if job.max_age_s is None else job.max_age_s * 1000,
            max_ahead_ms=None if job.max_ahead_s is None else job.max_ahead_s * 1000,
        )

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Decodes the records of one task."""
        freeze_imports()
        for batch in batches:
            rows = list(self._rows(batch))
            if rows:
                yield row_batch(rows)

    def _rows(self, batch: pa.RecordBatch) -> Iterator[tuple[int, str, bytes]]:
        is_label = pc.equal(batch["stream"], self.labels_stream)
        transactions, labels = batch.filter(pc.invert(is_label)), batch.filter(is_label)
        if transactions.num_rows:
            decoded, refused = decode_records(decode.TRANSACTIONS, transactions)
            decoded, out_of_time = refuse_by_time(decoded, self.max_age_ms, self.max_ahead_ms)
            yield from self._addressed(Kind.TRANSACTIONS, decoded, "card_token")
            yield from self._addressed(Kind.DEAD_LETTERS, refused, "sequence_number")
            yield from self._addressed(Kind.DEAD_LETTERS, out_of_time, "sequence_number")
        if labels.num_rows:
            decoded, refused = decode_records(decode.LABELS, labels)
            yield from self._addressed(Kind.LABELS, decoded, "card_token")
            yield from self._addressed(Kind.DEAD_LETTERS, refused, "sequence_number")

    def _addressed(self, kind: Kind, records: pa.RecordBatch, key: str) -> Iterator[tuple[int, str, bytes]]:
        return address(kind, records, key_group_of(records[key], self.key_groups))


def decode_records(decoder: decode.RecordDecoder, records: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Decodes one stream's records.

    Args:
        decoder: of transactions or labels.
        records: `fraud.arrival.RECORD_SCHEMA`.

    Returns:
        The good records (arrival, fields, raw) and the refused ones (`DEAD_LETTER_SCHEMA`).
    """
    decoded = decoder.decode(records["data"].to_pylist())
    good = records if len(decoded.rows) == records.num_rows else records.take(decoded.rows)
    columns = [*(good[name] for name in ARRIVAL_COLUMNS), *decoded.batch.columns, good["data"]]
    schema = pa.schema([*ARRIVAL_FIELDS, *decoded.batch.schema, RAW_FIELD])
    refused = dead_letters(records.take(pa.array([r.row for r in decoded.rejects], pa.int64())), decoded.rejects)
    return pa.RecordBatch.from_arrays(columns, schema=schema), refused


def refuse_by_time(
    decoded: pa.RecordBatch, max_age_ms: int | None, max_ahead_ms: int | None
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Splits off transactions whose event time lies too far before or after their arrival at the stream."""
    age_ms = decoded["arrival_ms"].to_numpy() - decoded["event_time"].cast(pa.int64()).to_numpy()
    too_old = age_ms > max_age_ms if max_age_ms is not None else np.zeros(len(age_ms), bool)
    in_future = -age_ms > max_ahead_ms if max_ahead_ms is not None else np.zeros(len(age_ms), bool)
    refused = np.flatnonzero(too_old | in_future)
    rejects = [
        Reject(
            row,
            Reason.TOO_OLD if too_old[row] else Reason.IN_FUTURE,
            "event_time",
            f"event time lies {abs(age_ms[row])} ms {'before' if too_old[row] else 'after'} arrival",
        )
        for row in refused.tolist()
    ]
    bad = decoded.take(pa.array(refused, pa.int64()))
    places = bad.select([*ARRIVAL_COLUMNS, "raw"]).rename_columns([*ARRIVAL_COLUMNS, "data"])
    kept = decoded if not rejects else decoded.filter(pa.array(~(too_old | in_future)))
    return kept, dead_letters(places, rejects)


def dead_letters(records: pa.RecordBatch, rejects: Sequence[Reject]) -> pa.RecordBatch:
    """Builds `DEAD_LETTER_SCHEMA` of records (arrival, data) and the reason for each; card numbers are redacted."""
    originals = records["data"].to_pylist()
    redacted = [redact(data) for data in originals]
    columns = [
        *(records[name] for name in ARRIVAL_COLUMNS),
        pa.array([reject.reason.value for reject in rejects], pa.string()),
        pa.array([reject.field for reject in rejects], pa.string()),
        pa.array([reject.detail for reject in rejects], pa.string()),
        pa.array(redacted, pa.binary()),
        pa.array([data == kept for data, kept in zip(originals, redacted, strict=True)], pa.bool_()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=DEAD_LETTER_SCHEMA)
