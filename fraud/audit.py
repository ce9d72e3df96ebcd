"""The audit log as a chain: each line holds the hash of the one before, so that a change of any line is found."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fraud.records.schema import milliseconds_of, time_of

GENESIS = "0" * 64
"""What stands in the first line for the hash of the line before."""


class Entry(NamedTuple):
    """What somebody did.

    Attributes:
        at_ms: when, in UTC milliseconds.
        by: the user's name.
        act: what was done, such as `escalate`.
        what: to what, such as a decision key.
    """

    at_ms: int
    by: str
    act: str
    what: str


@dataclass(frozen=True)
class AuditLine:
    """An entry at its place in the chain.

    Attributes:
        number: from 1, without gaps.
        entry: what was done.
        before: hash of the line before; `GENESIS` in the first one.
    """

    number: int
    entry: Entry
    before: str

    @property
    def hash(self) -> str:
        """SHA-256 over number, entry and the hash of the line before, as a JSON list without spaces."""
        text = json.dumps([self.number, *self.entry, self.before], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def text(self) -> str:
        """The line as it is stored, without its end; of any line there is one text."""
        entry = self.entry._asdict()
        at = time_of(entry.pop("at_ms")).isoformat(timespec="milliseconds")
        whole = {"number": self.number, "at": at, **entry, "before": self.before, "hash": self.hash}
        return json.dumps(whole, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> AuditLine:
        """The line of a text.

        Raises:
            ValueError: it is none, or says another hash than its own.
        """
        try:
            held = json.loads(text)
            at_ms = milliseconds_of(dt.datetime.fromisoformat(held["at"]))
            line = cls(held["number"], Entry(at_ms, held["by"], held["act"], held["what"]), held["before"])
            same = line.text == text
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise ValueError("it is no line of the audit log") from None
        if not same:
            raise ValueError("its content is not what its hash was made of")
        return line


class Head(NamedTuple):
    """The end of a chain when somebody looked: a later look must find this line in it.

    Attributes:
        number: of the last line; 0 where there was none.
        hash: of that line.
    """

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """The head that `str` wrote.

        Raises:
            ValueError: it is none.
        """
        number, _, digest = text.partition(":")
        if not number.isdecimal() or len(digest) != len(GENESIS):
            raise ValueError(f"{text!r} is not NUMBER:HASH")
        return cls(int(number), digest)


START = Head(0, GENESIS)
"""The end of a chain without lines."""


def chained(head: Head, entries: Sequence[Entry]) -> list[AuditLine]:
    """The lines that follow the end of a chain."""
    lines: list[AuditLine] = []
    for entry in entries:
        line = AuditLine(head.number + 1, entry, head.hash)
        lines.append(line)
        head = Head(line.number, line.hash)
    return lines


class Fault(NamedTuple):
    """The first line at which a chain is broken.

    Attributes:
        number: of the line that should stand there.
        place: where it was looked for.
        reason: what is wrong.
    """

    number: int
    place: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.number} ({self.place}): {self.reason}"


class Checked(NamedTuple):
    """What a look at a whole chain found.

    Attributes:
        head: the last good line before the first fault, or of all.
        fault: None where there is none.
    """

    head: Head
    fault: Fault | None


def check(texts: Iterable[tuple[str, str]], known: Head | None = None) -> Checked:
    """Looks at every line of a chain.

    Lines that are cut off at the end leave a sound chain; only a head that was noted before shows them.

    Args:
        texts: each line with the place that it was read from, in order.
        known: a head of an earlier look.
    """
    head = START
    place = "the end"
    for place, text in texts:
        number = head.number + 1
        try:
            line = AuditLine.parse(text)
        except ValueError as error:
            return Checked(head, Fault(number, place, str(error)))
        if line.number != number:
            return Checked(head, Fault(number, place, f"line {line.number} stands there"))
        if line.before != head.hash:
            return Checked(head, Fault(number, place, "it does not follow the line before"))
        head = Head(number, line.hash)
        if known is not None and known.number == number and known != head:
            return Checked(head, Fault(number, place, f"it was {known.hash} when its hash was noted"))
    if known is not None and known.number > head.number:
        return Checked(head, Fault(head.number + 1, place, f"missing; there were {known.number:,} lines before"))
    return Checked(head, None)
