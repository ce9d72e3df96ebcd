"""A definition's hash changes with whatever changes a value, and with nothing else."""

from __future__ import annotations

import dataclasses

import pytest

from fraud.features import CATALOGUE, FEATURE_NAMES, catalogue, definition_hash, features_named
from fraud.features.catalogue import HOUR_MS


def test_names_are_unique() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)


@pytest.mark.parametrize(
    "constant",
    [
        "UNUSUAL_Z",
        "USUAL_Z",
        "LEAST_HISTORY",
        "LEAST_SPREAD",
        "BINS",
        "LATENESS_MS",
        "DUPLICATE_HORIZON_MS",
        "KERNEL_VERSION",
    ],
)
def test_a_constant_that_the_kernel_shares_is_part_of_the_hash(constant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = definition_hash()
    monkeypatch.setattr(catalogue, constant, getattr(catalogue, constant) * 2)
    assert definition_hash() != before


def test_the_hash_follows_the_entries_and_their_order_but_not_their_words() -> None:
    first, second = features_named(["card_count_1h", "card_sum_1h"])
    assert definition_hash((first, second)) != definition_hash((second, first))
    assert definition_hash((first,)) != definition_hash((dataclasses.replace(first, window_ms=2 * HOUR_MS),))
    assert definition_hash((first,)) == definition_hash((dataclasses.replace(first, why="another reason", unit="x"),))


def test_models_depend_on_the_definitions_of_their_features_only() -> None:
    assert definition_hash(features_named(FEATURE_NAMES)) == definition_hash(CATALOGUE)
    with pytest.raises(KeyError):
        features_named(["card_count_1y"])
