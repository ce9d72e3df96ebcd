"""Amounts of money in words."""

from __future__ import annotations

from decimal import Decimal

_NO_DECIMALS = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
_THREE_DECIMALS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])


def minor_digits(currency: str) -> int:
    """Decimal digits of a currency's minor unit (ISO 4217, list one).

    >>> [minor_digits(currency) for currency in ("EUR", "JPY", "KWD")]
    [2, 0, 3]
    """
    if currency in _NO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


def format_money(amount_minor: int, currency: str) -> str:
    """An amount as people read it.

    >>> format_money(123450, "EUR"), format_money(500, "JPY")
    ('EUR 1,234.50', 'JPY 500')
    """
    digits = minor_digits(currency)
    return f"{currency} {Decimal(amount_minor).scaleb(-digits):,.{digits}f}"
