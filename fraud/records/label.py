"""The label: what became known of a transaction later. It travels on a stream of its own."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from fraud.records.schema import arrow_schema, json_schema, whole
from fraud.records.transaction import RECORDED_ARRIVAL, Identifier, MinorUnits, Time

Verdict = Literal["fraud", "legitimate", "withdrawn"]
LabelSource = Literal["chargeback", "disposition"]


_VERDICT = (
    "withdrawn: what an earlier label said does not hold; of several labels of a transaction the last to arrive counts"
)
_PRECISION = (
    "the transaction was at transaction_time or less than so much later; without it what the text of transaction_time "
    "states: its decimals, whole seconds, a minute without seconds, or the day of a date or of midnight"
)
_COARSE = re.compile(whole("([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2})([Zz]|[+-][0-9]{2}:[0-9]{2}))?"))
"""A date, which is a day in UTC, or a time without seconds."""


def stated_precision_ms(time: str) -> int:
    """How precise a time is by its text: a date or midnight is a day, any other one is as long as its digits say.

    >>> [stated_precision_ms(f"2026-01-15T{time}Z") for time in ("12:00:00.400", "12:00:00.4", "12:00:00", "00:00:00")]
    [1, 100, 1000, 86400000]
    >>> [stated_precision_ms(time) for time in ("2026-01-15T12:00+01:00", "2026-01-15T00:00Z", "2026-01-15")]
    [60000, 86400000, 86400000]
    """
    decimals = re.search(r"\.([0-9]+)", time)
    if decimals:
        return int(10 ** max(0, 3 - len(decimals[1])))
    clock = re.match("[0-9]{2}:[0-9]{2}(:[0-9]{2})?", time[11:])
    if clock is None or clock[0] in ("00:00", "00:00:00"):
        return 86_400_000
    return 1_000 if clock[1] else 60_000


def with_seconds(time: str) -> str:
    """A date or a time without seconds as the first instant that it may mean; any other text as it is.

    >>> [with_seconds(time) for time in ("2026-01-15", "2026-01-15T12:00+01:00", "2026-01-15T12:00:00Z", "yesterday")]
    ['2026-01-15T00:00:00Z', '2026-01-15T12:00:00+01:00', '2026-01-15T12:00:00Z', 'yesterday']
    """
    found = _COARSE.match(time)
    if found is None:
        return time
    date, minute, zone = found.groups()
    return f"{date}T{minute or '00:00'}:00{zone or 'Z'}"


class Label(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A verdict on one transaction. It repeats the transaction's keys, so that it is foldable without a look-up."""

    schema_version: Literal[1] = 1
    transaction_id: Identifier
    card_token: Identifier
    merchant_id: Identifier
    terminal_id: Identifier | None = None
    transaction_time: Annotated[Time, Meta(description="event_time of the transaction")]
    billing_amount_minor: MinorUnits
    verdict: Annotated[Verdict, Meta(description=_VERDICT)]
    source: Annotated[LabelSource, Meta(description="chargeback: from the scheme; disposition: by an analyst")]
    label_time: Annotated[Time, Meta(description="when the verdict became known")]
    transaction_time_precision_ms: Annotated[int, Meta(ge=1, le=86_400_000, description=_PRECISION)] | None = None
    recorded_arrival: Annotated[Time, Meta(description=RECORDED_ARRIVAL)] | None = None


class _Text(msgspec.Struct, gc=False):
    transaction_time: str


_exactly, _text_of = msgspec.json.Decoder(Label).decode, msgspec.json.Decoder(_Text).decode
_COARSE_FIELDS = ("transaction_time", "label_time")


def parse_label(record: bytes) -> Label:
    """Reads a label, whose times may lack seconds or be dates, with the precision that it states.

    Raises:
        msgspec.DecodeError: it is no label.
        UnicodeDecodeError: it is no text.
        RecursionError: it is nested too deeply.
    """
    try:
        label = _exactly(record)
    except msgspec.ValidationError:
        given = msgspec.json.decode(record)
        if not isinstance(given, dict):
            raise
        coarse = {name: given[name] for name in _COARSE_FIELDS if isinstance(given.get(name), str)}
        complete = {name: with_seconds(time) for name, time in coarse.items()}
        if complete == coarse:
            raise
        label = msgspec.convert(given | complete, Label)
    if label.transaction_time_precision_ms is not None:
        return label
    precision_ms = stated_precision_ms(_text_of(record).transaction_time)
    return msgspec.structs.replace(label, transaction_time_precision_ms=precision_ms)


def _with_coarse_times(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, where times may lack seconds or be dates."""
    pattern = _COARSE.pattern.removeprefix(r"\A(?:").removesuffix(r")\Z")
    for name in _COARSE_FIELDS:
        given = schema["properties"][name]
        forms = [{"format": given.pop("format")}, {"pattern": f"^{pattern}$"}]
        schema["properties"][name] = given | {"anyOf": forms}
    return schema


LABEL_SCHEMA = arrow_schema(Label)
LABEL_JSON_SCHEMA = _with_coarse_times(json_schema(Label, "urn:card-fraud-streaming:label:1"))
