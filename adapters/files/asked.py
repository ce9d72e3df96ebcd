"""What producers write down of each transaction that they asked a decision service about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import msgspec

from adapters.files.growing import GrowingFiles
from fraud.decision.key import Subject
from fraud.records.schema import milliseconds_of

_ENDING = "-asked.jsonl"


class Asked(msgspec.Struct, frozen=True):
    """What became of a call.

    Attributes:
        transaction_id: of the transaction.
        card_token: of the transaction.
        event_time: of the transaction.
        status: of the HTTP answer; 200 is a decision.
        repeated: whether the decision is one that was given before, to another call.
        took_ms: from the first attempt to the answer, milliseconds.
    """

    transaction_id: str
    card_token: str
    event_time: dt.datetime
    status: int
    repeated: bool
    took_ms: float

    @property
    def subject(self) -> Subject:
        """Which decision was asked for."""
        return Subject(self.card_token, self.transaction_id, milliseconds_of(self.event_time))

    @property
    def is_new(self) -> bool:
        """Whether a decision came of it: the record is on the stream then, with its decision."""
        return self.status == 200 and not self.repeated


def asked_file(folder: Path, producer: str) -> Path:
    """Where a producer of a run writes them."""
    return folder / f"{producer}{_ENDING}"


class AskedLines:
    """The growing files of a folder, one a producer; each line is read once.

    Args:
        folder: may not exist yet; files may come later.
    """

    def __init__(self, folder: Path) -> None:
        self._files = GrowingFiles(folder, _ENDING)
        self._parse = msgspec.json.Decoder(Asked).decode

    def read_new(self) -> Iterator[list[Asked]]:
        """What was written since the last call, by file."""
        for _, _, lines in self._files.read_new():
            yield [self._parse(line) for line in lines]
