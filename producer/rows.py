"""Transactions as indices into an economy, before they become columns with names."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from producer.merchants import Bools, Floats, Ints

CHANNELS = ("pos", "atm", "ecommerce", "moto")
ENTRY_MODES = ("chip", "contactless", "magstripe", "manual", "credential_on_file")
INITIATIONS = ("cardholder", "recurring", "merchant")
KINDS = ("purchase", "withdrawal", "refund", "reversal", "void", "account_check")
RESPONSES = ("00", "51", "05", "14", "54")
"""Approved; insufficient funds, do not honour, invalid card number, expired card."""

POS, ATM, ECOMMERCE, MOTO = range(4)
CHIP, CONTACTLESS, MAGSTRIPE, MANUAL, ON_FILE = range(5)
CARDHOLDER, RECURRING, MERCHANT = range(3)
PURCHASE, WITHDRAWAL, REFUND, REVERSAL, VOID, ACCOUNT_CHECK = range(6)

CHECKS = ("match", "partial", "no_match", "unavailable")
THREE_DS = ("authenticated", "attempted", "failed", "not_enrolled")
UNCHECKED = -1

OWN = -1
"""The cardholder's own device or address; -1 to -3 are the first to third device."""

NONE = -9
"""No device or address was seen."""

GENUINE = 0


@dataclass(frozen=True)
class Rows:
    """Transactions as columns of equal length.

    Attributes:
        time_ms: when it reaches the stream.
        late_ms: how long before that it happened, by its sender's clock; negative where that is ahead.
        card: place of the card in the population.
        merchant: index of the merchant.
        amount_cents: amount in hundredths of the base currency's unit, whatever its minor unit.
        kind: index into `KINDS`.
        channel: index into `CHANNELS`.
        entry: index into `ENTRY_MODES`.
        initiation: index into `INITIATIONS`.
        response: index into `RESPONSES`.
        device: number of somebody else's device, or -1 to -3 for the holder's, or `NONE`.
        address: number of somebody else's shipping address, or `OWN`, or `NONE`.
        avs: index into `CHECKS`, or `UNCHECKED`.
        cvv: index into `CHECKS`, or `UNCHECKED`.
        three_ds: index into `THREE_DS`, or `UNCHECKED`.
        campaign: number of the fraud campaign, `GENUINE` for none.
        case: number of the case inside its campaign.
    """

    time_ms: Ints
    late_ms: Ints
    card: Ints
    merchant: Ints
    amount_cents: Ints
    kind: Ints
    channel: Ints
    entry: Ints
    initiation: Ints
    response: Ints
    device: Ints
    address: Ints
    avs: Ints
    cvv: Ints
    three_ds: Ints
    campaign: Ints
    case: Ints

    def __len__(self) -> int:
        return len(self.time_ms)

    def take(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Rows:
        """Some of the rows, by index or mask."""
        return Rows(**{field.name: getattr(self, field.name)[which] for field in fields(self)})

    def but(self, **columns: npt.ArrayLike) -> Rows:
        """The rows with some columns replaced; scalars are repeated."""
        return replace(self, **{name: filled(values, len(self)) for name, values in columns.items()})


def filled(values: npt.ArrayLike, count: int) -> Ints:
    """A column; a scalar is repeated."""
    return np.broadcast_to(np.asarray(values, np.int64), count).copy()


def cents(amount: npt.ArrayLike) -> Ints:
    """Hundredths of amounts in units, at least half a unit."""
    return np.maximum(50, np.round(np.asarray(amount, float) * 100)).astype(np.int64)


def concat(parts: list[Rows]) -> Rows:
    """Rows one after the other."""
    return Rows(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Rows)})


def empty() -> Rows:
    """No rows."""
    return Rows(**{field.name: np.zeros(0, np.int64) for field in fields(Rows)})


def checked(rng: np.random.Generator, rows: Rows, known: float) -> Rows:
    """The rows with what address, security code and 3-D Secure checks said, where there were any.

    Args:
        rng: chance.
        rows: transactions; only those at a distance by the cardholder are checked.
        known: chance that who pays knows the address, the code and passes 3-D Secure.
    """
    n = len(rows)
    asked = (rows.channel == ECOMMERCE) & (rows.initiation == CARDHOLDER) & (rows.kind == PURCHASE)

    def check(offered: Floats | float, pass_: Bools, otherwise: Ints) -> Ints:
        seen = asked & (rng.random(n) < offered)
        return np.where(seen, np.where(pass_, 0, otherwise), UNCHECKED).astype(np.int64)

    def knows() -> Bools:
        return np.asarray(rng.random(n) < known, bool)

    by_hand = rows.entry == MANUAL
    avs = check(0.7, knows(), rng.choice([1, 2, 3], n, p=[0.5, 0.3, 0.2]))
    cvv = check(np.where(by_hand, 0.95, 0.15), knows(), rng.choice([2, 3], n, p=[0.7, 0.3]))
    three_ds = check(np.where(by_hand, 0.6, 0.15), knows(), rng.choice([1, 2, 3], n, p=[0.5, 0.25, 0.25]))
    return rows.but(avs=avs, cvv=cvv, three_ds=three_ds)
