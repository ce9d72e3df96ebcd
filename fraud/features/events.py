"""Turns Arrow columns into the event matrix that the kernels fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraud.entities import Entity
from fraud.features.kernel import layout
from fraud.features.kernel.layout import UNUSUAL_Z, USUAL_Z, Flag
from fraud.mcc import MCC_RISK
from fraud.money import minor_units
from fraud.records.label import LABEL_SCHEMA

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PAYING = ("purchase", "withdrawal")
"""Types of transactions by which a cardholder pays; of 0, they only ask whether the account is good."""

MONEY_BACK = ("refund", "reversal", "void")
"""Types of transactions whose money flows back to the cardholder; all others ask whether the account is good."""

ATM, ECOMMERCE, MOTO = (ord(name[0]) for name in ("atm", "ecommerce", "moto"))
"""Codes of channels: their first letters."""
_DECLINED, _MONEY_BACK, _CHECK = int(Flag.DECLINED), int(Flag.MONEY_BACK), int(Flag.CHECK)
_UNUSUAL, _HIGH = int(Flag.UNUSUAL), int(Flag.HIGH)
_MONDAY_OFFSET_DAYS = 3  # 1970-01-01 was a Thursday

_MISMATCH = {"match": 0.0, "partial": 0.5, "no_match": 1.0}
_DOUBT = {"authenticated": 0.0, "attempted": 1 / 3, "not_enrolled": 2 / 3, "failed": 1.0}
_MAGSTRIPE, _CONTACTLESS, _KEYED, _ON_FILE = (
    {mode: 1.0} for mode in ("magstripe", "contactless", "manual", "credential_on_file")
)
_BY_CARDHOLDER = {"cardholder": 0.0}
_WRONG_DATA = dict.fromkeys(("14", "54", "55", "82", "N7"), 1.0)
"""Response codes (ISO 8583, field 39): card number, expiry, PIN or security code that are wrong."""
_OVER_LIMIT = dict.fromkeys(("51", "61", "65"), 1.0)
"""Funds, amount or number of payments beyond what the account allows."""


class Events(NamedTuple):
    """Events of one entity in arrival order.

    Attributes:
        key: hash of each event's entity id (n); 0 where it has none.
        words: (n, EVENT_WORDS) what is remembered of an event, see `fraud.features.kernel.layout`.
        places: (n, 2) latitude and longitude where the card was present, NaN where it was not or is unknown.
    """

    key: Ints
    words: Ints
    places: Floats


NO_EVENTS = Events(np.zeros(0, np.int64), np.zeros((0, layout.EVENT_WORDS), np.int64), np.zeros((0, 2)))
"""Of a batch without transactions."""


@nb.njit(cache=True, _nrt=False)
def _hash_bytes(data, start, end):  # type: ignore[no-untyped-def]
    """FNV-1a with the 64-bit finaliser of MurmurHash3, without the sign bit; never 0."""
    h = np.uint64(0xCBF29CE484222325)
    for at in range(start, end):
        h = (h ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return max(np.int64((h ^ (h >> np.uint64(33))) >> np.uint64(1)), 1)


@nb.njit(cache=True, _nrt=False)
def _hash_each(offsets, data, hashes):  # type: ignore[no-untyped-def]
    for i in range(hashes.shape[0]):
        hashes[i] = _hash_bytes(data, offsets[i], offsets[i + 1])


def hash_strings(column: pa.Array) -> Ints:
    """A 63-bit hash of each string, the same in every version and process; 0 stands for null.

    Ids are compared by it. Any two of a million collide with a probability of 5 in 10^8.

    >>> hash_strings(pa.array(["card-1", None])).tolist()
    [8137366297461264153, 0]
    """
    hashes = np.empty(len(column), np.int64)
    _hash_each(*characters(column), hashes)
    if column.null_count:
        hashes[~column.is_valid().to_numpy(zero_copy_only=False)] = 0
    return hashes


@lru_cache(maxsize=65_536)
def hash_string(text: str | None) -> int:
    """The same of a single string.

    >>> hash_string("card-1")
    8137366297461264153
    """
    if text is None:
        return 0
    data = np.frombuffer(text.encode(), np.uint8)
    return int(_hash_bytes(data, 0, len(data)))


def key_of(entity: Entity, hash_of: Callable[[str], Any]) -> Any:
    """The hashes that an entity's state is found by; 0 where a transaction has no such entity.

    Args:
        entity: whose.
        hash_of: gives the hashes of a column, or of a single string.
    """
    key, *others = (hash_of(column) for column in entity.columns)
    for other in others:
        key = _combined(key, other)
    return key


@nb.vectorize(["int64(int64, int64)"], cache=True)
def _combined(first, second):  # type: ignore[no-untyped-def]
    """One hash of two, in this order; 0 where either is 0."""
    if first == 0 or second == 0:
        return 0
    h = (np.uint64(first) * np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(second)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return max(np.int64((h ^ (h >> np.uint64(33))) >> np.uint64(1)), 1)


def characters(column: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Where each string begins and ends in the bytes of them all."""
    _, offsets, data = column.buffers()
    taken = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1] if len(column) else _NONE
    return taken, np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)


_NONE = np.zeros(1, np.int32)


class OwnFacts(NamedTuple):
    """What only the transaction's own features read.

    Attributes:
        graded: the numbers that a table gives for the texts of a column, and another for those that it does not have.
        cross_border: whether merchant and issuer are in different countries.
        distance_home_km: from the cardholder's home to where the card was present; NaN where either is unknown.
    """

    graded: Callable[[str, Mapping[str, float], float], Any]
    cross_border: Any
    distance_home_km: Any


class Facts(NamedTuple):
    """What the features read of n transactions: arrays of n, or the scalars of a single one.

    Attributes:
        hash_of: hashes of a column of ids, 0 where it is null; see `hash_strings`.
        time_ms: event time.
        delay_ms: from then until it arrived, see `fraud.records.arrival`; negative where it lies ahead.
        amount_minor: billing amount, whatever the transaction's type.
        money_back: whether money flows back to the cardholder: refunds, reversals, voids.
        check: whether no money moves: account checks, and purchases and withdrawals of 0.
        declined: whether the authorisation was declined.
        channel: code of the channel's first letter.
        codes: what all entities remember of a transaction as one number, see `codes_of`.
        present_at: latitude and longitude where the card was present; NaN where it was not or is unknown. Money back
            needs no card. Of a single one as the event has it, (1, 2).
        own: what only the transaction's own features read.
    """

    hash_of: Callable[[str], Any]
    time_ms: Any
    delay_ms: Any
    amount_minor: Any
    money_back: Any
    check: Any
    declined: Any
    channel: Any
    codes: Any
    present_at: Any
    own: Callable[[], OwnFacts]


def codes_of(country: Any, mcc: Any, channel: Any, declined: Any, money_back: Any, check: Any) -> Any:
    """Codes and flags of transactions, as `fraud.features.kernel.layout` has them beside each other.

    Args:
        country: codes of the merchant's country's letters, 8 bits each.
        mcc: merchant category code.
        channel: as in `Facts`, with the next three.
        declined: likewise.
        money_back: likewise.
        check: likewise.
    """
    flags = declined * _DECLINED | money_back * _MONEY_BACK | check * _CHECK
    return country | (mcc + 1) << 16 | channel << 32 | flags << layout.CODE_FLAGS_SHIFT


def transaction_events(entity: Entity, facts: Facts, count: int | None, deviation: Any = None) -> Events:
    """Events of transactions.

    Args:
        entity: whose events; decides what `Input.OTHER` is.
        facts: of the transactions.
        count: how many they are; None where the facts are a single one's.
        deviation: for all but a card, the robust deviation of each amount from what its card usually spends; NaN
            where unknown.
    """
    codes = facts.codes
    if deviation is not None:
        flags = (deviation > UNUSUAL_Z) * _UNUSUAL | (deviation > USUAL_Z) * _HIGH
        codes = codes | flags << layout.CODE_FLAGS_SHIFT
    of_event = (  # from EVENT_TIME to EVENT_DELAY
        facts.time_ms,
        facts.hash_of("transaction_id"),
        facts.amount_minor * (1 - (facts.money_back | facts.check)),
        facts.hash_of(entity.other),
        facts.hash_of("device_id"),
        codes,
        facts.delay_ms,
    )
    key_hash = key_of(entity, facts.hash_of)
    if count is None:  # one array of the numbers takes a third of the time of filling it in
        words = np.array([of_event], np.int64)
        return Events(np.array([key_hash], np.int64), words, facts.present_at)
    words = np.empty((count, layout.EVENT_WORDS), np.int64)
    for place, word in enumerate(of_event):
        words[:, place] = word
    places = np.empty((count, 2))
    places[:, 0], places[:, 1] = facts.present_at
    key = np.empty(count, np.int64)
    key[:] = key_hash
    return Events(key, words, places)


def label_events(
    key: Ints,
    id_hash: Ints,
    other_hash: Ints,
    time_ms: Ints,
    precision_ms: Ints,
    delay_ms: Ints,
    is_fraud: Ints,
    ticket: Sequence[int],
) -> Events:
    """Events of labels (n).

    Args:
        key: hashes of the entity's ids.
        id_hash: of the transactions' ids.
        other_hash: of the entity's other side; 0 where labels do not name it.
        time_ms: event times of the labelled transactions.
        precision_ms: they may lie less than so much later.
        delay_ms: from these times until the label arrived.
        is_fraud: the verdicts, 0 or 1.
        ticket: from 1, the same for each try of one label; only the first that finds its transaction has an effect.
    """
    words = np.zeros((len(key), layout.EVENT_WORDS), np.int64)
    words[:, layout.EVENT_TIME] = time_ms
    words[:, layout.EVENT_ID] = id_hash
    words[:, layout.EVENT_OTHER] = other_hash
    words[:, layout.LABEL_PRECISION] = precision_ms
    words[:, layout.LABEL_TICKET] = ticket
    words[:, layout.EVENT_DELAY] = delay_ms
    words[:, layout.EVENT_CODES] = (int(Flag.LABEL) | is_fraud * int(Flag.FRAUD)) << layout.CODE_FLAGS_SHIFT
    return Events(key, words, np.full((len(key), 2), np.nan))


def label_hashes(entity: Entity, hash_of: Callable[[str], Any]) -> tuple[Any, Any, Any]:
    """Hashes of labels: of the entity's ids, the transactions', and the other side, which is 0 where none names it.

    Args:
        entity: whose events they become.
        hash_of: gives the hashes of a column, or of a single string.
    """
    other = hash_of(entity.other) if entity.other in LABEL_SCHEMA.names else 0
    return key_of(entity, hash_of), hash_of("transaction_id"), other


def merge(first: Events, second: Events, order: Ints) -> Events:
    """Two sequences of events as one, put into the given order of their concatenation."""
    return Events(*(np.concatenate(both)[order] for both in zip(first, second, strict=True)))


def transaction_values(facts: Facts, base_currency: str) -> dict[str, Any]:
    """The values of the transaction itself, by the name that the catalogue uses for them; money in major units."""
    own = facts.own()
    hour = (facts.time_ms % 86_400_000) / 3_600_000
    weekday = (facts.time_ms // 86_400_000 + _MONDAY_OFFSET_DAYS) % 7
    return {
        "amount": facts.amount_minor / minor_units(base_currency),
        "hour": hour,
        "is_night": (hour < 7) * 1.0,
        "is_weekend": (weekday >= 5) * 1.0,
        "is_ecommerce": (facts.channel == ECOMMERCE) * 1.0,
        "is_atm": (facts.channel == ATM) * 1.0,
        "is_magstripe": own.graded("entry_mode", _MAGSTRIPE, 0.0),
        "is_contactless": own.graded("entry_mode", _CONTACTLESS, 0.0),
        "is_keyed": own.graded("entry_mode", _KEYED, 0.0),
        "is_on_file": own.graded("entry_mode", _ON_FILE, 0.0),
        "is_merchant_initiated": own.graded("initiation", _BY_CARDHOLDER, 1.0),
        "cvv_mismatch": own.graded("cvv_result", _MISMATCH, np.nan),
        "avs_mismatch": own.graded("avs_result", _MISMATCH, np.nan),
        "three_ds_doubt": own.graded("three_ds_result", _DOUBT, np.nan),
        "is_wrong_data": own.graded("response_code", _WRONG_DATA, 0.0),
        "is_over_limit": own.graded("response_code", _OVER_LIMIT, 0.0),
        "mcc_risk": own.graded("mcc", MCC_RISK, 0.0),
        "is_money_back": facts.money_back * 1.0,
        "is_account_check": facts.check * 1.0,
        "is_declined": facts.declined * 1.0,
        "is_cross_border": own.cross_border * 1.0,
        "distance_home_km": own.distance_home_km,
    }
