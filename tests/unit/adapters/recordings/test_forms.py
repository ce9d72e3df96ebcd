"""Recordings in the forms in which people have them: each is read as it was meant, or refused in one line."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import lzma
import re
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from adapters.recordings.bad_rows import OnBadRow
from adapters.recordings.mapping import load_mapping
from adapters.recordings.reading import RecordingReader
from fraud.errors import MisconfiguredError
from tests.support.recordings import CONSTANTS, mapping_of, read_recording

HEAD = "id,time,card,shop,amount,fraud\n"
PLAIN = "id,time,card,shop,amount\na,2026-03-01 10:00:00,c1,s1,12.50\n"


def columns(**more: str | list[str]) -> dict[str, Any]:
    own = {"transaction_id": "id", "event_time": "time", "card_token": "card", "customer_id": "card"}
    return {"columns": own | {"merchant_id": "shop", "amount": "amount"} | more}


def written(folder: Path, content: bytes | str, name: str = "file.csv") -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def rows_of(folder: Path, content: bytes | str, name: str = "file.csv", **mapping: Any) -> list[dict[str, Any]]:
    file = written(folder, content, name)
    parts = read_recording(file, mapping_of(folder, columns() | mapping))
    return [row for part in parts for row in part.transactions.to_pylist()]


def first(count: int, name: str = "a{}") -> str:
    return "".join(f"{name.format(i)},2026-03-01 10:{i // 60:02}:{i % 60:02},c1,s1,{i + 1},0\n" for i in range(count))


def test_narrow_integers_do_not_overflow(tmp_path: Path) -> None:
    file = tmp_path / "narrow.parquet"
    table = pa.table(
        {
            "id": ["1", "2"],
            "card": ["c", "c"],
            "shop": ["s", "s"],
            "time": pa.array([86_400, 15_811_131], pa.int32()),
            "amount": pa.array([12, 400], pa.int16()),
        }
    )
    pq.write_table(table, file)
    (part,) = read_recording(file, mapping_of(tmp_path, columns() | {"origin": dt.date(2017, 12, 1)}))
    assert part.transactions["amount_minor"].to_pylist() == [1_200, 40_000]
    assert part.transactions["event_time"].to_pylist() == [
        dt.datetime(2017, 12, 2, tzinfo=dt.UTC),
        dt.datetime(2018, 6, 1, 23, 58, 51, tzinfo=dt.UTC),
    ]


AMOUNT = pa.array([decimal.Decimal(101)], pa.decimal128(30, 2))


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint8(), pa.float32(), pa.float64(), pa.decimal128(5, 2)])
def test_an_amount_is_the_same_in_every_type_that_a_file_may_have(tmp_path: Path, kind: pa.DataType) -> None:
    file = tmp_path / "data.parquet"
    table = pa.table({"id": ["1"], "card": ["c"], "shop": ["s"], "time": ["2026-03-01"], "amount": AMOUNT.cast(kind)})
    pq.write_table(table, file)
    (part,) = read_recording(file, mapping_of(tmp_path, columns()))
    assert part.transactions["amount_minor"].to_pylist() == [10_100]


@pytest.mark.parametrize(
    ("last", "wanted"),
    [
        ("z,2026-03-02 10:00:00,c1,s1,12.50,0\n", ("z", 1_250)),
        ("00z1,2026-03-02 10:00:00,c1,s1,1.50,0\n", ("00z1", 150)),
        ("0012,2026-03-02T10:00:00Z,c1,s1,.5,0\n", ("0012", 50)),
    ],
)
def test_the_last_row_counts_as_much_as_the_first_hundred(tmp_path: Path, last: str, wanted: tuple[str, int]) -> None:
    rows = rows_of(tmp_path, HEAD + first(150, "{}") + last)
    assert (rows[-1]["transaction_id"], rows[-1]["amount_minor"]) == wanted
    assert len(rows) == 151


@pytest.mark.parametrize(
    ("row", "mapping", "minor"),
    [
        ('a,2026-03-01,c1,s1,"1,234.50",0', {"money": {"thousands": ","}}, 123_450),
        ('a,2026-03-01,c1,s1,"12,50",0', {"money": {"decimal": ","}}, 1_250),
        ('a,2026-03-01,c1,s1,"1.234.567,5",0', {"money": {"decimal": ",", "thousands": "."}}, 123_456_750),
        ("a,2026-03-01,c1,s1,€ 1'234.50,0", {}, 123_450),
        ("a,2026-03-01,c1,s1,1 234.50 EUR,0", {}, 123_450),
        ("a,2026-03-01,c1,s1,€12,0", {}, 1_200),
        ("a,2026-03-01,c1,s1,12.-,0", {}, 1_200),
        ("a,2026-03-01,c1,s1,(12.50),0", {"money": {"negative": "refund"}}, 1_250),
        ("a,2026-03-01,c1,s1,-€12.50,0", {"money": {"negative": "refund"}}, 1_250),
        ("a,2026-03-01,c1,s1,12.50-,0", {"money": {"negative": "refund"}}, 1_250),
        ("a,2026-03-01,c1,s1,1250,0", {"money": {"minor": True}}, 1_250),
        ("a,2026-03-01,c1,s1,10.005,0", {}, 1_001),
        ("a,2026-03-01,c1,s1,9007199254.99,0", {}, 900_719_925_499),
    ],
)
def test_amounts_are_read_as_the_mapping_says_they_are_written(
    tmp_path: Path, row: str, mapping: dict[str, Any], minor: int
) -> None:
    (found,) = rows_of(tmp_path, HEAD + row + "\n", **mapping)
    assert (found["amount_minor"], found["billing_amount_minor"]) == (minor, minor)
    assert found["transaction_type"] == ("refund" if "negative" in str(mapping) else "purchase")


@pytest.mark.parametrize(
    ("time", "mapping", "wanted"),
    [
        ("2026-03-01 10:00:00 -0500", {}, "2026-03-01T15:00:00"),
        ("2026-03-01T10:00:00.123456+01:00", {}, "2026-03-01T09:00:00.123"),
        ("2026-03-01", {}, "2026-03-01T00:00:00"),
        ("03/25/2026 10:00:00", {"format": "%m/%d/%Y %H:%M:%S"}, "2026-03-25T10:00:00"),
        ("25/03/2026", {"format": "%d/%m/%Y"}, "2026-03-25T00:00:00"),
        ("2026-07-01 12:00:00", {"zone": "Europe/Brussels"}, "2026-07-01T10:00:00"),
        ("1717236000", {"unit": "s"}, "2024-06-01T10:00:00"),
        ("1717236000.5", {"unit": "s"}, "2024-06-01T10:00:00.500"),
        ("1717236000123", {"unit": "ms"}, "2024-06-01T10:00:00.123"),
        ("1717236000123456", {"unit": "us"}, "2024-06-01T10:00:00.123"),
        ("1717236000123456789", {"unit": "ns"}, "2024-06-01T10:00:00.123"),
        ("26", {"unit": "h", "origin": "2024-06-01T00:00:00"}, "2024-06-02T02:00:00"),
        ("2", {"unit": "d", "origin": "2024-06-01T00:00:00", "zone": "America/New_York"}, "2024-06-03T04:00:00"),
    ],
)
def test_times_are_read_as_the_mapping_says_they_are_written(
    tmp_path: Path, time: str, mapping: dict[str, str], wanted: str
) -> None:
    (row,) = rows_of(tmp_path, HEAD + f"a,{time},c1,s1,1.50,0\n", time=mapping)
    assert row["event_time"] == dt.datetime.fromisoformat(wanted + "+00:00")


def test_several_columns_make_one_time(tmp_path: Path) -> None:
    content = "id,day,at,card,shop,amount\na,2026-03-01,23:30,c1,s1,1\n"
    (row,) = rows_of(tmp_path, content, **columns(event_time=["day", "at"]))
    assert row["event_time"] == dt.datetime(2026, 3, 1, 23, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (HEAD + 'a,2026-03-01,c1,s1,"1,234.50",0\n', r"file\.csv: row 2, column amount, '1,234\.50': .*thousands"),
        (HEAD + "a,2026-03-01,c1,s1,NaN,0\n", "row 2, column amount, 'NaN'"),
        (HEAD + "b,2026-03-01,c1,s1,1,0\na,,c1,s1,1.50,0\n", "row 3, column time: event_time is missing"),
        (HEAD + "a,03/25/2026 10:00:00,c1,s1,1.50,0\n", r"row 2, column time, '03/25/2026 10:00:00'.*format"),
        (HEAD + "a,2026-02-30,c1,s1,1.50,0\n", "row 2, column time"),
        (HEAD + "2.29E+15,2026-02-03,c1,s1,1.50,0\n", r"row 2, column id, '2\.29E\+15'.*spreadsheet"),
        (HEAD + "a,2026-02-03,c1,s1,-1.50,0\n", "row 2, column amount, '-1.50'.*negative"),
        (HEAD + "a,2026-02-03,c1,s1,$1.50,0\n", r"row 2, column amount, '\$1.50'.*no sign of another currency"),
        (HEAD + "a,2026-02-03,c1,s1,1.50 points,0\n", "row 2, column amount, '1.50 points'"),
        (HEAD + "a,2026-02-03,c1,s1,1.50\n", "row 2: has 5 cells where the header has 6"),
        (HEAD + "b,2026-02-03,c1,s1,1,0\na,2026-02-03,c1,s1,12.50,0,x\n", "row 3: has 7 cells"),
        (HEAD, "has no transaction"),
        ("", "has no rows"),
        (HEAD.replace("fraud", "id") + "a,2026-02-03,c1,s1,1.50,0\n", "two columns of the name id"),
        (HEAD + "a,2026-02-03,a card,s1,1.50,0\n", "column card, 'a card': card_token"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(tmp_path: Path, content: str, problem: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(MisconfiguredError, match=problem) as refused:
        read_recording(file, mapping_of(tmp_path, columns()))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("yes", "no"),
    [("1", "0"), ("1.0", "0.0"), ("True", "False"), ("'1'", "'0'"), ("TRUE", "FALSE"), (" true ", "no"), ('"1"', "x")],
)
def test_labels_are_compared_as_written_in_any_common_spelling(tmp_path: Path, yes: str, no: str) -> None:
    file = written(tmp_path, HEAD + f"1,2026-03-01,c1,s1,1,{yes}\n2,2026-03-01,c1,s1,1,{no}\n3,2026-03-01,c1,s1,1,\n")
    mapping = mapping_of(tmp_path, columns() | {"label": {"column": "fraud", "fraud": ["True", "1"]}})
    (part,) = read_recording(file, mapping)
    assert part.is_fraud.to_pylist() == [True, False, None]


@pytest.mark.parametrize("word", ["Yes", "fraud", "Y", "T", "Chargeback"])
def test_a_label_in_plain_words_needs_no_list_of_values(tmp_path: Path, word: str) -> None:
    file = written(tmp_path, HEAD + f"1,2026-03-01,c1,s1,1,{word}\n2,2026-03-01,c1,s1,1,No\n")
    (part,) = read_recording(file, mapping_of(tmp_path, columns() | {"label": {"column": "fraud"}}))
    assert part.is_fraud.to_pylist() == [True, False]
    file = written(tmp_path, HEAD + "1,2026-03-01,c1,s1,1,perhaps\n")
    with pytest.raises(MisconfiguredError, match="says neither yes nor no"):
        read_recording(file, mapping_of(tmp_path, columns() | {"label": {"column": "fraud"}}))


@pytest.mark.parametrize(
    ("label", "values", "words"),
    [
        ({"column": "fraud", "fraud": ["yes"]}, ["0", "1"], "never says fraud"),
        ({"column": "fraud"}, ["", ""], "is empty in every row"),
        ({"column": "fraud"}, ["1"] * 30, "says fraud in 100%"),
    ],
)
def test_labels_that_look_wrong_are_said(tmp_path: Path, label: dict[str, Any], values: list[str], words: str) -> None:
    lines = "".join(f"{i},2026-03-01,c{i},s{i},1,{value}\n" for i, value in enumerate(values))
    mapping = load_mapping(str(mapping_of(tmp_path, columns() | {"label": label})))
    reader = RecordingReader(written(tmp_path, HEAD + lines), mapping, "EUR")
    reader.check()
    (warning,) = reader.warnings()
    assert words in warning


def test_a_column_of_one_value_and_impossible_times_are_said(tmp_path: Path) -> None:
    lines = "".join(f"{i},{i},same,s{i},0,0\n" for i in range(30))
    mapping = load_mapping(str(mapping_of(tmp_path, columns() | {"time": {"unit": "s"}})))
    reader = RecordingReader(written(tmp_path, HEAD + lines), mapping, "EUR")
    reader.check()
    assert [warning.split(";")[0] for warning in reader.warnings()] == [
        "30 transactions have an amount of 0",
        "card_token same stands in 100% of the rows",
        "event times reach from 1970-01-01 to 1970-01-01",
    ]


DIALECTS = {
    "plain.csv": PLAIN.encode(),
    "bom.csv": b"\xef\xbb\xbf" + PLAIN.encode(),
    "crlf.csv": PLAIN.replace("\n", "\r\n").encode(),
    "semicolon.csv": PLAIN.replace(",", ";").encode(),
    "bar.csv": PLAIN.replace(",", "|").encode(),
    "tab.tsv": PLAIN.replace(",", "\t").encode(),
    "UPPER.CSV": PLAIN.encode(),
    "packed.csv.gz": gzip.compress(PLAIN.encode()),
    "misnamed.parquet": gzip.compress(PLAIN.encode()),
    "text.txt": PLAIN.encode(),
    "utf16.csv": PLAIN.encode("utf-16"),
    "utf16-without-mark.csv": PLAIN.encode("utf-16-le"),
    "blanks.csv": PLAIN.replace(",", ", ").encode(),
    "quoted.csv": re.sub("[^,\n]+", r'"\g<0>"', PLAIN).encode(),
    "no-end.csv": PLAIN.rstrip("\n").encode(),
    "data.json": b'{"id": "a", "time": "2026-03-01 10:00:00", "card": "c1", "shop": "s1", "amount": 12.50}',
    "array.json": b'[\n{"id": "a", "time": "2026-03-01 10:00:00", "card": "c1", "shop": "s1", "amount": 12.50}\n]\n',
    "one-line.json": b'[{"id": "a", "time": "2026-03-01 10:00:00", "card": "c1", "shop": "s1", "amount": "12.50"}]',
}


@pytest.mark.parametrize("name", DIALECTS)
def test_the_form_is_found_in_the_bytes(tmp_path: Path, name: str) -> None:
    (row,) = rows_of(tmp_path, DIALECTS[name], name)
    assert (row["transaction_id"], row["amount_minor"], row["merchant_id"]) == ("a", 1_250, "s1")
    assert row["event_time"] == dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)


def test_zstandard_and_a_western_encoding_are_read(tmp_path: Path) -> None:
    content = "id;time;card;shop;amount\na;2026-03-01;c1;Caf\u00e9;1\n"
    (row,) = rows_of(tmp_path, content.encode("cp1252"), hashed=["merchant_id"])
    packed = pa.compress(content.encode(), "zstd", asbytes=True)
    (same,) = rows_of(tmp_path, packed, "file.csv.zst", hashed=["merchant_id"])
    assert row == same


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04 a workbook", "save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0 an older workbook", "save the sheet as CSV"),
        (lzma.compress(PLAIN.encode()), "unpack it"),
        (gzip.compress(b"\0" * 257 + b"ustar" + b"\0" * 250), "tar"),
        (b"ORC...", "write it as Parquet"),
        (b"SQLite format 3\0...", "export the table as CSV"),
        (b"<?xml version='1.0'?><rows/>", "XML"),
        (bytes(range(256)) * 40, "is no text"),
        (b'{"id": 1, "x": ' + b"[" * 100_000, "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused_by_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(MisconfiguredError, match=words) as refused:
        rows_of(tmp_path, content, "book.csv")
    assert "\n" not in str(refused.value)


def test_a_packed_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress((HEAD + first(5_000)).encode())
    with pytest.raises(MisconfiguredError, match=r"file\.csv: cannot be read"):
        rows_of(tmp_path, whole[:-20])


def test_a_folder_and_a_pattern_are_read_in_event_order(tmp_path: Path) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    for day in (2, 1, 3):
        written(folder, HEAD + f"t{day},2026-03-0{4 - day},c{day},s1,1,0\n", f"day-{day}.csv")
    mapping = mapping_of(tmp_path, columns())
    for path in (folder, folder / "day-*.csv"):
        (part,) = read_recording(path, mapping)
        assert part.transactions["transaction_id"].to_pylist() == ["t3", "t2", "t1"]
    written(folder, "other,columns\n1,2\n", "day-4.csv")
    with pytest.raises(MisconfiguredError, match=r"day-4\.csv: has other columns"):
        read_recording(folder, mapping)


def test_a_currency_a_row_with_its_own_digits_and_what_was_billed(tmp_path: Path) -> None:
    content = (
        "id,time,card,shop,amount,ccy,billed\n"
        "a,2026-03-01,c,s,1500,JPY,9.21\nb,2026-03-01,c,s,1.500,kwd,4.52\nc,2026-03-01,c,s,10,EUR,10\n"
    )
    own = columns(currency="ccy", billing_amount="billed")
    rows = rows_of(tmp_path, content, constants={k: v for k, v in CONSTANTS.items() if k != "currency"}, **own)
    assert [(row["currency"], row["amount_minor"], row["billing_amount_minor"]) for row in rows] == [
        ("JPY", 1500, 921),
        ("KWD", 1500, 452),
        ("EUR", 1000, 1000),
    ]


def test_rates_convert_and_no_amount_is_copied_into_another_currency(tmp_path: Path) -> None:
    content = "id,time,card,shop,amount,ccy\na,2026-03-01,c,s,1500,JPY\nb,2026-03-01,c,s,2,EUR\n"
    own = columns(currency="ccy") | {"constants": {k: v for k, v in CONSTANTS.items() if k != "currency"}}
    rows = rows_of(tmp_path, content, rates={"JPY": 0.006}, **own)
    assert [row["billing_amount_minor"] for row in rows] == [900, 200]
    with pytest.raises(MisconfiguredError, match=r"row 2, column amount and ccy, '1500, JPY': .* not known in EUR"):
        rows_of(tmp_path, content, **own)


def test_two_ids_joined_are_as_different_as_they_were(tmp_path: Path) -> None:
    rows = ["a-,b", "a,-b", "a,b", "a-b,", ",a-b", "a~,b", "a,~b"]
    content = "id,time,one,two,shop,amount\n" + "".join(f"{i},2026-03-01,{row},s,1\n" for i, row in enumerate(rows))
    found = rows_of(tmp_path, content, **columns(card_token=["one", "two"], customer_id="id"))
    assert len({row["card_token"] for row in found}) == len(rows)


def test_values_are_translated_whatever_their_case_and_defaults_fill_gaps(tmp_path: Path) -> None:
    content = "id,time,card,shop,amount,land,way\na,2026-03-01,c,s,1,uk,POS\nb,2026-03-01,c,s,1,,web\n"
    constants = {k: v for k, v in CONSTANTS.items() if k not in ("merchant_country", "channel")}
    rows = rows_of(
        tmp_path,
        content,
        constants=constants,
        values={"merchant_country": {"UK": "GB"}, "channel": {"Web": "ecommerce"}},
        defaults={"merchant_country": "FR"},
        **columns(merchant_country="land", channel="way"),
    )
    assert [(row["merchant_country"], row["channel"]) for row in rows] == [("GB", "pos"), ("FR", "ecommerce")]


def test_bad_rows_become_dead_letters_where_that_is_asked_for(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        HEAD + "a,2026-03-01,c1,s1,one,0\nb,2026-03-01,c1,s1,1\nc,2026-03-01,4111111111111111,s1,x,0\n" + first(2),
    )
    mapping = load_mapping(str(mapping_of(tmp_path, columns())))
    reader = RecordingReader(file, mapping, "EUR", OnBadRow.DEAD_LETTER, tmp_path / "bad.jsonl")
    assert sum(part.transactions.num_rows for part in reader.read()) == 2
    said = "\n".join(reader.warnings())
    assert "3 rows could not be read" in said
    lines = (tmp_path / "bad.jsonl").read_text()
    assert sorted(yaml.safe_load(line)["row"] for line in lines.splitlines()) == [2, 3, 4]


def test_more_rows_than_are_held_at_once_come_in_event_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.recordings.reading._RUN_ROWS", 1_000)
    monkeypatch.setattr("adapters.recordings.reading._GROUP_ROWS", 64)
    monkeypatch.setattr("adapters.recordings.formats._PARQUET_ROWS", 300)
    minutes = pl.int_range(5_000, eager=True).shuffle(seed=3)
    file = tmp_path / "data.parquet"
    pl.DataFrame(
        {"id": minutes.cast(pl.String), "time": minutes * 60, "card": minutes % 7, "shop": "s", "amount": 1.5}
    ).write_parquet(file)
    parts = read_recording(file, mapping_of(tmp_path, columns() | {"time": {"unit": "s"}}), rows=4_500, batch_rows=700)
    found = [name for part in parts for name in part.transactions["transaction_id"].to_pylist()]
    assert found == [str(number) for number in range(4_500)]
    assert [part.transactions.num_rows for part in parts] == [700] * 6 + [300]
