"""What producers write down of each transaction that they asked a decision service about."""

from __future__ import annotations

import datetime as dt
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


def asked_lines(folder: Path) -> GrowingFiles[Asked]:
    """What the producers of a run asked, as it grows."""
    return GrowingFiles(folder, _ENDING, Asked)
