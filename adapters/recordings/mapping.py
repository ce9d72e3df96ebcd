"""What a mapping can say: how a recording's columns become the fields of a transaction."""

from __future__ import annotations

import datetime as dt
import enum
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

from adapters.files.text_files import read_model
from fraud.errors import MisconfiguredError
from fraud.records.transaction import TRANSACTION_SCHEMA, Transaction

MAPPING_FOLDER = Path(__file__).parents[2] / "config" / "mappings"

AMOUNT, BILLING_AMOUNT = "amount", "billing_amount"
"""Names beside those of a transaction's fields: amounts in major units, as people write them."""

_DECLARED = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Format(BaseModel):
    """How a text file is written, where looking at it is not enough."""

    model_config = _DECLARED

    separator: str | None = Field(None, min_length=1, max_length=1)
    """Between cells."""
    quote: str | None = Field(None, min_length=1, max_length=1)
    """Around cells that hold a separator."""
    encoding: str | None = None
    """Of the characters, by the name that Python has for it, such as cp1252."""
    header: bool = True
    """Whether the first row names the columns; they are column_1, column_2 ... otherwise."""


class TimeUnit(enum.StrEnum):
    """What a number that stands for a time counts."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"
    MINUTES = "min"
    HOURS = "h"
    DAYS = "d"


class Times(BaseModel):
    """How times are written; ISO 8601 where this says nothing."""

    model_config = _DECLARED

    unit: TimeUnit | None = None
    """Times are numbers of this unit since `origin`."""
    origin: dt.datetime = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    """What numbers count from; without a zone of its own it is in `zone`."""
    format: str | None = None
    """As strftime writes it, for example %d/%m/%Y %H:%M."""
    zone: str = "UTC"
    """Zone of times that name none, for example Europe/Brussels."""

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{zone} is no time zone; write one such as UTC or Europe/Brussels") from None
        return zone


class Negative(enum.StrEnum):
    """What a negative amount means."""

    REFUSE = "refuse"
    REFUND = "refund"


class Amounts(BaseModel):
    """How amounts are written; in major units with a decimal point where this says nothing."""

    model_config = _DECLARED

    decimal: str = Field(".", min_length=1, max_length=1)
    """Decimal mark."""
    thousands: str = Field("", max_length=1)
    """Mark between thousands; blanks and apostrophes are always allowed."""
    minor: bool = False
    """Amounts are whole numbers of the currency's minor unit."""
    negative: Negative = Negative.REFUSE
    """What a negative amount means; it may be written with a minus on either side or in parentheses."""


class LabelMapping(BaseModel):
    """Where a recording says what was fraud."""

    model_config = _DECLARED

    column: str
    fraud: tuple[str, ...] | None = None
    """Values that mean fraud, in any case; every other value means none. Unset: 1, true, yes, fraud and the like, and a
    value that says neither yes nor no is refused."""
    delay_days: float = 7.0
    """How long after its transaction a label becomes known."""


class Mapping(BaseModel):
    """How a recording's columns become ours; see `config/mappings`.

    Attributes:
        columns: our field to their column; to several where only together they name something. `amount` and
            `billing_amount` are amounts in major units, of the row's currency and of the base currency.
        identity: whether their columns with the names of our fields are these fields, unless `columns` or `constants`
            say otherwise.
        format: how a text file is written.
        time: how times are written.
        origin: the older form of `time: {unit: s, origin: ...}`.
        money: how amounts are written.
        rates: units of the base currency for one unit of another currency, where no column says what was billed.
        values: for a field, what their values become, in any case; `*` stands for all others.
        defaults: for a field, what stands where their value is missing.
        missing: words that stand where nothing is, such as NULL, as written.
        hashed: fields whose values are replaced by a hash, because they are card numbers or have spaces.
        prefixes: put in front of a field's values, after hashing.
        constants: fields that the recording does not have.
        label: what was fraud; None where it does not say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    columns: dict[str, str | list[str]] = {}
    identity: bool = False
    format: Format = Format()
    time: Times = Times()
    origin: dt.datetime | None = None
    money: Amounts = Amounts()
    rates: dict[str, float] = {}
    values: dict[str, dict[str, str]] = {}
    defaults: dict[str, str] = {}
    missing: tuple[str, ...] = ()
    hashed: list[str] = []
    prefixes: dict[str, str] = {}
    constants: dict[str, Any] = {}
    label: LabelMapping | None = None

    @property
    def times(self) -> Times:
        """How times are written, `origin` written out."""
        return self.time if self.origin is None else Times(unit=TimeUnit.SECONDS, origin=self.origin)

    def over(self, there: Iterable[str]) -> Mapping:
        """The mapping for a recording with these columns, `identity` written out."""
        if not self.identity:
            return self
        ours = {name: name for name in there if name in TRANSACTION_SCHEMA.names and name not in self.constants}
        return self.model_copy(update={"columns": ours | self.columns, "identity": False})

    def sources(self, field: str) -> list[str]:
        """Their columns that a field is made of."""
        names = self.columns.get(field, [])
        return [names] if isinstance(names, str) else names

    def source_columns(self) -> list[str]:
        """Every column of theirs that is read, once."""
        read = itertools.chain(*(self.sources(field) for field in self.columns))
        return list(dict.fromkeys([*read, *([self.label.column] if self.label else [])]))


def load_mapping(name: str) -> Mapping:
    """Reads a mapping: a name in `config/mappings` or a YAML file.

    Raises:
        MisconfiguredError: it is missing or malformed.
    """
    file = Path(name) if name.endswith((".yaml", ".yml")) else MAPPING_FOLDER / f"{name}.yaml"
    if not file.exists():
        known = ", ".join(sorted(path.stem for path in MAPPING_FOLDER.glob("*.yaml")))
        raise MisconfiguredError("--mapping", f"{file} cannot be read; available: {known}")
    mapping = read_model(file, Mapping)
    known_fields = {*TRANSACTION_SCHEMA.names, AMOUNT, BILLING_AMOUNT}
    named = (mapping.columns, mapping.constants, mapping.prefixes, mapping.values, mapping.hashed, mapping.defaults)
    for field in itertools.chain(*named):
        if field not in known_fields:
            raise MisconfiguredError("--mapping", f"{file}: {field} is not a field of a transaction")
    for field in itertools.chain(mapping.prefixes, mapping.values, mapping.hashed, mapping.defaults):
        if field not in TRANSACTION_SCHEMA.names or not pa.types.is_string(TRANSACTION_SCHEMA.field(field).type):
            problem = "only words can have values, defaults, prefixes or a hash"
            raise MisconfiguredError("--mapping", f"{file}: {field} is a number or a time; {problem}")
    for field, prefix in mapping.prefixes.items():
        if re.fullmatch(r"[\x21-\x7e]{0,40}", prefix) is None:
            raise MisconfiguredError("--mapping", f"{file}: prefixes.{field} takes up to 40 visible ASCII characters")
    if mapping.origin is not None and mapping.time != Times():
        raise MisconfiguredError("--mapping", f"{file}: say origin under time, not beside it")
    for field, value in mapping.constants.items():
        check_constant(f"{file}: constants.{field}", field, value)
    return mapping


_TYPES = {field.name: field.type for field in msgspec.structs.fields(Transaction)}


def check_constant(where: str, field: str, value: object) -> None:
    """Refuses a constant that no transaction could have in the field, with one line that begins with `where`."""
    try:
        msgspec.convert(value, _TYPES[field], strict=field not in ("event_time", "sent_at"))
    except (msgspec.ValidationError, KeyError) as error:
        words = str(error) if isinstance(error, msgspec.ValidationError) else "is no field of a transaction"
        raise MisconfiguredError("--mapping", f"{where}: {value!r}: {words}") from None
