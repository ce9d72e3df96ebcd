"""The answers of the last days on the local disk, by decision key and by card and transaction: a bounded index.

The journal and the stream hold the truth; what a crash has kept from this index is put in again from there.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

log = structlog.get_logger()

_SCHEMA = """
create table if not exists answers (
    key blob primary key, payment integer not null, content blob not null, received_ms integer not null,
    answer blob not null
) without rowid;
create index if not exists by_payment on answers (payment);
create index if not exists by_time on answers (received_ms);
"""
_REMOVED_AT_ONCE = 2_000


class Kept(NamedTuple):
    """An answer as it is kept.

    Attributes:
        key: the decision key.
        payment: of card and transaction id, see `payment_of`.
        content: digest of the transaction, its send time aside.
        received_ms: when the transaction was received.
        answer: JSON as it was answered, without what differs between two times of answering it.
    """

    key: str
    payment: int
    content: bytes
    received_ms: int
    answer: bytes


def payment_of(card_token: str, transaction_id: str) -> int:
    """A 63-bit hash of a card and a transaction id."""
    card = card_token.encode()
    text = b"%d %b%b" % (len(card), card, transaction_id.encode())
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


class Answers:
    """The index: written by one thread, read by another.

    Args:
        file: of the index; one that is damaged is moved away and begun again.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        try:
            self._writer = self._open()
        except sqlite3.DatabaseError as error:
            log.error("answers_damaged", file=str(file), problem=str(error))
            for suffix in ("", "-wal", "-shm"):
                part = Path(f"{file}{suffix}")
                if part.exists():
                    part.replace(f"{part}.damaged")
            self._writer = self._open()
        self._reader = sqlite3.connect(file, check_same_thread=False, isolation_level=None)

    def _open(self) -> sqlite3.Connection:
        opened = sqlite3.connect(self._file, check_same_thread=False, isolation_level=None)
        opened.execute("pragma journal_mode=wal")
        opened.execute("pragma synchronous=normal")
        opened.executescript(_SCHEMA)
        opened.execute("select count(*) from (select 1 from answers limit 1)").fetchone()
        return opened

    def keep(self, answers: Sequence[Kept]) -> None:
        """Adds answers; one that is there already stays."""
        self._writer.execute("begin")
        self._writer.executemany("insert or ignore into answers values (?, ?, ?, ?, ?)", answers)
        self._writer.execute("commit")

    def expire(self, before_ms: int) -> int:
        """Removes some of the answers on transactions that were received before a time; how many."""
        found = self._writer.execute(
            "delete from answers where key in (select key from answers where received_ms < ? limit ?)",
            (before_ms, _REMOVED_AT_ONCE),
        )
        return found.rowcount

    def by_key(self, key: str) -> Kept | None:
        """The answer of a decision key."""
        row = self._reader.execute("select * from answers where key = ?", (key,)).fetchone()
        return None if row is None else Kept(*row)

    def of_payment(self, card_token: str, transaction_id: str) -> list[Kept]:
        """The answers on a card's transactions of an id, the newest first; another's that hash alike among them."""
        query = "select * from answers where payment = ? order by received_ms desc"
        found = self._reader.execute(query, (payment_of(card_token, transaction_id),))
        return [Kept(*row) for row in found]

    def close(self) -> None:
        """Ends."""
        self._reader.close()
        self._writer.close()
