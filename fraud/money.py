"""Money: how many minor units make one unit of a currency is said here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

_CODES_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
        "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
        "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
        "MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP "
        "SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG "
        "YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

MINOR_DIGITS: Mapping[str, int] = {code: digits for digits, codes in _CODES_BY_DIGITS.items() for code in codes.split()}
"""Decimal digits of the minor unit of every currency: ISO 4217, list one, as published on 2026-01-01.

Codes that it gives no minor unit are left out: metals, bond units, drawing rights, the codes for tests and for nothing.
"""

_OTHERS_DIGITS = 2


def is_currency(code: str) -> bool:
    """Whether a code is one of ISO 4217, the codes of metals, funds and no currency, which begin with X, included."""
    return code in MINOR_DIGITS or code.startswith("X")


def meant_currency(code: str) -> str | None:
    """The currency that somebody may have meant.

    >>> meant_currency("eur"), meant_currency("euro") is None
    ('EUR', True)
    """
    return code.upper() if code.upper() in MINOR_DIGITS else None


def minor_digits(currency: str) -> int:
    """Decimal digits of a currency's minor unit.

    A withdrawn or unknown code, as an old card or a foreign merchant may send, is taken to have two.

    >>> [minor_digits(currency) for currency in ("EUR", "JPY", "KWD", "HRK")]
    [2, 0, 3, 2]
    """
    return MINOR_DIGITS.get(currency, _OTHERS_DIGITS)


def minor_units(currency: str) -> int:
    """Minor units in one unit of a currency: the scale of its money.

    >>> [minor_units(currency) for currency in ("EUR", "JPY", "KWD")]
    [100, 1, 1000]
    """
    return int(10 ** minor_digits(currency))


def to_minor(amount: float, currency: str) -> int:
    """An amount in major units as minor ones, rounded.

    >>> to_minor(35.5, "EUR"), to_minor(35.5, "KWD")
    (3550, 35500)
    """
    return round(amount * minor_units(currency))


def format_money(amount_minor: int, currency: str) -> str:
    """An amount as people read it.

    >>> format_money(123450, "EUR"), format_money(500, "JPY")
    ('EUR 1,234.50', 'JPY 500')
    """
    return f"{currency} {format_amount(amount_minor, currency)}"


def format_amount(amount_minor: int, currency: str) -> str:
    """The same where the currency stands elsewhere.

    >>> format_amount(123450, "EUR"), format_amount(123450, "KWD")
    ('1,234.50', '123.450')
    """
    digits = minor_digits(currency)
    return f"{Decimal(amount_minor).scaleb(-digits):,.{digits}f}"
