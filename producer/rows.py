"""Transactions as indices into an economy, before they become columns with names."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CHANNELS = ("pos", "atm", "ecommerce", "moto")
ENTRY_MODES = ("chip", "contactless", "magstripe", "manual", "credential_on_file")
INITIATIONS = ("cardholder", "recurring", "merchant")
RESPONSES = ("00", "51", "05", "14", "54")
"""Approved; insufficient funds, do not honour, invalid card number, expired card."""

OWN_DEVICE = -1
NO_DEVICE = -2
GENUINE = 0


@dataclass(frozen=True)
class Rows:
    """Transactions as columns of equal length.

    Attributes:
        time_ms: event time.
        card: index of the card.
        merchant: index of the merchant.
        amount_minor: amount in the base currency.
        channel: index into `CHANNELS`.
        entry: index into `ENTRY_MODES`.
        initiation: index into `INITIATIONS`.
        response: index into `RESPONSES`.
        device: number of a foreign device, or `OWN_DEVICE`, or `NO_DEVICE`.
        campaign: number of the fraud campaign, `GENUINE` for none.
        case: number of the case inside its campaign.
    """

    time_ms: Ints
    card: Ints
    merchant: Ints
    amount_minor: Ints
    channel: Ints
    entry: Ints
    initiation: Ints
    response: Ints
    device: Ints
    campaign: Ints
    case: Ints

    def __len__(self) -> int:
        return len(self.time_ms)

    def take(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Rows:
        """Some of the rows, by index or mask."""
        return Rows(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


def concat(parts: list[Rows]) -> Rows:
    """Rows one after the other."""
    return Rows(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Rows)})


def empty() -> Rows:
    """No rows."""
    return Rows(**{field.name: np.zeros(0, np.int64) for field in fields(Rows)})
