"""Reads the ground truth that producers append while they send."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from adapters.files.growing import GrowingFiles
from fraud.decision.key import Subject
from fraud.records.schema import milliseconds_of

log = structlog.get_logger()

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


class GroundTruth:
    """The growing truth files of a folder, one a producer; each line is read once.

    Args:
        folder: may not exist yet; files may come later.
    """

    def __init__(self, folder: Path) -> None:
        self._files = GrowingFiles(folder, _SUFFIX)
        self._parse = msgspec.json.Decoder(Truth).decode

    def read_new(self) -> Iterator[tuple[str, list[Truth]]]:
        """What was appended since the last call, by producer; a line that cannot be read is logged."""
        for producer, file, lines in self._files.read_new():
            yield producer, list(self._read(file, lines))

    def _read(self, file: Path, lines: list[bytes]) -> Iterator[Truth]:
        refused, why = 0, ""
        for line in lines:
            try:
                yield self._parse(line)
            except msgspec.MsgspecError as error:
                refused, why = refused + 1, str(error)
        if refused:
            log.warning("truth_not_read", file=str(file), lines=refused, reason=why, fix="produce it again")
