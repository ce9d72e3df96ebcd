"""Digits, currency signs and names of months as people write them."""

from __future__ import annotations

import re
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


_MONTHS = {
    "Jan": "january januar januari janvier janv enero ene gennaio gen janeiro jänner jän января янв",
    "Feb": "february februar februari février févr fév fevrier fev febrero febbraio fevereiro feber февраля фев февр",
    "Mar": "march märz maerz mrz mär mars marzo março marco maart mrt marts марта мар",
    "Apr": "april avril avr abril abr aprile апреля апр",
    "May": "may mai mayo maggio mag maio mei maj мая май",
    "Jun": "june juni juin junio giugno giu junho июня июн",
    "Jul": "july juli juillet juil julio luglio lug julho июля июл",
    "Aug": "august augustus augusti août aout aoû agosto ago августа авг",
    "Sep": "september sept septembre septiembre settembre sett set setembro сентября сен сент",
    "Oct": "october oktober okt octobre octubre ottobre ott outubro out октября окт",
    "Nov": "november novembre noviembre novembro ноября ноя нояб",
    "Dec": "december dezember dez décembre déc decembre diciembre dic dicembre dezembro desember des декабря дек",
}
"""By English abbreviation. Slavic names in the Latin alphabet are left out: listopad is October in one country and
November in another."""

_MONTH_OF = {word: month for month, words in _MONTHS.items() for word in (month.lower(), *words.split())}


def plain_time(text: pl.Series) -> pl.Series:
    """Times with ASCII digits and English names of months; see `plain_digits` and `plain_months`."""
    return plain_months(plain_digits(text))


def plain_months(text: pl.Series) -> pl.Series:
    """Names of months in other languages as the English abbreviations, which is what formats of times read.

    Other words stay, and so does a full stop, but for one that ends an abbreviation before a blank.

    >>> plain_months(pl.Series(["3. M\u00e4rz 2024", "14-AGO-23", "1 janv. 2024", "May 5"])).to_list()
    ['3. Mar 2024', '14-Aug-23', '1 Jan 2024', 'May 5']
    """
    if not text.str.contains(r"\p{L}{3}").any():
        return text
    found = text.str.extract_all(r"\p{L}{3,}").explode().drop_nulls().unique()
    names = {word: month for word in found if (month := _MONTH_OF.get(word.lower())) is not None}
    longest_first = sorted(names, key=len, reverse=True)
    for word in longest_first:
        text = text.str.replace_all(rf"\b{re.escape(word)}\b(?:\.(\s))?", f"{names[word]}${{1}}")
    return text
