"""Turns Arrow columns into the event matrix that the kernels fold."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraud.features import kernel
from fraud.features.catalogue import UNUSUAL_Z, USUAL_Z, Entity, Flag

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_PLACELESS_CHANNELS = ("ecommerce", "moto")
_MONEY_BACK = ("refund", "reversal")
_EARTH_RADIUS_KM = 6371.0088
_MONDAY_OFFSET_DAYS = 3  # 1970-01-01 was a Thursday


class Events(NamedTuple):
    """Events of one entity in arrival order.

    Attributes:
        key: hash of each event's entity id (n); 0 where it has none.
        words: (n, 6) what is remembered of an event, see `fraud.features.kernel`.
        places: (n, 2) latitude and longitude where the card was present, NaN where it was not or is unknown.
    """

    key: Ints
    words: Ints
    places: Floats


@nb.njit(cache=True)
def _hash_bytes(offsets, data, hashes):  # type: ignore[no-untyped-def]
    """FNV-1a with the 64-bit finaliser of MurmurHash3, without the sign bit; never 0."""
    for i in range(hashes.shape[0]):
        h = np.uint64(0xCBF29CE484222325)
        for at in range(offsets[i], offsets[i + 1]):
            h = (h ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
        h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        hashes[i] = max(np.int64((h ^ (h >> np.uint64(33))) >> np.uint64(1)), 1)


def hash_strings(column: pa.Array) -> Ints:
    """A 63-bit hash of each string, the same in every version and process; 0 stands for null.

    Ids are compared by it. Any two of a million collide with a probability of 5 in 10^8.

    >>> hash_strings(pa.array(["card-1", None])).tolist()
    [8137366297461264153, 0]
    """
    hashes = np.empty(len(column), np.int64)
    _hash_bytes(*_characters(column), hashes)
    if column.null_count:
        hashes[~column.is_valid().to_numpy(zero_copy_only=False)] = 0
    return hashes


def _characters(column: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    _, offsets, data = column.buffers()
    taken = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1] if len(column) else _NONE
    return taken, np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)


_NONE = np.zeros(1, np.int32)


def _letter(column: pa.Array, place: int) -> Ints:
    """The code of each string's letter at a place; strings are not null and long enough."""
    offsets, data = _characters(column)
    return data[offsets[:-1] + place].astype(np.int64)


def milliseconds(column: pa.Array) -> Ints:
    """Timestamps as milliseconds since 1970 UTC."""
    return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)


def transaction_events(entity: Entity, batch: pa.RecordBatch, surprise: Floats | None = None) -> Events:
    """Events of transactions.

    Args:
        entity: whose events; decides what `Input.OTHER` is.
        batch: columns of `TRANSACTION_SCHEMA`, in arrival order.
        surprise: for all but a card, the robust deviation of each amount from what its card usually spends; NaN
            where unknown.
    """
    other = "merchant_id" if entity is Entity.CARD else "card_token"
    moves_money = ~pc.is_in(batch["transaction_type"], pa.array(_MONEY_BACK)).to_numpy(zero_copy_only=False)
    flags = np.where(_equals(batch["authorisation_result"], "declined"), int(Flag.DECLINED), 0)
    if surprise is not None:
        flags = flags | np.where(surprise > UNUSUAL_Z, int(Flag.UNUSUAL), 0)
        flags = flags | np.where(surprise > USUAL_Z, int(Flag.HIGH), 0)
    words = np.empty((batch.num_rows, kernel.EVENT_SUM), np.int64)
    words[:, kernel.EVENT_TIME] = milliseconds(batch["event_time"])
    words[:, kernel.EVENT_ID] = hash_strings(batch["transaction_id"])
    words[:, kernel.EVENT_AMOUNT] = batch["billing_amount_minor"].to_numpy() * moves_money
    words[:, kernel.EVENT_OTHER] = hash_strings(batch[other])
    words[:, kernel.EVENT_DEVICE] = hash_strings(batch["device_id"])
    country = batch["merchant_country"]
    mcc = batch["mcc"].cast(pa.int64()).to_numpy() + 1
    codes = _letter(country, 0) << 8 | _letter(country, 1) | mcc << 16 | _letter(batch["channel"], 0) << 32
    words[:, kernel.EVENT_CODES] = codes | flags << kernel.CODE_FLAGS_SHIFT
    return Events(hash_strings(batch[entity.key]), words, _places(batch))


def label_events(entity: Entity, batch: pa.RecordBatch) -> Events:
    """Events of labels: time and id are those of the labelled transaction."""
    words = np.zeros((batch.num_rows, kernel.EVENT_SUM), np.int64)
    words[:, kernel.EVENT_TIME] = milliseconds(batch["transaction_time"])
    words[:, kernel.EVENT_ID] = hash_strings(batch["transaction_id"])
    is_fraud = _equals(batch["verdict"], "fraud")
    flags = int(Flag.LABEL) | np.where(is_fraud, int(Flag.FRAUD), 0)
    words[:, kernel.EVENT_CODES] = flags << kernel.CODE_FLAGS_SHIFT
    return Events(hash_strings(batch[entity.key]), words, np.full((batch.num_rows, 2), np.nan))


def merge(first: Events, second: Events, order: Ints) -> Events:
    """Two sequences of events as one, put into the given order of their concatenation."""
    return Events(*(np.concatenate(both)[order] for both in zip(first, second, strict=True)))


def transaction_values(batch: pa.RecordBatch) -> dict[str, Floats]:
    """The values of the transaction itself, by the name that the catalogue uses for them."""
    time_ms = milliseconds(batch["event_time"])
    hour = (time_ms % 86_400_000) / 3_600_000
    weekday = (time_ms // 86_400_000 + _MONDAY_OFFSET_DAYS) % 7
    home = np.column_stack([_floats(batch["home_lat"]), _floats(batch["home_lon"])])
    return {
        "amount": batch["billing_amount_minor"].to_numpy() / 100.0,
        "hour": hour,
        "is_night": (hour < 7).astype(float),
        "is_weekend": (weekday >= 5).astype(float),
        "is_ecommerce": _equals(batch["channel"], "ecommerce").astype(float),
        "is_atm": _equals(batch["channel"], "atm").astype(float),
        "is_magstripe": _equals(batch["entry_mode"], "magstripe").astype(float),
        "is_cross_border": pc.not_equal(batch["merchant_country"], batch["issuer_country"])
        .to_numpy(zero_copy_only=False)
        .astype(float),
        "distance_home_km": haversine_km(home, _places(batch)),
    }


def haversine_km(a: Floats, b: Floats) -> Floats:
    """Great-circle distance between places given as (n, 2) degrees of latitude and longitude; NaN where either is."""
    lat_a, lon_a, lat_b, lon_b = np.radians([a[:, 0], a[:, 1], b[:, 0], b[:, 1]])
    half = np.sin((lat_b - lat_a) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_b - lon_a) / 2) ** 2
    return np.asarray(2 * _EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0))), np.float64)


def _places(batch: pa.RecordBatch) -> Floats:
    present = ~pc.is_in(batch["channel"], pa.array(_PLACELESS_CHANNELS)).to_numpy(zero_copy_only=False)
    places = np.column_stack([_floats(batch["merchant_lat"]), _floats(batch["merchant_lon"])])
    return np.where(present[:, None], places, np.nan)


def _floats(column: pa.Array) -> Floats:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _equals(column: pa.Array, value: str) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.equal(column, value).to_numpy(zero_copy_only=False), bool)
