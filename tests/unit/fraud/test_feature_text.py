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


@pytest.mark.parametrize("name", [feature.name for feature in CATALOGUE])
def test_every_feature_has_words(name: str) -> None:
    assert describe_value(name, 1.5, "JPY")
    assert "unknown" in describe_value(name, None, "JPY")
