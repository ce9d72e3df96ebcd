"""What `fraud inspect` proposes for files as people have them; each proposal is tried on its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from cli.main import build_app
from fraud.errors import MisconfiguredError
from tests.support.recordings import read_recording


class Seen(NamedTuple):
    """A file and what its first transaction is.

    Attributes:
        content: of the file.
        first: fields of the first transaction.
        fraud: how many are.
    """

    content: str
    first: dict[str, Any]
    fraud: int = 0


FILES = {
    "a German export": Seen(
        "Transaktions-ID;Datum;Uhrzeit;Karte;Händler;Betrag;Währung\n"
        "1;01.06.2024;12:00;k1;Cafe;1.234,50 €;EUR\n2;13.06.2024;12:05;k2;Imbiss;12,00 €;EUR\n",
        {"event_time": "2024-06-01 12:00:00", "amount_minor": 123_450, "card_token": "k1"},
    ),
    "an American export": Seen(
        "Transaction ID,Date,Time,Card Number,Merchant,Amount,Fraud\n"
        'A1,06/01/2024,1:05:00 PM,x-1111,Shop,"$1,234.50",N\nA2,06/13/2024,1:15:00 PM,x-2222,Shop,($20.00),Y\n',
        {"event_time": "2024-06-01 13:05:00", "amount_minor": 123_450, "transaction_type": "purchase"},
        fraud=1,
    ),
    "a pandas index": Seen(
        ",transaction_id,timestamp,customer_id,merchant,amount,is_fraud\n"
        "0,1001.0,2024-06-01 12:00:00,55.0,m1,12.5,0.0\n1,1002.0,2024-06-01 12:01:00,56.0,m2,13.5,1.0\n",
        {"transaction_id": "1001.0", "card_token": "55.0", "amount_minor": 1_250},
        fraud=1,
    ),
    "a title above the header": Seen(
        "Report of 2024-06-05\n\nid,date,card,merchant,amount\n1,2024-06-01,c1,m1,5\n2,2024-06-02,c2,m2,6\n",
        {"transaction_id": "1", "amount_minor": 500},
    ),
    "a line for a spreadsheet": Seen(
        "sep=;\nid;date;card;merchant;amount\n1;2024-06-01;c1;m1;5,00\n2;2024-06-02;c2;m1;6,00\n",
        {"amount_minor": 500, "card_token": "c1"},
    ),
    "cents": Seen(
        "id,created_at,card_id,merchant_id,amount_cents,currency\n1,2024-06-01T10:00:00Z,c1,m1,500,EUR\n",
        {"amount_minor": 500, "event_time": "2024-06-01 10:00:00"},
    ),
    "crore": Seen(
        'id,date,card,merchant,amount\n1,2024-06-01,c1,m1,"1,23,456.50"\n2,2024-06-01,c1,m1,₹ 500\n',
        {"amount_minor": 12_345_650},
    ),
    "labels in words": Seen(
        "id,date,card,merchant,amount,isFraud\n1,2024-06-01,c1,m1,5,Fraudulent\n2,2024-06-01,c1,m1,5,Not Fraud\n",
        {"transaction_id": "1"},
        fraud=1,
    ),
    "times in two forms of ISO 8601": Seen(
        "id,date,card,merchant,amount\n1,20240601T100000Z,c1,m1,5\n2,2024-06-01T12:00:00.5+0200,c1,m1,5\n",
        {"event_time": "2024-06-01 10:00:00"},
    ),
    "times as a spreadsheet shows large numbers": Seen(
        "id,timestamp,card,merchant,amount\n1,1717236000.123,c1,m1,5\n2,1.717236001e9,c1,m1,5\n",
        {"event_time": "2024-06-01 10:00:00.123000"},
    ),
    "indented JSON with nested objects": Seen(
        json.dumps([{"id": "a", "created": 1717236000, "card": {"fingerprint": "f1"}, "amount": 10.5}], indent=2),
        {"card_token": "f1", "amount_minor": 1_050, "event_time": "2024-06-01 10:00:00"},
    ),
    "objects inside an object": Seen(
        json.dumps({"object": "list", "data": [{"id": "a", "created": 1717236000, "amount": 5}]}),
        {"transaction_id": "a", "amount_minor": 500},
    ),
    "neither ids nor cards": Seen(
        '"Time","V1","Amount","Class"\n0,-1.3,149.62,"0"\n1,1.1,2.69,"1"\n', {"amount_minor": 14_962}, fraud=1
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_the_proposal_reads_the_file_as_it_was_meant(tmp_path: Path, name: str) -> None:
    seen, file, mapping = FILES[name], tmp_path / "file", tmp_path / "mapping.yaml"
    file.write_text(seen.content)
    result = CliRunner().invoke(
        build_app(), ["inspect", str(file), "--write", str(mapping), "--json", str(tmp_path / "j")]
    )
    assert result.exit_code == 0, (result.output, result.exception)
    figures = json.loads((tmp_path / "j").read_text())
    assert (figures["bad_rows"], figures["fraud"]) == (0, seen.fraud)
    (part,) = read_recording(file, mapping)
    assert figures["transactions"] == part.transactions.num_rows
    first = part.transactions.to_pylist()[0]
    assert {field: str(first[field]).removesuffix("+00:00") for field in seen.first} == {
        field: str(value) for field, value in seen.first.items()
    }


def test_card_numbers_are_hashed_and_never_shown(tmp_path: Path) -> None:
    file, mapping, page = tmp_path / "file.csv", tmp_path / "mapping.yaml", tmp_path / "page.html"
    file.write_text("id,date,card_number,merchant,amount\n1,2024-06-01,4111 1111 1111 1111,m1,5\n")
    result = CliRunner().invoke(build_app(), ["inspect", str(file), "--write", str(mapping), "--html", str(page)])
    assert result.exit_code == 0, result.output
    assert "hashed: [card_token, customer_id]" in mapping.read_text()
    for shown in (result.output, mapping.read_text(), page.read_text()):
        assert "4111" not in shown
    assert page.read_text().count("<img") == 1


def test_an_amount_that_no_name_betrays_is_found_by_its_decimals_and_asked_about(tmp_path: Path) -> None:
    file, mapping = tmp_path / "file.csv", tmp_path / "mapping.yaml"
    file.write_text("1,2024-06-01,c1,m1,5.00\n2,2024-06-02,c2,m2,6.00\n")
    result = CliRunner().invoke(build_app(), ["inspect", str(file), "--write", str(mapping)])
    assert result.exit_code == 0, result.output
    assert "amount: is column_5 the amount?" in result.output
    assert "amount: column_5   # low confidence; is column_5 the amount?" in mapping.read_text()


LINES = {
    "id": "1 2 3",
    "when": "2024-06-01 2024-06-02 2024-06-04",
    "card": "c1 c2 c1",
    "amount": "5 6 7",
    "fraud": "0 1 0",
}


@pytest.mark.parametrize(
    ("missing", "figures", "unknown"),
    [
        (["amount"], {"longest_gap_s": 172_800.0, "cards": 2, "fraud": 1}, ["amount_p50"]),
        (["when"], {"amount_p50": 600, "cards": 2, "fraud": 1}, ["first", "longest_gap_s"]),
        (["when", "amount", "card"], {"cards": 1, "fraud": 1}, ["first", "amount_p50"]),
    ],
)
def test_what_no_column_holds_is_left_to_complete_and_the_rest_is_profiled(
    tmp_path: Path, missing: list[str], figures: dict[str, Any], unknown: list[str]
) -> None:
    file, mapping, page = tmp_path / "file.csv", tmp_path / "mapping.yaml", tmp_path / "page.html"
    # A name that says nothing stands for it, with values that are neither.
    there = {("extra" if name in missing else name): text for name, text in LINES.items()}
    rows = zip(*(["x", "y", "z"] if name == "extra" else text.split() for name, text in there.items()), strict=True)
    file.write_text("\n".join(",".join(cells) for cells in [tuple(there), *rows]))
    result = CliRunner().invoke(
        build_app(), ["inspect", str(file), "--write", str(mapping), "--html", str(page), "--json", str(tmp_path / "j")]
    )
    assert result.exit_code == 1, (result.output, result.exception)
    seen = json.loads((tmp_path / "j").read_text())
    assert seen | {"transactions": 3, "bad_rows": 0} | figures == seen
    assert not seen.keys() & set(unknown)
    wanted = {"when": "event_time", "amount": "amount"}
    for name in (wanted[name] for name in missing if name in wanted):
        assert f"  # {name}:   # MISSING: no column holds" in mapping.read_text()
        assert f"{name} (no column holds" in result.output.splitlines()[-1]
        assert "of those not used: extra" in seen["missing"][name]
    for line in (line for line in result.output.splitlines() if line.startswith("{")):
        assert ("event_time" in json.loads(line), "amount_minor" in json.loads(line)) == (
            "when" not in missing,
            "amount" not in missing,
        )
    assert "<img" in page.read_text()
    with pytest.raises(MisconfiguredError, match="has neither a column nor a constant"):
        read_recording(file, mapping)


def test_a_file_of_which_no_row_can_be_read_ends_with_what_to_say(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text("id,date,card,merchant,amount\n1,first of June,c1,m1,5\n2,second of June,c1,m1,6\n")
    result = CliRunner().invoke(build_app(), ["inspect", str(file), "--html", str(tmp_path / "page.html")])
    assert result.exit_code == 1, (result.output, result.exception)
    assert "row 2, column date, 'first of June'" in result.output
    assert result.output.splitlines()[-1] == f"no row of {file} can be read with this mapping"
