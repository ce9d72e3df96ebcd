from __future__ import annotations

import pytest

from fraud.feature_text import describe_value
from fraud.features.catalogue import CATALOGUE


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("card_count_24h", 1234.0, "1,234 transactions of this card in 24 hours"),
        ("card_mean_30d", 75.255, "the mean of this card in 30 days is EUR 75.26"),
        ("card_merchants_1h", 6.0, "6 merchants for this card in an hour"),
        ("card_since_last_s", 90.0, "2 min since the last transaction of this card"),
        ("card_new_device_30d", 1.0, "first use of this device in 30 days"),
        ("card_new_device_30d", 0.0, "not: first use of this device in 30 days"),
        ("card_speed_kmh", None, "unknown km/h from where this card was last present"),
        ("card_count_1h", float("inf"), "unknown transactions of this card in an hour"),
        ("no_such_feature", None, "no_such_feature is unknown"),
        ("no_such_feature", 2.5, "no_such_feature is 2.5"),
    ],
)
def test_value_is_said_in_words(name: str, value: float | None, text: str) -> None:
    assert describe_value(name, value, "EUR") == text


@pytest.mark.parametrize(
    ("name", "value", "usual", "text"),
    [
        # (36 - 6) in the rest of 30 days
        ("card_count_10m", 6.0, 36.0, "6 transactions of this card in 10 minutes; its usual is 1 a day"),
        # (620 - 40) / 29 days
        ("card_sum_24h", 40.0, 620.0, "EUR 40.00 spent with this card in 24 hours; its usual is EUR 20.00 a day"),
        (
            "card_max_24h",
            900.0,
            80.0,
            "the largest amount of this card in 24 hours is EUR 900.00; EUR 80.00 in 30 days",
        ),
        (
            "card_amount_log_z",
            4.2,
            35.5,
            "the amount is 4.2 deviations from what this card usually spends; its mean in 30 days is EUR 35.50",
        ),
        ("card_count_10m", 6.0, None, "6 transactions of this card in 10 minutes"),
        ("card_count_10m", None, 36.0, "unknown transactions of this card in 10 minutes"),
        ("card_count_30d", 36.0, 36.0, "36 transactions of this card in 30 days"),
        ("no_such_feature", 2.5, 1.0, "no_such_feature is 2.5"),
    ],
)
def test_value_is_compared_with_what_is_usual(name: str, value: float | None, usual: float | None, text: str) -> None:
    assert describe_value(name, value, "EUR", usual) == text


@pytest.mark.parametrize("name", [feature.name for feature in CATALOGUE])
def test_every_feature_has_words(name: str) -> None:
    assert describe_value(name, 1.5, "JPY")
    assert "unknown" in describe_value(name, None, "JPY")
