"""A portfolio written in any dialect, units, zone, currency, width and spelling comes back as it was meant."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import string
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.recordings.bad_rows import OnBadRow
from adapters.recordings.formats import open_recording
from adapters.recordings.mapping import load_mapping
from adapters.recordings.propose import propose, write_yaml
from adapters.recordings.reading import RecordingReader
from fraud.errors import MisconfiguredError
from fraud.money import minor_digits
from tests.support.recordings import CONSTANTS, mapping_of, read_recording

FIRST = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
IDS = st.one_of(
    st.integers(0, 10**12).map(str),
    st.integers(0, 9999).map("{:08d}".format),
    st.integers(0, 99_999).map("{}.0".format),
    st.uuids().map(str),
    st.text(string.ascii_letters + string.digits + "_-.:#", min_size=1, max_size=24).map("i{}".format),
)
CURRENCIES = ("EUR", "JPY", "KWD", "USD")
SIGNS = {"EUR": "€", "JPY": "¥ ", "KWD": "KWD", "USD": "$ "}

bounded = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

rows = st.lists(
    st.tuples(
        IDS,
        st.integers(0, 3 * 365 * 86_400),
        IDS,
        IDS,
        st.integers(0, 10**8),
        st.sampled_from(CURRENCIES),
        st.integers(0, 10**8),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[0],
)
TIMES: dict[str, tuple[dict[str, Any], Any]] = {
    "iso with zone": ({}, lambda t: t.isoformat()),
    "iso with another zone": ({}, lambda t: t.astimezone(ZoneInfo("Asia/Kolkata")).isoformat(" ")),
    "iso in UTC": ({}, lambda t: t.strftime("%Y-%m-%d %H:%M:%S")),
    "in a fixed zone": (
        {"zone": "Asia/Tokyo"},
        lambda t: t.astimezone(ZoneInfo("Asia/Tokyo")).strftime("%Y-%m-%dT%H:%M:%S"),
    ),
    "day first": ({"format": "%d/%m/%Y %H:%M:%S"}, lambda t: t.strftime("%d/%m/%Y %H:%M:%S")),
    "month first": ({"format": "%m-%d-%Y %H.%M.%S"}, lambda t: t.strftime("%m-%d-%Y %H.%M.%S")),
    "seconds": ({"unit": "s"}, lambda t: str(int(t.timestamp()))),
    "milliseconds": ({"unit": "ms"}, lambda t: str(int(t.timestamp() * 1000))),
    "microseconds": ({"unit": "us"}, lambda t: str(int(t.timestamp()) * 10**6)),
    "since a day": (
        {"unit": "s", "origin": "2018-06-01T00:00:00+02:00"},
        lambda t: str(int((t - dt.datetime(2018, 5, 31, 22, tzinfo=dt.UTC)).total_seconds())),
    ),
}
LABELS = (("1", "0"), ("True", "False"), ("Yes", "No"), ("1.0", "0.0"), ("'1'", "'0'"), ("FRAUD", "genuine"))


def amount(minor: int, digits: int, decimal: str, thousands: str, sign: str) -> str:
    whole, rest = divmod(minor, 10**digits)
    shown = f"{whole:,}".replace(",", thousands)
    return f"{sign}{shown}" + (f"{decimal}{rest:0{digits}d}" if digits else "")


@bounded
@given(
    rows=rows,
    time=st.sampled_from(sorted(TIMES)),
    separator=st.sampled_from([*",;\t|^~: \x01"]),
    marks=st.sampled_from([(".", ""), (",", "."), (".", ","), (",", " "), (".", "'")]),
    signed=st.booleans(),
    label=st.sampled_from(LABELS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    quote=st.sampled_from(['"', "'"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    packed=st.booleans(),
)
def test_a_text_file_in_any_dialect_is_read_as_it_was_meant(
    tmp_path: Path, rows: list[Any], time: str, separator: str, marks: tuple[str, str], signed: bool,
    label: tuple[str, str], encoding: str, quoting: int, quote: str, line_end: str, packed: bool,
) -> None:  # fmt: skip
    decimal, thousands = marks
    times, write_time = TIMES[time]
    text = io.StringIO()
    form = {}
    if quoting == csv.QUOTE_MINIMAL and quote == "'":
        form = {"format": {"quote": quote}}  # the header does not say it
    writer = csv.writer(text, delimiter=separator, quoting=quoting, quotechar=quote, lineterminator=line_end)  # type: ignore[arg-type]
    writer.writerow(["id", "when", "card", "shop", "total", "ccy", "billed", "bad"])
    for name, second, card, shop, minor, currency, billed, fraud in rows:
        moment = FIRST + dt.timedelta(seconds=second)
        shown = amount(minor, minor_digits(currency), decimal, thousands, SIGNS[currency] if signed else "")
        writer.writerow(
            [
                name,
                write_time(moment),
                card,
                shop,
                shown,
                currency,
                amount(billed, 2, decimal, thousands, ""),
                label[not fraud],
            ]
        )
    data = text.getvalue().encode(encoding)
    file, mapping = tmp_path / "data.bin", tmp_path / "mapping.yaml"
    file.write_bytes(gzip.compress(data) if packed else data)
    own = {"transaction_id": "id", "event_time": "when", "card_token": "card", "customer_id": "card"}
    own |= {"merchant_id": "shop", "amount": "total", "currency": "ccy", "billing_amount": "billed"}
    constants = {name: value for name, value in CONSTANTS.items() if name != "currency"}
    document = {"columns": own, "constants": constants, "time": times, "label": {"column": "bad"}}
    money = {"decimal": decimal, "thousands": "" if thousands in (" ", "'") else thousands}
    mapping.write_text(yaml.safe_dump(document | {"money": money} | form))

    found = [
        row | {"fraud": fraud}
        for part in read_recording(file, mapping)
        for row, fraud in zip(part.transactions.to_pylist(), part.is_fraud.to_pylist(), strict=True)
    ]
    by_id = {row["transaction_id"]: row for row in found}
    assert len(found) == len(by_id) == len(rows)
    for name, second, card, shop, minor, currency, billed, fraud in rows:
        row = by_id[name]
        assert (row["card_token"], row["merchant_id"], row["currency"]) == (card, shop, currency)
        assert (row["amount_minor"], row["billing_amount_minor"], row["fraud"]) == (minor, billed, fraud)
        assert row["event_time"] == FIRST + dt.timedelta(seconds=second)


@bounded
@given(
    st.lists(st.booleans(), min_size=1, max_size=12).filter(any),
    st.integers(0, 3),
    st.sampled_from([b"\xff", b"\xc3("]),
)
def test_a_row_with_broken_bytes_is_named_and_the_others_are_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], broken: list[bool], more: int, piece: bytes
) -> None:
    """Some of the broken rows have too many cells as well, and blank lines stand between."""
    lines = [b"id,time,card,shop,amount", *["good,2026-03-01,c,caf\u00e9-\u00fc,1".encode()] * 20]
    places = []
    for number, is_broken in enumerate(broken):
        lines += [b""] * (number % 3 == 2)
        places += [len(lines) + 1] * is_broken
        shop = b"s" + (piece + b",x" * more) * is_broken
        lines.append(b"t%d,2026-03-01,c,%b,1" % (number, shop))
    file, bad = tmp_path / "recording", tmp_path / "bad.jsonl"
    file.write_bytes(b"\n".join(lines))
    own = {"transaction_id": "id", "event_time": "time", "card_token": "card", "customer_id": "card"}
    mapping = mapping_of(
        tmp_path, {"columns": own | {"merchant_id": "shop", "amount": "amount"}, "hashed": ["merchant_id"]}
    )
    reader = RecordingReader(file, load_mapping(str(mapping)), "EUR", OnBadRow.DEAD_LETTER, bad)
    read = {row for part in reader.read() for row in part.transactions["transaction_id"].to_pylist()}
    assert read == {"good", *(f"t{number}" for number, is_broken in enumerate(broken) if not is_broken)}
    assert sorted(json.loads(line)["row"] for line in bad.read_text().splitlines()) == places
    assert capfd.readouterr().err == ""


INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)


@bounded
@given(st.data())
def test_a_number_is_the_same_in_every_width(tmp_path: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([*INTEGERS, pl.Float32, pl.Float64]))
    highest = {pl.Int8: 127, pl.UInt8: 255, pl.Int16: 32_767, pl.UInt16: 65_535, pl.Float32: 2**24 - 1}
    values = data.draw(st.lists(st.integers(0, highest.get(kind, 2**31 - 1)), min_size=1, max_size=8))
    file = tmp_path / "data.parquet"
    number = pl.Series(values, dtype=kind)
    pl.DataFrame({"id": [f"t{i}" for i in range(len(values))], "n": number, "shop": "s"}).write_parquet(file)
    mapping = tmp_path / "mapping.yaml"
    columns = {"transaction_id": "id", "event_time": "n", "card_token": "n", "customer_id": "n", "merchant_id": "shop"}
    document = {"columns": columns | {"amount": "n"}, "constants": CONSTANTS, "time": {"unit": "s"}}
    mapping.write_text(yaml.safe_dump(document))
    read = {r["transaction_id"]: r for part in read_recording(file, mapping) for r in part.transactions.to_pylist()}
    for place, value in enumerate(values):
        row = read[f"t{place}"]
        assert (row["card_token"], row["amount_minor"]) == (str(value), value * 100)
        assert row["event_time"] == dt.datetime.fromtimestamp(value, dt.UTC)


SCRIPTS = ("0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "०१२३४५६७८९", "0123456789")
BACK = ("-{}", "{}-", "\u2212{}", "({})", "{} CR", "{}cr")
SIGNED = {"EUR": ("€{}", "{} €", "EUR {}", "{}EUR"), "CHF": ("CHF {}", "Fr. {}"), "INR": ("₹{}", "Rs. {}", "Rs.{}")}
SIGNED |= {"USD": ("${}", "US$ {}", "{} USD"), "SEK": ("{} kr", "kr. {}"), "BRL": ("R$ {}",)}


@bounded
@given(
    minors=st.lists(st.integers(1, 10**8), min_size=1, max_size=6),
    currency=st.sampled_from(sorted(SIGNED)),
    other=st.sampled_from(sorted(SIGNED)),
    marks=st.sampled_from(
        [(".", ","), (",", "."), (".", "'"), (".", "\u2019"), (",", "\u00a0"), (",", "\u202f"), (",", " ")]
    ),
    script=st.sampled_from(SCRIPTS),
    guarded=st.booleans(),
    data=st.data(),
)
def test_an_amount_is_read_as_written_or_its_row_is_named(
    tmp_path: Path, minors: list[int], currency: str, other: str, marks: tuple[str, str], script: str, guarded: bool,
    data: st.DataObject,
) -> None:  # fmt: skip
    """With signs and minuses on either side, in digits of any script; a sign of another currency is never read over."""
    lines, wanted = [], {}
    for place, minor in enumerate(minors):
        back, shown_as = data.draw(st.booleans()), data.draw(st.sampled_from(["", currency, other]))
        text = amount(minor, 2, *marks, "").translate(str.maketrans("0123456789", script))
        text = data.draw(st.sampled_from(SIGNED[shown_as])).format(text) if shown_as else text
        text = data.draw(st.sampled_from(BACK)).format(text) if back else text
        if shown_as in ("", currency):
            wanted[f"t{place}"] = (minor, "refund" if back else "purchase")
        lines.append(f"t{place}\t2026-03-01\tc\ts\t" + (f'"=""{text}"""' if guarded else text))
    file = tmp_path / "data.tsv"
    file.write_text("\n".join(["id\ttime\tcard\tshop\tamount", *lines]))
    own = {"transaction_id": "id", "event_time": "time", "card_token": "card", "customer_id": "card"}
    decimal, thousands = marks[0], marks[1] if marks[1] in ",." else ""
    mapping = mapping_of(
        tmp_path,
        {
            "columns": own | {"merchant_id": "shop", "amount": "amount"},
            "constants": CONSTANTS | {"currency": currency},
            "money": {"decimal": decimal, "thousands": thousands, "negative": "refund"},
            "rates": {currency: 1.0},
            "format": {"separator": "\t"},
        },
    )
    reader = RecordingReader(file, load_mapping(str(mapping)), "EUR", OnBadRow.DEAD_LETTER)
    frames = list(reader.converted())
    read = {row["transaction_id"]: row for frame in frames for row in frame.rows(named=True)}
    assert {name: (row["amount_minor"], row["transaction_type"]) for name, row in read.items()} == wanted
    assert reader.findings.bad == len(minors) - len(wanted)


FORMS = (
    *("%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%d.%m.%y %H:%M", "%d-%b-%Y %H:%M:%S", "%d/%b/%Y:%H:%M:%S +0000"),
    *("%a, %d %b %Y %H:%M:%S +0000", "%a %b %d %H:%M:%S %Y", "%Y/%m/%d %H:%M", "%Y%m%d%H%M%S", "%Y%m%d%H%M"),
    *("%Y-%m-%dT%H:%M:%S\u221201:00", "%Y-%m-%dT%H:%M:%SZ[UTC]", "%Y年%m月%d日 %H:%M", "%d-%b-%y %I.%M.%S.000000 %p"),
)
COUNTS = {"": 1, ".0": 1, "000": 1, "000.0": 1, "000000": 1, "000000000": 1}


@bounded
@given(
    form=st.sampled_from([*FORMS, *COUNTS, "days", "days,"]),
    minutes=st.lists(st.integers(0, 20 * 525_600), min_size=1, max_size=5),
    script=st.sampled_from(SCRIPTS),
)
def test_a_time_in_a_form_that_people_have_is_proposed_right(
    tmp_path: Path, form: str, minutes: list[int], script: str
) -> None:
    # The thirteenth of a month says which is the day; September 2001 to the end of 2021, and 2030.
    first = dt.datetime(2001, 9, 13, tzinfo=dt.UTC)
    times = [
        first,
        *(first + dt.timedelta(minutes=minute) for minute in minutes),
        dt.datetime(2030, 1, 31, 13, 5, tzinfo=dt.UTC),
    ]
    if form in FORMS:
        written = [time.strftime(form).translate(str.maketrans("0123456789", script)) for time in times]
    elif form in COUNTS:
        written = [f"{int(time.timestamp())}{form}" for time in times]
    else:
        days = [(time - dt.datetime(1899, 12, 30, tzinfo=dt.UTC)) / dt.timedelta(days=1) for time in times]
        written = [f"{day:.9f}".replace(".", "," if form == "days," else ".") for day in days]
    file, mapping = tmp_path / "data.csv", tmp_path / "mapping.yaml"
    rows = (f"t{place};{time};c{place};s;5.00" for place, time in enumerate(written))
    file.write_text("\n".join(["id;time;card;shop;amount", *rows]))
    recording = open_recording(file)
    mapping.write_text(write_yaml(propose(recording, "EUR"), recording.described, "data.csv"))
    found = {
        row["transaction_id"]: row for part in read_recording(file, mapping) for row in part.transactions.to_pylist()
    }
    east = dt.timedelta(hours=1) if "\u2212" in form else dt.timedelta(0)
    for place, time in enumerate(times):
        assert abs(found[f"t{place}"]["event_time"] - time - east) < dt.timedelta(seconds=1)


DATES = json.loads((Path(__file__).parents[1] / "fixtures" / "dates_in_languages.json").read_text())
"""The thirteenth of each month of 2024 as ICU writes it: a source of names of months that is not ours."""


@pytest.mark.parametrize("language", DATES)
def test_names_of_months_are_read_in_the_languages_that_recordings_have(tmp_path: Path, language: str) -> None:
    file, mapping = tmp_path / "data.csv", tmp_path / "mapping.yaml"
    rows = (f"t{place};{date};c{place};s;5.00" for place, date in enumerate(DATES[language], 1))
    file.write_text("\n".join(["id;time;card;shop;amount", *rows]))
    recording = open_recording(file)
    mapping.write_text(write_yaml(propose(recording, "EUR"), recording.described, "data.csv"))
    (part,) = read_recording(file, mapping)
    months = {row["transaction_id"]: row["event_time"] for row in part.transactions.to_pylist()}
    assert months == {f"t{month}": dt.datetime(2024, month, 13, tzinfo=dt.UTC) for month in range(1, 13)}


VERDICTS = (
    *(("Y", "N"), ("TRUE", "false"), ("1.0", "0.0"), ("01", "00"), ("+1", "0"), ("1e0", "0e0"), ("ja", "nein")),
    *(("Sí", "No"), ("oui", "non"), ("CONFIRMED_FRAUD", "cleared"), ("chargeback", "settled"), ("2", "1"), ("-1", "1")),
    *(("x", ""), ("1", "NULL"), ("Fraud", "no fraud")),
)


@bounded
@given(verdicts=st.sampled_from(VERDICTS), marked=st.lists(st.booleans(), min_size=3, max_size=12))
def test_the_spelling_of_a_label_is_found_and_the_rarer_is_fraud(
    tmp_path: Path, verdicts: tuple[str, str], marked: list[bool]
) -> None:
    marked = [*marked, True, *[False] * (len(marked) + 2)]
    file, mapping = tmp_path / "data.csv", tmp_path / "mapping.yaml"
    rows = (f"t{place},2026-03-01,c,s,5.00,{verdicts[not fraud]}" for place, fraud in enumerate(marked))
    file.write_text("\n".join(["id,time,card,shop,amount,is_fraud", *rows]))
    recording = open_recording(file)
    mapping.write_text(write_yaml(propose(recording, "EUR"), recording.described, "data.csv"))
    (part,) = read_recording(file, mapping)
    assert [bool(fraud) for fraud in part.is_fraud.to_pylist()] == marked


@bounded
@given(
    word=st.sampled_from(["NULL", "\\N", "NaN", "N/A", "None", "-"]),
    gaps=st.lists(st.booleans(), min_size=1, max_size=9),
)
def test_words_that_stand_where_nothing_is_make_nobody_the_same_device(
    tmp_path: Path, word: str, gaps: list[bool]
) -> None:
    file, mapping = tmp_path / "data.csv", tmp_path / "mapping.yaml"
    rows = (f"t{place},2026-03-01,c,s,5.00,{word if gap else f'd{place}'}" for place, gap in enumerate(gaps))
    file.write_text("\n".join(["id,time,card,shop,amount,device_id", "t,2026-03-01,c,s,5.00,d", *rows]))
    recording = open_recording(file)
    mapping.write_text(write_yaml(propose(recording, "EUR"), recording.described, "data.csv"))
    (part,) = read_recording(file, mapping)
    wanted = ["d", *(None if gap else f"d{place}" for place, gap in enumerate(gaps))]
    assert part.transactions["device_id"].to_pylist() == wanted


TEXTS = (
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.large_binary(),
    pa.dictionary(pa.int8(), pa.string()),
)
MONEY = (pa.float64(), *(form(9, 2) for form in (pa.decimal32, pa.decimal64, pa.decimal128, pa.decimal256)), *TEXTS)
ZONES = (None, "UTC", "Europe/Brussels", "+05:30", "-03:00")
MOMENTS = (
    *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in ZONES),
    pa.date32(),
    pa.date64(),
    *TEXTS,
)


@bounded
@given(
    rows=st.lists(st.tuples(IDS, st.integers(0, 20_000), st.integers(0, 9_999_999)), min_size=1, max_size=6),
    word=st.sampled_from(TEXTS),
    number=st.sampled_from(MONEY),
    moment=st.sampled_from(MOMENTS),
    nested=st.booleans(),
)
def test_a_value_is_the_same_in_every_type_of_a_parquet_file(
    tmp_path: Path, rows: list[Any], word: pa.DataType, number: pa.DataType, moment: pa.DataType, nested: bool
) -> None:
    """Beside columns that nobody asked for, of types that no field of ours can have."""
    days = [dt.date(1990, 1, 1) + dt.timedelta(days=day) for _, day, _ in rows]
    midnights = [dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC) for day in days]
    amounts = [Decimal(minor).scaleb(-2) for *_, minor in rows]
    is_text = word_like(moment)
    times = (
        [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in midnights] if is_text else days if pa.types.is_date(moment) else midnights
    )
    card = column([name for name, *_ in rows], word)
    table = {
        "id": pa.array([f"t{place}" for place in range(len(rows))]),
        "at": column(times, moment),
        "amount": column([str(amount) for amount in amounts] if word_like(number) else amounts, number),
        "card": pa.StructArray.from_arrays([card], ["token"]) if nested else card,
        "list": pa.array([[1, 2]] * len(rows)),
        "took": pa.array([dt.timedelta(seconds=1)] * len(rows)),
        "map": pa.array([[("a", 1)]] * len(rows), pa.map_(pa.string(), pa.int8())),
    }
    file = tmp_path / "data.parquet"
    pq.write_table(pa.table(table), file, store_schema=True)
    name = "card.token" if nested else "card"
    own = {"transaction_id": "id", "event_time": "at", "card_token": name, "customer_id": name, "amount": "amount"}
    mapping = mapping_of(tmp_path, {"columns": own, "constants": CONSTANTS | {"merchant_id": "s"}})
    found = {
        row["transaction_id"]: row for part in read_recording(file, mapping) for row in part.transactions.to_pylist()
    }
    for place, ((token, _, minor), at) in enumerate(zip(rows, midnights, strict=True)):
        row = found[f"t{place}"]
        assert (row["card_token"], row["amount_minor"], row["event_time"]) == (token, minor, at)
    assert set(open_recording(file).columns) == {*table, *([name] if nested else [])} - ({"card"} if nested else set())
    propose(open_recording(file), "EUR")


def word_like(kind: pa.DataType) -> bool:
    return kind in TEXTS


def column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values).dictionary_encode().cast(kind)
    if pa.types.is_floating(kind):
        values = [float(value) for value in values]
    return pa.array(
        [value.encode() for value in values] if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else values,
        kind,
    )


@pytest.mark.parametrize(
    ("kind", "beyond"), [(pa.float16(), 2**11 + 2), (pa.float32(), 2**24 + 2), (pa.float64(), 2.0**53 + 2)]
)
def test_an_id_that_a_float_cannot_hold_exactly_is_refused(tmp_path: Path, kind: pa.DataType, beyond: float) -> None:
    file = tmp_path / "data.parquet"
    own = {"transaction_id": "n", "event_time": "at", "card_token": "n", "customer_id": "n"}
    mapping = mapping_of(tmp_path, {"columns": own, "constants": CONSTANTS | {"merchant_id": "s", "amount_minor": 1}})
    good = pa.table({"n": pa.array([np.float16(7)]).cast(kind), "at": ["2026-03-01"]})
    pq.write_table(good, file)
    assert read_recording(file, mapping)[0].transactions["card_token"].to_pylist() == ["7"]
    pq.write_table(good.set_column(0, "n", pa.array([np.float64(beyond)]).cast(kind)), file)
    with pytest.raises(MisconfiguredError, match=r"row 1, column n, .*: transaction_id is no id"):
        read_recording(file, mapping)


@bounded
@given(rows=rows, time=st.sampled_from(["iso with zone", "seconds", "milliseconds"]))
def test_a_proposal_reads_what_it_was_made_for(tmp_path: Path, rows: list[Any], time: str) -> None:
    _, write_time = TIMES[time]
    file = tmp_path / "data.csv"
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened, delimiter=";")
        writer.writerow(["Payment ID", "created_at", "card_id", "merchant", "amount", "currency", "billing_amount_eur"])
        for name, second, card, shop, minor, currency, billed, _ in rows:
            shown = amount(minor, minor_digits(currency), ".", "", "")
            moment = write_time(FIRST + dt.timedelta(seconds=second))
            writer.writerow([name, moment, card, shop, shown, currency, amount(billed, 2, ".", "", "")])
    recording = open_recording(file)
    mapping = tmp_path / "mapping.yaml"
    proposal = propose(recording, "EUR")
    mapping.write_text(write_yaml(proposal, recording.described, "data.csv"))
    reader = RecordingReader(file, load_mapping(str(mapping)), "EUR")
    found = {row["transaction_id"]: row for part in reader.read() for row in part.transactions.to_pylist()}
    for name, second, card, _, minor, currency, billed, _ in rows:
        row = found[name]
        assert (row["card_token"], row["currency"]) == (card, currency)
        assert (row["amount_minor"], row["billing_amount_minor"]) == (minor, billed)
        assert row["event_time"] == FIRST + dt.timedelta(seconds=second)


PIECES = [
    b"\0",
    b'"',
    b"\n",
    b",",
    b";",
    b"{",
    b"[",
    b"NaN",
    b"1e400",
    b"9" * 40,
    b"-",
    b"\xef\xbb\xbf",
    b"null",
    b"\xff",
    b"\xc3(",
    b"\x80",
    b"\r",
    b"'",
    b"\\",
    b"PK\x03\x04",
]
GOOD = (
    b"id,time,card,shop,amount,fraud\nt1,2026-03-01 10:00:00,c1,s1,1.50,0\nt2,2026-03-01 10:00:01,c2,s1,2,1\n",
    b'{"id": "t1", "time": "2026-03-01T10:00:00Z", "card": "c", "shop": {"id": "s"}, "amount": 1.5}\n',
)


@settings(bounded, max_examples=120)
@given(
    st.sampled_from([*GOOD, *(gzip.compress(data) for data in GOOD), GOOD[0].decode().encode("utf-16")]),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 12), st.sampled_from(PIECES)), max_size=6),
)
def test_a_damaged_recording_is_read_or_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], data: bytes, damage: list[tuple[int, int, bytes]]
) -> None:
    for at, removed, piece in damage:
        data = data[:at] + piece + data[at + removed :]
    file, mapping = tmp_path / "recording", tmp_path / "mapping.yaml"
    file.write_bytes(data)
    refused = ""
    try:
        recording = open_recording(file)
        mapping.write_text(write_yaml(propose(recording, "EUR"), recording.described, "recording"))
        reader = RecordingReader(file, load_mapping(str(mapping)), "EUR", OnBadRow.DEAD_LETTER, tmp_path / "bad.jsonl")
        reader.check()
        assert not any("\n" in line for line in reader.warnings())
    except MisconfiguredError as error:
        refused = str(error)
    assert "\n" not in refused
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["2.29E+15", "4.0E+12"])
def test_an_id_that_a_spreadsheet_cut_is_never_read(tmp_path: Path, name: str) -> None:
    file, mapping = tmp_path / "data.csv", tmp_path / "mapping.yaml"
    file.write_text(f"id,time,card,shop,amount\n1,2026-01-01,{name},s,1\n")
    columns = {"transaction_id": "id", "event_time": "time", "card_token": "card", "customer_id": "card"}
    mapping.write_text(
        yaml.safe_dump({"columns": columns | {"merchant_id": "shop", "amount": "amount"}, "constants": CONSTANTS})
    )
    with pytest.raises(MisconfiguredError, match="spreadsheet"):
        read_recording(file, mapping)
