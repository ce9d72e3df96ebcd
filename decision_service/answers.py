"""The answers of the last days on the local disk, by decision key and by card and transaction: a bounded index.

The journal and the stream hold the truth; what a crash has kept from this index is put in again from there.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import structlog

log = structlog.get_logger()

_VERSION = 1
_TABLES = "select count(*) from sqlite_master"
_SCHEMA = f"""
pragma user_version = {_VERSION};
create table if not exists answers (
    number integer primary key, key text not null, payment integer not null, content blob not null,
    received_ms integer not null, answer blob not null
);
create unique index if not exists by_key on answers (key);
create index if not exists by_payment on answers (payment);
pragma wal_autocheckpoint = 8000;
"""
"""Rows lie in the order in which they came: what is added together, and what expires together, lies together."""

_COLUMNS = "key, payment, content, received_ms, answer"
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
        file: of the index; one that is damaged, or of another version, is moved away and begun again.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        try:
            self._writer = self._open()
        except sqlite3.DatabaseError as error:
            log.error("answers_damaged", file=str(file), problem=str(error), way_out="docs/decisions-api.md")
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
        (tables,), (version,) = (opened.execute(query).fetchone() for query in (_TABLES, "pragma user_version"))
        if tables and version != _VERSION:
            raise sqlite3.DatabaseError(f"it was written in version {version}, this program keeps version {_VERSION}")
        opened.executescript(_SCHEMA)
        opened.execute("select count(*) from (select 1 from answers limit 1)").fetchone()
        return opened

    def keep(self, answers: Sequence[Kept]) -> None:
        """Adds answers; one that is there already stays."""
        self._writer.execute("begin")
        self._writer.executemany(f"insert or ignore into answers ({_COLUMNS}) values (?, ?, ?, ?, ?)", answers)
        self._writer.execute("commit")

    def expire(self, before_ms: int) -> int:
        """Removes some of the answers on transactions that were received before a time; how many."""
        found = self._writer.execute(
            "delete from answers where number in (select number from answers order by number limit ?) "
            "and received_ms < ?",
            (_REMOVED_AT_ONCE, before_ms),
        )
        return found.rowcount

    def sync(self) -> None:
        """Makes what was added durable: until then, a power loss may take the last of it."""
        with closing(sqlite3.connect(self._file)) as beside:  # neither writer nor reader waits for the disk
            beside.execute("pragma wal_checkpoint(passive)")

    def by_key(self, key: str) -> Kept | None:
        """The answer of a decision key."""
        row = self._reader.execute(f"select {_COLUMNS} from answers where key = ?", (key,)).fetchone()
        return None if row is None else Kept(*row)

    def of_payment(self, card_token: str, transaction_id: str) -> list[Kept]:
        """The answers on a card's transactions of an id, the newest first; another's that hash alike among them."""
        query = f"select {_COLUMNS} from answers where payment = ? order by received_ms desc"
        found = self._reader.execute(query, (payment_of(card_token, transaction_id),))
        return [Kept(*row) for row in found]

    def close(self) -> None:
        """Ends."""
        self._reader.close()
        self._writer.close()
