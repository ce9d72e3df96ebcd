"""Turns an event into a transaction, by the mapping of its type that the importer wrote (`recording-NAME.yaml`).

An event becomes what a row of its stored events becomes (`adapters.recordings.convert`), one at a time. All that it
said goes with the transaction under `event`, which decoders ignore and the archive keeps.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

import msgspec

from adapters.recordings.convert import hashed_id
from adapters.recordings.mapping import AMOUNT, BILLING_AMOUNT, Amounts, Times
from adapters.recordings.mapping import Mapping as Recording
from decision_service.afd.errors import ApiError, invalid
from fraud.decision.policy.variables import value_of
from fraud.decision.rules.fields import Kind
from fraud.errors import MisconfiguredError
from fraud.migration.recording import ENTITY_ID, ESSENTIAL, EVENT_ID, EVENT_TIME
from fraud.migration.shapes import EventType, Variable
from fraud.money import minor_digits
from fraud.records.schema import literals
from fraud.records.transaction import TRANSACTION_SCHEMA, Transaction

_NUMBER = re.compile(r"\+?([0-9]{1,15})(\.[0-9]{1,15})?", re.ASCII)
_WHOLE = re.compile(r"\+?([0-9]{1,18})(?:\.0*)?", re.ASCII)
_FLOATS = frozenset({"merchant_lat", "merchant_lon", "home_lat", "home_lon"})
_OWN = frozenset({"schema_version", "sent_at", "recorded_arrival"})
_NAMED = {EVENT_ID: "eventId", EVENT_TIME: "eventTimestamp", ENTITY_ID: "entityId"}
_IDENTITY = frozenset({"transaction_id", "card_token"})
"""No default stands for these: payments that lack them would become a single one."""

_UNKNOWN_ENTITY = "unknown"
_encode = msgspec.json.Encoder().encode

Read = Callable[[Mapping[str, str]], Any]


class Event(NamedTuple):
    """An event as it was sent.

    Attributes:
        id: its id.
        event_type: name of its type.
        entity_type: what kind of thing did it.
        entity_id: which one.
        timestamp: ISO 8601; UTC where it names no zone.
        variables: texts by name.
    """

    id: str
    event_type: str
    entity_type: str
    entity_id: str
    timestamp: str
    variables: Mapping[str, str]


class EventReader:
    """Reads the events of a type.

    Args:
        event_type: the type.
        recording: its mapping.
        file: of the mapping, for messages.
        variables: all variables, by name.
        kept: kinds of those that the policy has as variables of its own.
        base_currency: of billing amounts.

    Raises:
        MisconfiguredError: the mapping says what has no meaning for single events.

    Attributes:
        lacks: fields of a transaction that neither its events nor its mapping give; with any, no event is answered.
    """

    def __init__(
        self,
        event_type: EventType,
        recording: Recording,
        file: str,
        variables: Mapping[str, Variable],
        kept: Mapping[str, Kind],
        base_currency: str,
    ) -> None:
        self.event_type = event_type
        self._recording = recording
        self._file = file
        self._base = base_currency
        self._kept = kept
        self._defaults = {name: v.default_value for name, v in variables.items() if v.default_value is not None}
        for part, is_plain in (
            ("money", recording.money == Amounts()),
            ("time", recording.times == Times()),
            ("columns", all(isinstance(column, str) for column in recording.columns.values())),
            ("identity", not recording.identity),
        ):
            if not is_plain:
                raise MisconfiguredError(file, f"{part}: events of the API are read without it; leave it out")
        self._known = frozenset(event_type.variables)
        self._choices = literals(Transaction)
        self._columns = {field: recording.sources(field)[0] for field in recording.columns}
        needed = {AMOUNT, BILLING_AMOUNT, *(field.name for field in TRANSACTION_SCHEMA if not field.nullable)}
        self._with_default = needed - _IDENTITY - set(recording.defaults)
        self._readers = {field: self._reader(field) for field in self._columns if field in TRANSACTION_SCHEMA.names}
        self._rates = {base_currency: Decimal(1)} | {code: Decimal(str(r)) for code, r in recording.rates.items()}
        given = {*self._readers, *recording.constants, *_OWN}
        given |= {"amount_minor"} if AMOUNT in self._columns else set()
        given |= {"billing_amount_minor"} if "amount_minor" in given else set()
        self.lacks = [f.name for f in TRANSACTION_SCHEMA if not f.nullable and f.name not in given]

    @property
    def is_payment(self) -> bool:
        """Whether its events are card payments at all."""
        return not ESSENTIAL & set(self.lacks)

    def record(self, event: Event, now: dt.datetime) -> bytes:
        """The transaction of an event, in the wire format.

        Raises:
            ApiError: its type is not answered, or a value of it cannot be read.
        """
        if self.lacks:
            raise invalid(self._why_not())
        self._check(event)
        values = {**event.variables, EVENT_ID: event.id, EVENT_TIME: event.timestamp, ENTITY_ID: event.entity_id}
        transaction: dict[str, Any] = {"schema_version": 1, "sent_at": written(now)}
        transaction |= self._recording.constants
        for field, read in self._readers.items():
            if (value := read(values)) is not None:
                transaction[field] = value
        self._add_money(transaction, values)
        transaction["event"] = {
            "event_type": event.event_type,
            "entity_type": event.entity_type,
            "entity_id": event.entity_id,
            "variables": event.variables,
        }
        return _encode(transaction)

    def named(self, field: str | None) -> str:
        """What a field of a transaction is called in an event."""
        column = None if field is None else self._columns.get(AMOUNT if field == "amount_minor" else field)
        if column is None:
            return "event" if field is None else f"{field} ({self._file})"
        return _NAMED.get(column) or f"eventVariables.{column}"

    def _check(self, event: Event) -> None:
        if event.entity_type not in self.event_type.entity_types:
            known = ", ".join(self.event_type.entity_types)
            raise invalid(f"entityType: events of {self.event_type.name} are of {known}")
        if not event.variables.keys() <= self._known:
            unknown = sorted(event.variables.keys() - self._known)
            raise invalid(f"eventVariables: {self.event_type.name} has no variable {', '.join(unknown)[:200]}")
        for name, text in event.variables.items():
            if name in self._kept and value_of(self._kept[name], text) is None:
                raise invalid(f"eventVariables.{name}: is no {self._kept[name]}")
        if self._columns.get("card_token") == ENTITY_ID and event.entity_id.lower() == _UNKNOWN_ENTITY:
            raise invalid("entityId: a payment needs its card; all unknown ones would be taken for a single card")

    def _why_not(self) -> str:
        fields = ", ".join(self.lacks)
        name = self.event_type.name
        if not self.is_payment:
            return (
                f"eventTypeName: {name} is no type of card payments here: its events lack {fields}. Sign-ups, log-ins "
                "and the like are not decided (docs/frauddetector-api.md, Other events); if it is one, map its "
                "variables in mapping.yaml and run fraud import-afd again"
            )
        return (
            f"eventTypeName: events of {name} lack {fields}: give them under constants in mapping.yaml and run "
            f"fraud import-afd again, or in {self._file}"
        )

    # Each field

    def _reader(self, field: str) -> Read:
        if field == "event_time":
            return lambda values: self._time(values)
        if field in _FLOATS:
            return lambda values: self._number(field, values)
        if field in ("amount_minor", "billing_amount_minor"):
            return lambda values: self._whole(field, values)
        return self._word_reader(field)

    def _text(self, field: str, values: Mapping[str, str]) -> str | None:
        """What stands in the event, or the default of the variable where a transaction needs one."""
        column = self._columns[field]
        text = values.get(column, "").strip()
        if text and text not in self._recording.missing:
            return text
        return self._defaults.get(column) if field in self._with_default else None

    def _word_reader(self, field: str) -> Read:
        recording = self._recording
        meant = {key.strip().lower(): value for key, value in recording.values.get(field, {}).items() if key != "*"}
        other = recording.values.get(field, {}).get("*")
        is_choice, is_code = field in self._choices, field == "currency" or field.endswith("_country")
        is_hashed, prefix = field in recording.hashed, recording.prefixes.get(field, "")
        default = recording.defaults.get(field)

        def read(values: Mapping[str, str]) -> str | None:
            text = self._text(field, values)
            if text is None:
                return default
            if field in recording.values:
                text = meant.get(text.lower(), text if other is None else other)
            if is_choice:
                text = text.lower()
            elif is_code:
                text = text.upper()
            return prefix + (hashed_id(text) if is_hashed else text)

        return read

    def _time(self, values: Mapping[str, str]) -> str:
        text = values.get(self._columns["event_time"], "")
        try:
            return written(read_time(text))
        except ValueError:
            raise self._unreadable("event_time", "no ISO 8601 time") from None

    def _number(self, field: str, values: Mapping[str, str]) -> float | None:
        text = self._text(field, values)
        if text is None:
            return None
        try:
            return float(text)
        except ValueError:
            raise self._unreadable(field, "no number") from None

    def _whole(self, field: str, values: Mapping[str, str]) -> int:
        found = _WHOLE.fullmatch(self._text(field, values) or "")
        if found is None:
            raise self._unreadable(field, "no whole number")
        return int(found[1])

    def _add_money(self, transaction: dict[str, Any], values: Mapping[str, str]) -> None:
        currency = transaction.get("currency", "")
        if AMOUNT in self._columns:
            transaction["amount_minor"] = self._amount(AMOUNT, currency, values)
        if BILLING_AMOUNT in self._columns:
            transaction["billing_amount_minor"] = self._amount(BILLING_AMOUNT, self._base, values)
        elif "billing_amount_minor" not in transaction:
            transaction["billing_amount_minor"] = self._billed(transaction["amount_minor"], currency)

    def _amount(self, field: str, currency: str, values: Mapping[str, str]) -> int:
        text = self._text(field, values) or ""
        if _NUMBER.fullmatch(text) is None:
            raise self._unreadable(field, "no amount in major units with a point before decimals")
        return int(Decimal(text).scaleb(minor_digits(currency)).quantize(Decimal(1), ROUND_HALF_UP))

    def _billed(self, amount_minor: int, currency: str) -> int:
        if currency == self._base:
            return amount_minor
        rate = self._rates.get(currency)
        if rate is None:
            raise invalid(
                f"{self.named('currency')}: amounts in this currency are not known in {self._base}: give rates in "
                f"{self._file}, or map a variable to billing_amount"
            )
        in_base = (Decimal(amount_minor) * rate).scaleb(minor_digits(self._base) - minor_digits(currency))
        return int(in_base.quantize(Decimal(1)))

    def _unreadable(self, field: str, what: str) -> ApiError:
        return invalid(f"{self.named('amount_minor' if field == AMOUNT else field)}: is {what}")


def read_time(text: str) -> dt.datetime:
    """An ISO 8601 time in UTC, which it is in where it names no zone.

    Raises:
        ValueError: it is none, or in UTC beyond the calendar's years 1 to 9999.
    """
    time = dt.datetime.fromisoformat(text)
    try:
        return (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("a time beyond the calendar") from None


def written(time: dt.datetime) -> str:
    """A time as records and answers have it: UTC, milliseconds."""
    return time.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
