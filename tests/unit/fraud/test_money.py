"""The scale of money is said once; a base currency without one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.program.configuration import load_settings
from fraud.errors import MisconfiguredError
from fraud.money import MINOR_DIGITS, format_amount, format_money, minor_units, to_minor


def test_every_currency_of_the_standard_has_its_digits() -> None:
    by_digits = {digits: [code for code, own in MINOR_DIGITS.items() if own == digits] for digits in range(5)}
    # ISO 4217, list one of 2026-01-01: 165 codes with a minor unit.
    assert {digits: len(codes) for digits, codes in by_digits.items()} == {0: 17, 1: 0, 2: 139, 3: 7, 4: 2}
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in MINOR_DIGITS)


@pytest.mark.parametrize(
    ("currency", "amount", "minor", "text"),
    [
        ("EUR", 1_500.0, 150_000, "EUR 1,500.00"),
        ("JPY", 1_500.0, 1_500, "JPY 1,500"),
        ("KWD", 1_500.0, 1_500_000, "KWD 1,500.000"),
        ("CLF", 1_500.0, 15_000_000, "CLF 1,500.0000"),
        ("HRK", 1_500.0, 150_000, "HRK 1,500.00"),  # withdrawn: two digits
    ],
)
def test_one_amount_reads_the_same_in_every_scale(currency: str, amount: float, minor: int, text: str) -> None:
    assert to_minor(amount, currency) == minor
    assert minor / minor_units(currency) == amount
    assert format_money(minor, currency) == text
    assert format_amount(minor, currency) == text.removeprefix(f"{currency} ")


@pytest.mark.parametrize("code", ["EURO", "eur", "ZZZ", "XAU", "HRK", ""])
def test_a_base_currency_without_minor_units_is_refused_with_exit_code_2(code: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"money: {{base_currency: '{code}'}}\n")
    with pytest.raises(MisconfiguredError, match=r"money\.base_currency.*ISO 4217") as refused:
        load_settings(file, {})
    assert refused.value.exit_code == 2
