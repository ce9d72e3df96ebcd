"""Digits and currency signs as people write them."""

from __future__ import annotations

import sys
import unicodedata

import polars as pl

from fraud.money import MINOR_DIGITS

_DOLLARS = "USD CAD AUD NZD SGD HKD TWD MXN ARS CLP COP BBD BMD BND BSD BZD FJD GYD JMD KYD LRD NAD SBD SRD TTD XCD"
_SIGNS = {
    "$": (*_DOLLARS.split(),),
    "€": ("EUR",),
    "£": ("GBP", "EGP", "GIP", "FKP", "SHP", "SYP", "LBP"),
    "¥": ("JPY", "CNY"),
    "￥": ("JPY", "CNY"),
    "円": ("JPY",),
    "元": ("CNY",),
    "₹": ("INR",),
    "RS": ("INR", "PKR", "LKR", "NPR", "MUR", "SCR"),
    "R": ("ZAR",),
    "R$": ("BRL",),
    "US$": ("USD",),
    "CA$": ("CAD",),
    "C$": ("CAD", "NIO"),
    "AU$": ("AUD",),
    "A$": ("AUD",),
    "NZ$": ("NZD",),
    "HK$": ("HKD",),
    "S$": ("SGD",),
    "NT$": ("TWD",),
    "MX$": ("MXN",),
    "KR": ("SEK", "NOK", "DKK", "ISK"),
    "KČ": ("CZK",),
    "ZŁ": ("PLN",),
    "FR": ("CHF", "XOF", "XAF", "XPF"),
    "SFR": ("CHF",),
    "FT": ("HUF",),
    "LEI": ("RON", "MDL"),
    "ЛВ": ("BGN",),
    "TL": ("TRY",),
    "₺": ("TRY",),
    "₽": ("RUB",),
    "РУБ": ("RUB",),
    "₩": ("KRW",),
    "₪": ("ILS",),
    "฿": ("THB",),
    "₫": ("VND",),
    "₴": ("UAH",),
    "₱": ("PHP",),
    "₦": ("NGN",),
    "RM": ("MYR",),
    "RP": ("IDR",),
    "EURO": ("EUR",),
}

CURRENCIES = {sign: tuple(code for code in codes if code in MINOR_DIGITS) for sign, codes in _SIGNS.items()} | {
    code: (code,) for code in MINOR_DIGITS
}
"""The currencies that a sign beside an amount can mean, in capitals and without a full stop; the likeliest first."""

PAIRS = [f"{sign} {code}" for sign, codes in CURRENCIES.items() for code in codes]
"""Each sign with each currency that it can mean."""

_OTHER = {
    chr(code): str(value)
    for code in range(128, sys.maxunicode + 1)
    if (value := unicodedata.decimal(chr(code), None)) is not None
}


def plain_digits(text: pl.Series) -> pl.Series:
    """Digits of other scripts as ASCII ones, with the marks that go with them: a point, and nothing between thousands.

    >>> plain_digits(pl.Series(["\u0661\u066c\u0662\u0663\u0664\u066b\u0665", "\uff11.5", "7"])).to_list()
    ['1234.5', '1.5', '7']
    """
    if not text.str.contains(r"[\p{Nd}--[0-9]]").any():
        return text
    marks = {"\u066b": ".", "\uff0e": ".", "\u066c": "", "\uff0c": ","}
    return text.str.replace_many([*_OTHER, *marks], [*_OTHER.values(), *marks.values()])
