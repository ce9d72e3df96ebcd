"""Converts rows as they stand in a file into transactions, or says of a row what is wrong with it."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import polars as pl
import pyarrow as pa

from adapters.recordings.bad_rows import BadRow
from adapters.recordings.formats import ROW, ROW_NAME, Part
from adapters.recordings.mapping import AMOUNT, BILLING_AMOUNT, Amounts, Mapping, Negative, Times, TimeUnit
from adapters.recordings.signs import PAIRS, plain_digits, plain_time
from fraud.errors import MisconfiguredError
from fraud.money import MINOR_DIGITS, minor_digits
from fraud.records.schema import END_MS, FIRST_MS, TIMESTAMP_MS
from fraud.records.transaction import TRANSACTION_SCHEMA, Transaction

FRAUD = "__fraud__"
"""Column of what the recording says of a row: fraud, no fraud, or null where it does not say."""

_STAGES = 9
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_FIELDS: Any = msgspec.inspect.type_info(Transaction)
_TYPES: dict[str, msgspec.inspect.Type] = {field.name: field.type for field in _FIELDS.fields}
_EXACT_IN_FLOAT = 2**53
_EXACT_IN = {"Float16": 2**11, "Float32": 2**24, "Float64": _EXACT_IN_FLOAT}
"""Whole numbers up to here are exact in a float of this width; larger ones may be any of several."""
_SPREADSHEET = r"\A[+-]?\d(?:[.,]\d+)?[eE]\+\d{1,3}\z"
_BLANKS = "\\s\u00a0\u202f\u2009\u200b\ufeff"
_AROUND = " \t\r\n\u00a0\u202f\u200b\ufeff"
_COMPACT = r"\A(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(.*)\z"
_ZONE = r"(Z|z|UTC|GMT|[+\u2212-]\d\d(?::?\d\d)?)?(?:\[[\w/+-]+\])?"
ISO = rf"\A(\d{{4}}-\d\d-\d\d)(?:[T _]+(\d\d:\d\d)(?::(\d\d)(?:[.,](\d{{1,9}}))?)?)?\s*{_ZONE}\z"
_MS_OF = {
    TimeUnit.SECONDS: 1_000,
    TimeUnit.MILLISECONDS: 1,
    TimeUnit.MINUTES: 60_000,
    TimeUnit.HOURS: 3_600_000,
    TimeUnit.DAYS: 86_400_000,
}
_OF_MS = {TimeUnit.MICROSECONDS: 1_000, TimeUnit.NANOSECONDS: 1_000_000}
_YES = "1 true yes y t fraud fraudulent fraude chargeback anomaly bad confirmed_fraud ja oui si sí sim tak да 是"
_NO = (
    "0 false no n f legit legitimate legitimo genuine normal good ok none non_fraud nonfraud not_fraud non-fraud "
    "nein non nao não nie нет 否"
)
YES, NO = (*_YES.split(),), (*_NO.split(), "not fraud", "non fraud")


class Converted(NamedTuple):
    """What a stretch of a file became.

    Attributes:
        frame: columns of `TRANSACTION_SCHEMA`, `FRAUD` and `ROW`, of the rows that are transactions.
        bad: rows that are none.
        notes: how often something was rounded, chosen or met that people should know of, by its words.
    """

    frame: pl.DataFrame
    bad: list[BadRow]
    notes: Counter[str]


class _Source(NamedTuple):
    """Where a field's values come from.

    Attributes:
        value: as the field has them; null where they are missing or cannot be read.
        given: whether something stands there.
        hint: what a value has to be, and the way out.
        columns: theirs.
        constant: whether every row has the same, which is known to be good.
    """

    value: pl.Expr
    given: pl.Expr
    hint: str
    columns: Sequence[str] = ()
    constant: bool = False


class Converter:
    """Converts the rows of a recording.

    Args:
        mapping: with `identity` written out.
        schema: the recording's columns and what they hold.
        base_currency: of billing amounts.
        file: for messages.

    Raises:
        MisconfiguredError: a column is missing, or a required field has no source.
    """

    def __init__(self, mapping: Mapping, schema: pl.Schema, base_currency: str, file: str) -> None:
        self._mapping = mapping
        self._schema = schema
        self._base_currency = base_currency
        for column in mapping.source_columns():
            if column not in schema:
                there = ", ".join(name for name in schema if name not in (ROW, ROW_NAME))
                raise MisconfiguredError("--mapping", f"{file} has no column {column}; it has: {there}")
        self._notes: dict[str, pl.Expr] = {}
        self._stages: list[dict[str, pl.Expr]] = [{} for _ in range(_STAGES)]
        self._sources = self._all_sources(file)

    def convert(self, part: Part) -> Converted:
        """The transactions of a stretch, in its order."""
        names = [field for field, source in self._sources.items() if not source.constant]
        checks = []
        for field in names:
            needed = field != FRAUD and not TRANSACTION_SCHEMA.field(field).nullable
            missing = self._sources[field].value.is_null()
            checks.append(missing if needed else missing & self._sources[field].given)
        frame = part.frame
        for stage in self._stages:
            frame = frame.with_columns(**stage)
        found = frame.select(
            *(source.value.alias(field) for field, source in self._sources.items()),
            *(check.alias(f"__bad__ {name}") for name, check in zip(names, checks, strict=True)),
            *(note.sum().alias(f"__note__ {words}") for words, note in self._notes.items()),
            pl.col(ROW),
        )
        notes = Counter[str]()
        bad = list(part.bad)
        if found.height:
            notes.update({words: int(found[f"__note__ {words}"][0] or 0) for words in self._notes})
        flags = found.select(pl.any_horizontal(pl.col("^__bad__ .*$")).alias("bad"))["bad"].fill_null(True)
        if flags.any():
            bad += self._faults(part, found, flags, names)
        wanted = [*TRANSACTION_SCHEMA.names, FRAUD, ROW]
        good = found.filter(~flags) if flags.any() else found
        return Converted(good.select(wanted), bad, notes)

    def _faults(self, part: Part, found: pl.DataFrame, flags: pl.Series, names: list[str]) -> list[BadRow]:
        faults = []
        rows = part.frame.filter(flags).rows(named=True)
        for row, seen in zip(rows, found.filter(flags).rows(named=True), strict=True):
            field = next(name for name in names if seen[f"__bad__ {name}"])
            source = self._sources[field]
            values = [row[column] for column in source.columns]
            nothing = all(value is None or value != value or str(value).strip() == "" for value in values)
            column = " and ".join(source.columns) or None
            shown = None if nothing else ", ".join(str(value) for value in values)
            name = "label" if field == FRAUD else field
            is_text = field != FRAUD and pa.types.is_string(TRANSACTION_SCHEMA.field(field).type)
            missing = f"{name} is missing" + ("; give it under defaults" if is_text else "")
            problem = missing if nothing else f"{name} {source.hint}"
            faults.append(BadRow(part.file, row[ROW], column, shown, problem))
        return faults

    # Each field

    def _all_sources(self, file: str) -> dict[str, _Source]:
        mapping = self._mapping
        sources: dict[str, _Source] = {}
        for field in TRANSACTION_SCHEMA:
            name = field.name
            if mapping.sources(name):
                sources[name] = self._from_columns(name, field.type)
            elif name in mapping.constants:
                sources[name] = _constant(mapping.constants[name], field.type)
        sources = {name: self._settled(source, 7) for name, source in sources.items()}
        sources |= self._money(sources, file)
        sources["schema_version"] = _constant(1, pa.int64())
        if "event_time" in sources:
            sources["sent_at"] = sources["event_time"]._replace(constant=True)  # checked with the other
        for field in TRANSACTION_SCHEMA:
            if field.name not in sources:
                if not field.nullable:
                    raise MisconfiguredError("--mapping", f"{file}: {field.name} has neither a column nor a constant")
                sources[field.name] = _constant(None, field.type)
        sources[FRAUD] = self._label()
        return sources

    def _settled(self, source: _Source, stage: int) -> _Source:
        return source if source.constant else source._replace(value=self._kept(stage, source.value))

    def _from_columns(self, name: str, kind: pa.DataType) -> _Source:
        columns = self._mapping.sources(name)
        if kind == TIMESTAMP_MS:
            return self._time(columns)
        if pa.types.is_string(kind):
            return self._word(name, columns)
        text, given = self._text(columns[0]), self._given(columns)
        marks = self._mapping.money
        if pa.types.is_floating(kind):
            number = self._number(columns[0], marks)
            low, high = _bounds(name)
            value: pl.Expr = pl.when(number.is_between(low, high)).then(number)
            return _Source(value, given, f"is no number from {low:g} to {high:g}", columns)
        if pa.types.is_boolean(kind):
            lower = text.str.to_lowercase()
            value = pl.when(lower.is_in(YES)).then(True).when(lower.is_in(NO)).then(False)
            return _Source(value, given, "is neither true nor false", columns)
        whole = text.str.extract(r"\A\+?([0-9]{1,18})(?:\.0*)?\z").cast(pl.Int64)
        low, high = _bounds(name)
        value = pl.when(whole.is_between(low, high)).then(whole)
        return _Source(value, given, f"is no whole number from {low:,.0f} to {high:,.0f}", columns)

    def _word(self, name: str, columns: list[str]) -> _Source:
        mapping, given = self._mapping, self._given(columns)
        parts = [self._text(column) for column in columns]
        text = parts[0] if len(parts) == 1 else joined(parts)
        allowed, pattern = _allowed(name)
        if name in mapping.values:
            meant = {key.strip().lower(): value for key, value in mapping.values[name].items() if key != "*"}
            other = mapping.values[name].get("*")
            default = text if other is None else pl.when(text.is_not_null()).then(pl.lit(other))
            text = (
                text.str.to_lowercase().replace_strict(meant, default=default, return_dtype=pl.String)
                if meant
                else default
            )
        if allowed:
            text = text.str.to_lowercase()
        elif name == "currency" or name.endswith("_country"):
            text = text.str.to_uppercase()
        if name in mapping.hashed:
            text = text.map_batches(_hashed, return_dtype=pl.String)
        if name in mapping.prefixes:
            text = pl.lit(mapping.prefixes[name]) + text
        if name in mapping.defaults:
            text = pl.when(given).then(text).otherwise(pl.lit(mapping.defaults[name]))
        whole_numbers = all(self._schema[column].is_integer() for column in columns)
        good = text.is_in(allowed) if allowed else _matches(name, text, pattern)
        if whole_numbers and pattern == _ID_PATTERN:
            good = text.is_not_null()  # digits, and the mapping's own prefix, which was checked
        elif not whole_numbers:
            written = [
                part for part, column in zip(parts, columns, strict=True) if not self._schema[column].is_integer()
            ]
            good &= ~pl.any_horizontal(*(part.str.contains(_SPREADSHEET) for part in written)).fill_null(False)
        value = pl.when(good).then(text)
        hint = f"is none of {', '.join(allowed)}; translate it under values" if allowed else _word_hint(name)
        return _Source(value, given, hint, columns)

    def _time(self, columns: list[str]) -> _Source:
        times, given = self._mapping.times, self._given(columns)
        dtype = self._schema[columns[0]]
        if len(columns) == 1 and dtype == pl.Date:
            value: pl.Expr = self._zoned(pl.col(columns[0]).cast(pl.Datetime("ms")), times)
            hint = "is no date"
        elif len(columns) == 1 and isinstance(dtype, pl.Datetime):
            moment = pl.col(columns[0])
            value = self._zoned(moment.dt.cast_time_unit("ms"), times) if dtype.time_zone is None else _epoch_ms(moment)
            hint = "is no time"
        elif times.unit is not None:
            value, hint = self._counted(columns[0], times), f"is no number of {times.unit}"
        elif times.format is not None:
            shown = times.format
            plain = plain_time if re.search("%[bBh]", shown) else plain_digits
            text = self._kept(2, self._spaced(columns).map_batches(plain, return_dtype=pl.String))
            if re.search(r"%z", shown):
                value = _epoch_ms(text.str.to_datetime(shown, time_unit="ms", time_zone="UTC", strict=False))
            else:
                value = self._zoned(text.str.to_datetime(shown, time_unit="ms", strict=False), times)
            hint = f"is no time of the format {shown}"
        else:
            value, hint = self._iso(self._spaced(columns), times), "is no ISO 8601 time; say time: {format} or {unit}"
        value = pl.when(value.is_between(FIRST_MS, END_MS - 1)).then(value)
        return _Source(value.cast(pl.Datetime("ms")).dt.replace_time_zone("UTC"), given, hint, columns)

    def _spaced(self, columns: list[str]) -> pl.Expr:
        if len(columns) == 1:
            return self._text(columns[0])
        return self._kept(1, pl.concat_str([self._text(column) for column in columns], separator=" "))

    def _iso(self, text: pl.Expr, times: Times) -> pl.Expr:
        parts = self._kept(2, text.map_batches(_calendar_time, return_dtype=_CALENDAR_TIME)).struct
        local, east_ms, known = parts.field("local"), parts.field("east_ms"), parts.field("zoned")
        absolute = local.cast(pl.Int64) - east_ms
        return pl.when(known).then(absolute).otherwise(self._zoned(local, times)) + parts.field("ms")

    def _zoned(self, local: pl.Expr, times: Times) -> pl.Expr:
        """Milliseconds of times without a zone."""
        if times.zone == "UTC":
            return local.cast(pl.Int64)
        first = local.dt.replace_time_zone(times.zone, ambiguous="earliest", non_existent="null")
        second = local.dt.replace_time_zone(times.zone, ambiguous="latest", non_existent="null")
        words = f"times that came twice when the clocks of {times.zone} went back were taken for the first of the two"
        self._notes[words] = (first != second).fill_null(False)
        return _epoch_ms(first)

    def _counted(self, column: str, times: Times) -> pl.Expr:
        assert times.unit is not None
        origin = times.origin if times.origin.tzinfo else times.origin.replace(tzinfo=ZoneInfo(times.zone))
        start = int(origin.astimezone(dt.UTC).timestamp() * 1000)
        dtype = self._schema[column]
        if dtype.is_integer():
            count = pl.col(column).cast(pl.Int64, strict=False)
        elif dtype.is_numeric():
            count = pl.col(column).cast(pl.Float64)
            return (
                (pl.when(count.is_finite()).then(_scaled(count, times.unit)) + start)
                .round()
                .cast(pl.Int64, strict=False)
            )
        else:
            text = self._text(column).str.replace(r"\A(-?\d+),(\d+)\z", "$1.$2")
            whole = text.str.extract(r"\A(-?\d{1,19})(?:\.0*)?\z").cast(pl.Int64, strict=False)
            fraction = text.str.extract(r"\A(-?\d{1,15}(?:\.\d+)?(?:[eE]\+?\d{1,2})?)\z").cast(pl.Float64)
            of_fraction = (_scaled(fraction, times.unit) + start).round().cast(pl.Int64, strict=False)
            return pl.coalesce(_scaled(whole, times.unit) + start, of_fraction)
        return _scaled(count, times.unit) + start

    # Money

    def _money(self, sources: dict[str, _Source], file: str) -> dict[str, _Source]:
        mapping, base = self._mapping, self._base_currency
        found: dict[str, _Source] = {}
        currency = sources.get("currency")
        if AMOUNT in mapping.columns and currency is not None:
            found["amount_minor"] = self._settled(self._amount(mapping.sources(AMOUNT)[0], currency.value), 8)
        amount = found.get("amount_minor") or sources.get("amount_minor")
        if mapping.money.negative is Negative.REFUND and AMOUNT in mapping.columns and "transaction_type" in sources:
            kind = sources["transaction_type"]
            back = self._is_negative(mapping.sources(AMOUNT)[0])
            refund = pl.when(back).then(pl.lit("refund")).otherwise(kind.value)
            found["transaction_type"] = kind._replace(value=refund)
        if BILLING_AMOUNT in mapping.columns:
            found["billing_amount_minor"] = self._amount(mapping.sources(BILLING_AMOUNT)[0], pl.lit(base))
        elif "billing_amount_minor" not in sources and amount is not None and currency is not None:
            found["billing_amount_minor"] = self._billed(amount, currency)
        if amount is not None and "amount_minor" not in found:
            found["amount_minor"] = amount
        if (zero := found.get("amount_minor")) is not None:
            self._notes["transactions have an amount of 0"] = (zero.value == 0).fill_null(False)
        if "amount_minor" not in found and currency is None and AMOUNT in mapping.columns:
            raise MisconfiguredError("--mapping", f"{file}: amounts need a currency: give it a column or a constant")
        return found

    def _billed(self, amount: _Source, currency: _Source) -> _Source:
        base, digits = self._base_currency, minor_digits(self._base_currency)
        rates = {base: 1.0} | self._mapping.rates
        factors = {code: rate * 10.0 ** (digits - minor_digits(code)) for code, rate in rates.items()}
        factor = currency.value.replace_strict(factors, default=None, return_dtype=pl.Float64)
        converted = (amount.value * factor).round().cast(pl.Int64, strict=False)
        value = pl.when(currency.value == base).then(amount.value).otherwise(converted)
        hint = (
            f"is not known in {base}; map a column to billing_amount, give rates in the mapping, or set "
            "money.base_currency"
        )
        columns = [*amount.columns, *currency.columns] or self._mapping.sources(AMOUNT)
        return _Source(value, amount.given & currency.given, hint, list(dict.fromkeys(columns)))

    def _is_negative(self, column: str) -> pl.Expr:
        if self._schema[column].is_numeric():
            return (pl.col(column) < 0).fill_null(False)
        negative: pl.Expr = self._digits(column, self._mapping.money).field("negative")
        return negative.fill_null(False)

    def _amount(self, column: str, currency: pl.Expr) -> _Source:
        marks, dtype = self._mapping.money, self._schema[column]
        digits = (
            pl.lit(0) if marks.minor else currency.replace_strict(dict(MINOR_DIGITS), default=2, return_dtype=pl.Int64)
        )
        if dtype.is_integer():
            value = pl.col(column).cast(pl.Int64, strict=False) * _power(digits)
        elif dtype.is_float():
            number = pl.col(column).cast(pl.Float64)
            minor = (number * _power(digits)).round()
            value = pl.when(minor.abs() < _EXACT_IN_FLOAT).then(minor).cast(pl.Int64, strict=False)
        else:
            parts = self._digits(column, marks if not isinstance(dtype, pl.Decimal) else Amounts())
            negative, whole, fraction = (parts.field(name) for name in ("negative", "whole", "fraction"))
            kept = (fraction + "0000").str.slice(0, digits)
            up = fraction.str.slice(digits, 1).is_in([*"56789"]).cast(pl.Int64)
            value = (whole + kept).cast(pl.Int64, strict=False) + up
            value = pl.when(negative).then(-value).otherwise(value)
            sign = parts.field("sign")
            value = pl.when(sign.is_null() | (sign + " " + currency).is_in(PAIRS)).then(value)
            finer = fraction.str.slice(digits).str.strip_chars("0") != ""
            self._notes["amounts have more decimals than their currency and were rounded"] = finer.fill_null(False)
        if marks.negative is Negative.REFUND:
            value = value.abs()
        value = pl.when(value.is_between(*_bounds("amount_minor"))).then(value)
        hint = (
            f"is no amount with {marks.decimal!r} before decimals"
            + (f" and {marks.thousands!r} between thousands" if marks.thousands else " and nothing between thousands")
            + ", and no sign of another currency; say money: {decimal, thousands, negative} in the mapping"
        )
        return _Source(value, self._given([column]), hint, [column])

    def _digits(self, column: str, marks: Amounts) -> Any:
        """The fields of `digits_of` of a column, as what `Expr.struct` is."""
        name = f"__digits {column}__"
        read = partial(digits_of, marks=marks)
        self._stages[1].setdefault(name, self._text(column).map_batches(read, return_dtype=_DIGITS))
        return pl.col(name).struct

    def _number(self, column: str, marks: Amounts) -> pl.Expr:
        if self._schema[column].is_numeric():
            return pl.col(column).cast(pl.Float64)
        parts = self._digits(column, marks)
        number: pl.Expr = (parts.field("whole") + pl.lit(".") + parts.field("fraction")).cast(pl.Float64, strict=False)
        number = pl.when(parts.field("negative")).then(-number).otherwise(number)
        return pl.when(parts.field("sign").is_null()).then(number)

    # Labels and text

    def _label(self) -> _Source:
        label = self._mapping.label
        if label is None:
            return _Source(pl.lit(None, pl.Boolean), pl.lit(False), "", constant=True)
        text = self._text(label.column)
        fraud = None if label.fraud is None else [_folded(word) for word in label.fraud]
        value = text.map_batches(partial(_verdicts, fraud=fraud), return_dtype=pl.Boolean)
        hint = "says neither yes nor no; name the values that mean fraud under label.fraud"
        return _Source(value, text.is_not_null(), hint, [label.column])

    def _kept(self, stage: int, value: pl.Expr) -> pl.Expr:
        """A column that is worked out once, from those of earlier stages; expressions would repeat the work."""
        name = f"__{stage}_{len(self._stages[stage])}__"
        self._stages[stage][name] = value
        return pl.col(name)

    def _given(self, columns: Sequence[str]) -> pl.Expr:
        return pl.any_horizontal(*(self._stands(column) for column in columns))

    def _stands(self, column: str) -> pl.Expr:
        dtype = self._schema[column]
        if dtype == pl.String:
            return self._text(column).is_not_null()
        there = pl.col(column).is_not_null()
        return there & pl.col(column).is_not_nan() if dtype.is_float() else there

    def _text(self, column: str) -> pl.Expr:
        """A column as text as written, without blanks and quotes around it; null where nothing is left."""
        text = _as_text(pl.col(column), self._schema[column])
        if self._mapping.missing:
            text = pl.when(~text.is_in(self._mapping.missing)).then(text)
        self._stages[0].setdefault(f"__text {column}__", text)
        return pl.col(f"__text {column}__")


def _as_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Boolean:
        return value.replace_strict({True: "true", False: "false"}, return_dtype=pl.String, default=None)
    if dtype.is_float():
        number = value.cast(pl.Float64)
        whole = number == number.floor()
        digits = number.cast(pl.Int64, strict=False).cast(pl.String)
        shown = pl.when(whole).then(digits).otherwise(value.cast(pl.String))
        return pl.when(number.abs() < _EXACT_IN[str(dtype)]).then(shown)
    if dtype != pl.String:
        return value.cast(pl.String)
    return value.map_batches(bare, return_dtype=pl.String)


def bare(values: pl.Series) -> pl.Series:
    """Texts without blanks and quotes around them, nor `="..."`, which keeps a spreadsheet from reading numbers."""
    text = values.str.strip_chars(_AROUND)
    if text.str.contains(r"\A[='\"]").any():
        text = text.str.replace(r"\A'(.*)'\z|\A=?\"(.*)\"\z", "$1$2").str.strip_chars(_AROUND)
    empty = text == ""
    return text.set(empty, None) if empty.any() else text


def _constant(value: Any, kind: pa.DataType) -> _Source:
    if kind == TIMESTAMP_MS and value is not None:
        moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
        return _Source(pl.lit(moment).cast(pl.Datetime("ms", "UTC")), pl.lit(False), "", constant=True)
    dtype = pl.DataFrame(pl.from_arrow(pa.table({"x": pa.nulls(0, kind)})))["x"].dtype
    return _Source(pl.lit(value, dtype), pl.lit(False), "", constant=True)


def _epoch_ms(moment: pl.Expr) -> pl.Expr:
    return moment.dt.epoch("ms")


def _scaled(count: pl.Expr, unit: TimeUnit) -> pl.Expr:
    """Milliseconds of so many units; what is finer is cut off."""
    return count * _MS_OF[unit] if unit in _MS_OF else count.floordiv(_OF_MS[unit])


def _power(digits: pl.Expr) -> pl.Expr:
    return pl.lit(10, pl.Int64).pow(digits)


def _verdicts(text: pl.Series, fraud: list[str] | None) -> pl.Series:
    """Whether values say fraud; each that occurs is looked at once."""
    kinds = text.drop_nulls().unique()
    folded = pl.col("text")
    yes = folded.is_in(YES if fraud is None else fraud)
    known = pl.lit(True) if fraud is not None else yes | folded.is_in(NO)
    said = kinds.to_frame("text").with_columns(folded_text(folded)).select(pl.when(known).then(yes)).to_series()
    return text.replace_strict(kinds, said, default=None, return_dtype=pl.Boolean)


def folded_text(text: pl.Expr) -> pl.Expr:
    """Values of a label as they are compared: in lower case, whole numbers without decimals."""
    return text.str.to_lowercase().str.replace(r"\A\+?0*(\d+)(?:\.0*|e0)?\z", "$1")


def _folded(word: str) -> str:
    """The same of a word in a mapping, without quotes around it."""
    return re.sub(r"\A\+?0*(\d+)(?:\.0*|e0)?\Z", r"\1", str(word).strip().strip("'\"").lower())


_CALENDAR_TIME = pl.Struct({"local": pl.Datetime("ms"), "ms": pl.Int64, "east_ms": pl.Int64, "zoned": pl.Boolean})


def _calendar_time(text: pl.Series) -> pl.Series:
    """ISO 8601 times: the clock's in whole seconds, milliseconds beside them, and how far east the zone is."""
    text = plain_digits(text)
    local = text.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms", strict=False)
    frame = local.to_frame("local")
    if local.null_count() == text.null_count():  # the commonest form, and the quickest to read
        nothing = (pl.lit(0, pl.Int64).alias("ms"), pl.lit(0, pl.Int64).alias("east_ms"), pl.lit(False).alias("zoned"))
        return frame.with_columns(*nothing).to_struct()
    date, time, second, fraction, offset = (pl.col(str(number)) for number in range(1, 6))
    written = pl.concat_str([date, time.fill_null("00:00"), second.fill_null("00")], separator=":")
    digits = offset.str.replace_all("[^0-9]", "").str.pad_end(4, "0")
    hours, minutes = (digits.str.slice(at, 2).cast(pl.Int64, strict=False).fill_null(0) for at in (0, 2))
    east = (hours * 60 + minutes) * pl.when(offset.str.contains("\\A[\u2212-]")).then(-60_000).otherwise(60_000)
    found = (
        text.str.replace(_COMPACT, "${1}-${2}-${3}T${4}:${5}:${6}${7}")
        .str.extract_groups(ISO)
        .struct.unnest()
        .select(
            written.str.to_datetime("%Y-%m-%d:%H:%M:%S", time_unit="ms", strict=False).alias("local"),
            (fraction.fill_null("") + "000").str.slice(0, 3).cast(pl.Int64).alias("ms"),
            east.fill_null(0).alias("east_ms"),
            offset.is_not_null().alias("zoned"),
        )
    )
    return found.to_struct()


_DIGITS = pl.Struct({"negative": pl.Boolean, "whole": pl.String, "fraction": pl.String, "sign": pl.String})
_MINUS = "[-\u2212\u2013]"
_CURRENCY = r"(?:\p{L}{0,4}?\p{Sc}|\p{L}{1,4}?\.?)"


def digits_of(text: pl.Series, marks: Amounts) -> pl.Series:
    """Whether a number is negative, its digits before and behind the decimal mark, and the currency sign beside it.

    All are null where it is none. A minus may stand on either side, `CR` behind it or parentheses around it mean the
    same; a dash in place of decimals means none.
    """
    if marks.decimal == "." and text.str.contains(r"\A[0-9]{1,15}(?:\.[0-9]+)?\z").all():
        parts = text.str.split_exact(".", 1).struct.unnest()
        return parts.select(
            pl.lit(False).alias("negative"),
            pl.col("field_0").alias("whole"),
            pl.when(pl.col("field_0").is_not_null()).then(pl.col("field_1").fill_null("")).alias("fraction"),
            pl.lit(None, pl.String).alias("sign"),
        ).to_struct()
    tight = plain_digits(text).str.replace_all(f"[{_BLANKS}'\u2019]", "")
    point, between = re.escape(marks.decimal), re.escape(marks.thousands)
    whole = rf"[0-9]{{1,3}}(?:{between}[0-9]{{2,3}})*{between}[0-9]{{3}}|[0-9]{{1,15}}" if between else r"[0-9]{1,15}"
    number = rf"({whole}|)(?:{point}([0-9]+)|{point}[-\u2013\u2014]{{0,2}})?"
    before = rf"(\()?({_MINUS}|\+)?({_CURRENCY})?({_MINUS}|\+)?"
    behind = rf"({_CURRENCY})?({_MINUS})?(CR|cr|DR|dr)?(\))?"
    names = ["open", "minus", "sign", "minus_2", "whole", "fraction", "sign_2", "minus_3", "credit", "close"]
    found = tight.str.extract_groups(rf"\A{before}{number}{behind}\z").struct.rename_fields(names).struct.unnest()
    words = [pl.col(name).str.to_uppercase().str.strip_chars(".") for name in ("sign", "sign_2", "credit")]
    signs = [pl.when(~word.is_in(["CR", "DR"])).then(word) for word in words[:2]]
    is_credit = pl.any_horizontal(*((word == "CR").fill_null(False) for word in words))
    both = pl.concat_str(
        signs, separator=""
    )  # null unless there are two, which are of one currency or none that is known
    sign = pl.when(both.is_null() | (signs[0] == signs[1])).then(pl.coalesce(signs)).otherwise(both)
    minus = pl.any_horizontal(
        *(pl.col(name).str.contains(_MINUS).fill_null(False) for name in ("minus", "minus_2", "minus_3")),
        pl.col("open").is_not_null(),
        is_credit,
    )
    whole_digits = pl.col("whole").str.replace_all(marks.thousands, "", literal=True) if between else pl.col("whole")
    is_number = (pl.col("whole") != "") | pl.col("fraction").is_not_null()
    is_number &= pl.col("open").is_null() == pl.col("close").is_null()
    return found.select(
        minus.alias("negative"),
        pl.when(is_number).then(whole_digits).alias("whole"),
        pl.when(is_number).then(pl.col("fraction").fill_null("")).alias("fraction"),
        sign.alias("sign"),
    ).to_struct()


def joined(parts: list[pl.Expr]) -> pl.Expr:
    """Several ids as one, another for every other row of ids; null where all of them are.

    In each, `~` becomes `~0`, a dash `~1`, and null is `~`.
    """
    escaped = [
        part.str.replace_all("~", "~0", literal=True).str.replace_all("-", "~1", literal=True).fill_null("~")
        for part in parts
    ]
    there = pl.any_horizontal(*(part.is_not_null() for part in parts))
    return pl.when(there).then(pl.concat_str(escaped, separator="-"))


def hashed_id(value: str) -> str:
    """A value that is named under `hashed`: letters only, so that no hash can look like a card number."""
    return hashlib.sha256(value.encode()).hexdigest()[:20].translate(_LETTERS)


def _hashed(values: pl.Series) -> pl.Series:
    known = values.drop_nulls().unique().to_list()
    digests = [hashed_id(str(value)) for value in known]
    return values.replace_strict(known, digests, return_dtype=pl.String, default=None) if known else values


def _plain(name: str) -> msgspec.inspect.Type:
    kind = _TYPES[name]
    if isinstance(kind, msgspec.inspect.UnionType):
        kind = next(one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType))
    return kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind


def _allowed(name: str) -> tuple[list[str], str | None]:
    """The values that a text field can have, or else its pattern for Rust's expressions."""
    kind = _plain(name)
    if isinstance(kind, msgspec.inspect.LiteralType):
        return [str(value) for value in kind.values], None
    pattern = getattr(kind, "pattern", None)
    return [], None if pattern is None else pattern.replace(r"\Z", r"\z")


def _matches(name: str, text: pl.Expr, pattern: str | None) -> pl.Expr:
    kind = _plain(name)
    good = text.is_not_null()
    if pattern is not None:
        good &= text.str.contains(pattern)
    longest = getattr(kind, "max_length", None)
    return good if longest is None else good & (text.str.len_chars() <= longest)


_ID_PATTERN = _allowed("card_token")[1]


def _bounds(name: str) -> tuple[float, float]:
    kind = _plain(name)
    low, high = getattr(kind, "ge", None), getattr(kind, "le", None)
    return (-float("inf") if low is None else float(low)), (float("inf") if high is None else float(high))


def _word_hint(name: str) -> str:
    kind = _plain(name)
    if getattr(kind, "max_length", None) == 64:
        return (
            "is no id of up to 64 visible ASCII characters, or a spreadsheet has cut its digits; "
            "name the field under hashed, or export the column as text"
        )
    return f"does not match {getattr(kind, 'pattern', None)}; translate it under values"
