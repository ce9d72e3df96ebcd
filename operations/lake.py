"""Delta tables over the archive: closed hours folded in once, compacted, expired and verified."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.exceptions import CommitFailedError

from adapters.archive.archive import Archive, open_archive
from adapters.archive.delta import TABLES, DeltaTables, OpenTable, storage_options
from adapters.archive.layout import ERASED, ArchiveKind
from adapters.archive.offset_check import Counted, check_counts
from adapters.archive.offset_notes import read_notes
from adapters.archive.tables import ARCHIVE_SCHEMAS, conform
from fraud.records.dead_letter import Reason
from fraud.settings import Archive as ArchivePlace
from fraud.settings import Aws

_ATTEMPTS = 10

_REWRITTEN = "rewritten"
"""Application whose version in a table counts how often objects were rewritten."""

_ENDED = f"reason = '{Reason.UNMATCHED_LABEL.value}'"
PLACE = ("stream", "shard", "sequence_number", "sub_sequence")
"""Columns that identify a row: its place in its stream."""

Done = TypeVar("Done")


class _Maintained(msgspec.Struct):
    """What of a kind was folded and found sound: all before a date, and how many objects of each hour since then."""

    before: str = ""
    hours: dict[str, int] = {}


@dataclass(frozen=True)
class TableReport:
    """What maintenance found and did for one kind.

    Attributes:
        kind: the table.
        objects: objects folded in by this run.
        rows: rows folded in by this run.
        archived: rows in the objects of closed hours, but for settled dates, that are still there.
        missing: rows of these that the table lacks.
        duplicated: rows beyond the first with the same place in the stream.
        expired: rows removed for their age.
    """

    kind: ArchiveKind
    objects: int
    rows: int
    archived: int
    missing: int
    duplicated: int
    expired: int

    @property
    def sound(self) -> bool:
        """Whether the table holds each archived row once."""
        return not self.missing and not self.duplicated


class Lake:
    """Folds the archive into Delta tables.

    Args:
        place: the archive's bucket and prefix, its key and retention.
        aws: where S3 is.
        now: decides which hours are closed.
        grace: how long after its end an hour still takes objects.
        everything: whether what was found sound before is looked at again.
        archive: the archive; None opens it.
        tables: its Delta tables; None opens them.
    """

    def __init__(
        self,
        place: ArchivePlace,
        aws: Aws,
        now: dt.datetime,
        grace: dt.timedelta,
        *,
        everything: bool = False,
        archive: Archive | None = None,
        tables: DeltaTables | None = None,
    ) -> None:
        self._archive = open_archive(place, aws) if archive is None else archive
        self._archive.require()
        if tables is None:
            tables = DeltaTables(f"{place.address}{TABLES}", storage_options(place, aws))
        self._tables = tables
        self._retention_days = place.retention_days
        self._settled_days = place.settled_days
        self._everything = everything
        self._counted_from = ""
        self._closed_before = now - grace
        self._now = now
        self._began = dt.datetime.now(dt.UTC)
        self._row_counts: dict[str, int] = {}

    def maintain(self, kind: ArchiveKind) -> TableReport:
        """Folds, compacts, expires and verifies one table.

        Hours of settled dates are left alone once they were found sound, others are verified where they have got more
        objects: what a run costs does not grow with the archive.
        """
        objects = rows = 0
        known = self._known(kind)
        self._counted_from = max(self._counted_from, known.before)
        hours = self.closed_hours(kind, known.before)
        changed = {hour: keys for hour, keys in hours.items() if known.hours.get("T".join(hour)) != len(keys)}
        for hour, keys in changed.items():
            new_objects, new_rows = self._fold(kind, hour, keys)
            objects, rows = objects + new_objects, rows + new_rows
        table = self._open(kind)
        if table is None:
            return TableReport(kind, 0, 0, 0, 0, 0, 0)
        expired = _unless_overtaken(table, lambda: self._expire(table))
        if rows or expired:
            _unless_overtaken(table, table.compact)
            table.vacuum()
        self._archive.label(f"{TABLES}{kind.value}/", self._began)  # `deltalake` cannot
        report = self._verify(kind, table, hours, changed, known.before, objects, rows, expired)
        if report.sound:
            self._keep(kind, known, hours)
        return report

    def settled(self, kind: ArchiveKind) -> str:
        """The date before which nothing is written any more and all was folded; empty before a maintenance."""
        return self._known(kind).before

    def _known(self, kind: ArchiveKind) -> _Maintained:
        stored = None if self._everything else self._archive.get(_note_key(kind))
        return _Maintained() if stored is None else msgspec.json.decode(stored, type=_Maintained)

    def _keep(self, kind: ArchiveKind, known: _Maintained, hours: dict[tuple[str, str], list[str]]) -> None:
        """Notes what was found sound; where another run was faster, its note stays."""
        before = max(known.before, (self._now.date() - dt.timedelta(days=self._settled_days)).isoformat())
        counts = {"T".join(hour): len(keys) for hour, keys in hours.items() if hour[0] >= before}
        data = msgspec.json.encode(_Maintained(before, counts))
        found = self._archive.find(_note_key(kind))
        self._archive.put_over(_note_key(kind), data, None if found is None else found.tag)

    def verify_offsets(self) -> list[Counted]:
        """Compares how many records each query has read, by the offsets of its streams, with the rows of what was
        maintained, after settled dates: all kinds must have been.
        """
        closed = self._closed_before.replace(minute=0, second=0, microsecond=0)
        since = dt.datetime.min.replace(tzinfo=dt.UTC)
        if self._retention_days is not None:
            since = dt.datetime.combine(
                self._now.date() - dt.timedelta(days=self._retention_days - 1), dt.time(), dt.UTC
            )
        if self._counted_from:  # and a day, as what is read in a batch may have arrived earlier than it
            settled = dt.datetime.fromisoformat(f"{self._counted_from}T00:00:00+00:00") + dt.timedelta(days=1)
            since = max(since, settled)
        notes = read_notes(self._archive, _milliseconds(since))
        return check_counts(notes, self._rows_ever(), _milliseconds(since), _milliseconds(closed))

    def _rows_ever(self) -> dict[str, int]:
        """Rows of each object, those that were erased among them."""
        ever = dict(self._row_counts)
        for key in self._archive.keys(ERASED):
            note = json.loads(self._archive.get(key) or b"{}")
            if note.get("object") in ever:
                ever[note["object"]] += note["rows"]
        return ever

    def rows(self, kind: ArchiveKind, columns: list[str]) -> pa.Table:
        """Some columns of a whole table; none where there is no table."""
        table = self._open(kind)
        return pa.table({}) if table is None else table.query(f"SELECT {', '.join(columns)} FROM t")

    def objects(self, kind: ArchiveKind, condition: str = "true") -> set[str]:
        """Keys of the objects of which a table holds a row that a condition in SQL chooses."""
        table = self._open(kind)
        if table is None:
            return set()
        return set(table.query(f"SELECT DISTINCT object FROM t WHERE {condition}")["object"].to_pylist())

    def read_objects_again(self, kind: ArchiveKind) -> None:
        """Has every maintenance that is under way read objects again before it folds them, as some were rewritten.

        A deletion that finds no row commits nothing, and would not keep one from appending what it has read before.
        """
        table = self._open(kind)
        if table is not None:
            _unless_overtaken(table, lambda: table.mark(_REWRITTEN))

    def delete(self, kind: ArchiveKind, condition: str) -> None:
        """Deletes the rows of a table that a condition in SQL chooses.

        The files that held them are removed by the maintenance a week later.
        """
        table = self._open(kind)
        if table is not None:
            _unless_overtaken(table, lambda: table.delete(condition))

    def forget(self, kind: ArchiveKind, card_token: str) -> None:
        """Takes a card out of a table's log: the statistics of its files, and the conditions of its deletions.

        Statistics of tokens are left out altogether: they help no query, and each names two cards.
        """
        for key in self._archive.keys(f"{TABLES}{kind.value}/_delta_log/"):
            stored = self._archive.get(key) or b""
            if key.endswith(".json"):
                kept = b"".join(_forgetful(line, card_token) for line in stored.splitlines(keepends=True))
            elif key.endswith(".checkpoint.parquet"):
                kept = _forgetful_checkpoint(stored)
            else:
                continue
            if kept != stored:
                self._archive.replace(key, kept)

    def closed_hours(
        self, kind: ArchiveKind, since: str = "", *, expired: bool = False
    ) -> dict[tuple[str, str], list[str]]:
        """Keys of a kind's objects from a date on, by date and hour, those alone that nothing writes to any more.

        Args:
            kind: which objects.
            since: the date; empty begins with the first.
            expired: also those that are no longer kept in the table, and that the bucket has not removed yet.
        """
        hours: dict[tuple[str, str], list[str]] = defaultdict(list)
        for key in self._archive.keys(kind.prefix, first_key(kind, since)):
            _, date, hour, _ = key.split("/")
            date, hour = date.removeprefix("date="), hour.removeprefix("hour=")
            begin = dt.datetime.fromisoformat(f"{date}T{hour}:00+00:00")
            if begin + dt.timedelta(hours=1) <= self._closed_before and (expired or not self._is_expired(date)):
                hours[date, hour].append(key)
        return hours

    def _is_expired(self, date: str) -> bool:
        return self._retention_days is not None and date < self._oldest_date(self._retention_days)

    def _oldest_date(self, days: int) -> str:
        return (self._now.date() - dt.timedelta(days=days)).isoformat()

    def _fold(self, kind: ArchiveKind, hour: tuple[str, str], keys: list[str]) -> tuple[int, int]:
        """Appends the objects of an hour that the table does not hold yet; returns how many objects and rows.

        The append and the raised version of the hour's application transaction are one commit, so of two runs at the
        same time only one succeeds, and the other looks again.
        """
        application = f"{kind.value}/{'T'.join(hour)}"
        for _ in range(_ATTEMPTS):
            table = self._open(kind)
            version = None if table is None else table.version_of(application)
            held = set() if table is None or version is None else self._held(table, hour)
            new = [key for key in keys if key not in held]
            if not new:
                return 0, 0
            rows = self._rows(kind, table, new, hour)
            if table is None:
                self._tables.create(kind.value, rows.schema)
                continue
            try:
                table.append(rows, application, (version or 0) + 1)
            except CommitFailedError:  # somebody else has committed in between, perhaps the same objects
                continue
            return len(new), rows.num_rows
        raise CommitFailedError(f"{application}: others committed {_ATTEMPTS} times in between")

    def _rows(self, kind: ArchiveKind, table: OpenTable | None, keys: list[str], hour: tuple[str, str]) -> pa.Table:
        """Objects as one table: with the types that the Delta table has, or else those of today; new columns last."""
        stored = dict(zip(keys, self._stored(keys, hour), strict=True))
        fields = {field.name: field for part in stored.values() for field in part.schema}
        known = {field.name: field for field in ARCHIVE_SCHEMAS[kind] if field.name in fields}
        if table is None:
            wanted = fields | known
        else:
            held = {field.name: field for field in table.schema}
            # Earlier rows have none of a new column, so it is never a required one.
            new = {name: field.with_nullable(True) for name, field in (fields | known).items() if name not in held}
            wanted = held | new
        schema = pa.schema(wanted.values())
        return pa.concat_tables([conform(part, schema, key) for key, part in stored.items()])

    def _stored(self, keys: Iterable[str], hour: tuple[str, str]) -> Iterator[pa.Table]:
        for key in keys:
            table = self._archive.read_stored(key)
            for name, value in (("date", hour[0]), ("hour", hour[1]), ("object", key)):
                table = table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))
            yield table

    def _open(self, kind: ArchiveKind) -> OpenTable | None:
        return self._tables.open(kind.value)

    def _held(self, table: OpenTable, hour: tuple[str, str]) -> set[str]:
        found = table.query(f"SELECT DISTINCT object FROM t WHERE date = '{hour[0]}' AND hour = '{hour[1]}'")
        return set(found["object"].to_pylist())

    def _expire(self, table: OpenTable) -> int:
        if self._retention_days is None:
            return 0
        return table.delete(f"date < '{self._oldest_date(self._retention_days)}'")

    def _verify(
        self,
        kind: ArchiveKind,
        table: OpenTable,
        hours: dict[tuple[str, str], list[str]],
        changed: Collection[tuple[str, str]],
        since: str,
        objects: int,
        rows: int,
        expired: int,
    ) -> TableReport:
        """Compares the table with the objects: every row by count of its object, every place in the stream once."""
        table.refresh()
        young = f"date >= {literal(since)}"
        counts = table.query(f"SELECT object, count(*) AS n FROM t WHERE {young} GROUP BY object")
        held = dict(zip(counts["object"].to_pylist(), counts["n"].to_pylist(), strict=True))
        archived = {
            key: self._archive.row_count(key) if hour in changed else held.get(key, 0)
            for hour, keys in hours.items()
            for key in keys
        }
        self._row_counts |= archived | held
        if kind is ArchiveKind.DEAD_LETTERS:
            # Labels that waited in vain were read with earlier records, and are counted with these.
            ended = table.query(f"SELECT object, count(*) AS n FROM t WHERE {_ENDED} AND {young} GROUP BY object")
            for key, count in zip(ended["object"].to_pylist(), ended["n"].to_pylist(), strict=True):
                self._row_counts[key] -= count
        places = ", ".join(PLACE)
        again = f"SELECT n FROM (SELECT count(*) AS n FROM t WHERE {young} GROUP BY {places}) WHERE n > 1"
        duplicated = table.query(again)["n"]
        return TableReport(
            kind=kind,
            objects=objects,
            rows=rows,
            archived=sum(archived.values()),
            missing=sum(max(0, count - held.get(key, 0)) for key, count in archived.items()),
            duplicated=(pc.sum(duplicated).as_py() or 0) - len(duplicated),
            expired=expired,
        )


def first_key(kind: ArchiveKind, date: str) -> str:
    """What comes before all keys of a kind from a date on; all keys, where there is no date.

    >>> first_key(ArchiveKind.LABELS, "2026-01-15"), first_key(ArchiveKind.LABELS, "")
    ('labels/date=2026-01-15/', '')
    """
    return f"{kind.prefix}date={date}/" if date else ""


def _note_key(kind: ArchiveKind) -> str:
    return f"{TABLES}{kind.value}-maintained.json"


def _unless_overtaken(table: OpenTable, change: Callable[[], Done]) -> Done:
    """Makes a change; where someone else committed in between, looks at the table again and makes it then."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return change()
        except CommitFailedError:
            table.refresh()
    return change()


def literal(value: str | int) -> str:
    """A value as SQL writes it.

    >>> literal("it's")
    "'it''s'"
    """
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _forgetful(line: bytes, card_token: str) -> bytes:
    """An action of a log without statistics of tokens, and without the condition of a deletion that names the card."""
    if not line.strip():
        return line
    action = json.loads(line)
    for each in action.values():
        if isinstance(each, dict) and each.get("stats"):
            each["stats"] = _without_tokens(each["stats"])
    condition = action.get("commitInfo", {}).get("operationParameters", {})
    if literal(card_token) in str(condition.get("predicate")):
        condition["predicate"] = "erased"
    return json.dumps(action, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _forgetful_checkpoint(stored: bytes) -> bytes:
    table = pq.read_table(io.BytesIO(stored))
    rows = table.to_pylist()
    for row in rows:
        for name in ("add", "remove"):
            if row.get(name) and row[name].get("stats"):
                row[name]["stats"] = _without_tokens(row[name]["stats"])
    kept = pa.Table.from_pylist(rows, table.schema)
    if kept.equals(table):
        return stored
    sink = io.BytesIO()
    pq.write_table(kept, sink)
    return sink.getvalue()


def _without_tokens(stats: str) -> str:
    found = json.loads(stats)
    for bound in ("minValues", "maxValues"):
        found.get(bound, {}).pop("card_token", None)
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def _milliseconds(time: dt.datetime) -> int:
    return int(time.timestamp() * 1000)
