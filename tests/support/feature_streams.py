"""Random streams of transactions and labels, with everything that makes windows hard."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from fraud.path import compute_features
from fraud.records.arrival import ARRIVAL_FIELDS
from fraud.records.label import LABEL_SCHEMA
from fraud.records.transaction import TRANSACTION_SCHEMA
from fraud.settings import Settings
from tests.support.records import NOON, label, transaction

TRANSACTIONS = pa.schema([*ARRIVAL_FIELDS, *TRANSACTION_SCHEMA])
LABELS = pa.schema([*ARRIVAL_FIELDS, *LABEL_SCHEMA])

Row = dict[str, Any]
Stream = list[tuple[str, Row]]
"""Pairs of "transaction" or "label" and the record with its arrival, in arrival order."""

SECOND, HOUR, DAY = dt.timedelta(seconds=1), dt.timedelta(hours=1), dt.timedelta(days=1)
_STEPS = st.sampled_from([0 * SECOND, 0 * SECOND, SECOND, 10 * 60 * SECOND, HOUR, 13 * HOUR, DAY, 7 * DAY])
_LATE = st.sampled_from([0 * SECOND] * 5 + [30 * SECOND, HOUR, DAY + HOUR, 8 * DAY, -HOUR, -50 * DAY, -26_000 * DAY])
"""How long before its arrival a transaction happened; below 0 it says that it happened later."""
_RECORDED = st.sampled_from([None] * 4 + [0 * SECOND, -3 * SECOND, 40 * DAY, -40 * DAY])
"""How far a recorded arrival lies behind the arrival; None for none."""
_LATITUDE, _LONGITUDE = st.floats(-89, 89), st.floats(-179, 179)
_COORDINATES = (
    st.none()
    | st.tuples(_LATITUDE, _LONGITUDE)
    | st.tuples(_LATITUDE, _LONGITUDE)
    | st.tuples(st.none() | _LATITUDE, st.none() | _LONGITUDE)
)

_TRANSACTION = st.fixed_dictionaries(
    {
        "step": _STEPS,
        "late": _LATE,
        "recorded": _RECORDED,
        "repeats": st.none() | st.none() | st.none() | st.integers(1, 30),
        "card_token": st.sampled_from(["card-1", "card-1", "card-1", "card-2", "card-3"]),
        "merchant_id": st.sampled_from(["merchant-1", "merchant-1", "merchant-2", "merchant-3"]),
        "billing_amount_minor": st.integers(0, 5_000) | st.integers(0, 10**12),
        "transaction_type": st.sampled_from(
            ["purchase", "purchase", "purchase", "withdrawal", "refund", "reversal", "void", "account_check"]
        ),
        "authorisation_result": st.sampled_from(["approved", "approved", "declined"]),
        "mcc": st.sampled_from(["5411", "0742", "5999", "5732", "7995", "6011"]),
        "merchant_country": st.sampled_from(["DE", "DE", "FR", "US"]),
        "channel": st.sampled_from(["pos", "pos", "atm", "ecommerce", "moto"]),
        "entry_mode": st.sampled_from(["chip", "chip", "magstripe", "contactless", "manual", "credential_on_file"]),
        "initiation": st.sampled_from(["cardholder", "recurring", "merchant"]),
        "response_code": st.sampled_from(["00", "00", "05", "14", "51", "N7"]),
        "avs_result": st.sampled_from([None, "match", "partial", "no_match", "unavailable"]),
        "cvv_result": st.sampled_from([None, "match", "no_match", "unavailable"]),
        "three_ds_result": st.sampled_from([None, "authenticated", "attempted", "failed", "not_enrolled"]),
        "device_id": st.sampled_from([None, "device-1", "device-2"]),
        "bin": st.sampled_from(["411111", "411111", "52000000"]),
        "customer_id": st.sampled_from(["customer-1", "customer-1", "customer-2"]),
        "email_hash": st.sampled_from([None, "00c3c9a4d1c2f5aa"]),
        "terminal_id": st.sampled_from([None, "terminal-1"]),
        "ip_address": st.sampled_from([None, "192.0.2.1", "192.0.2.1", "2001:db8::1"]),
        "place": _COORDINATES,
        "home": _COORDINATES,
    }
)
_LABEL = st.fixed_dictionaries(
    {
        "step": _STEPS,
        "of": st.integers(1, 30),
        "verdict": st.sampled_from(["fraud", "fraud", "legitimate"]),
        "precision_ms": st.sampled_from([None, None, 1, 60_000, 86_400_000]),
        "strays": st.sampled_from([False] * 5 + [True]),
    }
)

_PLAIN: dict[str, Any] = {
    "step": DAY,
    "late": 0 * SECOND,
    "recorded": None,
    "repeats": None,
    "card_token": "card-1",
    "merchant_id": "merchant-1",
    "device_id": "device-1",
    "place": None,
    "home": None,
}
_USUAL = st.lists(st.integers(900, 1_100), min_size=6, max_size=9)
"""Amounts by which a card gets a usual one, so that others are unusual for it."""


@st.composite
def streams(draw: st.DrawFn, most: int = 60) -> Stream:
    """A stream with late, simultaneous and repeated transactions, hot keys, and labels that change their minds."""
    now = NOON
    stream: Stream = []
    # A list without a least size is mostly short: too short for habits.
    least = draw(st.sampled_from([0, 0, most // 4, most // 2]))
    specs: list[Any] = draw(
        st.lists(_TRANSACTION | _TRANSACTION | _TRANSACTION | _LABEL, min_size=least, max_size=most)
    )
    if usual := draw(st.just([]) | _USUAL):
        specs = [_PLAIN | {"billing_amount_minor": amount} for amount in usual] + specs
    for number, spec in enumerate(specs):
        now += spec["step"]
        earlier = [row for kind, row in stream if kind == "transaction"]
        if "verdict" in spec:
            if earlier:
                stream.append(("label", _label(number, now, spec, earlier)))
        else:
            stream.append(("transaction", _transaction(number, now, spec, earlier)))
    return stream


def arrival(number: int, now: dt.datetime) -> Row:
    """The place in a stream of the record of a number, and its arrival."""
    return {
        "stream": "records",
        "shard": "shard-0",
        "sequence_number": str(number),
        "sub_sequence": 0,
        "arrival_ms": round(now.timestamp() * 1000),
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
        recorded_arrival=None if spec["recorded"] is None else now + spec["recorded"],
        merchant_lat=lat,
        merchant_lon=lon,
        home_lat=home_lat,
        home_lon=home_lon,
    )
    return {name: record.get(name) for name in TRANSACTIONS.names} | arrival(number, now)


def _label(number: int, now: dt.datetime, spec: Mapping[str, Any], earlier: Sequence[Row]) -> Row:
    of = earlier[-min(spec["of"], len(earlier))]
    keys = {name: of[name] for name in ("transaction_id", "card_token", "merchant_id")}
    if spec["strays"]:
        keys["transaction_id"] = "never"
    precision_ms = spec["precision_ms"]
    known = of["event_time"] - dt.timedelta(milliseconds=ms_of(of["event_time"]) % (precision_ms or 1))
    record = label(
        **keys,
        transaction_time=known,
        transaction_time_precision_ms=precision_ms,
        verdict=spec["verdict"],
        label_time=now,
    )
    return {name: record.get(name) for name in LABELS.names} | arrival(number, now)


@st.composite
def hasty(draw: st.DrawFn, most: int = 60) -> Stream:
    """The same, some labels ahead of their transactions, with an end at which all that waits has waited long enough."""
    stream = draw(streams(most))
    for label_number in [number for number, (kind, _) in enumerate(stream) if kind == "label"]:
        ahead = draw(st.sampled_from([0, 0, 0, 1, 3, label_number]))
        stream.insert(max(0, label_number - ahead), stream.pop(label_number))
    end = max((row["arrival_ms"] for _, row in stream), default=ms_of(NOON))
    last = dt.datetime.fromtimestamp(end / 1000, dt.UTC) + 60 * DAY
    stream += [
        ("transaction", _transaction(number, last, _PLAIN | {"card_token": f"last-{number}"}, []))
        for number in range(len(stream) + 1, len(stream) + 4 + sum(kind == "label" for kind, _ in stream))
    ]
    placed, arrived = [], 0
    for number, (kind, row) in enumerate(stream):
        if kind == "transaction":
            arrived = row["arrival_ms"]
        placed.append((kind, row | {"sequence_number": str(number), "arrival_ms": arrived}))
    return placed


def ms_of(time: dt.datetime) -> int:
    return (time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


def tables(stream: Stream) -> tuple[pa.Table, pa.Table]:
    """The transactions and the labels of a stream."""
    return (
        pa.Table.from_pylist([row for kind, row in stream if kind == "transaction"], schema=TRANSACTIONS),
        pa.Table.from_pylist([row for kind, row in stream if kind == "label"], schema=LABELS),
    )


def postponed(row: Row, by: dt.timedelta) -> Row:
    """A record with all its times, arrival included, later."""
    times = {name: value + by for name, value in row.items() if isinstance(value, dt.datetime)}
    return row | times | {"arrival_ms": row["arrival_ms"] + by // dt.timedelta(milliseconds=1)}


def batch(rows: Iterable[Row], schema: pa.Schema) -> pa.RecordBatch | None:
    """Records as one batch; None without any."""
    records = list(rows)
    return pa.RecordBatch.from_pylist(records, schema=schema) if records else None


def same(value: Any, wanted: Any) -> bool:
    """Whether two values agree: to 1e-9 where floats are summed in another order, otherwise entirely."""
    if value is None or wanted is None or isinstance(wanted, (bool, str)):
        return bool(value == wanted)
    return math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9)


def differences(computed: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> list[tuple[int, str, Any, Any]]:
    """Row, feature, value and wanted value, wherever the two are not the `same`."""
    assert len(computed) == len(wanted)
    return [
        (row, name, got[name], value)
        for row, (got, expected) in enumerate(zip(computed, wanted, strict=True))
        for name, value in expected.items()
        if not same(got[name], value)
    ]


def never_seen(names: Collection[str], of: Settings, most: int = 3_000) -> set[str]:
    """Which features are null or zero in all of so many streams: equal to the oracle's would mean nothing of them.

    Streams are drawn by the hundred until none is left. What Hypothesis draws depends on its version and on the
    modules that are imported, so the number of streams is a bound that lies far above what is needed.
    """
    unseen = set(names)

    def look(stream: Stream) -> None:
        if unseen:
            table = compute_features(*tables(stream), of)
            unseen.difference_update([name for name in unseen if any(table[name].to_pylist())])

    drawn = settings(max_examples=100, phases=[Phase.generate], database=None, deadline=None)
    for hundred in range(most // 100):
        if unseen:
            seed(hundred)(drawn(given(streams())(look)))()
    return unseen
