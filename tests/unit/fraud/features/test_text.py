from __future__ import annotations

from collections import Counter

import pytest

from fraud.declared import Declared, FeatureRow
from fraud.features.catalogue import CATALOGUE, Feature, catalogue_with
from fraud.features.text import ValueText, texts_of
from tests.support.feature_texts import USUAL, VALUES, Faults

TEXTS = texts_of(CATALOGUE)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("card_count_24h", 1234.0, "1,234 payments of this card in 24 hours"),
        ("card_mean_30d", 75.255, "the mean amount of this card in 30 days is EUR 75.26"),
        ("card_merchants_1h", 6.0, "6 merchants for this card in an hour"),
        ("card_since_last_s", 90.0, "90 seconds since the last payment of this card"),
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
        ("card_count_1h", float("inf"), "how many payments of this card there were in an hour is not known"),
        ("card_amount_log_z", 0.3, "the amount is in line with what this card spends on average"),
        ("card_amount_log_z", -3.0, "the amount is far below what this card spends on average"),
        ("card_amount_robust_z", 4.0, "the amount is far above most of what this card spends"),
        ("card_amount_ratio_30d", 20.4, "the amount is 20 times the mean of this card in 30 days"),
        ("card_amount_ratio_30d", 0.3, "the amount is 30 % of the mean of this card in 30 days"),
        ("card_hour_deviation_h", 0.251, "15 minutes from the usual time of day of this card"),
        ("card_hour_deviation_h", 0.1, "at the usual time of day of this card"),
        ("card_weekday_deviation_d", 1.2, "1 day from the usual weekday of this card"),
        # 3.39 halving every 6 hours come evenly as 3.39 * ln 2 / 0.25 = 9.4 a day; 0.5 every 7 days as 1.5 a month
        ("card_decayed_count_6h", 3.39, "lately about 9 payments of this card a day, the last 6 hours counting most"),
        (
            "card_unusual_7d",
            0.5,
            "lately about 1 unusual payment of this card a month, the last 7 days counting most",
        ),
        ("card_unusual_7d", 0.01, "lately hardly any unusual payments of this card, the last 7 days counting most"),
        # 100 * ln 2 / 3 days
        (
            "card_decayed_sum_3d",
            100.0,
            "lately about EUR 23.10 a day spent with this card, the last 3 days counting most",
        ),
        ("card_money_back_24h", 0.0, "no refunds, reversals or voids of this card in 24 hours"),
        ("card_distance_last_km", 0.251, "less than 1 km from where this card was last present"),
        ("merchant_matured_count_24h", 9.0, "9 payments of this merchant in 24 hours up to 7 days before"),
        ("card_observed_days", 0.4, "this card was first seen less than a day ago"),
        ("card_observed_days", 12.7, "this card was first seen 12 days ago"),
        (
            "merchant_fraud_rate_30d",
            0.03,
            "3 % of the payments of this merchant in 30 days up to 7 days before turned out to be fraud",
        ),
        ("tx_is_night", None, "whether it was paid at night is not known"),
        ("tx_hour", 13.5, "paid at 13:30 UTC"),
        ("tx_three_ds_doubt", 2 / 3, "the card does not take part in 3-D Secure"),
        ("no_such_feature", None, "no such feature is not known"),
        ("no_such_feature", 2.5, "no such feature is 2.5"),
    ],
)
def test_value_is_said_in_words(name: str, value: float | None, text: str) -> None:
    assert TEXTS.get(name, ValueText(name)).describe(value, "EUR") == text


@pytest.mark.parametrize(
    ("name", "value", "usual", "text"),
    [
        # (36 - 6) in the rest of 30 days
        ("card_count_10m", 6.0, 36.0, "6 payments of this card in 10 minutes; usually about 1 a day"),
        # (620 - 40) / 29 days
        ("card_sum_24h", 40.0, 620.0, "EUR 40.00 spent with this card in 24 hours; usually about EUR 20.00 a day"),
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
            "the amount is far above what this card spends on average; its mean in 30 days is EUR 35.50",
        ),
        ("card_count_10m", 6.0, None, "6 payments of this card in 10 minutes"),
        ("card_count_10m", None, 36.0, "how many payments of this card there were in 10 minutes is not known"),
        ("card_count_10m", 6.0, 6.0, "6 payments of this card in 10 minutes; usually none"),
        ("card_count_30d", 36.0, 36.0, "36 payments of this card in 30 days"),
        ("no_such_feature", 2.5, 1.0, "no such feature is 2.5"),
    ],
)
def test_value_is_compared_with_what_is_usual(name: str, value: float | None, usual: float | None, text: str) -> None:
    assert TEXTS.get(name, ValueText(name)).describe(value, "EUR", usual) == text


FAULTS = Faults(feature.unit for feature in CATALOGUE)


@pytest.mark.parametrize("feature", CATALOGUE, ids=lambda feature: feature.name)
def test_every_feature_has_words_for_every_value(feature: Feature) -> None:
    said = TEXTS[feature.name]
    for value in VALUES:
        for compared in USUAL if said.usual else (None,):
            text = said.describe(value, "JPY", compared)
            assert feature.name not in text
            assert FAULTS.in_text(text) == []
    absent, yes, no = (said.describe(value, "JPY") for value in (None, 1.0, 0.0))
    assert len({absent, yes, no}) == 3, (absent, yes, no)


@pytest.mark.parametrize("value", [0.0, 1.0, 3.39, 40.0])
def test_no_two_features_say_the_same_of_different_things(value: float) -> None:
    texts = Counter(said.describe(value, "EUR") for said in TEXTS.values())

    assert [text for text, times in texts.items() if times > 1] == []


def test_a_window_that_somebody_declares_again_is_not_what_is_usual_for_itself() -> None:
    again = FeatureRow("card", "payments", "count", windows="30d 45d")
    texts = texts_of(
        catalogue_with(Declared(features=(again, FeatureRow("card", "visits", "count", windows="45d")))).features
    )

    assert texts["card_payments_45d"].usual is texts["card_visits_45d"].usual is None
    assert texts["card_visits_45d"].describe(36.0, "EUR", 36.0) == "36 payments of this card in 45 days"
    # 36 - 6 in the 45 days but 10 minutes
    assert texts["card_count_10m"].usual_name == "card_payments_45d"
    assert texts["card_count_10m"].describe(6.0, "EUR", 36.0).endswith("; usually about 5 a week")
