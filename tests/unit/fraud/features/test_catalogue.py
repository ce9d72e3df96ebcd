"""A definition's hash changes with whatever changes a value, and with nothing else."""

from __future__ import annotations

import dataclasses
import re

import pytest

from fraud.features import CATALOGUE, FEATURE_NAMES, catalogue, definition_hash, features_named
from fraud.features.catalogue import HOUR_MS, window_ms


def test_names_are_unique() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)


@pytest.mark.parametrize(
    "constant",
    [
        "UNUSUAL_Z",
        "USUAL_Z",
        "MIN_HISTORY",
        "MIN_SPREAD",
        "BINS",
        "LATENESS_MS",
        "DUPLICATE_HORIZON_MS",
        "KERNEL_VERSION",
    ],
)
def test_a_constant_that_the_kernel_shares_is_part_of_the_hash(constant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = definition_hash(CATALOGUE)
    monkeypatch.setattr(catalogue, constant, getattr(catalogue, constant) * 2)
    assert definition_hash(CATALOGUE) != before


def test_the_hash_follows_the_entries_and_their_order_but_not_their_words() -> None:
    first, second = features_named(["card_count_1h", "card_sum_1h"])
    assert definition_hash((first, second)) != definition_hash((second, first))
    assert definition_hash((first,)) != definition_hash((dataclasses.replace(first, window_ms=2 * HOUR_MS),))
    assert definition_hash((first,)) == definition_hash((dataclasses.replace(first, why="another reason", unit="x"),))


EACH_KIND = """
    tx_distance_home_km card_std_30d card_max_30d card_declines_24h card_new_merchant_30d card_new_mcc_30d
    card_new_country_30d card_new_device_30d card_new_channel_30d card_decayed_count_3d card_decayed_sum_3d
    card_amount_log_z card_amount_robust_z card_amount_unusual card_unusual_7d card_since_unusual_s
    card_hour_deviation_h card_weekday_deviation_d card_distance_last_km card_speed_kmh merchant_mean_30d
    merchant_cards_1h merchant_declines_1h merchant_amount_ratio_30d merchant_unusual_share_7d
    merchant_since_last_s merchant_fraud_rate_30d merchant_fraud_normal_rate_30d merchant_since_fraud_normal_s
    device_sum_7d device_cards_7d device_declines_7d bin_count_1h bin_sum_1h bin_cards_1h bin_declines_1h
"""
"""Entries of every aggregate, and of every column and flag of each entity."""


def test_published_definitions_keep_their_hash() -> None:
    # Models and checkpoints name it. More entries change nothing here; another code of an aggregate does.
    assert definition_hash(features_named(EACH_KIND.split())) == "48dc87dbe3c1ec1b"


@pytest.mark.parametrize("text", ["6", "h", "", "0h", "-1d", "1.5h", "6 h", "6w", "six"])
def test_a_window_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"no window {text!r}")):
        window_ms(text)


def test_models_depend_on_the_definitions_of_their_features_only() -> None:
    assert definition_hash(features_named(FEATURE_NAMES)) == definition_hash(CATALOGUE)
    with pytest.raises(KeyError):
        features_named(["card_count_1y"])
