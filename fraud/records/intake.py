"""The beginning of the path: records of the streams become transactions, labels and dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.records import Records, Row, joined
from fraud.records.answered import ANSWERED_FIELD, AnswerKey, Problem, Unsealed, unseal
from fraud.records.arrival import (
    ARRIVAL_COLUMNS,
    ARRIVAL_FIELDS,
    DUPLICATE_HORIZON_MS,
    RAW_FIELD,
    Ints,
    arrival_ms_of,
    arrivals_ms,
)
from fraud.records.card_number import find_card_number
from fraud.records.dead_letter import Reason, Reject, dead_letter, dead_letters
from fraud.records.decode import LABELS, TRANSACTIONS, RecordDecoder
from fraud.records.notes import Note, notes
from fraud.records.schema import milliseconds, milliseconds_of, time_of
from fraud.settings import Settings

_FAR_MS = 1 << 62
_NOTE_OF = {Problem.UNVERIFIED: Note.ANSWER_UNVERIFIED, Problem.UNREADABLE: Note.ANSWER_UNREADABLE}


@dataclass(frozen=True)
class Intake:
    """Decodes records, and refuses those whose event time is too far from their arrival.

    A recorded arrival stands for the arrival where it is honoured; elsewhere it is removed, so that nothing behind the
    intake takes it for one. In its place, a transaction that was answered in the call has the time at which its service
    received it. It is not refused by its event time: the service has done that before it answered.

    Attributes:
        labels_stream: records of this stream are labels, all others transactions.
        max_age_ms: refuse transactions whose event time lies further before their arrival; None accepts any.
        max_ahead_ms: the same for event times after arrival.
        honours_recorded: whether a recorded arrival stands for the arrival.
        keys: that authenticate answers, by id.
    """

    labels_stream: str
    max_age_ms: int | None = None
    max_ahead_ms: int | None = None
    honours_recorded: bool = False
    keys: Mapping[str, AnswerKey] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, keys: Mapping[str, AnswerKey] | None = None) -> Self:
        """As the settings have it; answers count where the keys that they name are given."""
        job = settings.job
        age_ms, ahead_ms = (None if limit is None else limit * 1000 for limit in (job.max_age_s, job.max_ahead_s))
        return cls(settings.streams.labels, age_ms, ahead_ms, job.recorded_arrival, keys or {})

    def read(self, records: pa.RecordBatch) -> Records:
        """Decodes a batch of `fraud.records.arrival.RECORD_SCHEMA`; nothing is lost on the way.

        Returns:
            Transactions and labels are None where the batch had none; each record that was refused is a dead letter.
        """
        is_label = pc.equal(records["stream"], self.labels_stream)
        parts = []
        if (transactions := _some(records.filter(pc.invert(is_label)))) is not None:
            opened = [self._unseal(data) for data in transactions["data"].to_pylist()]
            decoded, refused, rows = _decode(TRANSACTIONS, transactions, [each.record for each in opened])
            received_ms = _received_ms(opened, rows)
            timed, ignored = self._timed(decoded, received_ms)
            kept, out_of_time = self._refuse_by_time(timed, ignored, received_ms)
            parts += [Records(transactions=_some(kept), notes=notes(_noticed(ignored.true_count, opened)))]
            parts += [Records(dead_letters=_some(refused)), Records(dead_letters=_some(out_of_time))]
        if (labels := _some(records.filter(is_label))) is not None:
            decoded, refused = decode_records(LABELS, labels)
            timed, ignored = self._timed(decoded)
            said = notes(_noticed(ignored.true_count))
            parts.append(Records(labels=_some(timed), dead_letters=_some(refused), notes=said))
        return joined(parts)

    def _unseal(self, data: bytes) -> Unsealed:
        """A record without its answer, unless it holds a card number that only the whole of it shows."""
        opened = unseal(data, self.keys)
        if opened.problem is not None and find_card_number(data) is not None:
            return Unsealed(data)
        return opened

    def _timed(
        self, decoded: pa.RecordBatch, received_ms: Ints | None = None
    ) -> tuple[pa.RecordBatch, pa.BooleanArray]:
        """The records with those recorded arrivals that count, and which of them had one that does not.

        Args:
            decoded: n transactions or labels.
            received_ms: when each was received in the call; negative where it was not (n).
        """
        place = decoded.schema.get_field_index("recorded_arrival")
        recorded, ignored = decoded.column(place), pa.repeat(False, decoded.num_rows)
        if not self.honours_recorded and recorded.null_count < decoded.num_rows:
            ignored = pc.is_valid(recorded)
            recorded = pa.nulls(decoded.num_rows, recorded.type)
        if received_ms is not None and (received_ms >= 0).any():
            received = pa.array(received_ms, mask=received_ms < 0).cast(recorded.type)
            recorded = pc.coalesce(recorded, received)
        return decoded.set_column(place, decoded.schema.field(place), recorded), ignored

    def _refuse_by_time(
        self, decoded: pa.RecordBatch, ignored: pa.BooleanArray, received_ms: Ints
    ) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Splits off transactions whose event time lies too far before or after their arrival.

        Of those that were answered, only the ones that were received too long before or after they came to the stream.
        """
        age_ms = arrivals_ms(decoded) - milliseconds(decoded["event_time"])
        too_old = age_ms > (_FAR_MS if self.max_age_ms is None else self.max_age_ms)
        ahead = -age_ms > (_FAR_MS if self.max_ahead_ms is None else self.max_ahead_ms)
        answered = received_ms >= 0
        waited_ms = np.where(answered, decoded["arrival_ms"].to_numpy() - received_ms, 0)
        far = np.where(answered, np.abs(waited_ms) > DUPLICATE_HORIZON_MS, too_old | ahead)
        rows = np.flatnonzero(far)
        found = (
            _untimely_answer(row, int(waited_ms[row]))
            if answered[row]
            else self._untimely(row, int(age_ms[row]), ignored[row].as_py())
            for row in rows.tolist()
        )
        rejects = [reject for reject in found if reject is not None]
        kept = decoded if not rejects else decoded.filter(pa.array(~far))
        kept = kept.append_column(ANSWERED_FIELD, pa.array(answered[~far]))
        return kept, dead_letters(decoded.take(pa.array(rows, pa.int64())), rejects)

    def _untimely(self, row: int, age_ms: int, ignored: bool) -> Reject | None:
        """Why a transaction of this age is refused; None where it is accepted."""
        also = "; its recorded arrival was ignored (job.recorded_arrival)" if ignored else ""
        if self.max_age_ms is not None and age_ms > self.max_age_ms:
            detail = f"event time lies {age_ms} ms before arrival, allowed are {self.max_age_ms} (job.max_age_s){also}"
            return Reject(row, Reason.TOO_OLD, "event_time", detail)
        if self.max_ahead_ms is not None and -age_ms > self.max_ahead_ms:
            detail = (
                f"event time lies {-age_ms} ms after arrival, allowed are {self.max_ahead_ms} (job.max_ahead_s){also}"
            )
            return Reject(row, Reason.IN_FUTURE, "event_time", detail)
        return None

    def _timely(self, record: Row, opened: Unsealed, ignored: bool) -> Row | Reject:
        """A single transaction with what its answer adds, unless it is refused by its times."""
        record[ANSWERED_FIELD.name] = opened.answered is not None
        if opened.answered is None:
            age_ms = arrival_ms_of(record) - milliseconds_of(record["event_time"])
            return self._untimely(0, age_ms, ignored) or record
        received_ms = opened.answered.received_ms
        if record["recorded_arrival"] is None:
            record["recorded_arrival"] = time_of(received_ms)
        waited_ms = record["arrival_ms"] - received_ms
        return _untimely_answer(0, waited_ms) if abs(waited_ms) > DUPLICATE_HORIZON_MS else record

    def read_one(self, arrival: Row, data: bytes) -> Records:
        """Decodes a single record.

        Args:
            arrival: `fraud.records.arrival.ARRIVAL_COLUMNS`.
            data: the bytes as received.
        """
        is_label = arrival["stream"] == self.labels_stream
        opened = Unsealed(data) if is_label else self._unseal(data)
        record = (LABELS if is_label else TRANSACTIONS).decode_one(opened.record)
        ignored = False
        if isinstance(record, Row):
            record.update(arrival, raw=data)
            ignored = record["recorded_arrival"] is not None and not self.honours_recorded
            if ignored:
                record["recorded_arrival"] = None
            if not is_label:
                record = self._timely(record, opened, ignored)
        said = None
        if ignored or opened.problem is not None:
            said = Row({note.value: count for note, count in _noticed(int(ignored), [opened]).items()})
        if isinstance(record, Reject):
            return Records(dead_letters=dead_letter(Row(arrival, raw=data), record), notes=said)
        return Records(labels=record, notes=said) if is_label else Records(transactions=record, notes=said)


def _noticed(ignored: int, opened: Sequence[Unsealed] = ()) -> dict[Note, int]:
    """What was noticed about records: recorded arrivals that do not count, answers that do not."""
    problems = [_NOTE_OF[each.problem] for each in opened if each.problem is not None]
    found = {Note.RECORDED_ARRIVAL_IGNORED: ignored} | {note: problems.count(note) for note in set(problems)}
    return {note: count for note, count in found.items() if count}


def _received_ms(opened: Sequence[Unsealed], rows: pa.Array) -> Ints:
    """When each of the good records was received in the call; -1 where it was not."""
    received = [-1 if each.answered is None else each.answered.received_ms for each in opened]
    return np.asarray(np.array(received, np.int64)[rows.to_numpy()])


def _untimely_answer(row: int, waited_ms: int) -> Reject:
    where = f"{waited_ms} ms before" if waited_ms > 0 else f"{-waited_ms} ms after"
    detail = f"was answered in the call {where} it came to the stream, allowed are {DUPLICATE_HORIZON_MS}"
    return Reject(row, Reason.UNTIMELY_ANSWER, "received_ms", detail)


def _some(records: pa.RecordBatch) -> pa.RecordBatch | None:
    return records if records.num_rows else None


def decode_records(decoder: RecordDecoder, records: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Decodes one stream's records.

    Args:
        decoder: of transactions or labels.
        records: `fraud.records.arrival.RECORD_SCHEMA`.

    Returns:
        The good records (arrival, fields, raw) and the refused ones (`DEAD_LETTER_SCHEMA`).
    """
    good, refused, _ = _decode(decoder, records, records["data"].to_pylist())
    return good, refused


def _decode(
    decoder: RecordDecoder, records: pa.RecordBatch, data: Sequence[bytes]
) -> tuple[pa.RecordBatch, pa.RecordBatch, pa.Array]:
    """Decodes of each record other bytes than those received; also, of each good one its place among those given."""
    decoded = decoder.decode(data)
    good = records if len(decoded.rows) == records.num_rows else records.take(decoded.rows)
    columns = [*(good[name] for name in ARRIVAL_COLUMNS), *decoded.batch.columns, good["data"]]
    schema = pa.schema([*ARRIVAL_FIELDS, *decoded.batch.schema, RAW_FIELD])
    refused = dead_letters(records.take(pa.array([r.row for r in decoded.rejects], pa.int64())), decoded.rejects)
    return pa.RecordBatch.from_arrays(columns, schema=schema), refused, decoded.rows
