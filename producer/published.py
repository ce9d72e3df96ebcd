"""What published statistics say of card payments, and the same figure measured on generated transactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import polars as pl

_PURCHASE = pl.col("transaction_type") == "purchase"
_BY_HOLDER = _PURCHASE & (pl.col("initiation") == "cardholder")
_WITHDRAWAL = pl.col("transaction_type") == "withdrawal"
_GROCERIES_FUEL_SHOPPING = ("5411", "5541", "5311", "5651", "5732", "5912", "5942", "5944")


class Published(NamedTuple):
    """A published figure.

    Attributes:
        name: what it is.
        value: as published.
        margin: how far generated transactions may be from it: populations differ by as much.
        source: where it is published.
        measure: the same figure of transactions.
    """

    name: str
    value: float
    margin: float
    source: str
    measure: Callable[[pl.DataFrame], float]


def _share(of: pl.Expr, among: pl.Expr) -> Callable[[pl.DataFrame], float]:
    return lambda transactions: float(transactions.filter(among).select(of.mean()).item())


def _share_of_value(of: pl.Expr, among: pl.Expr) -> Callable[[pl.DataFrame], float]:
    amount = pl.col("billing_amount_minor")
    return lambda transactions: float(transactions.filter(among).select(amount.filter(of).sum() / amount.sum()).item())


def _mean_amount(among: pl.Expr) -> Callable[[pl.DataFrame], float]:
    """Of transactions with their own values, see `fraud.features.stage.with_transaction_values`."""
    return lambda transactions: float(transactions.filter(among).select(pl.col("tx_amount").mean()).item())


PUBLISHED = (
    Published(
        "mean card payment (EUR)",
        44.0,
        9.0,
        "ECB, Payment statistics, insights of September 2019: 44 in 2018; press release of July 2021: 41 in 2020",
        _mean_amount(_PURCHASE),
    ),
    Published(
        "purchases made at a distance",
        0.17,
        0.08,
        "ECB, Study on the payment attitudes of consumers in the euro area, 2022: of non-recurring payments",
        _share(pl.col("channel").is_in(["ecommerce", "moto"]), _BY_HOLDER),
    ),
    Published(
        "contactless payments at points of sale",
        0.62,
        0.03,
        "ECB, Study on the payment attitudes of consumers in the euro area, 2022",
        _share(pl.col("entry_mode") == "contactless", _PURCHASE & (pl.col("channel") == "pos")),
    ),
    Published(
        "purchases of groceries, fuel and in shops",
        0.54,
        0.08,
        "Federal Reserve Bank of Atlanta, Diary of Consumer Payment Choice 2019 and 2020: 43 % of 39 payments a month, "
        "of which 31 are purchases",
        _share(pl.col("mcc").is_in(_GROCERIES_FUEL_SHOPPING), _BY_HOLDER),
    ),
    Published(
        "groceries' share of the value of payments and withdrawals",
        0.23,
        0.06,
        "Central Bank of Ireland, Behind the Data: credit and debit card spending, September 2023: first half of 2023",
        _share_of_value(pl.col("mcc") == "5411", _PURCHASE | _WITHDRAWAL),
    ),
    Published(
        "mean payment in restaurants and for fast food (EUR)",
        25.0,
        5.0,
        "UK Cards Association, card expenditure statistics for 2014: GBP 22.5 billion in 1,129 million payments, "
        "at 1.24 EUR",
        _mean_amount(_PURCHASE & pl.col("mcc").is_in(["5812", "5814"])),
    ),
    Published(
        "mean cash withdrawal (EUR)",
        139.0,
        40.0,
        "Central Bank of Ireland, monthly card payment statistics, October 2022; Germany had 192 in 2019 (Bundesbank, "
        "payment statistics)",
        _mean_amount(_WITHDRAWAL),
    ),
)
"""The figures that generated transactions are held to; how they are divided further is our assumption."""
