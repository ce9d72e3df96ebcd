from __future__ import annotations

import pytest

from fraud.feature_text import describe_value
from fraud.features.catalogue import CATALOGUE


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("card_count_24h", 1234.0, "1,234 transactions of this card in 24 hours"),
        ("card_mean_30d", 75.255, "the mean of this card in 30 days is EUR 75.26"),
        ("card_merchants_1h", 6.0, "6 merchants of this card in an hour"),
        ("card_since_last_s", 90.0, "2 min since the last transaction of this card"),
        ("card_new_device_30d", 1.0, "card_new_device_30d is 1: first use of this device in 30 days"),
        ("card_speed_kmh", None, "card_speed_kmh is unknown"),
        ("card_speed_kmh", float("inf"), "card_speed_kmh is unknown"),
        ("no_such_feature", 2.5, "no_such_feature is 2.5"),
    ],
)
def test_value_is_said_in_words(name: str, value: float | None, text: str) -> None:
    assert describe_value(name, value, "EUR") == text


@pytest.mark.parametrize("name", [feature.name for feature in CATALOGUE])
def test_every_feature_has_words(name: str) -> None:
    assert describe_value(name, 1.5, "JPY")
    assert "unknown" in describe_value(name, None, "JPY")
