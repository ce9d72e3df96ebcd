"""Dead letters in the archive: found, shown, and put on their stream again."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pyarrow as pa

from adapters.archive import Archive
from adapters.stream_writer import KinesisWriter, StreamRecord
from fraud.archive_layout import ArchiveKind, replayed_key
from fraud.errors import MisconfiguredError
from fraud.settings import Settings

AT_ONCE = 500
"""Letters put before they are marked."""


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
        settings: where archive and streams are.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._archive = Archive(settings)
        self._archive.require()

    def find(self, reason: str | None = None, since: dt.date | None = None) -> Iterator[DeadLetter]:
        """Dead letters in the order of their hours and batches.

        Args:
            reason: only those with this reason code.
            since: only those that arrived on this UTC day or later.
        """
        replayed = self.replayed()
        after = "" if since is None else f"{ArchiveKind.DEAD_LETTERS.prefix}date={since.isoformat()}/"
        for key in self._archive.keys(ArchiveKind.DEAD_LETTERS.prefix, after):
            for letter in letters_of(self._archive.read_table(key), replayed):
                if reason is None or letter.reason == reason:
                    yield letter

    def replayed(self) -> set[str]:
        """Ids of those that were replayed."""
        marks = replayed_key("").removesuffix(".json")
        return {key.removeprefix(marks).removesuffix(".json") for key in self._archive.keys(marks)}

    def of_object(self, key: str, which: Container[str]) -> list[DeadLetter]:
        """Some dead letters of an archived object, by id, each marked as it stands now.

        Raises:
            FileNotFoundError: there is no such object.
        """
        found = (letter for letter in letters_of(self._archive.read_table(key), set()) if letter.id in which)
        return [replace(letter, replayed=self._archive.get(replayed_key(letter.id)) is not None) for letter in found]

    def get(self, letter_id: str) -> DeadLetter:
        """The dead letter with an id.

        Raises:
            MisconfiguredError: there is none.
        """
        for letter in self.find():
            if letter.id == letter_id:
                return letter
        raise MisconfiguredError(letter_id, "no such dead letter; `fraud dead-letters list` shows their ids")

    def replay(self, letters: Iterable[DeadLetter]) -> Iterator[int]:
        """Puts records on their streams again and marks them; what was replayed or cannot be is left alone.

        The marks come after the records, some hundreds at a time. Should this be interrupted in between, a second
        replay puts these twice, and the job refuses the second of them as a duplicate.

        Yields:
            How many were put and marked by now.
        """
        writers: dict[str, KinesisWriter] = {}
        waiting = (letter for letter in letters if letter.replayable and not letter.replayed)
        done = 0
        while some := list(islice(waiting, AT_ONCE)):
            for stream in sorted({letter.stream for letter in some}):
                if stream not in writers:
                    writers[stream] = KinesisWriter(stream, self._settings.aws)
                found = [letter for letter in some if letter.stream == stream]
                writers[stream].write([StreamRecord(_partition_key(letter), letter.data) for letter in found])
                for letter in found:
                    self._archive.put_new(replayed_key(letter.id), b"{}")
            done += len(some)
            yield done


def letter_id(row: Mapping[str, Any]) -> str:
    """The id of a dead letter, from its place in the stream."""
    return "/".join(str(row[name]) for name in ("stream", "shard", "sequence_number", "sub_sequence"))


def letters_of(table: pa.Table, replayed: set[str]) -> Iterator[DeadLetter]:
    """The dead letters of a table, columns of `DEAD_LETTER_SCHEMA`."""
    for row in table.to_pylist():
        yield _letter(row, replayed)


def _letter(row: Mapping[str, Any], replayed: set[str]) -> DeadLetter:
    identifier = letter_id(row)
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


def _partition_key(letter: DeadLetter) -> str:
    """The card, as the producer has it, so that the record keeps its order with the card's others; else its id."""
    try:
        card = json.loads(letter.data)["card_token"]
    except (ValueError, TypeError, KeyError):
        return letter.id
    return card if isinstance(card, str) and card else letter.id
