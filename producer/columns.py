"""Turns rows of indices into the columns of transactions and ground truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraud.money import minor_units
from fraud.records.schema import TIMESTAMP_MS
from fraud.records.transaction import SCHEMA_VERSION, TRANSACTION_SCHEMA
from producer.campaigns import CAMPAIGNS
from producer.economy import Economy
from producer.merchants import COUNTRIES, Bools, Ints
from producer.population import network_addresses
from producer.rows import (
    CHANNELS,
    CHECKS,
    ECOMMERCE,
    ENTRY_MODES,
    GENUINE,
    INITIATIONS,
    KINDS,
    NONE,
    OWN,
    RESPONSES,
    THREE_DS,
    UNCHECKED,
    Rows,
)

_CAMPAIGN_NAMES = pa.array([None, *(campaign.name for campaign in CAMPAIGNS)], pa.string())
_CURRENCIES = tuple(country.currency for country in COUNTRIES)
_PER_UNIT = np.array([country.per_unit for country in COUNTRIES])

_MOBILE_PERCENT = 40
_MOBILE_ADDRESSES = 4_096
"""So much traffic comes through mobile networks, whose customers share so many addresses."""

_MIXER = 2_654_435_761

TRUTH_SCHEMA = pa.schema(
    [
        *(TRANSACTION_SCHEMA.field(name) for name in ("transaction_id", "card_token", "event_time")),
        ("is_fraud", pa.bool_()),
        ("campaign", pa.string()),
        ("case_id", pa.string()),
    ]
)
"""The ground truth, which never travels with the transaction. It names it as `fraud.decision.key` does."""


def transaction_columns(economy: Economy, rows: Rows, day: int, ids: pa.Array, currency: str) -> pa.RecordBatch:
    """Columns of `TRANSACTION_SCHEMA`; `sent_at` is the arrival until a writer stamps it.

    Optional fields that the economy has nothing to say about are null.

    Args:
        economy: whose indices the rows hold.
        rows: the transactions, all of one day.
        day: that day, since 1970.
        ids: of the transactions.
        currency: the base currency. Where it is not the euro, merchants of every country charge in it.
    """
    n = len(rows)
    cards, merchants = economy.cards, economy.merchants
    card, merchant = pa.array(rows.card), pa.array(rows.merchant)
    merchant_id = merchants.ids(day).take(merchant)
    country = merchants.country[rows.merchant]
    event_time = pa.array(rows.time_ms - rows.late_ms).cast(TIMESTAMP_MS)
    euro = currency == "EUR"
    billing = _minor(rows.amount_cents, minor_units(currency))
    device, address, ip = _online(economy, rows, day)
    columns: dict[str, pa.Array] = {
        "schema_version": pa.repeat(pa.scalar(SCHEMA_VERSION), n),
        "transaction_id": ids,
        "event_time": event_time,
        "sent_at": pa.array(rows.time_ms).cast(TIMESTAMP_MS),
        "transaction_type": _named(KINDS, rows.kind),
        "authorisation_result": _named(("approved", "declined"), (rows.response > 0).astype(np.int64)),
        "response_code": _named(RESPONSES, rows.response),
        "card_token": cards.tokens(day).take(card),
        "customer_id": cards.customers(day).take(card),
        "bin": cards.bins.take(card),
        "issuer_country": pa.repeat(pa.scalar(COUNTRIES[0].code), n),
        "merchant_id": merchant_id,
        "merchant_name": merchants.names.take(merchant),
        "mcc": merchants.mcc.take(merchant),
        "merchant_country": _named(tuple(c.code for c in COUNTRIES), country),
        "merchant_lat": pa.array(np.round(merchants.latitude, 4)[rows.merchant]),
        "merchant_lon": pa.array(np.round(merchants.longitude, 4)[rows.merchant]),
        "terminal_id": _terminals(economy, rows, merchant_id),
        "amount_minor": _minor(rows.amount_cents * _PER_UNIT[country], 100) if euro else billing,
        "currency": _named(_CURRENCIES, country) if euro else pa.repeat(pa.scalar(currency), n),
        "billing_amount_minor": billing,
        "channel": _named(CHANNELS, rows.channel),
        "entry_mode": _named(ENTRY_MODES, rows.entry),
        "initiation": _named(INITIATIONS, rows.initiation),
        "device_id": device,
        "ip_address": ip,
        "shipping_address_hash": address,
        "avs_result": _named(CHECKS, rows.avs),
        "cvv_result": _named(CHECKS, rows.cvv),
        "three_ds_result": _named(THREE_DS, rows.three_ds),
        "home_lat": pa.array(np.round(cards.latitude, 4)[rows.card]),
        "home_lon": pa.array(np.round(cards.longitude, 4)[rows.card]),
    }
    optional = {field.name: pa.nulls(n, field.type) for field in TRANSACTION_SCHEMA if field.nullable}
    values = optional | columns
    arrays = [values[field.name].cast(field.type) for field in TRANSACTION_SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=TRANSACTION_SCHEMA)


def truth_columns(transactions: pa.RecordBatch, rows: Rows) -> pa.RecordBatch:
    """Columns of `TRUTH_SCHEMA` for the same rows."""
    is_fraud = pa.array(rows.campaign != GENUINE)
    campaign = _CAMPAIGN_NAMES.take(pa.array(rows.campaign))
    case = pc.binary_join_element_wise(campaign, pc.cast(pa.array(rows.case), pa.string()), "-")
    return truth_of(transactions, is_fraud, campaign, case)


def truth_of(transactions: pa.RecordBatch, *known: pa.Array) -> pa.RecordBatch:
    """Columns of `TRUTH_SCHEMA` from transactions and its last three."""
    named = [transactions[name] for name in TRUTH_SCHEMA.names[:-3]]
    return pa.RecordBatch.from_arrays([*named, *known], schema=TRUTH_SCHEMA)


def _minor(cents: npt.NDArray[np.number[Any]], units: int) -> pa.Array:
    """Hundredths of a currency's unit as minor ones, of which one unit has so many; at least one, but of nothing 0."""
    return pa.array(np.where(cents == 0, 0, np.maximum(1, np.round(cents * units / 100))).astype(np.int64))


def _named(names: tuple[str, ...], indices: Ints) -> pa.Array:
    """The names at these indices; null where an index is `UNCHECKED`."""
    return pa.array(names).take(pa.array(indices, mask=indices == UNCHECKED))


def _terminals(economy: Economy, rows: Rows, merchant_id: pa.Array) -> pa.Array:
    """One of the merchant's terminals; none at a distance."""
    terminal = rows.time_ms % economy.merchants.terminals[rows.merchant]
    ids = pc.binary_join_element_wise(merchant_id, pc.cast(pa.array(terminal), pa.string()), "-")
    return pc.if_else(pa.array(rows.channel < ECOMMERCE), ids, pa.scalar(None, pa.string()))


def _online(economy: Economy, rows: Rows, day: int) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Device, shipping address and IP address; null where none was seen."""
    cards = economy.cards
    place = len(cards) * (OWN - np.maximum(rows.device, OWN - 2)) + rows.card
    foreign_device = np.flatnonzero(rows.device >= 0)
    device = _chosen(
        cards.devices(day),
        np.where(rows.device <= OWN, place, 0),
        rows.device == NONE,
        foreign_device,
        _prefixed("device-x", rows.device[foreign_device]),
    )
    foreign_address = np.flatnonzero(rows.address >= 0)
    address = _chosen(
        pc.binary_join_element_wise("home", pc.cast(pa.array(cards.holder), pa.string()), "-"),
        rows.card,
        rows.address == NONE,
        foreign_address,
        _prefixed("address", rows.address[foreign_address]),
    )
    mixed = rows.time_ms * _MIXER >> 7 & 0xFFFFFF  # chance enough, and the same however a stream is cut
    mobile = (rows.device != NONE) & (mixed % 100 < _MOBILE_PERCENT)
    elsewhere = np.flatnonzero(mobile | (rows.device >= 0))
    network = np.where(mobile, mixed // 100 % _MOBILE_ADDRESSES, rows.device)[elsewhere]
    ip = _chosen(cards.address, rows.card, rows.device == NONE, elsewhere, network_addresses(network))
    return device, address, ip


def _chosen(own: pa.Array, which: Ints, absent: Bools, foreign: Ints, names: pa.Array) -> pa.Array:
    """`own[which]`, but `names` at the rows `foreign`, and null where `absent`."""
    place = which.copy()
    place[foreign] = len(own) + np.arange(len(foreign))
    return pa.concat_arrays([own, names.cast(pa.string())]).take(pa.array(place, mask=absent))


def _prefixed(stem: str, numbers: Ints) -> pa.Array:
    return pc.binary_join_element_wise(stem, pc.cast(pa.array(numbers), pa.string()), "-")
