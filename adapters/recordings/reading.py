"""Reads recordings whole, in event order and in bounded memory, and says what looks wrong about them."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.recordings.bad_rows import BadRow, OnBadRow
from adapters.recordings.convert import FRAUD, Converter
from adapters.recordings.formats import ROW, Recording, open_recording
from adapters.recordings.mapping import Mapping
from fraud.errors import MisconfiguredError
from fraud.records.card_number import redact
from fraud.records.transaction import TRANSACTION_SCHEMA

_DAY_MS = 86_400_000
_RUN_ROWS = 500_000
_GROUP_ROWS = 4_096
_SAMPLE = 5
_PLAUSIBLE = (dt.datetime(1990, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
_MOST = 0.5
_LOOKED_AT = 2_000
_ALL = 1 << 62
_FEW = 20


class Recorded(NamedTuple):
    """A stretch of a recording, sorted by event time.

    Attributes:
        transactions: columns of `TRANSACTION_SCHEMA`; `sent_at` is the event time.
        is_fraud: what the recording says; null where it says nothing.
        label_ms: when that became known, UTC epoch.
    """

    transactions: pa.RecordBatch
    is_fraud: pa.Array
    label_ms: pa.Array


@dataclass
class Findings:
    """What was met while reading a recording whole.

    Attributes:
        rows: transactions.
        bad: rows that are none.
        samples: the first few of them.
        labelled: transactions of which it says whether they are fraud.
        fraud: those that are.
        notes: what was rounded or chosen, by its words.
    """

    rows: int = 0
    bad: int = 0
    samples: list[BadRow] = field(default_factory=list)
    labelled: int = 0
    fraud: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    _common: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, frame: pl.DataFrame, bad: list[BadRow], notes: Counter[str]) -> None:
        """Takes a stretch."""
        self.rows += frame.height
        self.bad += len(bad)
        self.samples += bad[: _SAMPLE - len(self.samples)]
        self.notes.update(notes)
        self.labelled += frame.height - frame[FRAUD].null_count()
        self.fraud += int(frame[FRAUD].sum() or 0)
        if frame.height:
            low, high = frame["event_time"].min(), frame["event_time"].max()
            assert isinstance(low, dt.datetime)
            assert isinstance(high, dt.datetime)
            self.first = low if self.first is None else min(low, self.first)
            self.last = high if self.last is None else max(high, self.last)
        for name in ("card_token", "merchant_id", "transaction_id"):
            # Whatever makes up most of all rows is the most common in some stretch, and among some of its rows.
            looked = frame[name].gather_every(max(1, frame.height // _LOOKED_AT))
            for value, count in looked.value_counts(sort=True).head(1).rows():
                self._common.setdefault(name, Counter())[value] += round(count / len(looked) * frame.height)

    def warnings(self, mapping: Mapping) -> list[str]:
        """One line for each thing that looks wrong."""
        found = [f"{count:,} {words}" for words, count in self.notes.items() if count]
        for name, counts in self._common.items():
            if self.rows >= _FEW and name not in mapping.constants:
                ((value, count),) = counts.most_common(1) or (("", 0),)
                if count > _MOST * self.rows:
                    shown = redact(str(value).encode()).decode()
                    found.append(
                        f"{name} {shown} stands in {count / self.rows:.0%} of the rows; is it the right column?"
                    )
        span = (self.first, self.last)
        if span[0] is not None and span[1] is not None and not _PLAUSIBLE[0] <= span[0] <= span[1] <= _PLAUSIBLE[1]:
            words = f"event times reach from {span[0]:%Y-%m-%d} to {span[1]:%Y-%m-%d}"
            found.append(f"{words}; check unit, origin and format under time")
        if mapping.label is not None and self.rows:
            column = mapping.label.column
            if not self.labelled:
                found.append(f"label column {column} is empty in every row, so no transaction counts as fraud")
            elif not self.fraud:
                values = "its values that mean fraud" if mapping.label.fraud is None else ", ".join(mapping.label.fraud)
                found.append(f"label column {column} never says fraud ({values}), so no transaction counts as fraud")
            elif self.fraud > _MOST * self.labelled and self.labelled >= _FEW:
                share = self.fraud / self.labelled
                found.append(
                    f"label column {column} says fraud in {share:.0%} of the rows; is label.fraud turned round?"
                )
        return found


class RecordingReader:
    """A recording with its mapping.

    Args:
        path: a file, a folder or a pattern, see `open_recording`.
        mapping: of its columns.
        base_currency: of billing amounts.
        on_bad_row: what becomes of rows that cannot be read.
        bad_rows: file that gets a JSON line for each of those, where they are dead letters.

    Raises:
        MisconfiguredError: it cannot be opened, lacks a column, or a required field has no source.
    """

    def __init__(
        self,
        path: Path,
        mapping: Mapping,
        base_currency: str,
        on_bad_row: OnBadRow = OnBadRow.FAIL,
        bad_rows: Path | None = None,
    ) -> None:
        self._recording: Recording = open_recording(path, mapping.format)
        self.mapping = mapping.over(self._recording.columns)
        self.findings = Findings()
        self._path = path
        self._base_currency = base_currency
        self._on_bad_row = on_bad_row
        self._bad_rows = bad_rows
        self._converters: dict[tuple[tuple[str, pl.DataType], ...], Converter] = {}
        Converter(self.mapping, self._recording.schema(), base_currency, str(path))

    def converted(self) -> Iterator[pl.DataFrame]:
        """The transactions in the order of the file, with `FRAUD`; what was met is in `findings`.

        Raises:
            MisconfiguredError: the file cannot be read on, or a row cannot be read and shall not be a dead letter.
        """
        self.findings = Findings()
        if self._bad_rows is not None:
            self._bad_rows.unlink(missing_ok=True)
        for part in self._recording.parts(self.mapping.source_columns()):
            self.findings.notes["rows are empty and were left out"] += part.empty
            try:
                frame, bad, notes = self._converter(part.frame.schema).convert(part)
            except pl.exceptions.PolarsError as error:
                raise MisconfiguredError(part.file, " ".join(str(error).split())) from None
            self.findings.add(frame, bad, notes)
            if bad:
                self._refuse(bad)
            yield frame

    def check(self) -> Findings:
        """Reads all and keeps nothing."""
        for _ in self.converted():
            pass
        return self.findings

    def read(self, rows: int | None = None, batch_rows: int = 50_000) -> Iterator[Recorded]:
        """The transactions in event order; those of one time in the order of the file.

        Args:
            rows: the first so many only.
            batch_rows: most of a stretch.

        Raises:
            MisconfiguredError: see `converted`; the whole recording is read before the first stretch is given.
        """
        left = _ALL if rows is None else rows
        for frame in _cut(self._in_event_order(), batch_rows):
            if left > 0:
                yield self._stretch(frame.head(left))
            left -= frame.height
            if left <= 0:
                return

    def warnings(self) -> list[str]:
        """What looks wrong, and how many rows were refused, once all was read."""
        found = self.findings.warnings(self.mapping)
        if self.findings.bad:
            where = f"; they are in {self._bad_rows}" if self._bad_rows is not None else ""
            found.append(f"{self.findings.bad:,} rows could not be read and are left out{where}, for example:")
            found += [f"  {_redacted(str(row))}" for row in self.findings.samples]
        return found

    def _converter(self, schema: pl.Schema) -> Converter:
        kind = tuple(schema.items())
        if kind not in self._converters:
            self._converters[kind] = Converter(self.mapping, schema, self._base_currency, str(self._path))
        return self._converters[kind]

    def _refuse(self, bad: list[BadRow]) -> None:
        if self._on_bad_row is OnBadRow.FAIL:
            first = min(bad, key=lambda row: row.row)
            raise MisconfiguredError(
                first.file, f"{_redacted(str(first))} (--on-bad-row dead-letter goes on without it)"
            )
        if self._bad_rows is not None:
            with self._bad_rows.open("a") as opened:
                for row in bad:
                    opened.write(_redacted(json.dumps(row._asdict())) + "\n")

    def _in_event_order(self) -> Iterator[pl.DataFrame]:
        with tempfile.TemporaryDirectory(prefix="recording-") as folder:
            runs: list[tuple[dt.datetime, Path]] = []
            held: list[pl.DataFrame] = []
            for frame in self.converted():
                held.append(frame.drop(ROW))
                if sum(part.height for part in held) >= _RUN_ROWS:
                    runs.append(_write_run(Path(folder) / f"{len(runs)}.parquet", held))
                    held = []
            last = pl.concat(held).sort("event_time", maintain_order=True) if held else None
            if not self.findings.rows:
                first = f"; the first: {_redacted(str(self.findings.samples[0]))}" if self.findings.samples else ""
                raise MisconfiguredError(str(self._path), f"has no transaction that can be read{first}")
            if not runs:
                assert last is not None
                yield last
                return
            if last is not None:
                runs.append(_write_run(Path(folder) / f"{len(runs)}.parquet", [last]))
            yield from _merged(runs)

    def _stretch(self, frame: pl.DataFrame) -> Recorded:
        table = frame.to_arrow()
        arrays = [table[part.name].combine_chunks().cast(part.type) for part in TRANSACTION_SCHEMA]
        transactions = pa.RecordBatch.from_arrays(arrays, schema=TRANSACTION_SCHEMA)
        label = self.mapping.label
        delay_ms = 0 if label is None else int(label.delay_days * _DAY_MS)
        label_ms = pa.compute.add(transactions["event_time"].cast(pa.int64()), delay_ms)
        return Recorded(transactions, table[FRAUD].combine_chunks(), label_ms)


def warn_of(reader: RecordingReader, say: Callable[[str], None]) -> None:
    """Says what looks wrong about a recording that was read, a line each."""
    for line in reader.warnings():
        say(line if line.startswith("  ") else f"recording: {line}")


def _redacted(text: str) -> str:
    return redact(text.encode(errors="replace")).decode(errors="replace")


def _write_run(file: Path, frames: list[pl.DataFrame]) -> tuple[dt.datetime, Path]:
    frame = pl.concat(frames).sort("event_time", maintain_order=True)
    frame.write_parquet(file, compression="lz4", row_group_size=_GROUP_ROWS, statistics=False)
    first = frame["event_time"][0]
    assert isinstance(first, dt.datetime)
    return first, file


def _cut(frames: Iterator[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """The same rows in frames of so many; the last may have fewer."""
    held: list[pl.DataFrame] = []
    count = 0
    for frame in frames:
        held.append(frame)
        count += frame.height
        if count >= rows:
            whole = pl.concat(held)
            full = count - count % rows
            yield from whole.slice(0, full).iter_slices(rows)
            held, count = [whole.slice(full)], count % rows
    if count:
        yield pl.concat(held)


def _merged(runs: list[tuple[dt.datetime, Path]]) -> Iterator[pl.DataFrame]:
    """Sorted runs as one, holding a row group of each run whose times overlap."""
    waiting = sorted(range(len(runs)), key=lambda number: (runs[number][0], number))
    opened: dict[int, tuple[Iterator[pl.DataFrame], pl.DataFrame]] = {}
    while waiting or opened:
        if not opened:
            _open(runs, waiting.pop(0), opened)
        bound = min(frame["event_time"][-1] for _, frame in opened.values())
        while waiting and runs[waiting[0]][0] <= bound:
            _open(runs, waiting.pop(0), opened)
            bound = min(frame["event_time"][-1] for _, frame in opened.values())
        ready = []
        for number in sorted(opened):
            groups, frame = opened[number]
            cut = int(frame["event_time"].search_sorted(bound, side="right"))
            ready.append(frame.slice(0, cut))
            rest = frame.slice(cut)
            while not rest.height and (following := next(groups, None)) is not None:
                rest = following
            if rest.height:
                opened[number] = groups, rest
            else:
                del opened[number]
        yield pl.concat(ready).sort("event_time", maintain_order=True)


def _open(
    runs: list[tuple[dt.datetime, Path]], number: int, opened: dict[int, tuple[Iterator[pl.DataFrame], pl.DataFrame]]
) -> None:
    groups = _groups(runs[number][1])
    opened[number] = groups, next(groups)


def _groups(file: Path) -> Iterator[pl.DataFrame]:
    parquet = pq.ParquetFile(file)
    for number in range(parquet.num_row_groups):
        yield pl.DataFrame(pl.from_arrow(parquet.read_row_group(number)))
