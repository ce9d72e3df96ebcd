"""What a recording is written in, found by looking at its bytes, and its rows with their columns as they stand there.

Columns of text files are text: nothing is guessed from values. Parquet says itself what its columns are.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import datetime as dt
import io
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from adapters.recordings.bad_rows import BadRow
from adapters.recordings.mapping import Format
from fraud.errors import MisconfiguredError

SEPARATORS = (",;\t|", "^~\x01:", " ")
"""Between cells: those of a later group only where none of an earlier one cuts the first lines into cells."""

_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\x04\x22\x4d\x18": "lz4"}
_OTHER = {
    b"PK\x03\x04": "a workbook or an archive; save the sheet as CSV (in Excel: Save As, CSV UTF-8), or unpack it",
    b"\xd0\xcf\x11\xe0": "a workbook; save the sheet as CSV (in Excel: Save As, CSV UTF-8)",
    b"\xfd7zXZ": "packed by xz; unpack it (xz -d)",
    b"7z\xbc\xaf": "packed by 7-Zip; unpack it",
    b"ORC": "an ORC file; write it as Parquet",
    b"ARROW1": "an Arrow or Feather file; write it as Parquet",
    b"Obj\x01": "an Avro file; write it as Parquet or JSON lines",
    b"SQLite format 3": "a database; export the table as CSV",
    b"%PDF": "a PDF; export the table as CSV",
}
"""What is met instead of a recording, by its first bytes, and the way out."""

_TAR_AT, _TAR = 257, b"ustar"
_LOOK_BYTES = 1 << 20
_BLOCK_BYTES = 16 << 20
_JSON_ROWS = 20_000
_PARQUET_ROWS = 100_000
_MOST_DOCUMENT_BYTES = 256 << 20
_MOST_LINE_CHARACTERS = 64 << 20
_ENCODINGS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_GUESS = "cp1252"
"""What bytes are taken for that are no UTF-8: what Windows writes in the west."""

_LOST = "\ufffd"
"""Stands where bytes are no character of the encoding."""


class Part(NamedTuple):
    """A stretch of a file.

    Attributes:
        file: where it stands.
        frame: its columns, and the number of each row in `ROW`.
        bad: rows of the stretch that are none.
        empty: how many rows of the stretch have nothing in any column that was read; they are left out.
    """

    file: str
    frame: pl.DataFrame
    bad: list[BadRow]
    empty: int = 0


ROW = "__row__"
"""Name of the column of row numbers; no file has one of this name."""

ROW_NAME = "#row"
"""What a mapping calls the number of a row, behind its file's where there are several: for recordings without ids."""


@dataclass(frozen=True)
class Recording:
    """One or several files that are read as one.

    Attributes:
        files: in the order in which they are read.
        columns: their columns.
        described: how the first is written, in words.
        doubts: what was assumed about how the first is written, and the way out.
    """

    files: tuple[_File, ...]
    columns: tuple[str, ...]
    described: str
    doubts: tuple[str, ...] = ()

    def schema(self) -> pl.Schema:
        """The first file's columns with what they hold, and those of row numbers."""
        return pl.Schema({**self.files[0].schema(), ROW: pl.Int64(), ROW_NAME: pl.String()})

    def parts(self, wanted: Collection[str] | None = None) -> Iterator[Part]:
        """All rows, in stretches of some ten thousands.

        Args:
            wanted: columns that are read; None for all. `ROW_NAME` may be one, `ROW` is always there.
        """
        for number, file in enumerate(self.files, 1):
            before = f"{number}-" if len(self.files) > 1 else ""
            read = file.columns if wanted is None else tuple(name for name in file.columns if name in wanted)
            for part in file.parts(read):
                if wanted is None or ROW_NAME in wanted:
                    place = pl.lit(before) + pl.col(ROW).cast(pl.String)
                    part = part._replace(frame=part.frame.with_columns(place.alias(ROW_NAME)))
                yield part


def open_recording(path: Path, form: Format | None = None) -> Recording:
    """Looks at a file, at all files of a folder in the order of their names, or at those that a pattern names.

    Raises:
        MisconfiguredError: there is none, one cannot be read, or they have different columns.
    """
    form = form or Format()
    files = tuple(_look_at(file, form) for file in _files(path))
    first = files[0]
    for other in files[1:]:
        if sorted(other.columns) != sorted(first.columns):
            raise MisconfiguredError(
                str(other.path), f"has other columns than {first.path}: {', '.join(other.columns)}"
            )
    for file in files:
        if len(set(file.columns)) < len(file.columns):
            twice = next(name for name in file.columns if file.columns.count(name) > 1)
            raise MisconfiguredError(str(file.path), f"has two columns of the name {twice}; rename one")
    return Recording(files, first.columns, first.described, first.doubts)


def _files(path: Path) -> list[Path]:
    if any(sign in path.name for sign in "*?["):
        found = sorted(file for file in path.parent.glob(path.name) if file.is_file())
    elif path.is_dir():
        inside = (file for file in path.rglob("*") if file.is_file())
        found = sorted(file for file in inside if not _is_hidden(file.relative_to(path)))
    elif path.exists():
        found = [path]
    else:
        raise MisconfiguredError(str(path), "no such file")
    if not found:
        raise MisconfiguredError(str(path), "names no file")
    return found


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


@dataclass(frozen=True)
class _File:
    path: Path
    columns: tuple[str, ...]
    described: str
    doubts: tuple[str, ...]

    def schema(self) -> pl.Schema:
        return pl.Schema(dict.fromkeys(self.columns, pl.String()))

    def parts(self, read: tuple[str, ...]) -> Iterator[Part]:
        raise NotImplementedError

    def _fault(self, problem: object) -> MisconfiguredError:
        return MisconfiguredError(str(self.path), " ".join(str(problem).split()))


def _look_at(path: Path, form: Format) -> _File:
    try:
        with path.open("rb") as opened:
            magic = opened.read(_TAR_AT + len(_TAR))
        if magic.startswith(b"PAR1"):
            return _parquet(path)
        packing = next((name for start, name in _PACKED.items() if magic.startswith(start)), None)
        with _opened(path, packing) as stream:
            sample = stream.read(_LOOK_BYTES)
        other = next((words for start, words in _OTHER.items() if sample.startswith(start)), None)
        if other is None and sample[_TAR_AT:].startswith(_TAR):
            other = "an archive of tar; unpack it"
        if other is not None:
            raise MisconfiguredError(str(path), f"is {other}")
        encoding = form.encoding or _encoding(sample)
        damaged = False
        if encoding is None:
            with _opened(path, packing) as stream:
                encoding, damaged = _utf8_or_not(stream)
    except (OSError, pa.ArrowInvalid, EOFError) as error:
        raise MisconfiguredError(str(path), f"cannot be read: {' '.join(str(error).split())}") from None
    try:
        "".encode(encoding)
        text = sample.decode(encoding, errors="ignore")
    except LookupError:
        raise MisconfiguredError("--mapping", f"format.encoding: {encoding} is no encoding") from None
    if not text.strip():
        raise MisconfiguredError(str(path), "has no rows")
    if text.lstrip().startswith("<"):
        raise MisconfiguredError(str(path), "is XML or HTML; write it as CSV or JSON lines")
    if sum(text.count(sign) for sign in _CONTROL) > len(text) // 100:
        raise MisconfiguredError(
            str(path), f"is no text that {encoding} could be; name its encoding, or export it as CSV"
        )
    packed = f", {packing}" if packing else ""
    doubts = (_guessed(),) if form.encoding is None and encoding == _GUESS else ()
    source = _Text(path, packing, encoding, damaged)
    if text.lstrip().startswith(("{", "[")):
        array = not _are_lines(text)
        return _json(source, f"JSON{packed}" if array else f"JSON lines{packed}", doubts, array)
    return _csv(source, form, text, len(sample) < _LOOK_BYTES, doubts)


_CONTROL = [chr(code) for code in range(32) if chr(code) not in "\x01\t\n\r\x0c\x1a\x1b"]


def _guessed() -> str:
    return f"its bytes are no UTF-8 and are taken for {_GUESS}; say another under format: {{encoding: ...}}"


def _are_lines(text: str) -> bool:
    """Whether JSON has an object a line, and not one document over many lines."""
    first = text.lstrip().partition("\n")[0]
    parsed = _object_of(first)
    return isinstance(parsed, dict) and not ("\n" not in text.strip() and _holds_array(first))


def _holds_array(line: str) -> bool:
    parsed = _parse_json(line)
    return any(isinstance(value, list) and value and isinstance(value[0], dict) for value in parsed.values())


def _opened(path: Path, packing: str | None) -> Any:
    stream = pa.OSFile(str(path), "rb")
    return stream if packing is None else pa.CompressedInputStream(stream, packing)


def _encoding(sample: bytes) -> str | None:
    """What the first bytes say; None where they say nothing, so that all have to be looked at."""
    for mark, name in _ENCODINGS:
        if sample.startswith(mark):
            return name
    zeros = sample[:200].count(0)
    if zeros > 50:
        return "utf-16-le" if sample[1:2] == b"\0" else "utf-16-be"
    return None


def _utf8_or_not(stream: Any) -> tuple[str, bool]:
    """Whether all bytes are UTF-8, or else what they are taken for, and whether some of them are no character.

    Bytes that are none behind others that are more than ASCII and UTF-8 are damaged; without such they are of another
    encoding.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    plain = True
    while data := stream.read(_BLOCK_BYTES):
        try:
            plain = decoder.decode(data).isascii() and plain
        except UnicodeDecodeError as error:
            return (_GUESS, False) if plain and data[: error.start].isascii() else ("utf-8", True)
    return "utf-8", bool(decoder.getstate()[0])


class _AsUtf8(io.RawIOBase):
    """A stream's bytes in UTF-8, with `_LOST` for what is no character."""

    def __init__(self, stream: Any, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._left = b""
        self.stopped = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while len(self._left) < size and not self.stopped:
            data = self._stream.read(size)
            self._left += self._decoder.decode(data, final=not data).encode()
            if not data:
                break
        given, self._left = self._left[:size], self._left[size:]
        return b"" if self.stopped else given


@dataclass(frozen=True)
class _Text:
    """A file of text.

    Attributes:
        damaged: whether some of its bytes are no character.
    """

    path: Path
    packing: str | None
    encoding: str
    damaged: bool

    @property
    def may_lose(self) -> bool:
        """Whether `_LOST` may stand in it."""
        return self.damaged or self.encoding not in ("utf-8", "utf-8-sig")

    @contextlib.contextmanager
    def utf8(self) -> Iterator[Any]:
        """Its bytes in UTF-8."""
        with _opened(self.path, self.packing) as stream:
            if not self.may_lose and self.encoding == "utf-8":
                yield stream
                return
            converted = _AsUtf8(stream, self.encoding)
            try:
                yield pa.PythonFile(converted, mode="r")
            finally:
                converted.stopped = True  # a reader reads ahead in a thread of its own

    @property
    def lost(self) -> str:
        """What to say of a row in which bytes are no character."""
        return f"holds bytes that are no {self.encoding}; name the encoding in the mapping: format: {{encoding: ...}}"


@dataclass(frozen=True)
class _Parquet(_File):
    def schema(self) -> pl.Schema:
        """See `Recording.schema`."""
        return _plain_frame(pq.ParquetFile(self.path).schema_arrow.empty_table()).schema

    def parts(self, read: tuple[str, ...]) -> Iterator[Part]:
        """See `Recording.parts`."""
        row = 1
        try:
            for batch in pq.ParquetFile(self.path).iter_batches(_PARQUET_ROWS, columns=list(read)):
                frame = _plain_frame(pa.Table.from_batches([batch]))
                yield Part(str(self.path), _numbered(frame, row, batch.num_rows), [])
                row += batch.num_rows
        except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
            raise self._fault(f"cannot be read behind row {row - 1}: {error}") from None


def _parquet(path: Path) -> _File:
    try:
        looked = _Parquet(path, (), "Parquet", ())
        return _Parquet(path, tuple(looked.schema()), "Parquet", ())
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        raise MisconfiguredError(str(path), f"cannot be read as Parquet: {' '.join(str(error).split())}") from None


def _plain_frame(table: pa.Table) -> pl.DataFrame:
    """A table with fields of structures as columns, named `structure.field`, and types that have one meaning each."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in columns:
            raise pa.ArrowInvalid(f"has two columns of the name {name}; rename one")
        try:
            columns[name] = _plain_column(column)
        except pa.ArrowInvalid as error:
            raise pa.ArrowInvalid(f"column {name}: {error}") from None
    return pl.DataFrame(pl.from_arrow(pa.table(columns)))


def _plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_column(pa.chunked_array([part.storage for part in column.chunks], kind.storage_type))
    if pa.types.is_dictionary(kind):
        return _plain_column(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(pa.timestamp(kind.unit, "UTC"))  # the same moments, whatever the zone is called
    if pa.types.is_decimal(kind) and not pa.types.is_decimal128(kind):
        return column.cast(pa.decimal128(38, kind.scale))
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES:
        return _each(column, bytes.hex)
    if any(test(kind) for test in _BYTES):
        return column.cast(pa.binary()).cast(pa.string())
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    return column if any(test(kind) for test in _KEPT) else _each(column, _shown)


_UUID_BYTES = 16
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
_KEPT = (
    *(pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_string),
    *(pa.types.is_large_string, pa.types.is_string_view, pa.types.is_date, pa.types.is_time, pa.types.is_timestamp),
)


def _each(column: pa.ChunkedArray, text: Callable[[Any], str]) -> pa.ChunkedArray:
    values = [None if value is None else text(value) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.string())])


def _shown(value: object) -> str:
    """A value that no field of ours can have, such as a list, as JSON."""
    return str(value) if isinstance(value, dt.timedelta) else json.dumps(value, default=str)


def _numbered(frame: pl.DataFrame, first: int, count: int) -> pl.DataFrame:
    numbers = pl.int_range(first, first + count, dtype=pl.Int64, eager=True).alias(ROW)
    return frame.with_columns(numbers) if frame.width else numbers.to_frame()


@dataclass(frozen=True)
class _Csv(_File):
    source: _Text
    separator: str
    quote: str
    escape: str | None
    skipped: int

    def parts(self, read: tuple[str, ...]) -> Iterator[Part]:
        """See `Recording.parts`."""
        bad: list[BadRow] = []
        skipped: set[int] = set()

        def invalid(row: Any) -> str:
            # Such a row is met before the stretch that it lies in is given out.
            skipped.add(row.number)
            cells = f"has {row.actual_columns} cells where the header has {row.expected_columns}"
            bad.append(BadRow(str(self.path), row.number, None, None, cells))
            return "skip"

        number = self.skipped + 1
        try:
            with self.source.utf8() as stream, self._reader(stream, invalid, read) as reader:
                for batch in reader:
                    frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
                    numbers: list[int] | range = range(number, number + frame.height)
                    if skipped:
                        free = (place for place in itertools.count(number) if place not in skipped)
                        numbers = list(itertools.islice(free, frame.height))
                    number = numbers[-1] + 1 if len(numbers) else number
                    frame = frame.with_columns(pl.Series(ROW, numbers, pl.Int64))
                    yield self._part(frame, bad)
                    bad.clear()
            if bad:
                yield self._part(pl.DataFrame(schema={**dict.fromkeys(read, pl.String), ROW: pl.Int64}), bad)
        except (pa.ArrowException, OSError, UnicodeError, EOFError) as error:
            problem = f"cannot be read behind row {number - 1}: {error}"
            if "straddling object" in problem:
                problem = (
                    f"has a row of more than {_BLOCK_BYTES:,} bytes behind row {number - 1}, or a quote with no end"
                )
            raise self._fault(problem) from None

    def _part(self, frame: pl.DataFrame, bad: list[BadRow]) -> Part:
        """Without empty rows, and without those in which bytes are no character."""
        found, names = bad[:], [name for name in frame.columns if name != ROW]
        if self.source.may_lose and frame.height:
            lost = frame.select(pl.any_horizontal(pl.col(names).str.contains(_LOST, literal=True))).to_series()
            found += [BadRow(str(self.path), row, None, None, self.source.lost) for row in frame.filter(lost)[ROW]]
            frame = frame.filter(~lost)
        before = frame.height
        if names and (frame[names[0]] == "").any():
            frame = frame.filter(~pl.all_horizontal(pl.col(names) == ""))
        return Part(str(self.path), frame, found, before - frame.height)

    def _reader(self, stream: Any, invalid: Any, read: tuple[str, ...]) -> Any:
        options = pa_csv.ReadOptions(
            use_threads=False, block_size=_BLOCK_BYTES, column_names=list(self.columns), skip_rows=self.skipped
        )
        parse = pa_csv.ParseOptions(
            delimiter=self.separator,
            quote_char=self.quote,
            escape_char=self.escape or False,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=invalid,
        )
        text = dict.fromkeys(read, pa.string())
        convert = pa_csv.ConvertOptions(column_types=text, strings_can_be_null=False, include_columns=list(read))
        return pa_csv.open_csv(stream, options, parse, convert)


def _csv(source: _Text, form: Format, text: str, whole: bool, doubts: tuple[str, ...]) -> _File:
    lines = text.splitlines(keepends=True)
    lines = (lines if whole else lines[:-1])[:200]
    quote = form.quote or _quote(lines)
    escape = "\\" if any(f"\\{quote}" in line for line in lines) else None
    dialect: dict[str, Any] = {"quotechar": quote, "escapechar": escape, "doublequote": escape is None}
    separator = form.separator or _separator(lines, dialect)
    above = _lines_above(lines, separator, dialect) if form.header else 0
    first = next(csv.reader(lines[above:], delimiter=separator, **dialect), [])
    bare = [name.strip().strip("\"'").lstrip("\ufeff") for name in first]
    numbered = [f"column_{number}" for number in range(1, len(first) + 1)]
    header = form.header and not _is_data(bare)
    names = [name or number for name, number in zip(bare, numbered, strict=True)] if header else numbered
    shown = {"\t": "tab"}.get(separator, separator)
    described = f"CSV with {shown!r} between cells, {source.encoding}{f', {source.packing}' if source.packing else ''}"
    described += "" if header else ", without names of columns"
    described += f", {above} lines above its header" if above else ""
    if len(names) == 1:
        words = "it has one column; if that is wrong, say what stands between cells under format: {separator: ...}"
        doubts = (*doubts, words)
    return _Csv(source.path, tuple(names), described, doubts, source, separator, quote, escape, above + header)


def _quote(lines: list[str]) -> str:
    """Around cells: single quotes where the first line has them around more than one cell, and no double ones."""
    first = next((line for line in lines if line.strip()), "")
    return "'" if '"' not in first and len(re.findall(r"'[^']*'", first)) > 1 else '"'


def _lines_above(lines: list[str], separator: str, dialect: dict[str, Any]) -> int:
    """How many lines stand above the header: titles and the like have fewer cells than most rows."""
    widths = [len(row) for line in lines for row in csv.reader([line], delimiter=separator, **dialect)]
    usual = max(widths, key=lambda width: (widths.count(width), width), default=0)
    above = next((number for number, width in enumerate(widths[:20]) if width == usual), 0)
    return above if widths.count(usual) > 1 and max(widths[:above], default=0) < usual else 0


def _is_data(cells: list[str]) -> bool:
    """Whether the first row is no header: two of its cells or more are numbers or dates."""
    return sum(re.fullmatch(r"-?[\d.,:/-]*\d[\d.,:/ -]*", cell) is not None for cell in cells) >= 2


def _separator(lines: list[str], dialect: dict[str, Any]) -> str:
    """The one that cuts most lines into the same number of cells, and into most of them."""

    def cut(separator: str) -> tuple[float, int]:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator, **dialect) if row]
        except csv.Error:
            return 0.0, 0
        if not widths or widths[0] < 2:
            return 0.0, 0
        return sum(width == widths[0] for width in widths) / len(widths), widths[0]

    for likely in SEPARATORS:
        best = max(likely, key=cut)
        share, width = cut(best)
        if width and (likely is SEPARATORS[0] or share == 1):
            return best
    return ","


@dataclass(frozen=True)
class _Json(_File):
    source: _Text
    array: bool

    def parts(self, read: tuple[str, ...]) -> Iterator[Part]:
        """See `Recording.parts`."""
        bad: list[BadRow] = []
        rows: list[dict[str, str | None]] = []
        numbers: list[int] = []
        for number, row in self.rows():
            if isinstance(row, str):
                bad.append(BadRow(str(self.path), number, None, None, row))
                continue
            rows.append(row)
            numbers.append(number)
            if len(rows) == _JSON_ROWS:
                yield self._part(read, rows, numbers, bad)
                rows, numbers, bad = [], [], []
        if rows or bad:
            yield self._part(read, rows, numbers, bad)

    def _part(
        self, read: tuple[str, ...], rows: list[dict[str, str | None]], numbers: list[int], bad: list[BadRow]
    ) -> Part:
        columns = {name: pl.Series(name, [row.get(name) for row in rows], pl.String) for name in read}
        return Part(str(self.path), pl.DataFrame({**columns, ROW: pl.Series(ROW, numbers, pl.Int64)}), bad)

    def rows(self) -> Iterator[tuple[int, dict[str, str | None] | str]]:
        """Each object with its number, or words in its place."""
        with _opened(self.path, self.source.packing) as stream:
            text = io.TextIOWrapper(io.BufferedReader(stream), encoding=self.source.encoding, errors="replace")
            try:
                if self.array:
                    whole = text.read(_MOST_DOCUMENT_BYTES + 1)
                    if len(whole) > _MOST_DOCUMENT_BYTES:
                        way_out = "write an object a line (jq -c '.[]')"
                        raise self._fault(
                            f"is one JSON document of more than {_MOST_DOCUMENT_BYTES:,} bytes; {way_out}"
                        )
                    yield from enumerate((_flat_object(value) for value in _elements(whole)), 1)
                    return
                for number, line in enumerate(iter(lambda: text.readline(_MOST_LINE_CHARACTERS + 1), ""), 1):
                    if len(line) > _MOST_LINE_CHARACTERS:
                        raise self._fault(f"has a line of more than {_MOST_LINE_CHARACTERS:,} characters: row {number}")
                    if line.strip():
                        lost = self.source.may_lose and _LOST in line
                        yield number, self.source.lost if lost else _object_of(line)
            except (UnicodeError, OSError, EOFError, ValueError, RecursionError) as error:
                raise self._fault(f"cannot be read: {error}") from None


_decode_json = msgspec.json.Decoder(float_hook=str).decode
"""Numbers with a point stay as they were written."""


def _parse_json(text: str) -> Any:
    """A value of JSON; numbers that are none, as Python writes them, are null.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        return _decode_json(text)
    except msgspec.DecodeError as error:
        if not any(word in text for word in ("NaN", "Infinity")):
            raise ValueError(str(error)) from None
    return json.loads(text, parse_float=str, parse_constant=lambda _: None)


def _elements(text: str) -> list[Any]:
    """The objects of a document: an array, or the longest one in an object around it."""
    parsed = _parse_json(text)
    if isinstance(parsed, list):
        return parsed
    arrays = [value for value in parsed.values() if isinstance(value, list)] if isinstance(parsed, dict) else []
    return max(arrays, key=len, default=[parsed])


def _object_of(line: str) -> dict[str, str | None] | str:
    try:
        return _flat_object(_parse_json(line))
    except (ValueError, RecursionError) as error:
        return f"is no JSON object: {error}"


def _flat_object(parsed: Any) -> dict[str, str | None] | str:
    """An object's values as text, those of objects in it named `outer.inner`; words where it is none."""
    if not isinstance(parsed, dict):
        return "is no JSON object"
    flat: dict[str, str | None] = {}
    left = [("", parsed)]
    while left:
        prefix, values = left.pop()
        for name, value in values.items():
            if isinstance(value, dict):
                left.append((f"{prefix}{name}.", value))
            else:
                flat[f"{prefix}{name}"] = _text_of(value)
    return flat


def _text_of(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else msgspec.json.encode(value).decode()


def _json(source: _Text, described: str, doubts: tuple[str, ...], array: bool) -> _File:
    looked = _Json(source.path, (), described, doubts, source, array)
    columns: dict[str, None] = {}
    for _, row in looked.rows():  # a field may be absent from all but the last line
        if not isinstance(row, str):
            columns.update(dict.fromkeys(row))
    if not columns:
        raise MisconfiguredError(str(source.path), "has no JSON object in any of its lines")
    return _Json(source.path, tuple(columns), described, doubts, source, array)
