"""An index over the archive's decisions, on local disk: the payments of a card, a merchant or a device in milliseconds.

The archive is laid out by arrival; a card's payments lie in as many objects as it has payments. The index keeps of each
decision what people look at, and where in the archive the rest is. It is disposable: delete it and it is rebuilt.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import pyarrow as pa
import structlog

from fraud.decision.key import Subject, is_key

log = structlog.get_logger()

_VERSION = 5

Kind = Literal["card", "customer", "merchant", "device", "ip"]
"""What a payment has one of, and other payments may share."""

ENTITY_FIELDS: dict[Kind, str] = {
    "card": "card_token",
    "customer": "customer_id",
    "merchant": "merchant_id",
    "device": "device_id",
    "ip": "ip_address",
}
"""The field of a payment that holds each."""

_TEXT = (
    "customer_id",
    "merchant_id",
    "device_id",
    "ip_address",
    "currency",
    "mcc",
    "merchant_country",
    "channel",
    "outcome",
    "authorisation_result",
    "card_last_four",
)
_NUMBERS = ("amount_minor", "billing_amount_minor", "score", "merchant_lat", "merchant_lon", "home_lat", "home_lon")
ARCHIVED = ("transaction_id", "card_token", "event_time", *_TEXT, *_NUMBERS)
"""Columns of the archive that the index reads."""

SHOWN = ("transaction_id", "card_token", "event_ms", *_TEXT, *_NUMBERS)
"""Fields of a payment, by name; times in milliseconds, money in minor units."""

_KEYS = (*(f"{kind}_key" for kind in ENTITY_FIELDS), "decision_key")
_SCHEMA = f"""
CREATE TABLE objects (first_row INTEGER PRIMARY KEY, payments INTEGER, key TEXT UNIQUE);
CREATE TABLE payments (id INTEGER PRIMARY KEY, {", ".join(f"{name} INTEGER" for name in _KEYS)}, {", ".join(SHOWN)});
CREATE INDEX by_card ON payments (card_key, event_ms);
CREATE INDEX by_customer ON payments (customer_key, event_ms);
CREATE INDEX by_merchant ON payments (merchant_key, event_ms);
CREATE INDEX by_device ON payments (device_key, event_ms) WHERE device_key IS NOT NULL;
CREATE INDEX by_ip ON payments (ip_key, event_ms) WHERE ip_key IS NOT NULL;
CREATE INDEX alerts_by_merchant ON payments (merchant_key, event_ms) WHERE outcome <> 'approve';
CREATE INDEX alerts_by_device ON payments (device_key, event_ms) WHERE outcome <> 'approve' AND device_key IS NOT NULL;
CREATE INDEX by_last_four ON payments (card_last_four, card_token) WHERE card_last_four IS NOT NULL;
CREATE INDEX by_transaction ON payments (transaction_id COLLATE NOCASE);
CREATE INDEX by_decision ON payments (decision_key);
CREATE TABLE names (kind TEXT, name TEXT, key INTEGER, last_row INTEGER, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE INDEX names_by_text ON names (kind, name COLLATE NOCASE);
CREATE INDEX names_by_key ON names (key);
"""

_KEY_LETTERS = 15
"""The beginning of a decision key that a number of SQLite holds in its order: four bits for each character."""

_HEX_OF_LETTERS = str.maketrans("abcdefghijklmnop", "0123456789abcdef")
_BEGINNING_OF_A_KEY = re.compile("[a-p]{6,40}")
_ENTITY_KEY = re.compile(f"[0-9a-f]{{{_KEY_LETTERS}}}")

Payment = dict[str, Any]
"""A payment by the names of `SHOWN`."""


class ArchiveRow(NamedTuple):
    """Where a decision lies: the archive's object and the row in it."""

    key: str
    row: int


class Held(NamedTuple):
    """What the index holds: payments, and the last key of the archive that was taken over, in the keys' order."""

    payments: int
    last_key: str | None


class Name(NamedTuple):
    """Something that payments share: a card, customer, merchant, device or address.

    Attributes:
        kind: which of them.
        name: as payments spell it.
    """

    kind: Kind
    name: str

    @property
    def key(self) -> str:
        """Names it in addresses without saying it.

        >>> Name("card", "tok-1").key
        '6bac42d620087c5'
        """
        return hashlib.sha256(f"{self.kind} {self.name}".encode()).hexdigest()[:_KEY_LETTERS]


class PaymentIndex:
    """The index in a folder. One writes, any number of threads read.

    Args:
        folder: where its file lies; made if it is missing. A file of another version is replaced.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "payments.db"
        self._local = threading.local()
        self._writing = threading.Lock()
        self._writer = self._open()

    def _open(self) -> sqlite3.Connection:
        standing = self._standing()
        if standing is not None:
            return standing
        for name in ("", "-wal", "-shm"):
            self._file.with_name(self._file.name + name).unlink(missing_ok=True)
        database = _connect(self._file)
        database.executescript(f"PRAGMA journal_mode=WAL; {_SCHEMA} PRAGMA user_version={_VERSION};")
        return database

    def _standing(self) -> sqlite3.Connection | None:
        """The database that is there; None where it has another version or is damaged, so that it is built again."""
        database = sqlite3.connect(self._file, timeout=30.0)
        try:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version == _VERSION:
                database.execute("SELECT max(id) FROM payments").fetchone()
                return _connect(self._file)
        except sqlite3.OperationalError:  # locked, or no room: nothing is wrong with it
            raise
        except sqlite3.DatabaseError as error:
            log.warning("payment_index_damaged", file=str(self._file), problem=str(error))
        finally:
            database.close()
        return None

    @property
    def _reader(self) -> sqlite3.Connection:
        if not hasattr(self._local, "database"):
            self._local.database = _connect(self._file)
        database: sqlite3.Connection = self._local.database
        return database

    def add(self, key: str, decisions: pa.Table) -> bool:
        """Takes over an object of the archive in one step; False where it was there already.

        Args:
            key: of the object.
            decisions: its rows in order, with the columns of `ARCHIVED` at least.
        """
        columns = {name: decisions[name].to_pylist() for name in (*ARCHIVED[:2], *_TEXT, *_NUMBERS)}
        columns["event_ms"] = decisions["event_time"].cast(pa.int64()).to_pylist()
        keys = [_keys(columns[name]) for name in ENTITY_FIELDS.values()]
        subjects = map(Subject, *(columns[name] for name in Subject._fields))
        keys.append([_place_of_key(subject.key) for subject in subjects])
        marks = ", ".join("?" * (1 + len(_KEYS) + len(SHOWN)))
        with self._writing, self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            if self.holds(key, self._writer):
                return False
            (last,) = self._writer.execute("SELECT coalesce(max(first_row + payments), 0) FROM objects").fetchone()
            first, count = last + 1, len(decisions)
            rows = zip(range(first, first + count), *keys, *(columns[name] for name in SHOWN), strict=True)
            self._writer.executemany(f"INSERT INTO payments VALUES ({marks})", rows)
            self._writer.execute("INSERT INTO objects VALUES (?, ?, ?)", (first, count, key))
            shared = {Name(kind, name) for kind, field in ENTITY_FIELDS.items() for name in columns[field] if name}
            self._writer.executemany(
                "INSERT INTO names VALUES (?, ?, ?, ?)"
                " ON CONFLICT (kind, name) DO UPDATE SET last_row = excluded.last_row",
                [(*each, int(each.key, 16), last + count) for each in shared],
            )
        return True

    def holds(self, key: str, database: sqlite3.Connection | None = None) -> bool:
        """Whether an object was taken over."""
        found = (database or self._reader).execute("SELECT 1 FROM objects WHERE key = ?", (key,))
        return found.fetchone() is not None

    def forget(self, before_key: str) -> int:
        """Removes the objects whose keys lie before one; gives how many."""
        with self._writing, self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            old = self._writer.execute(
                "SELECT first_row, first_row + payments - 1 FROM objects WHERE key < ?", (before_key,)
            ).fetchall()
            self._writer.executemany("DELETE FROM payments WHERE id BETWEEN ? AND ?", old)
            self._writer.execute("DELETE FROM objects WHERE key < ?", (before_key,))
            if old:
                self._forget_names()
        return len(old)

    def _forget_names(self) -> None:
        """Those whose last row lies before all that is kept; after an object that came late, some stay for longer."""
        (kept,) = self._writer.execute("SELECT coalesce(min(first_row), 9e18) FROM objects").fetchone()
        self._writer.execute("DELETE FROM names WHERE last_row < ?", (kept,))

    def held(self) -> Held:
        """How much is there."""
        return Held(*self._reader.execute("SELECT coalesce(sum(payments), 0), max(key) FROM objects").fetchone())

    def last_key(self, prefix: str) -> str | None:
        """The last key below a prefix that was taken over."""
        last: str | None = self._reader.execute("SELECT max(key) FROM objects WHERE key >= ?", (prefix,)).fetchone()[0]
        return last

    def of_card(self, card_token: str, until_ms: int, limit: int) -> list[Payment]:
        """Payments of a card up to a time, newest first."""
        return self._find(
            "card_key = ? AND card_token = ? AND event_ms <= ?", [_key(card_token), card_token, until_ms], limit
        )

    def of_card_after(self, card_token: str, after_ms: int, limit: int) -> list[Payment]:
        """Payments of a card after a time, oldest first."""
        condition = "card_key = ? AND card_token = ? AND event_ms > ?"
        return self._find(condition, [_key(card_token), card_token, after_ms], limit, "ASC")

    def of(self, what: Name, since_ms: int, until_ms: int, limit: int) -> list[Payment]:
        """Payments that share something, within a span, newest first."""
        condition = f"{what.kind}_key = ? AND {ENTITY_FIELDS[what.kind]} = ? AND event_ms BETWEEN ? AND ?"
        return self._find(condition, [_key(what.name), what.name, since_ms, until_ms], limit)

    def alerts_of_merchant(self, merchant_id: str, limit: int) -> list[Payment]:
        """Payments at a merchant whose outcome is above approve, newest first."""
        condition = "outcome <> 'approve' AND merchant_key = ? AND merchant_id = ?"
        return self._find(condition, [_key(merchant_id), merchant_id], limit)

    def alerts_of_device(self, device_id: str, limit: int) -> list[Payment]:
        """Payments by a device whose outcome is above approve, newest first."""
        condition = "outcome <> 'approve' AND device_key = ? AND device_id = ?"
        return self._find(condition, [_key(device_id), device_id], limit)

    def alerts_of_transaction(self, transaction_id: str, limit: int) -> list[Subject]:
        """Decisions above approve with a transaction id, newest first: of any card, and on any day."""
        condition = "outcome <> 'approve' AND transaction_id = ? COLLATE NOCASE AND transaction_id = ?"
        return [_subject(payment) for payment in self._find(condition, [transaction_id, transaction_id], limit)]

    def alert_of_key(self, key: str) -> Subject | None:
        """The decision above approve that has a key; None where there is none."""
        payment = self.of_key(key)
        return None if payment is None or payment["outcome"] == "approve" else _subject(payment)

    def of_key(self, key: str) -> Payment | None:
        """The payment whose decision has a key; None where there is none."""
        found = self._find("decision_key = ?", [_place_of_key(key)], -1) if is_key(key) else []
        return next((payment for payment in found if _subject(payment).key == key), None)

    def named(self, key: str) -> Name | None:
        """What has a key of its own, see `Name.key`; None where no payment has it."""
        if not _ENTITY_KEY.fullmatch(key):
            return None
        found = self._reader.execute("SELECT kind, name FROM names WHERE key = ?", (int(key, 16),)).fetchone()
        return None if found is None else Name(*found)

    def names_beginning(self, text: str, kinds: Sequence[Kind] = get_args(Kind), limit: int = 10) -> list[Name]:
        """Cards, merchants and others whose name begins with a text, in capitals or not: so many of each kind."""
        found: list[Name] = []
        for kind in kinds:
            rows = self._reader.execute(
                "SELECT kind, name FROM names WHERE kind = ? AND name COLLATE NOCASE >= ? AND name COLLATE NOCASE < ?"
                " ORDER BY name COLLATE NOCASE LIMIT ?",
                (kind, text, _end_of(text), limit),
            )
            found.extend(Name(*row) for row in rows)
        return found

    def cards_ending(self, digits: str, limit: int) -> list[Name]:
        """Cards whose last four digits are known to be these."""
        found = self._reader.execute(
            "SELECT DISTINCT card_token FROM payments WHERE card_last_four = ? LIMIT ?", (digits, limit)
        )
        return [Name("card", token) for (token,) in found]

    def payments_beginning(self, text: str, limit: int = 10) -> list[Payment]:
        """Payments whose transaction id or decision key begins with a text, in capitals or not."""
        columns, key = ", ".join(SHOWN), text.lower()
        found = self._reader.execute(
            f"SELECT {columns} FROM payments WHERE transaction_id COLLATE NOCASE >= ?"
            " AND transaction_id COLLATE NOCASE < ? ORDER BY transaction_id COLLATE NOCASE LIMIT ?",
            (text, _end_of(text), limit),
        ).fetchall()
        if _BEGINNING_OF_A_KEY.fullmatch(key):
            bounds = [_place_of_key(key.ljust(_KEY_LETTERS, letter)) for letter in "ap"]
            found += self._reader.execute(
                f"SELECT {columns} FROM payments WHERE decision_key BETWEEN ? AND ? ORDER BY decision_key LIMIT ?",
                (*bounds, limit),
            ).fetchall()
        payments = [dict(zip(SHOWN, row, strict=True)) for row in found]
        began = [one for one in payments if _begins(one, text, key)]
        return list({_subject(one): one for one in began}.values())[:limit]

    def place(self, subject: Subject) -> ArchiveRow | None:
        """Where in the archive a decision lies; the first, should the same record have been decided again."""
        found = self._reader.execute(
            "SELECT id FROM payments WHERE transaction_id = ? COLLATE NOCASE AND transaction_id = ? AND card_token = ?"
            " AND event_ms = ? ORDER BY id LIMIT 1",
            (subject.transaction_id, subject.transaction_id, subject.card_token, subject.event_ms),
        ).fetchone()
        if found is None:
            return None
        key, first = self._reader.execute(
            "SELECT key, first_row FROM objects WHERE first_row <= ? ORDER BY first_row DESC LIMIT 1", found
        ).fetchone()
        return ArchiveRow(key, found[0] - first)

    def _find(self, condition: str, values: Sequence[Any], limit: int, order: str = "DESC") -> list[Payment]:
        columns = ", ".join(SHOWN)
        found = self._reader.execute(
            f"SELECT {columns} FROM payments WHERE {condition} ORDER BY event_ms {order} LIMIT ?", [*values, limit]
        )
        return [dict(zip(SHOWN, row, strict=True)) for row in found]


def _connect(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=30.0, check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("PRAGMA mmap_size=4294967296")  # every thread reads the same pages, none keeps copies
    return database


def _key(text: str) -> int:
    """A small number to look up by; queries compare the text as well."""
    return zlib.crc32(text.encode())


def _place_of_key(key: str) -> int:
    """A decision key's place in the order of keys."""
    return int(key[:_KEY_LETTERS].translate(_HEX_OF_LETTERS), 16)


def _end_of(text: str) -> str:
    """The first text after all that begin with one: identifiers are printable ASCII."""
    return text + "\x7f"


def _begins(payment: Payment, text: str, key: str) -> bool:
    named: str = payment["transaction_id"]
    return named.lower().startswith(text.lower()) or _subject(payment).key.startswith(key)


def _subject(payment: Payment) -> Subject:
    return Subject(*(payment[name] for name in Subject._fields))


def _keys(texts: Iterable[str | None]) -> list[int | None]:
    return [None if text is None else zlib.crc32(text.encode()) for text in texts]
