"""The reference page says of every feature what the catalogue defines."""

from __future__ import annotations

from fraud.entities import CARD
from fraud.features import CATALOGUE, aggregates
from fraud.features.catalogue import Feature
from scripts.reference.features import features_page


def row_of(name: str) -> list[str]:
    (row,) = (line for line in features_page().splitlines() if line.startswith(f"| `{name}` |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_every_feature_has_one_row_and_every_aggregate_a_meaning() -> None:
    page = features_page()
    for feature in CATALOGUE:
        assert row_of(feature.name)[-1] == feature.why
        assert f"| {feature.aggregate.name} | " in page.split("## Aggregates")[1]


def test_windows_half_lives_and_delays_are_written_out() -> None:
    assert row_of("merchant_fraud_rate_24h")[1:4] == [
        "flagged share",
        "24 h, ending 7 d before",
        "fraud by an arrived label",
    ]
    assert row_of("card_decayed_sum_3d")[1:4] == ["decayed sum", "half-life 3 d", "amount"]
    assert row_of("card_merchants_1h")[1:5] == ["distinct", "1 h", "merchant", "merchants"]
    assert row_of("card_count_10m")[1:4] == ["count", "10 min", ""]


def test_a_new_entry_appears_by_itself() -> None:
    entry = Feature("card_most_5m", CARD, aggregates.MAX, "base currency", "a test", window_ms=300_000)
    assert "| `card_most_5m` | max | 5 min | amount | base currency | a test |" in features_page((entry,))
