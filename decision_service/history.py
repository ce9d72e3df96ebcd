"""The history that a job has archived: where a service without a snapshot can begin, instead of at the streams' start.

The archive holds every record of a batch, decided or refused, in the order in which the job folded it. So the state is
that of the job, and each shard is read on behind its last archived record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import structlog

from adapters.archive.archive import Archive
from adapters.archive.batch_replay import archived_batches, archived_keys
from adapters.archive.layout import ArchiveKind
from decision_service.answers import Answers, Kept
from decision_service.engine import Engine
from fraud.errors import MisconfiguredError
from fraud.records import Records
from fraud.records.arrival import ARRIVAL_COLUMNS

log = structlog.get_logger()

_ANSWERED = (*ARRIVAL_COLUMNS, "answered_by", "raw")


class Reached(NamedTuple):
    """How far the archive goes in a shard.

    Attributes:
        sequence_number: of its last record.
        arrival_ms: of the latest record.
    """

    sequence_number: str
    arrival_ms: int


Place = tuple[str, str]
"""A stream and one of its shards."""


def fold_archive(archive: Archive, query: str, engine: Engine, answers: Answers, since_ms: int) -> dict[Place, Reached]:
    """Folds all that a query has archived into an engine without state.

    Args:
        archive: to read.
        query: whose.
        engine: folds.
        answers: keep the answers among them.
        since_ms: of those only the ones on transactions that arrived later.

    Returns:
        How far it goes in each shard.

    Raises:
        MisconfiguredError: the archive has nothing of the query, or an object cannot be read.
    """
    reached: dict[Place, Reached] = {}
    recent = set[int]()
    for batch in archived_batches(archive, query):
        engine.fold_batch(batch.records)
        for place, found in _reached(batch.records):
            before = reached.get(place, found)
            reached[place] = Reached(
                max(before.sequence_number, found.sequence_number, key=int), max(before.arrival_ms, found.arrival_ms)
            )
            if found.arrival_ms >= since_ms:
                recent.add(batch.number)
    if not reached:
        raise MisconfiguredError("decide.begin_with", f"the archive has no batches of a query named {query}")
    kept = 0
    for number, keys in archived_keys(archive, query):
        if number in recent:
            for key in keys.get(ArchiveKind.DECISIONS, []):
                found_there = list(_answers(archive, key, engine, since_ms))
                answers.keep(found_there)
                kept += len(found_there)
    log.info("archive folded", query=query, cards=engine.cards, answers=kept)
    return reached


def _reached(records: Records) -> Iterator[tuple[Place, Reached]]:
    for part in (records.transactions, records.labels):
        if part is not None:
            columns = (part[name].to_pylist() for name in ("stream", "shard", "sequence_number", "arrival_ms"))
            for stream, shard, number, arrival_ms in zip(*columns, strict=True):
                yield (stream, shard), Reached(number, arrival_ms)


def _answers(archive: Archive, key: str, engine: Engine, since_ms: int) -> Iterator[Kept]:
    for row in archive.read_table(key, _ANSWERED).to_pylist():
        if row["answered_by"] is not None and row["arrival_ms"] >= since_ms:
            kept = engine.answer_on([row[name] for name in ARRIVAL_COLUMNS], row["raw"])
            if kept is not None:
                yield kept
