"""Reads the ground truth that producers append while they send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

_SUFFIX = "-truth.jsonl"


class Truth(msgspec.Struct, frozen=True):
    """What a producer knows of a transaction.

    Attributes:
        campaign: which kind of fraud; None for genuine transactions and where a recording does not tell.
        case_id: which case of it.
    """

    transaction_id: str
    is_fraud: bool = False
    campaign: str | None = None
    case_id: str | None = None


def truth_file(folder: Path, producer: str) -> Path:
    """Where a producer of a run writes the truth."""
    return folder / f"{producer}{_SUFFIX}"


class GroundTruth:
    """The growing truth files of a folder, one a producer; each line is read once.

    Args:
        folder: may not exist yet; files may come later.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._positions: dict[Path, int] = {}
        self._parse = msgspec.json.Decoder(Truth).decode

    def read_new(self) -> Iterator[tuple[str, list[Truth]]]:
        """The whole lines that were appended since the last call, by producer."""
        for file in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with file.open("rb") as lines:
                lines.seek(self._positions.get(file, 0))
                data = lines.read()
            whole = data[: data.rfind(b"\n") + 1]
            if whole:
                self._positions[file] = self._positions.get(file, 0) + len(whole)
                yield file.name.removesuffix(_SUFFIX), [self._parse(line) for line in whole.splitlines()]
