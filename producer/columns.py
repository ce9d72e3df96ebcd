"""Turns rows of indices into the columns of transactions and ground truth."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.transaction import SCHEMA_VERSION, TRANSACTION_SCHEMA
from producer.campaigns import CAMPAIGNS
from producer.economy import Economy
from producer.rows import CHANNELS, ENTRY_MODES, GENUINE, INITIATIONS, NO_DEVICE, OWN_DEVICE, RESPONSES, Rows

_TIMESTAMP = TRANSACTION_SCHEMA.field("event_time").type
_CAMPAIGN_NAMES = pa.array([None, *(campaign.name for campaign in CAMPAIGNS)], pa.string())
_ATM, _POS, _ECOMMERCE = (CHANNELS.index(name) for name in ("atm", "pos", "ecommerce"))

TRUTH_SCHEMA = pa.schema(
    [("transaction_id", pa.string()), ("is_fraud", pa.bool_()), ("campaign", pa.string()), ("case_id", pa.string())]
)
"""The ground truth, which never travels with the transaction."""


def transaction_columns(economy: Economy, rows: Rows, first_number: int, currency: str) -> pa.RecordBatch:
    """Columns of `TRANSACTION_SCHEMA`; `sent_at` is the event time until a writer stamps it.

    Args:
        economy: whose indices the rows hold.
        rows: the transactions.
        first_number: number of the first; ids count from it.
        currency: the base currency.
    """
    n = len(rows)
    cards, merchants = economy.cards, economy.merchants
    card, merchant = pa.array(rows.card), pa.array(rows.merchant)
    online = rows.channel >= _ECOMMERCE
    event_time = pa.array(rows.time_ms).cast(_TIMESTAMP)
    amount = pa.array(rows.amount_minor)
    numbers = pc.cast(pa.array(np.arange(first_number, first_number + n)), pa.string())
    declined = rows.response > 0
    foreign = pc.binary_join_element_wise("device-f", pc.cast(pa.array(np.maximum(rows.device, 0)), pa.string()), "")
    own = cards.devices.take(card)
    device = pc.if_else(pa.array(rows.device == OWN_DEVICE), own, foreign)
    checked = pa.array(rows.channel == _ECOMMERCE)
    columns: dict[str, pa.Array] = {
        "schema_version": _constant(SCHEMA_VERSION, n),
        "transaction_id": pc.binary_join_element_wise(f"t{economy.seed:x}", numbers, "-"),
        "event_time": event_time,
        "sent_at": event_time,
        "transaction_type": _named(("purchase", "withdrawal"), (rows.channel == _ATM).astype(np.int64)),
        "authorisation_result": _named(("approved", "declined"), declined.astype(np.int64)),
        "response_code": _named(RESPONSES, rows.response),
        "card_token": cards.tokens.take(card),
        "customer_id": cards.customers.take(card),
        "bin": cards.bins.take(card),
        "issuer_country": _constant("DE", n),
        "merchant_id": merchants.ids.take(merchant),
        "mcc": merchants.mcc.take(merchant),
        "merchant_country": merchants.country.take(merchant),
        "merchant_lat": pa.array(np.round(merchants.latitude[rows.merchant], 4)),
        "merchant_lon": pa.array(np.round(merchants.longitude[rows.merchant], 4)),
        "terminal_id": pc.if_else(
            pa.array(online),
            pa.scalar(None, pa.string()),
            pc.binary_join_element_wise(
                merchants.ids.take(merchant), pc.cast(pa.array(rows.time_ms % 3), pa.string()), "-"
            ),
        ),
        "amount_minor": amount,
        "currency": _constant(currency, n),
        "billing_amount_minor": amount,
        "channel": _named(CHANNELS, rows.channel),
        "entry_mode": _named(ENTRY_MODES, rows.entry),
        "initiation": _named(INITIATIONS, rows.initiation),
        "device_id": pc.if_else(pa.array(rows.device == NO_DEVICE), pa.scalar(None, pa.string()), device),
        "avs_result": pc.if_else(checked, "match", pa.scalar(None, pa.string())),
        "cvv_result": pc.if_else(checked, "match", pa.scalar(None, pa.string())),
        "home_lat": pa.array(np.round(cards.latitude[rows.card], 4)),
        "home_lon": pa.array(np.round(cards.longitude[rows.card], 4)),
    }
    arrays = [columns.get(field.name) for field in TRANSACTION_SCHEMA]
    return pa.RecordBatch.from_arrays(
        [
            pa.nulls(n, field.type) if array is None else array.cast(field.type)
            for array, field in zip(arrays, TRANSACTION_SCHEMA, strict=True)
        ],
        schema=TRANSACTION_SCHEMA,
    )


def truth_columns(transactions: pa.RecordBatch, rows: Rows) -> pa.RecordBatch:
    """Columns of `TRUTH_SCHEMA` for the same rows."""
    is_fraud = pa.array(rows.campaign != GENUINE)
    campaign = _CAMPAIGN_NAMES.take(pa.array(rows.campaign))
    case = pc.binary_join_element_wise(campaign, pc.cast(pa.array(rows.case), pa.string()), "-")
    return pa.RecordBatch.from_arrays([transactions["transaction_id"], is_fraud, campaign, case], schema=TRUTH_SCHEMA)


def _constant(value: object, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value), count)


def _named(names: tuple[str, ...], indices: np.ndarray) -> pa.Array:
    return pa.array(names).take(pa.array(indices))
