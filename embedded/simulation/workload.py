"""The records of a schedule: few cards and merchants, so that windows fill, and what no one should send."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from fraud.records.schema import time_of

TRANSACTIONS, LABELS = "transactions", "labels"
CARDS = 8
MERCHANTS = ("merchant-0", "merchant-1", "merchant-7", "merchant-14")  # two in each of two key groups

MAX_AGE_MS = {True: 3_600_000, False: 7 * 86_400_000}
"""Limits of age that starts of the job have, strict and not."""

_LATE_MS = (0, 0, 0, 1_000, 30_000, 600_000, 3_700_000, 30 * 3_600_000)
_AMOUNTS = (500, 900, 1_000, 1_100, 2_500, 40_000, 90_000)
_OPTIONAL = (
    "card_last_four", "merchant_name", "merchant_lat", "merchant_lon", "terminal_id", "device_id", "ip_address",
    "shipping_address_hash", "avs_result", "cvv_result", "three_ds_result", "home_lat", "home_lon", "recorded_arrival",
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A record and what is known of it without reading its bytes.

    Attributes:
        stream: that it is for.
        key: its partition key.
        data: its bytes; no two records differ in meaning and have the same.
        fields: of the transaction or label, optional ones None and times aware; None where the record is refused.
        reason: why it is refused, whatever the settings.
    """

    stream: str
    key: str
    data: bytes
    fields: dict[str, Any] | None
    reason: str = ""


class Workload:
    """Makes records.

    Args:
        seed: of the schedule.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._labels = random.Random(-seed - 1)
        self._sent: list[dict[str, Any]] = []
        self._records: list[Sent] = []
        self._count = 0

    def next(self, now_ms: int) -> Sent:
        """Another record for the stream of transactions: most are good, some come again, some are refused."""
        kind = self._random.random()
        self._count += 1
        if kind < 0.06 and self._records:
            return self._random.choice(self._records[-40:])
        if kind < 0.12:
            record = self._refused(now_ms)
        else:
            fields = self._transaction(now_ms)
            if kind < 0.16 and self._sent:  # an id that comes again, for another payment
                fields["transaction_id"] = self._random.choice(self._sent[-40:])["transaction_id"]
            self._sent.append(fields)
            record = Sent(TRANSACTIONS, fields["card_token"], _wire(fields), fields)
        self._records.append(record)
        return record

    def label(self, now_ms: int) -> Sent | None:
        """A label of a transaction that was sent, or of none; None before the first."""
        if not self._sent:
            return None
        self._count += 1
        if self._labels.random() < 0.1:
            data = b'{"schema_version":1,"n":%d}' % self._count
            return Sent(LABELS, "none", data, None, "invalid")
        of = self._labels.choice(self._sent[-60:])
        fields = {
            "schema_version": 1,
            "transaction_id": of["transaction_id"],
            "card_token": of["card_token"],
            "merchant_id": of["merchant_id"],
            "terminal_id": None,
            "transaction_time": of["event_time"],
            "billing_amount_minor": of["billing_amount_minor"],
            "verdict": self._labels.choice(("fraud", "fraud", "legitimate")),
            "source": "chargeback",
            "label_time": time_of(now_ms + self._count % 7),
            "transaction_time_precision_ms": 1,
            "recorded_arrival": None,
        }
        return Sent(LABELS, of["card_token"], _wire(fields), fields)

    def _transaction(self, now_ms: int) -> dict[str, Any]:
        draw = self._random
        amount = draw.choice(_AMOUNTS) + draw.randrange(100)
        at_ms = now_ms - draw.choice(_LATE_MS) - draw.randrange(50)
        plain: dict[str, Any] = dict.fromkeys(_OPTIONAL)
        return plain | {
            "schema_version": 1,
            "transaction_id": f"t-{self._count}",
            "event_time": time_of(at_ms),
            "sent_at": time_of(now_ms),
            "transaction_type": draw.choice(("purchase",) * 6 + ("refund", "account_check")),
            "authorisation_result": draw.choice(("approved",) * 4 + ("declined",)),
            "response_code": "00",
            "card_token": f"card-{draw.randrange(CARDS)}",
            "customer_id": "customer-1",
            "bin": "411111",
            "issuer_country": "DE",
            "merchant_id": draw.choice(MERCHANTS),
            "mcc": draw.choice(("5411", "5999")),
            "merchant_country": draw.choice(("DE", "DE", "FR")),
            "amount_minor": amount,
            "currency": "EUR",
            "billing_amount_minor": amount,
            "channel": draw.choice(("pos", "ecommerce")),
            "entry_mode": "chip",
            "initiation": "cardholder",
            "device_id": draw.choice((None, "device-1", "device-2")),
        }

    def _refused(self, now_ms: int) -> Sent:
        fields = self._transaction(now_ms)
        made = (
            (b"not json %d" % self._count, "undecodable"),
            (_wire(fields | {"amount_minor": -1}), "invalid"),
            (_wire(fields | {"schema_version": 9}), "unsupported_version"),
            (_wire(fields | {"event_time": time_of(now_ms + 40 * 86_400_000)}), "in_future"),
        )
        data, reason = self._random.choice(made)
        return Sent(TRANSACTIONS, fields["card_token"], data, None, reason)


def _wire(fields: dict[str, Any]) -> bytes:
    given = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(given, default=lambda time: time.isoformat(timespec="milliseconds")).encode()
