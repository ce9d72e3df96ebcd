"""Transactions, labels and stream records for tests: every field has a plain default, a test states what matters."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from fraud.records.arrival import RECORD_SCHEMA

NOON = dt.datetime(2026, 1, 15, 12, 0, tzinfo=dt.UTC)

KEPT_DAYS = 36_500
"""How long alerts of that noon are kept: a century, since the emulator deletes by the clock what has expired."""


def transaction(**fields: Any) -> dict[str, Any]:
    """A valid transaction as its JSON object; `fields` replace defaults."""
    plain: dict[str, Any] = {
        "schema_version": 1,
        "transaction_id": "t-1",
        "event_time": NOON,
        "sent_at": NOON,
        "transaction_type": "purchase",
        "authorisation_result": "approved",
        "response_code": "00",
        "card_token": "card-1",
        "customer_id": "customer-1",
        "bin": "411111",
        "issuer_country": "DE",
        "merchant_id": "merchant-1",
        "mcc": "5411",
        "merchant_country": "DE",
        "amount_minor": 1234,
        "currency": "EUR",
        "billing_amount_minor": 1234,
        "channel": "pos",
        "entry_mode": "chip",
        "initiation": "cardholder",
    }
    return plain | fields


def truth(**fields: Any) -> dict[str, Any]:
    """The ground truth of the plain transaction as its JSON object: genuine; `fields` replace defaults."""
    return {name: transaction()[name] for name in ("transaction_id", "card_token", "event_time")} | fields


def label(**fields: Any) -> dict[str, Any]:
    """A valid label as its JSON object; `fields` replace defaults."""
    plain: dict[str, Any] = {
        "schema_version": 1,
        "transaction_id": "t-1",
        "card_token": "card-1",
        "merchant_id": "merchant-1",
        "transaction_time": NOON,
        "billing_amount_minor": 1234,
        "verdict": "fraud",
        "source": "chargeback",
        "label_time": NOON + dt.timedelta(days=7),
    }
    return plain | fields


VERDICT: dict[str, Any] = {
    "outcome": "review",
    "severity": 40,
    "score": 0.123456789,
    "scored_by": "in_process",
    "model_version": "m1",
    "policy_version": "p1",
    "rules": ["r1"],
    "reason_codes": ["r1"],
    "reasons": ["because"],
    "decided_at": NOON,
    "device_id": None,
}
"""A verdict of review and what the commit adds: the rest of a stored decision."""


def wire(record: dict[str, Any]) -> bytes:
    """The record's bytes on the stream."""
    return json.dumps(record, default=lambda time: time.isoformat()).encode()


def stream_records(data: Sequence[bytes], stream: str = "fraud-transactions", shard: str = "shard-0") -> pa.RecordBatch:
    """Records as a source delivers them: one shard, a second apart."""
    first_ms = int(NOON.timestamp() * 1000)
    rows = range(len(data))
    columns = [
        pa.array([stream] * len(data), pa.string()),
        pa.array([shard] * len(data), pa.string()),
        pa.array([str(10**20 + row) for row in rows], pa.string()),
        pa.array([0] * len(data), pa.int64()),
        pa.array([first_ms + 1000 * row for row in rows], pa.int64()),
        pa.array(data, pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=RECORD_SCHEMA)
