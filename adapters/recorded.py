"""Recorded transactions in other people's formats: Parquet or CSV, mapped to ours by a small YAML."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fraud.errors import MisconfiguredError
from fraud.money import minor_digits
from fraud.transaction import TRANSACTION_SCHEMA

MAPPING_FOLDER = Path(__file__).parent.parent / "config" / "mappings"
_DAY_MS = 86_400_000
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


class LabelMapping(BaseModel):
    """Where a recording says what was fraud."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    column: str
    fraud: tuple[str, ...] | None = None
    """Values that mean fraud; unset, true and 1 do."""
    delay_days: float = 7.0


class Mapping(BaseModel):
    """How a recording's columns become ours; see `config/mappings`.

    Attributes:
        columns: our field to their column; to several where only together they name something, joined by dashes.
        origin: the instant that their times count seconds from; None where they are times.
        values: for a field, what their values become; `*` stands for all others.
        hashed: fields whose values are replaced by a hash, because they are card numbers or have spaces.
        prefixes: put in front of a field's values, after hashing.
        constants: fields that the recording does not have.
        label: what was fraud; None where it does not say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[str, str | list[str]]
    origin: dt.datetime | None = None
    values: dict[str, dict[str, str]] = {}
    hashed: list[str] = []
    prefixes: dict[str, str] = {}
    constants: dict[str, Any] = {}
    label: LabelMapping | None = None

    def source_columns(self) -> list[str]:
        """Every column of theirs that is read."""
        read = [name for names in self.columns.values() for name in _several(names)]
        return read + ([self.label.column] if self.label else [])


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


def load_mapping(name: str) -> Mapping:
    """Reads a mapping: a name in `config/mappings` or a YAML file.

    Raises:
        MisconfiguredError: it is missing or malformed.
    """
    file = Path(name) if name.endswith((".yaml", ".yml")) else MAPPING_FOLDER / f"{name}.yaml"
    try:
        mapping = Mapping.model_validate(yaml.safe_load(file.read_text()))
    except OSError:
        known = ", ".join(sorted(path.stem for path in MAPPING_FOLDER.glob("*.yaml")))
        raise MisconfiguredError("--mapping", f"{file} cannot be read; there are: {known}") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise MisconfiguredError("--mapping", f"{file}: {' '.join(str(error).split())}") from None
    known_fields = {*TRANSACTION_SCHEMA.names, "amount"}
    named = (mapping.columns, mapping.constants, mapping.prefixes, mapping.values, mapping.hashed)
    for field in itertools.chain(*named):
        if field not in known_fields:
            raise MisconfiguredError("--mapping", f"{file}: {field} is no field of a transaction")
    return mapping


def read_recorded(
    file: Path, mapping: Mapping, rows: int | None = None, batch_rows: int = 50_000
) -> Iterator[Recorded]:
    """Reads a recording in event order.

    Args:
        file: Parquet or CSV.
        mapping: of its columns.
        rows: the first so many transactions only.
        batch_rows: rows of a stretch.

    Raises:
        MisconfiguredError: the file cannot be read, lacks a column, or a required field has no source.
    """
    frame = _scan(file)
    there = frame.collect_schema().names()
    for column in mapping.source_columns():
        if column not in there:
            raise MisconfiguredError("--mapping", f"{file} has no column {column}; it has: {', '.join(there)}")
    _require_sources(file, mapping)
    sorted_frame = frame.sort(_several(mapping.columns["event_time"])[0], maintain_order=True)
    if rows is not None:
        sorted_frame = sorted_frame.head(rows)
    mapped = sorted_frame.select(*_expressions(mapping)).collect()
    for start in range(0, mapped.height, batch_rows):
        yield _stretch(mapped.slice(start, batch_rows), mapping)


def _scan(file: Path) -> pl.LazyFrame:
    if not file.exists():
        raise MisconfiguredError(str(file), "no such file")
    try:
        frame = pl.scan_csv(file, try_parse_dates=True) if file.suffix == ".csv" else pl.scan_parquet(file)
        frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise MisconfiguredError(str(file), f"is neither CSV nor Parquet: {error}") from None
    return frame


def _require_sources(file: Path, mapping: Mapping) -> None:
    given = {*mapping.columns, *mapping.constants, "schema_version", "sent_at"}
    if "amount" in mapping.columns:
        given |= {"amount_minor", "billing_amount_minor"}
    for field in TRANSACTION_SCHEMA:
        if not field.nullable and field.name not in given:
            raise MisconfiguredError("--mapping", f"{file}: {field.name} has neither a column nor a constant")


def _expressions(mapping: Mapping) -> list[pl.Expr]:
    sources: dict[str, pl.Expr] = {
        **{field: pl.lit(value) for field, value in mapping.constants.items()},
        **{field: _joined(_several(names)) for field, names in mapping.columns.items() if field != "amount"},
        "schema_version": pl.lit(1),
    }
    if "amount" in mapping.columns:
        factor = 10 ** minor_digits(str(mapping.constants.get("currency", "EUR")))
        minor = (pl.col(_several(mapping.columns["amount"])[0]) * factor).round().cast(pl.Int64)
        sources |= {"amount_minor": minor, "billing_amount_minor": minor}
    time = sources["event_time"]
    if mapping.origin is not None:
        time = pl.lit(mapping.origin.replace(tzinfo=None)) + pl.duration(milliseconds=time * 1000)
    time = time.cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
    sources |= {"event_time": time, "sent_at": time}
    expressions = []
    for field in TRANSACTION_SCHEMA:
        source = sources.get(field.name, pl.lit(None))
        if pa.types.is_string(field.type):
            source = source.cast(pl.String)
            if field.name in mapping.values:
                meant = mapping.values[field.name]
                source = source.replace_strict(meant, default=meant.get("*", source), return_dtype=pl.String)
            if field.name in mapping.hashed:
                source = source.map_batches(_hashed, return_dtype=pl.String)
            if field.name in mapping.prefixes:
                source = pl.lit(mapping.prefixes[field.name]) + source
        expressions.append(source.alias(field.name))
    if mapping.label:
        label = pl.col(mapping.label.column)
        known = mapping.label.fraud
        is_fraud = label.cast(pl.Boolean) if known is None else label.cast(pl.String).is_in(known)
        expressions.append(is_fraud.alias("is_fraud"))
    return expressions


def _several(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _joined(names: list[str]) -> pl.Expr:
    return pl.col(names[0]) if len(names) == 1 else pl.concat_str(names, separator="-", ignore_nulls=True)


def _hashed(values: pl.Series) -> pl.Series:
    """Letters only, so that no hash can look like a card number."""
    known = values.drop_nulls().unique().to_list()
    digests = [hashlib.sha256(str(value).encode()).hexdigest()[:20].translate(_LETTERS) for value in known]
    return values.replace_strict(known, digests, return_dtype=pl.String)


def _stretch(frame: pl.DataFrame, mapping: Mapping) -> Recorded:
    table = frame.to_arrow()
    arrays = [table[field.name].combine_chunks().cast(field.type) for field in TRANSACTION_SCHEMA]
    transactions = pa.RecordBatch.from_arrays(arrays, schema=TRANSACTION_SCHEMA)
    event_ms = transactions["event_time"].cast(pa.int64())
    if mapping.label is None:
        return Recorded(transactions, pa.nulls(len(table), pa.bool_()), event_ms)
    delay_ms = int(mapping.label.delay_days * _DAY_MS)
    return Recorded(transactions, table["is_fraud"].combine_chunks(), pa.compute.add(event_ms, delay_ms))
