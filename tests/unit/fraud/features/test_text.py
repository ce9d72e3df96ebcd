from __future__ import annotations

import math
import re

import pytest

from fraud.features.catalogue import CATALOGUE, Feature
from fraud.features.text import describe_value, usual_of


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("card_count_24h", 1234.0, "1,234 payments of this card in 24 hours"),
        ("card_mean_30d", 75.255, "the mean amount of this card in 30 days is EUR 75.26"),
        ("card_merchants_1h", 6.0, "6 merchants for this card in an hour"),
        ("card_since_last_s", 90.0, "2 min since the last payment of this card"),
        ("card_count_24h", 1.0, "1 payment of this card in 24 hours"),
        ("card_count_24h", 0.0, "no payments of this card in 24 hours"),
        ("card_sum_1h", 0.0, "nothing spent with this card in an hour"),
        ("card_countries_24h", 1.0, "1 country for this card in 24 hours"),
        ("card_money_back_24h", 1.0, "1 refund, reversal or void of this card in 24 hours"),
        ("card_new_device_30d", 1.0, "first payment of this card from this device in 30 days"),
        ("card_new_device_30d", 0.0, "this card has paid from this device before, within 30 days"),
        ("card_new_device_30d", None, "this payment does not say from which device"),
        ("card_since_last_s", None, "this is the first payment of this card"),
        ("card_speed_kmh", None, "how fast this card would have travelled is not known"),
        ("card_speed_kmh", 2_080.0, "as if this card had travelled at 2,080 km/h since it was last present"),
        ("card_count_1h", float("inf"), "how often this card was used in an hour is not known"),
        ("card_amount_log_z", 0.3, "the amount is about what this card usually spends"),
        (
            "card_amount_log_z",
            -3.0,
            "the amount is far below what this card usually spends (by 3 of its standard deviations)",
        ),
        ("card_observed_days", 0.4, "this card was first seen less than a day ago"),
        ("card_observed_days", 12.7, "this card was first seen 12 days ago"),
        (
            "merchant_fraud_rate_30d",
            0.03,
            "3 % of the payments of this merchant in 30 days turned out to be fraud",
        ),
        ("tx_is_night", None, "not known: paid between midnight and 7 o'clock UTC"),
        ("tx_hour", 13.5, "paid at 13:30 UTC"),
        ("tx_three_ds_doubt", 2 / 3, "the card does not take part in 3-D Secure"),
        ("no_such_feature", None, "no such feature is not known"),
        ("no_such_feature", 2.5, "no such feature is 2.5"),
    ],
)
def test_value_is_said_in_words(name: str, value: float | None, text: str) -> None:
    assert describe_value(name, value, "EUR") == text


@pytest.mark.parametrize(
    ("name", "value", "usual", "text"),
    [
        # (36 - 6) in the rest of 30 days
        ("card_count_10m", 6.0, 36.0, "6 payments of this card in 10 minutes; its usual is 1 a day"),
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
            "the amount is far above what this card usually spends (by 4.2 of its standard deviations); "
            "its mean in 30 days is EUR 35.50",
        ),
        ("card_count_10m", 6.0, None, "6 payments of this card in 10 minutes"),
        ("card_count_10m", None, 36.0, "how often this card was used in 10 minutes is not known"),
        ("card_count_10m", 6.0, 6.0, "6 payments of this card in 10 minutes; usually none"),
        ("card_count_30d", 36.0, 36.0, "36 payments of this card in 30 days"),
        ("no_such_feature", 2.5, 1.0, "no such feature is 2.5"),
    ],
)
def test_value_is_compared_with_what_is_usual(name: str, value: float | None, usual: float | None, text: str) -> None:
    assert describe_value(name, value, "EUR", usual) == text


_UNITS = "|".join(sorted({feature.unit for feature in CATALOGUE if feature.unit.endswith("s")}))
_ONE_OF_MANY = re.compile(rf"(?<![\d.,])1 ({_UNITS})\b")
_TECHNICAL = re.compile(r"[_{}]|unknown|\bnan\b|\binf\b|None")


@pytest.mark.parametrize("feature", CATALOGUE, ids=lambda feature: feature.name)
def test_every_feature_has_words_for_every_value(feature: Feature) -> None:
    usual = usual_of(feature.name)
    for value in (0.0, 0.4, 1.0, 2.5, 40.0, 1e6, -2.0, math.inf, math.nan, None):
        for compared in (None, 0.0, 1.0, 70.0) if usual else (None,):
            text = describe_value(feature.name, value, "JPY", compared)
            assert text
            assert not _TECHNICAL.search(text), text
            assert not _ONE_OF_MANY.search(text), text
    absent, yes, no = (describe_value(feature.name, value, "JPY") for value in (None, 1.0, 0.0))
    assert len({absent, yes, no}) == 3, (absent, yes, no)
