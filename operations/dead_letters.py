"""Dead letters in the archive: found, shown, and put on their stream again."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pyarrow as pa

from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind, replayed_key
from adapters.aws.stream_writer import KinesisWriter, StreamRecord
from fraud.errors import MisconfiguredError
from fraud.records.answered import unseal
from fraud.records.dead_letter import DEAD_LETTER_SCHEMA
from fraud.settings import Aws

AT_ONCE = 500
"""Dead letters put before they are marked."""

LONGEST_KEY = 256
"""Characters of a partition key (Kinesis API reference)."""


@dataclass(frozen=True)
class DeadLetter:
    """One refused record.

    Attributes:
        id: stream, shard, sequence number and sub-sequence, joined by `/`: its place in the stream.
        replayed: whether it was put on its stream again.
    """

    id: str
    stream: str
    arrival_ms: int
    reason: str
    field: str | None
    detail: str | None
    data: bytes
    replayable: bool
    replayed: bool


class DeadLetterStore:
    """Reads dead letters and replays them.

    Args:
        archive: holds them.
        aws: where their streams are.
        new_writer: makes what writes to a stream.
    """

    def __init__(
        self, archive: Archive, aws: Aws, new_writer: Callable[[str, Aws], KinesisWriter] = KinesisWriter
    ) -> None:
        self._archive = archive
        self._aws = aws
        self._new_writer = new_writer

    def find(self, reason: str | None = None, since: dt.date | None = None) -> Iterator[DeadLetter]:
        """Dead letters in the order of their hours and batches.

        Args:
            reason: only those with this reason code.
            since: only those that arrived on this UTC day or later.
        """
        replayed = self.replayed()
        after = "" if since is None else f"{ArchiveKind.DEAD_LETTERS.prefix}date={since.isoformat()}/"
        for key in self._archive.keys(ArchiveKind.DEAD_LETTERS.prefix, after):
            for dead_letter in dead_letters_of(self._read(key), replayed):
                if reason is None or dead_letter.reason == reason:
                    yield dead_letter

    def replayed(self) -> set[str]:
        """Ids of those that were replayed."""
        marks = replayed_key("").removesuffix(".json")
        return {key.removeprefix(marks).removesuffix(".json") for key in self._archive.keys(marks)}

    def of_object(self, key: str, which: Container[str]) -> list[DeadLetter]:
        """Some dead letters of an archived object, by id, each marked as it stands now.

        Raises:
            FileNotFoundError: there is no such object.
        """
        found = (each for each in dead_letters_of(self._read(key), set()) if each.id in which)
        return [replace(each, replayed=self._archive.get(replayed_key(each.id)) is not None) for each in found]

    def _read(self, key: str) -> pa.Table:
        return self._archive.read_table(key, DEAD_LETTER_SCHEMA.names)

    def get(self, dead_letter_id: str) -> DeadLetter:
        """The dead letter with an id.

        Raises:
            MisconfiguredError: there is none.
        """
        for dead_letter in self.find():
            if dead_letter.id == dead_letter_id:
                return dead_letter
        raise MisconfiguredError(dead_letter_id, "no such dead letter; `fraud dead-letters list` shows their ids")

    def replay(self, dead_letters: Iterable[DeadLetter]) -> Iterator[int]:
        """Puts records on their streams again and marks them; what was replayed or cannot be is left alone.

        The marks come after the records, some hundreds at a time. Should this be interrupted in between, a second
        replay puts these twice, and the job refuses the second of them as a duplicate.

        Yields:
            How many were put and marked by now.
        """
        writers: dict[str, KinesisWriter] = {}
        waiting = (each for each in dead_letters if each.replayable and not each.replayed)
        done = 0
        while some := list(islice(waiting, AT_ONCE)):
            for stream in sorted({dead_letter.stream for dead_letter in some}):
                if stream not in writers:
                    writers[stream] = self._new_writer(stream, self._aws)
                found = [dead_letter for dead_letter in some if dead_letter.stream == stream]
                writers[stream].write(
                    [StreamRecord(partition_key_of(dead_letter), dead_letter.data) for dead_letter in found]
                )
                for dead_letter in found:
                    self._archive.put_new(replayed_key(dead_letter.id), b"{}")
            done += len(some)
            yield done


def dead_letter_id(row: Mapping[str, Any]) -> str:
    """The id of a dead letter, from its place in the stream."""
    return "/".join(str(row[name]) for name in ("stream", "shard", "sequence_number", "sub_sequence"))


def dead_letters_of(table: pa.Table, replayed: set[str]) -> Iterator[DeadLetter]:
    """The dead letters of a table, columns of `DEAD_LETTER_SCHEMA`."""
    for row in table.to_pylist():
        yield _dead_letter(row, replayed)


def _dead_letter(row: Mapping[str, Any], replayed: set[str]) -> DeadLetter:
    identifier = dead_letter_id(row)
    return DeadLetter(
        id=identifier,
        stream=row["stream"],
        arrival_ms=row["arrival_ms"],
        reason=row["reason"],
        field=row["field"],
        detail=row["detail"],
        data=row["data"],
        replayable=row["replayable"],
        replayed=identifier in replayed,
    )


def partition_key_of(dead_letter: DeadLetter) -> str:
    """The card, as the producer has it, so that the record keeps its order with the card's others; else its id."""
    try:
        record = json.loads(unseal(dead_letter.data, {}).record)
        card = record["card_token"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return dead_letter.id
    return card if isinstance(card, str) and card.isascii() and 0 < len(card) <= LONGEST_KEY else dead_letter.id
