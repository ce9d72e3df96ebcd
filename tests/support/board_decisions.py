"""Stored decisions with the columns that the console's overview reads."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa

from console.services.live import LIVE_COLUMNS
from fraud.records.schema import TIMESTAMP_MS, milliseconds_of
from tests.support.records import NOON, VERDICT, transaction

_TIMES = {"sent_at", "decided_at", "event_time", "recorded_arrival", "received_at"}
_MORE = {"challenger_version": None, "batch_id": 7, "recorded_arrival": None, "answered_by": None, "received_at": None}


def decisions(*rows: dict[str, Any], at: dt.datetime = NOON) -> pa.Table:
    """One stored decision for each of `rows`, which name what differs from a plain approved one, decided at `at`.

    A transaction arrived when it happened, unless its row says when.
    """
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    plain = transaction() | VERDICT | _MORE | {"outcome": "approve", "sent_at": at, "decided_at": at}
    changed = [plain | {"arrival_ms": milliseconds_of((plain | row)["event_time"])} | row for row in rows]
    whole = [{name: row[name] for name in LIVE_COLUMNS} for row in changed]
    table = pa.Table.from_pylist(whole)
    columns = [table[name].cast(TIMESTAMP_MS) if name in _TIMES else table[name] for name in LIVE_COLUMNS]
    return pa.table(dict(zip(LIVE_COLUMNS, columns, strict=True)))
