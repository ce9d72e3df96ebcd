from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from adapters.recorded import MAPPING_FOLDER, load_mapping, read_recorded
from fraud.card_number import contains_card_number
from fraud.decode import TRANSACTIONS
from fraud.encode import encode
from fraud.errors import MisconfiguredError

HANDBOOK = Path(__file__).parents[4] / "shared" / "data" / "handbook" / "transactions.parquet"

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
    (part,) = read_recorded(file, load_mapping(mapping))
    assert TRANSACTIONS.decode(encode(part.transactions)).rejects == []
    return pl.DataFrame(part.transactions), part.is_fraud.to_pylist(), part.label_ms.to_pylist()


def test_sparkov_files_are_read_in_event_order_with_card_numbers_hashed(tmp_path: Path) -> None:
    rows, is_fraud, label_ms = read(tmp_path, SPARKOV, "sparkov")
    assert rows["transaction_id"].to_list() == ["324cc204", "2da90c7d"]
    assert rows["billing_amount_minor"].to_list() == [2984, 286]
    assert rows["mcc"].to_list() == ["5541", "5311"]
    assert rows["channel"].to_list() == ["pos", "ecommerce"]
    assert is_fraud == [False, True]
    assert rows["event_time"][0] == dt.datetime(2020, 6, 21, 12, 13, tzinfo=dt.UTC)
    assert label_ms[0] == dt.datetime(2020, 6, 28, 12, 13, tzinfo=dt.UTC).timestamp() * 1000
    assert not contains_card_number("".join(rows["card_token"]).encode())
    assert rows["card_token"].n_unique() == 2


def test_ieee_cis_times_count_from_their_origin_and_cards_are_named_by_several_columns(tmp_path: Path) -> None:
    rows, is_fraud, _ = read(tmp_path, IEEE_CIS, "ieee_cis")
    assert rows["event_time"][0] == dt.datetime(2017, 12, 2, tzinfo=dt.UTC)  # 86,400 s after 1 December
    assert rows["amount_minor"].to_list() == [6850, 2900]
    assert rows["transaction_id"].to_list() == ["t-2987000", "t-2987001"]
    assert rows["card_token"].n_unique() == 2
    assert is_fraud == [False, True]


@pytest.mark.parametrize("name", sorted(file.stem for file in MAPPING_FOLDER.glob("*.yaml")))
def test_every_shipped_mapping_is_well_formed(name: str) -> None:
    assert load_mapping(name).columns


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    pl.DataFrame(SPARKOV).drop("amt").write_csv(file)
    with pytest.raises(MisconfiguredError, match="has no column amt"):
        list(read_recorded(file, load_mapping("sparkov")))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("columns: {speed: V}", "speed is no field"),
        ("columns: {event_time: T}\nsize: 1", "size"),
        ("columns: [", "while parsing"),
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
        list(read_recorded(file, load_mapping(str(mapping))))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.parquet"
    file.write_bytes(b"no")
    with pytest.raises(MisconfiguredError, match="neither CSV nor Parquet"):
        list(read_recorded(file, load_mapping("handbook")))


@pytest.mark.skipif(not HANDBOOK.exists(), reason=f"{HANDBOOK} is absent")
def test_the_handbook_is_read_with_its_amounts_and_labels() -> None:
    theirs = pl.read_parquet(HANDBOOK).sort("TX_DATETIME", maintain_order=True).head(20_000)
    parts = list(read_recorded(HANDBOOK, load_mapping("handbook"), rows=20_000, batch_rows=7_000))
    ours = pl.concat([pl.DataFrame(part.transactions) for part in parts])
    assert [part.transactions.num_rows for part in parts] == [7_000, 7_000, 6_000]
    assert ours["billing_amount_minor"].sum() == round(theirs["TX_AMOUNT"].sum() * 100)
    assert sum(part.is_fraud.true_count for part in parts) == theirs["TX_FRAUD"].sum()
