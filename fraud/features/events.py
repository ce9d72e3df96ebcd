"""Turns Arrow columns into the event matrix that the kernels fold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from fraud.features.catalogue import Entity, Flag, Input

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NO_TIME = np.iinfo(np.int64).min

_PLACELESS_CHANNELS = ("ecommerce", "moto")
_MONEY_BACK = ("refund", "reversal")
_EARTH_RADIUS_KM = 6371.0088
_MONDAY_OFFSET_DAYS = 3  # 1970-01-01 was a Thursday


class Events(NamedTuple):
    """Events of one entity in arrival order.

    Attributes:
        key: for each event its position among `ids`.
        ids: the distinct entity ids.
        matrix: (n, len(Input)) columns of `Input`.
        places: (n, 2) latitude and longitude where the card was present, NaN where it was not or is unknown.
    """

    key: Ints
    ids: list[str]
    matrix: Ints
    places: Floats


def hash_strings(column: pa.Array) -> Ints:
    """A 64-bit hash of each string (xxh64, the same in every version); 0 stands for null.

    Two values of one entity's window collide with a probability of about n²/2^65, for 16,384 values 10^-11.
    """
    encoded = column.dictionary_encode()
    hashes = np.fromiter(
        (xxhash.xxh64_intdigest(text) >> 1 or 1 for text in encoded.dictionary.cast(pa.binary()).to_pylist()),
        np.int64,
        len(encoded.dictionary),
    )
    if column.null_count == 0:
        return np.asarray(hashes[encoded.indices.to_numpy()], np.int64)
    indices = pc.fill_null(encoded.indices, 0).to_numpy()
    found = hashes[indices] if len(hashes) else np.zeros(len(indices), np.int64)
    return np.where(column.is_valid().to_numpy(zero_copy_only=False), found, 0)


def milliseconds(column: pa.Array) -> Ints:
    """Timestamps as milliseconds since 1970 UTC."""
    return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)


def transaction_events(entity: Entity, batch: pa.RecordBatch, unusual: npt.NDArray[np.bool_] | None = None) -> Events:
    """Events of transactions.

    Args:
        entity: whose events; decides what `Input.OTHER` is.
        batch: columns of `TRANSACTION_SCHEMA`, in arrival order.
        unusual: for a merchant, whether each amount was unusual for its card.
    """
    key, ids = _keys(batch[entity.key])
    other = "merchant_id" if entity is Entity.CARD else "card_token"
    moves_money = ~pc.is_in(batch["transaction_type"], pa.array(_MONEY_BACK)).to_numpy(zero_copy_only=False)
    flags = np.where(_equals(batch["authorisation_result"], "declined"), int(Flag.DECLINED), 0)
    if unusual is not None:
        flags = flags | np.where(unusual, int(Flag.UNUSUAL), 0)
    matrix = np.empty((batch.num_rows, len(Input)), np.int64)
    matrix[:, Input.TIME] = milliseconds(batch["event_time"])
    matrix[:, Input.ID] = hash_strings(batch["transaction_id"])
    matrix[:, Input.AMOUNT] = batch["billing_amount_minor"].to_numpy() * moves_money
    matrix[:, Input.OTHER] = hash_strings(batch[other])
    matrix[:, Input.COUNTRY] = hash_strings(batch["merchant_country"])
    matrix[:, Input.DEVICE] = hash_strings(batch["device_id"])
    matrix[:, Input.MCC] = hash_strings(batch["mcc"])
    matrix[:, Input.CHANNEL] = hash_strings(batch["channel"])
    matrix[:, Input.FLAGS] = flags
    return Events(key, ids, matrix, _places(batch))


def label_events(entity: Entity, batch: pa.RecordBatch) -> Events:
    """Events of labels: time and id are those of the labelled transaction."""
    key, ids = _keys(batch[entity.key])
    matrix = np.zeros((batch.num_rows, len(Input)), np.int64)
    matrix[:, Input.TIME] = milliseconds(batch["transaction_time"])
    matrix[:, Input.ID] = hash_strings(batch["transaction_id"])
    is_fraud = _equals(batch["verdict"], "fraud")
    matrix[:, Input.FLAGS] = int(Flag.LABEL) | np.where(is_fraud, int(Flag.FRAUD), 0)
    return Events(key, ids, matrix, np.full((batch.num_rows, 2), np.nan))


def merge(first: Events, second: Events, order: Ints) -> Events:
    """Two entities' events as one, put into the given order of their concatenation."""
    position = {text: number for number, text in enumerate(first.ids)}
    ids = list(first.ids)
    renumbered = np.empty(len(second.ids), np.int64)
    for number, text in enumerate(second.ids):
        if text not in position:
            position[text] = len(ids)
            ids.append(text)
        renumbered[number] = position[text]
    key = np.concatenate([first.key, renumbered[second.key]]) if len(second.key) else first.key
    matrix = np.concatenate([first.matrix, second.matrix])
    places = np.concatenate([first.places, second.places])
    return Events(key[order], ids, matrix[order], places[order])


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


def _keys(column: pa.Array) -> tuple[Ints, list[str]]:
    encoded = column.dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(), np.int64), encoded.dictionary.to_pylist()


def _places(batch: pa.RecordBatch) -> Floats:
    present = ~pc.is_in(batch["channel"], pa.array(_PLACELESS_CHANNELS)).to_numpy(zero_copy_only=False)
    places = np.column_stack([_floats(batch["merchant_lat"]), _floats(batch["merchant_lon"])])
    return np.where(present[:, None], places, np.nan)


def _floats(column: pa.Array) -> Floats:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _equals(column: pa.Array, value: str) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.equal(column, value).to_numpy(zero_copy_only=False), bool)
