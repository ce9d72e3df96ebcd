"""Lists on standard output."""

from __future__ import annotations

import sys

import pytest

from adapters.program.tables import print_table

ROWS: list[list[object]] = [
    ["card-pace", 1_200, "card_count_1h >= 5\n AND tx_amount > 400"],
    ["far-[bold]away", None, ""],
]


def test_a_list_in_a_pipe_is_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["rule", "hits", "condition"], ROWS)
    assert capsys.readouterr().out == "card-pace\t1200\tcard_count_1h >= 5 AND tx_amount > 400\nfar-[bold]away\t\t\n"


def test_a_list_in_a_terminal_has_its_columns_above_and_shows_text_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(["rule", "hits", "condition"], ROWS)
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("rule", "hits", "condition", "1,200", "far-[bold]away"))
