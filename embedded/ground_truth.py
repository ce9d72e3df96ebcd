"""Reads the ground truth that a producer appends while it sends."""

from __future__ import annotations

from pathlib import Path

import msgspec


class _Row(msgspec.Struct):
    transaction_id: str
    is_fraud: bool = False


class GroundTruth:
    """A growing file of JSON lines with `transaction_id` and `is_fraud`; each is read once.

    Args:
        file: may not exist yet.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = 0
        self._parse = msgspec.json.Decoder(_Row).decode

    @property
    def begun(self) -> bool:
        """Whether the producer has opened the file."""
        return self._file.exists()

    def read_new(self) -> tuple[list[str], list[bool]]:
        """Ids and truths of the whole lines that were appended since the last call."""
        if not self._file.exists():
            return [], []
        with self._file.open("rb") as lines:
            lines.seek(self._position)
            data = lines.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        rows = [self._parse(line) for line in whole.splitlines()]
        return [row.transaction_id for row in rows], [row.is_fraud for row in rows]
