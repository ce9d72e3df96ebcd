"""The ground truth that producers append while they send."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec

from adapters.files.growing import GrowingFiles
from fraud.decision.key import Subject
from fraud.records.schema import milliseconds_of

_SUFFIX = "-truth.jsonl"


class Truth(msgspec.Struct, frozen=True):
    """What a producer knows of a transaction, which it names as its record does.

    Attributes:
        campaign: which kind of fraud; None for genuine transactions and where a recording does not say.
        case_id: which case of it.
    """

    transaction_id: str
    card_token: str
    event_time: dt.datetime
    is_fraud: bool = False
    campaign: str | None = None
    case_id: str | None = None

    @property
    def subject(self) -> Subject:
        """Of which decision it is the truth."""
        return Subject(self.card_token, self.transaction_id, milliseconds_of(self.event_time))


def truth_file(folder: Path, producer: str) -> Path:
    """Where a producer of a run writes the truth."""
    return folder / f"{producer}{_SUFFIX}"


def ground_truth(folder: Path) -> GrowingFiles[Truth]:
    """What the producers of a run know, as it grows."""
    return GrowingFiles(folder, _SUFFIX, Truth)
