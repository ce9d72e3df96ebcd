from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.recordings.convert import joined
from adapters.recordings.mapping import MAPPING_FOLDER, load_mapping
from fraud.errors import MisconfiguredError
from fraud.records.card_number import find_card_number
from fraud.records.decode import TRANSACTIONS
from fraud.records.encode import encode
from fraud.records.transaction import TRANSACTION_SCHEMA
from tests.support.recordings import read_recording
from tests.support.records import transaction, wire

HANDBOOK = Path(__file__).parents[5] / "shared" / "data" / "handbook" / "transactions.parquet"

SPARKOV: dict[str, Any] = {
    "trans_date_trans_time": ["2020-06-21 12:14:25", "2020-06-21 12:13:00"],
    "cc_num": [4111111111111111, 5500005555555559],
    "merchant": ["fraud_Kirlin and Sons", "fraud_Sporer-Keebler"],
    "category": ["shopping_net", "gas_transport"],
    "amt": [2.86, 29.84],
    "lat": [33.9, 40.3],
    "long": [-80.9, -110.4],
    "trans_num": ["2da90c7d", "324cc204"],
    "merch_lat": [33.98, 39.45],
    "merch_long": [-81.2, -109.9],
    "is_fraud": [1, 0],
}

IEEE_CIS: dict[str, Any] = {
    "TransactionID": [2987000, 2987001],
    "TransactionDT": [86400, 86401],
    "TransactionAmt": [68.5, 29.0],
    "ProductCD": ["W", "C"],
    "card1": [13926, 2755],
    "card2": [None, 404.0],
    "card3": [150.0, 150.0],
    "card4": ["discover", "mastercard"],
    "card5": [142.0, 102.0],
    "card6": ["credit", "credit"],
    "addr1": [315.0, 325.0],
    "P_emaildomain": [None, "gmail.com"],
    "isFraud": [0, 1],
}


def read(folder: Path, columns: dict[str, Any], mapping: str) -> tuple[pl.DataFrame, list[bool], list[int]]:
    file = folder / "data.csv"
    pl.DataFrame(columns, strict=False).write_csv(file)
    (part,) = read_recording(file, mapping)
    assert TRANSACTIONS.decode(encode(part.transactions)).rejects == []
    return pl.DataFrame(part.transactions), part.is_fraud.to_pylist(), part.label_ms.to_pylist()


def test_sparkov_files_are_read_in_event_order_with_card_numbers_hashed(tmp_path: Path) -> None:
    rows, is_fraud, label_ms = read(tmp_path, SPARKOV, "sparkov")
    assert rows["transaction_id"].to_list() == ["324cc204", "2da90c7d"]
    assert rows["amount_minor"].to_list() == [2984, 286]
    assert rows["mcc"].to_list() == ["5541", "5311"]
    assert rows["channel"].to_list() == ["pos", "ecommerce"]
    assert is_fraud == [False, True]
    assert rows["event_time"][0] == dt.datetime(2020, 6, 21, 12, 13, tzinfo=dt.UTC)
    assert label_ms[0] == dt.datetime(2020, 6, 28, 12, 13, tzinfo=dt.UTC).timestamp() * 1000
    assert find_card_number(" ".join(rows["card_token"]).encode()) is None
    assert rows["card_token"].n_unique() == 2


def test_ieee_cis_times_count_from_their_origin_and_cards_are_named_by_several_columns(tmp_path: Path) -> None:
    rows, is_fraud, _ = read(tmp_path, IEEE_CIS, "ieee_cis")
    assert rows["event_time"][0] == dt.datetime(2017, 12, 2, tzinfo=dt.UTC)  # 86,400 s after 1 December
    assert rows["amount_minor"].to_list() == [6850, 2900]
    assert rows["transaction_id"].to_list() == ["t-2987000", "t-2987001"]
    assert rows["card_token"].n_unique() == 2
    assert is_fraud == [False, True]


NAMING = st.tuples(*[st.none() | st.text("a~-01", min_size=1, max_size=3)] * 3)


@given(st.lists(NAMING, min_size=1, max_size=30, unique=True))
def test_several_columns_name_one_thing_only_where_all_of_them_agree(rows: list[tuple[str | None, ...]]) -> None:
    frame = pl.DataFrame(rows, schema=["a", "b", "c"], schema_overrides=dict.fromkeys("abc", pl.String), orient="row")
    names = frame.select(name=joined([pl.col(name) for name in "abc"]))["name"].to_list()
    assert [name is None for name in names] == [row == (None, None, None) for row in rows]
    assert len(set(names)) == len(rows)


def test_what_several_columns_name_stays_readable() -> None:
    frame = pl.DataFrame({"a": ["W", "W", "a-b"], "b": ["mail", None, "c~"]})
    assert frame.select(name=joined([pl.col("a"), pl.col("b")]))["name"].to_list() == ["W-mail", "W-~", "a~1b-c~0"]


@pytest.mark.parametrize("name", sorted(file.stem for file in MAPPING_FOLDER.glob("*.yaml")))
def test_every_shipped_mapping_is_well_formed(name: str) -> None:
    assert load_mapping(name).over(TRANSACTION_SCHEMA.names).columns


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_our_own_recordings_come_back_field_by_field_whichever_they_have(tmp_path: Path, suffix: str) -> None:
    rows = [
        transaction(transaction_id="t-1", bin="012345", device_id="device-1"),
        transaction(transaction_id="t-2", merchant_lat=48.25, merchant_lon=-0.5, avs_result="match"),
    ]
    sent = TRANSACTIONS.decode(map(wire, rows)).batch
    file = tmp_path / f"transactions.{suffix}"
    kept = [field.name for field in sent.schema if sent[field.name].null_count < 2]  # as from before a field existed
    if suffix == "jsonl":
        file.write_bytes(b"\n".join(encode(sent)))
    else:
        pl.DataFrame(sent.select(kept)).with_columns(of_a_later_version=1).write_parquet(file)
    (part,) = read_recording(file, "generated")
    assert part.transactions.to_pylist() == sent.to_pylist()


def test_a_mapping_wins_over_the_names_that_identity_takes(tmp_path: Path) -> None:
    file, mapping = tmp_path / "transactions.jsonl", tmp_path / "mine.yaml"
    file.write_bytes(wire(transaction() | {"shop": "shop-1"}))
    mapping.write_text("identity: true\ncolumns: {merchant_id: shop}\nconstants: {currency: USD}")
    (part,) = read_recording(file, mapping)
    (row,) = part.transactions.to_pylist()
    assert (row["merchant_id"], row["currency"], row["card_token"]) == ("shop-1", "USD", "card-1")


def test_a_time_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "transactions.jsonl"
    file.write_bytes(wire(transaction() | {"event_time": "yesterday"}))
    with pytest.raises(
        MisconfiguredError,
        match=r"transactions\.jsonl: row 1, column event_time, 'yesterday': event_time is no ISO 8601 time",
    ) as refused:
        read_recording(file, "generated")
    assert "\n" not in str(refused.value)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    pl.DataFrame(SPARKOV).drop("amt").write_csv(file)
    with pytest.raises(MisconfiguredError, match="has no column amt"):
        read_recording(file, "sparkov")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("columns: {speed: V}", "speed is not a field"),
        ("columns: {event_time: T}\nsize: 1", "size"),
        ("columns: [", "not YAML"),
    ],
)
def test_a_mapping_at_fault_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(MisconfiguredError, match=problem) as refused:
        load_mapping(str(file))
    assert "\n" not in str(refused.value)


def test_a_required_field_without_source_is_refused(tmp_path: Path) -> None:
    file, mapping = tmp_path / "data.csv", tmp_path / "mine.yaml"
    pl.DataFrame({"T": ["2026-01-01 00:00:00"]}).write_csv(file)
    mapping.write_text("columns: {event_time: T}")
    with pytest.raises(MisconfiguredError, match="transaction_id has neither a column nor a constant"):
        read_recording(file, mapping)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.parquet"
    file.write_bytes(b"no")
    with pytest.raises(MisconfiguredError, match=r"cannot be read|has no"):
        read_recording(file, "handbook")


@pytest.mark.skipif(not HANDBOOK.exists(), reason=f"{HANDBOOK} is absent")
def test_the_handbook_is_read_with_its_amounts_and_labels() -> None:
    theirs = pl.read_parquet(HANDBOOK).sort("TX_DATETIME", maintain_order=True).head(20_000)
    parts = read_recording(HANDBOOK, "handbook", rows=20_000, batch_rows=7_000)
    ours = pl.concat([pl.DataFrame(part.transactions) for part in parts])
    assert [part.transactions.num_rows for part in parts] == [7_000, 7_000, 6_000]
    assert ours["billing_amount_minor"].sum() == round(theirs["TX_AMOUNT"].sum() * 100)
    assert sum(part.is_fraud.true_count for part in parts) == theirs["TX_FRAUD"].sum()
