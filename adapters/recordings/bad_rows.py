"""Rows of a recording that cannot be transactions."""

from __future__ import annotations

import enum
from typing import NamedTuple


class OnBadRow(enum.StrEnum):
    """What becomes of a row that cannot be read."""

    FAIL = "fail"
    DEAD_LETTER = "dead-letter"


class BadRow(NamedTuple):
    """A row that cannot be a transaction.

    Attributes:
        file: where it stands.
        row: its number; the header is row 1 of a text file.
        column: their column; None where it is the row as a whole.
        value: what stands there; None where nothing does.
        problem: what is wrong with it, and the way out.
    """

    file: str
    row: int
    column: str | None
    value: str | None
    problem: str

    def __str__(self) -> str:
        """One line: `row 12, column amount, 'x,y': ...`."""
        column = "" if self.column is None else f", column {self.column}"
        value = "" if self.value is None else f", {self.value[:60]!r}"
        return f"row {self.row}{column}{value}: {self.problem}"
