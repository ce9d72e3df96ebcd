"""Training: what is learnt from, what is held out, and what is noted of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

from adapters.program.version import program_version
from fraud.errors import MisconfiguredError
from ml_model.artifact import CARD, load_artifact, save_artifact
from ml_model.calibration import observed_days
from ml_model.card import card_entries
from ml_model.train import TrainingChoices, fit, log_odds_of, mature_part, split_at, train
from tests.support.training_data import DAY_MS, signal_data

SMALL = TrainingChoices(trees=15, bins=32, depth=3, burn_in_days=10, maturity_days=20)


def test_what_has_no_history_and_what_has_no_labels_yet_is_left_out() -> None:
    mature = mature_part(signal_data(days=100), SMALL)
    assert mature.time_ms[0] == pytest.approx(10 * DAY_MS, abs=0.02 * DAY_MS)
    assert mature.time_ms[-1] == pytest.approx(80 * DAY_MS, abs=0.02 * DAY_MS)


def test_the_label_delay_lies_between_what_is_trained_on_and_what_is_held_out() -> None:
    split = split_at(signal_data(days=100), 0.75, delay_days=7)
    assert split.early.time_ms[-1] == pytest.approx(68 * DAY_MS, abs=0.02 * DAY_MS)
    assert split.late.time_ms[0] == pytest.approx(75 * DAY_MS, abs=0.02 * DAY_MS)


def test_too_short_or_too_little_data_is_named() -> None:
    with pytest.raises(MisconfiguredError, match="nothing is left after dropping the first 10 days"):
        train(signal_data(days=25), SMALL)
    with pytest.raises(MisconfiguredError, match="known frauds in the late part, needed: 50"):
        train(signal_data(rows=1_000, fraud_rate=0.1), SMALL)


def test_training_finds_the_signal_and_notes_how_it_was_made() -> None:
    _, description = train(signal_data(rows=12_000), SMALL)
    # two normal distributions 1.5 deviations apart: AUC = Phi(1.5 / sqrt 2) = .856
    assert description.metrics["auc"] == pytest.approx(0.856, abs=0.05)
    # a score that knows nothing but the rate of 10 % has Brier .09
    assert description.metrics["brier"] < 0.085
    assert (description.choices["depth"], description.choices["delay_days"]) == (3, 7)
    assert TrainingChoices(**description.choices) == SMALL  # type: ignore[arg-type]


def test_the_same_data_choices_and_seed_give_the_same_model() -> None:
    assert train(signal_data(), SMALL) == train(signal_data(), SMALL)
    assert train(signal_data(), SMALL)[0] != train(signal_data(), dataclasses.replace(SMALL, seed=8))[0]


def test_weight_of_frauds_moves_raw_scores_and_the_calibration_takes_it_back() -> None:
    data = signal_data()
    heavy = dataclasses.replace(SMALL, fraud_weight=9.0)
    late = split_at(mature_part(data, SMALL), 0.75, 7).late
    means = []
    for choices in (SMALL, heavy):
        trees, description = train(data, choices)
        booster = xgb.Booster()
        booster.load_model(bytearray(trees))
        raw = log_odds_of(booster, late)
        means.append((float(raw.mean()), float(description.calibration.probability(raw, observed_days(late)).mean())))
    assert means[1][0] > means[0][0] + 1
    assert (
        means[1][1] == pytest.approx(means[0][1], abs=0.005) == pytest.approx(float(late.known_fraud.mean()), abs=0.005)
    )


def test_training_ends_where_the_held_out_part_is_ranked_no_better() -> None:
    split = split_at(signal_data(), 0.75, 7)
    booster = fit(split, dataclasses.replace(SMALL, trees=400, patience=5))
    assert booster.num_boosted_rounds() < 400


def test_the_artifact_holds_a_card_of_the_model(tmp_path: Path) -> None:
    trees, description = train(signal_data(), SMALL)
    save_artifact(tmp_path, trees, description)
    card = (tmp_path / CARD).read_text()
    frauds = f"{description.rows:,} transactions, {description.frauds:,} known as fraud, 1970-01-11 to 1970-02-"
    for part in (
        description.version,
        frauds,
        "## Choices\ntrees 15, depth 3",
        "brier",
        "## Limits",
        "`card_count_10m`",
    ):
        assert part in card
    assert np.isfinite(list(load_artifact(tmp_path)[1].metrics.values())).all()


def test_an_artifact_names_its_data_and_the_program_that_made_it() -> None:
    _, description = train(signal_data(), SMALL)
    same, other = signal_data(), signal_data()
    other.features[0, 0] += 1
    assert description.data_sha256 == same.sha256 != other.sha256
    assert description.libraries["card-fraud-streaming"] == program_version()
    assert description.data_sha256 in card_entries(description)["Training"]
