"""Random streams of transactions and labels, with everything that makes windows hard."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from fraud.arrival import ARRIVAL_FIELDS
from fraud.label import LABEL_SCHEMA
from fraud.transaction import TRANSACTION_SCHEMA
from tests.support.records import NOON, label, transaction

TRANSACTIONS = pa.schema([*ARRIVAL_FIELDS, *TRANSACTION_SCHEMA])
LABELS = pa.schema([*ARRIVAL_FIELDS, *LABEL_SCHEMA])

Row = dict[str, Any]
Stream = list[tuple[str, Row]]
"""Pairs of "transaction" or "label" and the record with its arrival, in arrival order."""

SECOND, HOUR, DAY = dt.timedelta(seconds=1), dt.timedelta(hours=1), dt.timedelta(days=1)
_STEPS = st.sampled_from([0 * SECOND, 0 * SECOND, SECOND, 10 * 60 * SECOND, HOUR, DAY, 7 * DAY])
_LATE = st.sampled_from([0 * SECOND] * 5 + [30 * SECOND, HOUR, DAY + HOUR, 8 * DAY])
_COORDINATES = st.none() | st.tuples(st.floats(-89, 89), st.floats(-179, 179))

_TRANSACTION = st.fixed_dictionaries(
    {
        "step": _STEPS,
        "late": _LATE,
        "repeats": st.none() | st.none() | st.none() | st.integers(1, 30),
        "card_token": st.sampled_from(["card-1", "card-1", "card-1", "card-2", "card-3"]),
        "merchant_id": st.sampled_from(["merchant-1", "merchant-1", "merchant-2", "merchant-3"]),
        "billing_amount_minor": st.integers(0, 5_000) | st.integers(0, 10**12),
        "transaction_type": st.sampled_from(["purchase", "purchase", "withdrawal", "refund", "reversal"]),
        "authorisation_result": st.sampled_from(["approved", "approved", "declined"]),
        "mcc": st.sampled_from(["5411", "0742", "5999"]),
        "merchant_country": st.sampled_from(["DE", "DE", "FR", "US"]),
        "channel": st.sampled_from(["pos", "pos", "atm", "ecommerce", "moto"]),
        "device_id": st.sampled_from([None, "device-1", "device-2"]),
        "bin": st.sampled_from(["411111", "411111", "52000000"]),
        "place": _COORDINATES,
        "home": _COORDINATES,
    }
)
_LABEL = st.fixed_dictionaries(
    {"step": _STEPS, "of": st.integers(1, 30), "verdict": st.sampled_from(["fraud", "fraud", "legitimate"])}
)


@st.composite
def streams(draw: st.DrawFn, most: int = 60) -> Stream:
    """A stream with late, simultaneous and repeated transactions, hot keys, and labels that change their minds."""
    now = NOON
    stream: Stream = []
    specs: list[Any] = draw(st.lists(_TRANSACTION | _TRANSACTION | _TRANSACTION | _LABEL, max_size=most))
    for number, spec in enumerate(specs):
        now += spec["step"]
        earlier = [row for kind, row in stream if kind == "transaction"]
        if "verdict" in spec:
            if earlier:
                stream.append(("label", _label(number, now, spec, earlier)))
        else:
            stream.append(("transaction", _transaction(number, now, spec, earlier)))
    return stream


def _arrival(stream: str, number: int) -> Row:
    # Two records a millisecond, so that the order inside it matters too.
    arrival_ms = 1_768_478_400_000 + number // 2
    return {
        "stream": stream,
        "shard": "shard-0",
        "sequence_number": str(number),
        "sub_sequence": 0,
        "arrival_ms": arrival_ms,
    }


def _transaction(number: int, now: dt.datetime, spec: Mapping[str, Any], earlier: Sequence[Row]) -> Row:
    repeats = spec["repeats"]
    lat, lon = spec["place"] or (None, None)
    home_lat, home_lon = spec["home"] or (None, None)
    known = {name: value for name, value in spec.items() if name in TRANSACTIONS.names}
    record = transaction(
        **known,
        transaction_id=earlier[-repeats]["transaction_id"] if repeats and repeats <= len(earlier) else f"t-{number}",
        event_time=now - spec["late"],
        merchant_lat=lat,
        merchant_lon=lon,
        home_lat=home_lat,
        home_lon=home_lon,
    )
    return {name: record.get(name) for name in TRANSACTIONS.names} | _arrival("records", number)


def _label(number: int, now: dt.datetime, spec: Mapping[str, Any], earlier: Sequence[Row]) -> Row:
    of = earlier[-min(spec["of"], len(earlier))]
    keys = {name: of[name] for name in ("transaction_id", "card_token", "merchant_id")}
    record = label(**keys, transaction_time=of["event_time"], verdict=spec["verdict"], label_time=now)
    return {name: record.get(name) for name in LABELS.names} | _arrival("records", number)


def tables(stream: Stream) -> tuple[pa.Table, pa.Table]:
    """The transactions and the labels of a stream."""
    return (
        pa.Table.from_pylist([row for kind, row in stream if kind == "transaction"], schema=TRANSACTIONS),
        pa.Table.from_pylist([row for kind, row in stream if kind == "label"], schema=LABELS),
    )


def batch(rows: Iterable[Row], schema: pa.Schema) -> pa.RecordBatch | None:
    """Records as one batch; None without any."""
    records = list(rows)
    return pa.RecordBatch.from_pylist(records, schema=schema) if records else None


def same(value: Any, wanted: Any) -> bool:
    """Whether two values agree: to 1e-9 where floats are summed in another order, otherwise entirely."""
    if value is None or wanted is None or isinstance(wanted, (bool, str)):
        return bool(value == wanted)
    return math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9)
