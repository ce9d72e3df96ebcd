"""Reads an archive for `fraud.decision.answered_parity`, and finds what became of second answers to a payment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from adapters.archive.archive import Archive
from adapters.archive.batch_replay import ArchivedBatch, archived_batches
from adapters.archive.layout import ArchiveKind
from adapters.archive.tables import conform
from fraud.decision.answered_parity import AnsweredParity, Traffic, compare_answers
from fraud.decision.key import Subject
from fraud.decision.record import decision_schema
from fraud.features import Catalogue
from fraud.records import Row
from fraud.records.answered import Answered, answer_of, is_sealed, unseal
from fraud.records.arrival import arrival_order
from fraud.records.dead_letter import Reason
from fraud.records.decode import TRANSACTIONS

_FIRST = ("card_token", "transaction_id", "event_time", "outcome", "raw")


@dataclass
class SecondAnswers:
    """What became of answers that came to the stream after another record of their payment.

    Attributes:
        repeated: the same answer again, as after a lost acknowledgement.
        conflicting: another answer, or one to a payment that had come unasked.
        different: those of them with another outcome than the one that was archived.
    """

    repeated: int = 0
    conflicting: int = 0
    different: int = 0


def compare_archive(
    archive: Archive,
    query: str,
    in_flight_ms: int,
    decide: Callable[[pa.Table, Answered], pa.Array | None],
    catalogue: Catalogue,
) -> tuple[AnsweredParity, SecondAnswers]:
    """Compares all answered decisions of a query; the archive is read twice.

    Args:
        archive: to read.
        query: whose decisions.
        in_flight_ms: see `Traffic`.
        decide: see `compare_answers`.
        catalogue: of the query.

    Raises:
        MisconfiguredError: an object cannot be read by this version.
    """
    traffic, found = Traffic(in_flight_ms), AnsweredParity()
    for batch in archived_batches(archive, query, stored=True):
        traffic.note(batch.records, [name for table in batch.stored for name in _answered_by(table)])
    later = _later_answers(archive)
    first: dict[Subject, dict[str, Any]] = {}
    for batch in archived_batches(archive, query, stored=True):
        stored = _whole(batch, decision_schema(catalogue.columns))
        compare_answers(stored, traffic, decide, found, catalogue)
        among = stored.filter(
            pc.is_in(stored["transaction_id"], pa.array([s.transaction_id for s in later], pa.string()))
        )
        first |= {Subject.of(row): row for row in among.select(_FIRST).to_pylist()}
    return found, _second_answers(later, first)


def _answered_by(table: pa.Table) -> list[str | None]:
    named: list[str | None] = [None] * table.num_rows
    return table["answered_by"].to_pylist() if "answered_by" in table.schema.names else named


def _whole(batch: ArchivedBatch, schema: pa.Schema) -> pa.Table:
    """The decisions of a batch in arrival order."""
    tables = [conform(table, schema, f"a decision object of batch {batch.number}") for table in batch.stored]
    together = pa.concat_tables(tables) if tables else schema.empty_table()
    return together.take(arrival_order(together))


def _later_answers(archive: Archive) -> dict[Subject, list[bytes]]:
    """Records with answers that were refused because their payment was on the stream before."""
    found: dict[Subject, list[bytes]] = {}
    for table in archive.tables(ArchiveKind.DEAD_LETTERS):
        refused = table.filter(pc.is_in(table["reason"], pa.array([Reason.CONFLICTING_ANSWER, Reason.DUPLICATE])))
        for data in filter(is_sealed, refused["data"].to_pylist()):
            record = TRANSACTIONS.decode_one(unseal(data, {}).record)
            if isinstance(record, Row):
                found.setdefault(Subject.of(record), []).append(data)
    return found


def _second_answers(
    later: Mapping[Subject, Sequence[bytes]], first: Mapping[Subject, Mapping[str, Any]]
) -> SecondAnswers:
    found = SecondAnswers()
    for subject, records in later.items():
        stored = first.get(subject)
        for data in records:
            if stored is not None and stored["raw"] == data:
                found.repeated += 1
            else:
                found.conflicting += 1
                found.different += stored is not None and stored["outcome"] != answer_of(data).outcome
    return found
