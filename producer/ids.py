"""Ids as real streams have them: names that count, UUIDs, hex digests, ULIDs, digits, trace numbers that come again."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from producer.rows import Rows

_MIXER = 2_654_435_761
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]
_TRACE_NUMBERS = 1_000_000
_TRACE_DAYS = 3
"""A card's trace numbers come again after so many days: never within the 24 hours in which an id is its card's own."""

_APART = 100_003
_MAYBE_A_CARD = re.compile(r"\d{13}")


def counting_ids(run: str, first_number: int, count: int) -> pa.Array:
    """Ids that count from a number.

    >>> counting_ids("t7-20454", 8, 2).to_pylist()
    ['t7-20454-8', 't7-20454-9']
    """
    numbers = pc.cast(pa.array(np.arange(first_number, first_number + count)), pa.string())
    return pc.binary_join_element_wise(run, numbers, "-")


def transaction_ids(rows: Rows, day: int, run: str, first_number: int) -> pa.Array:
    """The ids of a day's transactions; each merchant's system has its own form, and most count.

    Args:
        rows: the transactions, all of one day.
        day: that day, since 1970.
        run: what counting ids begin with, and all others are made from.
        first_number: number of the first transaction.
    """
    form = (rows.merchant * _MIXER >> 7) % 100
    traced = (form >= len(_FORMS)) & (form < len(_FORMS) + _TRACED) & (rows.late_ms == 0)
    other = np.flatnonzero((form < len(_FORMS)) | traced)
    if not len(other):
        return counting_ids(run, first_number, len(rows))
    used: Counter[int] = Counter()
    base = _number(run)

    def named(row: int) -> str:
        if traced[row]:
            card = int(rows.card[row])
            used[card] += 1
            number = base + card * 7_919 + _APART * (day % _TRACE_DAYS) + used[card]
            return f"{number % _TRACE_NUMBERS:06d}"
        made = _FORMS[int(form[row])]
        return made(f"{run}-{first_number + row}", int(rows.time_ms[row]))

    names = pa.array([named(row) for row in other.tolist()], pa.string())
    which = np.arange(len(rows))
    which[other] = len(rows) + np.arange(len(other))
    return pa.concat_arrays([counting_ids(run, first_number, len(rows)), names]).take(pa.array(which))


def tokens_of_each_form(names: pa.Array) -> pa.Array:
    """Card tokens, of which a few have another form than the counting names that they are made from."""
    forms = (_uuid, _hex, _digits)
    place = np.arange(len(names))
    other = np.flatnonzero(place % 40 < len(forms))
    made = [
        forms[row % 40](name, 0)
        for row, name in zip(other.tolist(), names.take(pa.array(other)).to_pylist(), strict=True)
    ]
    place[other] = len(names) + np.arange(len(other))
    return pa.concat_arrays([names, pa.array(made, pa.string())]).take(pa.array(place))


def _digest(text: str, size: int) -> bytes:
    return blake2b(text.encode(), digest_size=size).digest()


def _number(text: str) -> int:
    return int.from_bytes(_digest(text, 6), "big")


def _uuid(text: str, _: int) -> str:
    return str(uuid.UUID(bytes=_digest(text, 16), version=4))


def _hex(text: str, _: int) -> str:
    digits = _digest(text, 16).hex()
    # A run of so many digits may be taken for a card number.
    return digits if not _MAYBE_A_CARD.search(digits) else _hex(text + "+", 0)


def _ulid(text: str, time_ms: int) -> str:
    number = time_ms << 80 | int.from_bytes(_digest(text, 10), "big")
    return "".join([_PAIRS[number >> shift & 1_023] for shift in range(120, -1, -10)])


def _digits(text: str, _: int) -> str:
    """Twelve digits, as acquirers number what can be retrieved."""
    return f"{_number(text) % 10**12:012d}"


_FORMS: tuple[Callable[[str, int], str], ...] = (_uuid, _hex, _ulid, _digits)
_TRACED = 3
"""Of a hundred merchants, one sends ids of each of these forms, and so many send trace numbers."""
