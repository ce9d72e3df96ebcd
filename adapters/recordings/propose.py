"""Proposes a mapping for a recording that nobody has described yet, with how sure it is and what to ask."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl
import yaml

from adapters.recordings.convert import ISO, NO, YES, bare, digits_of, folded_text
from adapters.recordings.formats import ROW, ROW_NAME, Recording
from adapters.recordings.mapping import AMOUNT, BILLING_AMOUNT, Amounts
from adapters.recordings.signs import CURRENCIES, plain_digits, plain_time
from fraud.errors import MisconfiguredError
from fraud.money import MINOR_DIGITS
from fraud.records.card_number import find_card_number

_LOOKED_AT = 200_000
_SURE = 0.98

_NAMES: dict[str, str] = {
    "transaction_id": "transaction_id transaktions_id trans_id trans_num txn_id tx_id txn transaction_no "
    "transaction_number psp_reference payment_id charge_id order_id order_no event_id reference name uuid id",
    "event_time": "event_time tx_datetime trans_date_trans_time transaction_time transaction_datetime transaction_date "
    "event_timestamp timestamp datetime date_time created_at created created_utc creation_date booking_date "
    "transaction_dt trans_date date datum fecha data time when unix_time ts event_ts epoch "
    "buchungstag data_transakcji step",
    "card_token": "card_token card_id pan_token card_number card_no cc_num pan card_fingerprint card_hash "
    "kartennummer karte numero_carte tarjeta numero_tarjeta "
    "shopper_reference card cc account_id account_number account customer_id customer client_id user_id user name_orig",
    "customer_id": "customer_id customer client_id client user_id user shopper_reference cust_id name_orig",
    "merchant_id": "merchant_id merchant_account merchant_name merchant_no shop_id merchant shop store_id store "
    "seller_id seller payee terminal_id name_dest vendor_name vendor handler commercant comercio",
    "terminal_id": "terminal_id terminal",
    AMOUNT: "amount amt tx_amount transaction_amount transaction_amt trans_amount total_amount total price value "
    "payment_amount gross amount_cents amount_in_cents amount_minor betrag montant importe importo bedrag valor",
    "currency": "currency currency_code ccy amount_currency transaction_currency payment_currency wahrung devise "
    "moneda valuta",
    BILLING_AMOUNT: "billing_amount base_amount converted_amount settlement_amount amount_base",
    "mcc": "mcc merchant_category_code category_code",
    "merchant_country": "merchant_country merchant_country_code acquirer_country",
    "issuer_country": "issuer_country card_issue_country card_country issuing_country",
    "bin": "bin card_bin iin card_iin",
    "channel": "channel transaction_channel use_chip",
    "device_id": "device_id device_fingerprint device",
    "ip_address": "ip_address ip client_ip shopper_ip customer_ip",
    "merchant_lat": "merch_lat merchant_lat merchant_latitude",
    "merchant_lon": "merch_long merch_lon merchant_lon merchant_long merchant_longitude",
    "home_lat": "home_lat lat customer_lat",
    "home_lon": "home_lon long lon customer_lon",
}
"""For each field the names that its column has in people's files, the likeliest first."""

_NAMING = {"id", "no", "nr", "num", "number", "ref", "reference", "uuid", "key", "code"}
"""Words in names of columns that name something."""

_LABELS = (
    *("is_fraud", "fraud", "tx_fraud", "fraud_flag", "is_fraudulent", "fraudulent", "fraud_label", "fraud_bool"),
    *("fraud_ind", "label", "class", "chargeback", "is_chargeback", "disputed", "target"),
)
"""Names of columns that say what was fraud, the likeliest first."""

_CONSTANTS: dict[str, tuple[str, str]] = {
    "transaction_type": ("purchase", "all are purchases"),
    "authorisation_result": ("approved", "all were approved"),
    "response_code": ("00", "all were approved"),
    "bin": ("000000", "the issuer's BIN is not known"),
    "issuer_country": ("ZZ", "the issuer's country is not known"),
    "mcc": ("0000", "the merchant category is not known"),
    "merchant_country": ("ZZ", "the merchant's country is not known"),
    "channel": ("pos", "all were made in a shop"),
    "entry_mode": ("chip", "all were made with a chip"),
    "initiation": ("cardholder", "the cardholder began all of them"),
}
"""What stands where a recording does not say, and the assumption in words."""

MISSING: dict[str, tuple[str, dict[str, Any]]] = {
    "event_time": ("no column holds times", {"event_time": "2000-01-01T00:00:00Z"}),
    AMOUNT: ("no column holds amounts", {"amount_minor": 1, "billing_amount_minor": 1}),
}
"""What a recording cannot do without: what is said where it has no column of it, and what stands there instead while
the other columns are looked at."""

_FORMATS = (
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y",
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y%m%d%H%M%S", "%Y%m%d", "%d %b %Y %H:%M:%S", "%d %b %Y",
    "%b %d, %Y %H:%M:%S", "%d/%m/%y %H:%M:%S", "%d/%m/%y %H:%M", "%d/%m/%y", "%m/%d/%y %H:%M:%S", "%m/%d/%y %H:%M",
    "%m/%d/%y", "%d.%m.%y %H:%M:%S", "%d.%m.%y %H:%M", "%d.%m.%y", "%d-%m-%y %H:%M", "%d-%m-%y", "%d-%b-%Y %H:%M:%S",
    "%d-%b-%Y", "%d-%b-%y %H:%M:%S", "%d-%b-%y", "%d-%b-%y %I.%M.%S%.f %p", "%d %b %Y %H:%M",
    "%d. %b %Y", "%d. %b %Y %H:%M", "%d. %b %Y %H:%M:%S", "%d de %b de %Y", "%d de %b de %Y %H:%M", "%d.%b.%Y",
    "%b %d, %Y", "%b %d, %Y %H:%M", "%b %d, %Y %I:%M %p", "%b %d, %Y %I:%M:%S %p", "%b %d %Y", "%d-%b-%Y %H:%M",
    "%d/%b/%Y", "%d/%b/%Y %H:%M",
    "%a %b %e %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S %z", "%d/%b/%Y:%H:%M:%S %z", "%Y年%m月%d日 %H:%M", "%Y年%m月%d日",
    "%Y%m%d%H%M", "%Y%m%d %H%M%S", "%Y%m%d %H:%M:%S", "%m/%d/%Y %I:%M:%S %p",
    "%d/%m/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p", "%d/%m/%Y %I:%M %p",
)  # fmt: skip

_EPOCHS = (("s", 10**8, 10**10), ("ms", 10**11, 10**13), ("us", 10**14, 10**16), ("ns", 10**17, 10**19))
_NOTHING = ["null", "(null)", "<null>", "\\n", "nan", "n/a", "#n/a", "none", "nil", "-", "--"]
_SERIAL = (32_874, 73_050)  # 1990 and 2100 as days since 1899-12-30


class Column(NamedTuple):
    """One of their columns, as it was looked at.

    Attributes:
        name: theirs.
        text: its values without blanks and quotes around them, those that are there.
        dtype: what the file says that it is.
        missing: words in it that stand where nothing is.
    """

    name: str
    text: pl.Series
    dtype: pl.DataType
    missing: tuple[str, ...] = ()

    def is_number(self) -> bool:
        """Whether the file says so, or most of its values can be read as amounts."""
        if self.dtype.is_numeric():
            return True
        best = max(self._numbers(decimal, thousands) for decimal, thousands in (".,", ",.", (".", ""), (",", "")))
        return self.dtype == pl.String and best >= 0.5

    def _numbers(self, decimal: str, thousands: str) -> float:
        read = digits_of(self.text, Amounts(decimal=decimal, thousands=thousands))
        signs = read.struct.field("sign")
        known = read.struct.field("whole").is_not_null() & (signs.is_null() | signs.is_in(list(CURRENCIES)))
        return int(known.sum()) / max(1, len(self.text))

    def share(self, pattern: str) -> float:
        """The share of values that match an expression."""
        return int(self.text.str.contains(pattern).sum()) / max(1, len(self.text))


@dataclass
class Proposal:
    """A mapping that can be tried, and what is not certain about it.

    Attributes:
        mapping: as a mapping's file has it.
        confidence: for each field that has a column: high, medium or low.
        questions: for a field or setting, the assumption that was taken.
        notes: what to know of columns that were not used, or of what the recording cannot give.
        missing: keys of `MISSING` that have no column, each with the way out; with any the mapping cannot be used yet.
    """

    mapping: dict[str, Any] = field(default_factory=dict)
    confidence: dict[str, str] = field(default_factory=dict)
    questions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def propose(recording: Recording, base_currency: str) -> Proposal:
    """Looks at the first rows of a recording and proposes how its columns become ours.

    The proposal is checked against all rows by whoever converts with it; see `fraud inspect`.
    """
    columns = {column.name: column for column in _look_at(recording)}
    found = Proposal(notes=[*recording.doubts])
    taken: dict[str, str] = {}
    clock = None
    for name, wanted in _NAMES.items():
        choice = _choose(name, wanted.split(), columns, taken)
        if choice is not None:
            taken[name], found.confidence[name] = choice
    _complete(taken, found, columns)
    if "event_time" not in taken:
        by_values = next((column.name for column in columns.values() if _is_time(column)), None)
        if by_values is not None:
            taken["event_time"], found.confidence["event_time"] = by_values, "low"
    if AMOUNT not in taken:
        like = [column.name for column in columns.values() if column.name not in taken.values() and _is_money(column)]
        if len(like) == 1:
            taken[AMOUNT], found.confidence[AMOUNT] = like[0], "low"
            found.questions[AMOUNT] = f"is {like[0]} the amount? It alone holds numbers with two decimals"
    if "event_time" in taken:
        date = columns[taken["event_time"]]
        clock = _clock_beside(date, columns)
        _times(date if clock is None else date._replace(text=date.text + " " + clock.text), found)
    currency = _money(taken, columns, found, base_currency)
    _constants(taken, found, currency, base_currency)
    _ids(taken, columns, found)
    names: dict[str, str | list[str]] = dict(taken)
    if clock is not None:
        names["event_time"] = [taken["event_time"], clock.name]
    found.mapping = {"columns": names, **found.mapping}
    _label(columns, found)
    _missing(found, columns)
    for name in MISSING:
        if name not in taken:
            used = {*taken.values(), *([clock.name] if clock else []), found.mapping.get("label", {}).get("column")}
            unused = [column.name for column in columns.values() if column.name not in used and len(column.text)]
            found.missing[name] = f"{MISSING[name][0]}; name it here, of those not used: {', '.join(unused) or 'none'}"
    return found


def _look_at(recording: Recording) -> list[Column]:
    frames, rows = [], 0
    for part in recording.parts():
        frames.append(part.frame.drop(ROW, ROW_NAME))
        rows += part.frame.height
        if rows >= _LOOKED_AT:
            break
    if not rows:
        raise MisconfiguredError(str(recording.files[0].path), "has no rows that can be read")
    frame = pl.concat(frames, how="vertical_relaxed").head(_LOOKED_AT)
    columns = []
    for name in frame.columns:
        values = frame[name].drop_nulls()
        text = bare(values.cast(pl.String, strict=False)).drop_nulls()
        nothing = text.str.to_lowercase().is_in(_NOTHING) & (values.dtype == pl.String)
        missing = tuple(sorted(text.filter(nothing).unique().to_list()))
        columns.append(Column(name, text.filter(~nothing), frame[name].dtype, missing))
    return columns


def plain(name: str) -> str:
    """A column's name as names are compared: words in lower case with underscores between them.

    >>> plain("TX_AMOUNT"), plain("TransactionID"), plain("Is Fraud?"), plain("merchant.id")
    ('tx_amount', 'transaction_id', 'is_fraud', 'merchant_id')
    >>> plain("Währung")
    'wahrung'
    """
    name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def _choose(
    field_name: str, names: list[str], columns: dict[str, Column], taken: dict[str, str]
) -> tuple[str, str] | None:
    known = {plain(name): name for name in reversed(list(columns))}
    if field_name in (AMOUNT, "event_time"):
        known = {_without_unit(name, field_name): theirs for name, theirs in reversed(known.items())} | known
    for rank, name in enumerate(names):
        theirs = known.get(name)
        if theirs is None and name not in ("id", "name", "time", "date", "lat", "long"):
            theirs = known.get(name.replace("_", ""))
        if theirs is None or not _fits(field_name, columns[theirs]):
            continue
        if theirs in taken.values() and field_name not in ("customer_id", "terminal_id"):
            continue
        return theirs, "high" if rank < max(3, len(names) - 4) else "medium"
    if field_name == BILLING_AMOUNT:
        currency = "|".join(code.lower() for code in MINOR_DIGITS)
        form = rf"(?:billing|billed|base)\w*_(?:{currency})"
        theirs = next((theirs for name, theirs in known.items() if re.fullmatch(form, name)), None)
        return None if theirs is None else (theirs, "medium")
    return None


def _without_unit(name: str, field_name: str) -> str:
    """A column's plain name without the unit behind it.

    >>> _without_unit("amount_in_usd", "amount"), _without_unit("ts_ms", "event_time")
    ('amount', 'ts')
    """
    units = "s|sec|secs|seconds|ms|millis|us|micros|ns|nanos|utc|gmt|local|unix|epoch|iso"
    if field_name == AMOUNT:
        units = "|".join(["cents", "minor", "pence", *(code.lower() for code in MINOR_DIGITS)])
    return re.sub(rf"(?:_in)?_(?:{units})\Z", "", name)


def _fits(field_name: str, column: Column) -> bool:
    """Whether a column's values can be what the field is."""
    if not len(column.text):
        return False
    if field_name in (AMOUNT, BILLING_AMOUNT) or field_name.endswith(("_lat", "_lon")):
        return column.is_number()
    if field_name == "currency":
        return column.share(r"\A[A-Za-z]{3}\z") > _SURE
    if field_name.endswith("_country"):
        return column.share(r"\A[A-Za-z]{2}\z") > _SURE
    if field_name == "mcc":
        return column.share(r"\A\d{3,4}\z") > _SURE
    if field_name == "bin":
        return column.share(r"\A\d{6,8}\z") > _SURE
    if field_name == "channel":
        return column.share(r"(?i)\A(?:pos|atm|ecommerce|moto)\z") > _SURE
    if field_name == "event_time":
        return not isinstance(column.dtype, pl.Boolean)
    if field_name in ("transaction_id", "card_token", "merchant_id", "customer_id"):
        return column.text.str.len_chars().max() is not None
    return True


def _complete(taken: dict[str, str], found: Proposal, columns: dict[str, Column]) -> None:
    """Fields that no column names, by what else there is."""
    if "transaction_id" not in taken:
        unused = (column for column in columns.values() if column.name not in taken.values())
        alone = next((column.name for column in unused if _names_each_row(column)), None)
        if alone is not None:
            taken["transaction_id"], found.confidence["transaction_id"] = alone, "low"
            found.questions["transaction_id"] = f"is {alone} the id of a transaction? Its values are all different"
        else:
            taken["transaction_id"], found.confidence["transaction_id"] = ROW_NAME, "low"
            found.questions["transaction_id"] = "no column names a transaction; the row's number stands for it"
    if "card_token" not in taken and "customer_id" in taken:
        taken["card_token"] = taken["customer_id"]
    if "card_token" in taken:
        if taken["card_token"] == taken.get("customer_id") and "card" not in plain(taken["card_token"]):
            found.questions["card_token"] = f"cards have no column of their own; {taken['card_token']} stands for them"
        taken.setdefault("customer_id", taken["card_token"])
    else:
        found.notes.append("no column names a card or a customer, so nothing can be known of a card's habits")


def _names_each_row(column: Column) -> bool:
    if not set(plain(column.name).split("_")) & _NAMING:
        return False
    return len(column.text) > 1 and column.text.n_unique() == len(column.text) and column.share(r"\A\S+\z") == 1


def _is_time(column: Column) -> bool:
    if isinstance(column.dtype, (pl.Datetime, pl.Date)) or (len(column.text) and column.share(ISO) > _SURE):
        return True
    text = plain_time(column.text)
    return len(text) > 0 and any(_reads(text, form) for form in _FORMATS)


_COMPACT = (("%Y%m%d%H%M%S", 14), ("%Y%m%d%H%M", 12), ("%Y%m%d", 8))


def _reads(text: pl.Series, form: str) -> bool:
    return _moments(text, form).null_count() == 0


def _moments(text: pl.Series, form: str) -> pl.Series:
    """Values read in a format; null where they are none of the years in which people paid by card."""
    zone = "UTC" if "%z" in form else None
    read = text.str.to_datetime(form, time_zone=zone, strict=False).dt.replace_time_zone(None)
    return read.set(~read.dt.year().is_between(1970, 2100), None)


def _is_money(column: Column) -> bool:
    """Whether values look like amounts whatever their column is called: two decimals behind a mark, in every row."""
    return column.dtype == pl.String and column.share(r"\d[.,\x{66b}]\d{2}\D{0,4}\z") == 1 and column.is_number()


def _clock_beside(date: Column, columns: dict[str, Column]) -> Column | None:
    """The column of the time of day, where that of times has dates alone."""
    if date.dtype != pl.String or date.share(r"\d:\d\d") > 0 or date.share(r"\A\d+\z") > 0:
        return None
    for name, column in columns.items():
        words = set(plain(name).split("_")) & {"time", "hour", "uhrzeit", "zeit", "heure", "hora"}
        if words and name != date.name and column.share(r"(?i)\A\d{1,2}:\d\d(?::\d\d)?(?:\s*[ap]m)?\z") > _SURE:
            return column if len(column.text) == len(date.text) else None
    return None


def _times(column: Column, found: Proposal) -> None:
    if isinstance(column.dtype, (pl.Datetime, pl.Date)) or column.share(ISO) > _SURE:
        zoned = column.share(r"(?:Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)\z") > _SURE
        if not zoned and not (isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone):
            found.questions["time"] = "its times name no zone and are taken for UTC; say time: {zone: Europe/Brussels}"
        return
    text = plain_time(column.text)
    compact = next(
        (form for form, width in _COMPACT if text.str.len_chars().eq(width).all() and _reads(text, form)), None
    )
    if compact is not None and len(text):
        found.mapping["time"] = {"format": compact}
        found.questions["time"] = f"its digits are taken for {compact}, in UTC, as they name no zone"
        return
    numbers = text.str.replace(r"\A(\d+),(\d+)\z", "$1.$2").cast(pl.Float64, strict=False).drop_nulls()
    if len(numbers) > _SURE * len(column.text) and len(numbers):
        if numbers.is_between(*_SERIAL).all():
            found.mapping["time"] = {"unit": "d", "origin": "1899-12-30T00:00:00"}
            found.questions["time"] = "its numbers are taken for a spreadsheet's days since 1899-12-30, in UTC"
            return
        middle = numbers.to_numpy().mean()
        unit = next((unit for unit, low, high in _EPOCHS if low <= middle < high), None)
        if unit is not None:
            found.mapping["time"] = {"unit": unit}
            return
        of_name = {"step": "h", "time": "s", "transaction_dt": "s"}.get(plain(column.name))
        guess = of_name or ("h" if numbers.to_numpy().max() < 20_000 else "s")
        found.mapping["time"] = {"unit": guess, "origin": "2024-01-01T00:00:00"}
        found.questions["time"] = (
            f"{column.name} counts from a day that the recording does not name; {guess} since 2024-01-01 is assumed"
        )
        return
    fitting = []
    for form in _FORMATS:
        read = _moments(text, form)
        if read.null_count() <= (1 - _SURE) * len(column.text):
            steps = read.drop_nulls().diff().drop_nulls()
            fitting.append((int((steps.dt.total_seconds() < 0).sum()), form))
    if not fitting:
        found.questions["time"] = f"the times of {column.name} have a form that is not known; say time: {{format: ...}}"
        return
    best = min(fitting, key=lambda one: (one[0], _FORMATS.index(one[1])))
    found.mapping["time"] = {"format": best[1]}
    day_first = [form for _, form in fitting if form.startswith(("%d", "%m"))]
    also = f"day and month may be the other way round ({', '.join(f for f in day_first if f != best[1])})"
    asked = [] if "%z" in best[1] else ["its times name no zone and are taken for UTC"]
    asked += [also] if len({form[:2] for form in day_first}) > 1 else []
    if asked:
        found.questions["time"] = "; ".join(asked)


def _money(taken: dict[str, str], columns: dict[str, Column], found: Proposal, base_currency: str) -> str | None:
    """How amounts are written; gives the currency that their signs or their column's name say, where no column does."""
    money = [columns[taken[name]] for name in (AMOUNT, BILLING_AMOUNT) if name in taken]
    written = [column for column in money if column.dtype == pl.String]
    if not money:
        return None
    marks: dict[str, Any] = {}
    digits = pl.Series([], dtype=pl.String)
    if written:
        # Full stops behind letters belong to a sign such as Rs.
        text = pl.concat([plain_digits(column.text) for column in written])
        digits = text.str.replace_all(r"\p{L}\.", "").str.replace_all("[^0-9.,]", "").str.strip_chars_end(".,")
    both = digits.filter(digits.str.contains(",", literal=True) & digits.str.contains(".", literal=True))
    commas = digits.filter(digits.str.contains(",", literal=True))
    if len(both):
        last = both.str.extract(r"([.,])[^.,]*\z")
        marks = {"decimal": ",", "thousands": "."} if (last == ",").mean() > 0.5 else {"thousands": ","}  # type: ignore[operator]
    elif len(commas):
        if commas.str.contains(r"\A\d{1,3}(?:,\d{3})+\z").all():
            marks = {"thousands": ","}
            found.questions["money"] = "commas stand before three digits each time and are taken for thousands"
        else:
            marks = {"decimal": ","}
    elif len(digits) and digits.str.contains(r"\A\d{1,3}(?:\.\d{3})+\z").all():
        marks = {"decimal": ",", "thousands": "."}
        found.questions["money"] = "points stand before three digits each time and are taken for thousands"
    read = [digits_of(column.text, Amounts(**marks)) for column in written]
    negative = any(int(part.struct.field("negative").sum()) for part in read)
    if negative or any(column.text.str.contains(r"\A-").any() for column in money if column.dtype != pl.String):
        marks["negative"] = "refund"
        found.questions["money"] = "negative amounts are taken for refunds"
    name = plain(money[0].name)
    if re.search(r"cents|minor|pence", name):
        marks["minor"] = True
    if marks:
        found.mapping["money"] = marks
    currency = None
    if "currency" not in taken and AMOUNT in taken:
        currency = _currency_of(columns[taken[AMOUNT]], read[:1], found, base_currency)
    met: set[str] = {currency} if currency is not None else set()
    if "currency" in taken:
        met = {code.upper() for code in columns[taken["currency"]].text.unique().to_list()}
    others = sorted(met - {base_currency})
    if others and BILLING_AMOUNT not in taken:
        found.mapping["rates"] = dict.fromkeys(others, 1.0)
        found.questions["rates"] = (
            f"what was billed in {base_currency} is not there; a rate of 1 is assumed for {', '.join(others)}: put "
            "in the true ones, or map a column to billing_amount"
        )
    return currency


def _currency_of(amount: Column, read: list[pl.Series], found: Proposal, base_currency: str) -> str | None:
    """The currency that the signs beside amounts mean, or that their column is named after."""
    signs = (
        pl.concat([part.struct.field("sign") for part in read]).drop_nulls() if read else pl.Series([], dtype=pl.String)
    )
    possible = [set(CURRENCIES.get(sign, ())) for sign in signs.unique()]
    both = set.intersection(*possible) if possible else set()
    named = [code for code in (word.upper() for word in plain(amount.name).split("_")) if code in MINOR_DIGITS]
    if possible and not both:
        shown = ", ".join(sorted(signs.unique()))
        found.questions["currency"] = f"amounts have signs of several currencies ({shown}); give a column of currencies"
        return None
    if both:
        shown = signs.unique().sort()[0]
        likeliest = next(code for code in CURRENCIES[shown] if code in both)
        currency = base_currency if base_currency in both else likeliest
        found.questions["currency"] = f"amounts are written with {shown}, which is taken for {currency}"
        return currency
    if named:
        found.questions["currency"] = f"{amount.name} is taken to be in {named[0]}"
        return named[0]
    return None


def _constants(taken: dict[str, str], found: Proposal, currency: str | None, base_currency: str) -> None:
    constants: dict[str, str] = {}
    for name, (value, words) in _CONSTANTS.items():
        if name not in taken:
            constants[name] = value
            found.questions[name] = words
    if "currency" not in taken:
        constants["currency"] = currency or base_currency
        words = f"no column names a currency; all amounts are taken for {base_currency}"
        found.questions.setdefault("currency", words)
    if "merchant_id" not in taken:
        constants["merchant_id"] = "unknown"
        found.notes.append("no column names a merchant, so nothing can be known of merchants")
    if "card_token" not in taken:
        constants["card_token"] = constants["customer_id"] = "unknown"
    found.mapping["constants"] = constants


def _ids(taken: dict[str, str], columns: dict[str, Column], found: Proposal) -> None:
    hashed = []
    for name in ("transaction_id", "card_token", "customer_id", "merchant_id", "terminal_id", "device_id"):
        if taken.get(name, ROW_NAME) == ROW_NAME:
            continue
        column = columns[taken[name]]
        if any(map(_like_card, column.text.head(5_000).unique().to_list())):
            hashed.append(name)
            found.questions[name] = f"{column.name} holds what looks like card numbers, so it is hashed"
        elif column.share(r"\A[\x21-\x7e]{1,64}\z") < 1:
            hashed.append(name)
            found.questions[name] = f"{column.name} holds blanks or long or other characters, so it is hashed"
    if hashed:
        found.mapping["hashed"] = hashed


def _like_card(value: str) -> bool:
    return find_card_number(value.encode()) is not None


def _label(columns: dict[str, Column], found: Proposal) -> None:
    known = {plain(name): name for name in reversed(list(columns))}
    there = (known.get(name) or known.get(name.replace("_", "")) for name in _LABELS)
    named = [columns[name] for name in there if name is not None]
    for column in named:
        if _says_yes_or_no(column):
            _take_label(column, None, "a label is taken to become known 7 days after its transaction", found)
            return
    for column in named:
        counts = dict(column.text.value_counts().sort("count", column.name).rows())
        if 0 < len(counts) <= _MOST_VERDICTS:
            words = [value for value in counts if re.search(r"(?i)fraud|chargeb", value) and not _NEGATED.search(value)]
            fraud = words or [next(iter(counts))]
            shown = ", ".join(f"{value} ({count})" for value, count in reversed(counts.items()))
            asked = f"{column.name} holds {shown}; {' and '.join(fraud)} is taken for fraud, known 7 days later"
            _take_label(column, fraud, asked, found)
            return
    found.notes.append("no column says what was fraud; it can be replayed, but not trained on")


_MOST_VERDICTS = 8
_NEGATED = re.compile(r"(?i)\b(?:no|not|non|kein\w*|sin|sans)\b|non_?fraud|not_?fraud|no_?fraud|un?confirmed|suspect")


def _take_label(column: Column, fraud: list[str] | None, asked: str, found: Proposal) -> None:
    found.mapping["label"] = {"column": column.name, **({"fraud": fraud} if fraud else {}), "delay_days": 7}
    sure = "low" if fraud else "high" if "fraud" in plain(column.name) else "medium"
    found.confidence["label"] = sure
    found.questions["label"] = asked


def _says_yes_or_no(column: Column) -> bool:
    known = column.text.to_frame("text").select(folded_text(pl.col("text")).is_in([*YES, *NO])).to_series()
    return len(known) > 0 and known.sum() > _SURE * len(known)


def _missing(found: Proposal, columns: dict[str, Column]) -> None:
    """Words that stand where nothing is, in columns that are used."""
    used = [found.mapping.get("label", {}).get("column")]
    for theirs in found.mapping["columns"].values():
        used += [theirs] if isinstance(theirs, str) else theirs
    words = sorted({word for name in used if name in columns for word in columns[name].missing})
    if words:
        found.mapping["missing"] = words
        found.questions["missing"] = "these words are taken to stand where nothing is"


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    text = yaml.safe_dump(value, allow_unicode=True, width=10_000, default_flow_style=True)
    return text.removesuffix("...\n").strip()


def write_yaml(proposal: Proposal, described: str, path: str) -> str:
    """The mapping's file: a comment with the assumption wherever something is not certain."""
    lines = [f"# A mapping proposed for {path}: {described}. Check what the comments ask."]
    lines += [f"# {note}" for note in proposal.notes]
    if "time" in proposal.questions and "time" not in proposal.mapping:
        lines.append(f"# {proposal.questions['time']}")
    for section, content in proposal.mapping.items():
        if question := proposal.questions.get(section):
            lines.append(f"# {question}")
        if isinstance(content, dict):
            lines.append(f"{section}:")
            for name, value in content.items():
                shown = f"{_flow(name)}: {_flow(value)}"
                remark = proposal.questions.get(name) if section in ("columns", "constants") else None
                sure = proposal.confidence.get(name) if section == "columns" else None
                doubt = None if sure in (None, "high") else f"{sure} confidence"
                said = "; ".join(word for word in (doubt, remark) if word)
                lines.append(f"  {shown}" + (f"   # {said}" if said else ""))
            if section == "columns":
                lines += [f"  # {name}:   # MISSING: {words}" for name, words in proposal.missing.items()]
        else:
            lines.append(f"{section}: {_flow(content)}")
    return "\n".join(lines) + "\n"
