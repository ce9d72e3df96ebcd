"""Probabilities by how long a card has been observed: fitted, carried by the artifact, fitted again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from fraud.entities import CARD
from fraud.errors import MisconfiguredError
from fraud.features import FEATURE_NAMES
from fraud.records import Row
from ml_model.artifact import load_artifact, save_artifact, version_of
from ml_model.boosting import xgb
from ml_model.calibration import fit_calibration, observed_days
from ml_model.dataset import Dataset
from ml_model.description import Calibration
from ml_model.predict import InProcessScorer
from ml_model.train import TrainingChoices, log_odds_of, recalibrated, train
from tests.support.training_data import DAY_MS, signal_data

SMALL = TrainingChoices(trees=15, bins=32, depth=3, burn_in_days=10, maturity_days=20)
OBSERVED = FEATURE_NAMES.index(CARD.observed_column)
Floats = npt.NDArray[np.float64]


def drawn(truth: Callable[[Floats, Floats], Floats]) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Raw scores and days, half of them of cards seen for the first time, and frauds by the true log-odds of these."""
    rng, rows = np.random.default_rng(3), 40_000
    raw, days = rng.normal(-3.0, 1.5, rows), np.where(rng.random(rows) < 0.5, 0.0, 1_000.0)
    return raw, days, rng.random(rows) < 1 / (1 + np.exp(-truth(raw, days)))


def with_new_cards(rows: int, share: float = 0.5, seed: int = 5) -> Dataset:
    """Data in which half of the cards are seen for the first time and the others have been for long."""
    data = signal_data(rows, seed=seed)
    new = np.random.default_rng(seed).random(rows) < share
    data.features[:, OBSERVED] = np.where(new, 0.0, 1_000.0)
    return data


def said_of_seen(scores: Floats, fraud: npt.NDArray[np.bool_], inside: npt.NDArray[np.bool_]) -> float:
    return float(scores[inside].sum() / fraud[inside].sum())


def test_new_cards_have_a_calibration_of_their_own() -> None:
    raw, days, fraud = drawn(lambda raw, days: raw - 2.0 * (days == 0))
    fitted = fit_calibration(raw, days, fraud)
    scores, one = fitted.probability(raw, days), fit_calibration(raw, np.full(len(raw), np.nan), fraud)
    for part in (days == 0, days > 0):
        assert said_of_seen(scores, fraud, part) == pytest.approx(1.0, abs=0.1)
    assert said_of_seen(one.probability(raw, days), fraud, days == 0) > 2
    assert (one.new_slope, one.new_intercept) == (0.0, 0.0)


def test_what_a_new_card_has_fades_and_of_an_unknown_age_nothing_is_taken() -> None:
    fitted = Calibration(slope=1.0, intercept=0.0, new_slope=0.0, new_intercept=-2.0)
    by_age = fitted.probability(np.zeros(5), np.array([0.0, 1.0, 7.0, 30.0, np.inf]))
    assert by_age.tolist() == sorted(by_age.tolist())
    assert by_age[0] == pytest.approx(1 / (1 + np.exp(2.0)))
    assert fitted.probability(np.zeros(1), np.array([np.nan])) == by_age[-1] == 0.5


def test_a_single_probability_has_the_bits_that_it_has_among_many() -> None:
    rng = np.random.default_rng(4)
    raw = np.concatenate([rng.normal(-3.0, 4.0, 200), [np.inf, -np.inf, 200.0, -200.0]]).astype(np.float32)
    days = np.where(rng.random(len(raw)) < 0.3, np.nan, rng.exponential(9.0, len(raw))).astype(np.float32)
    days[:3] = 0.0, np.inf, -1.0
    fitted = Calibration(slope=1.1, intercept=-0.3, new_slope=-0.4, new_intercept=0.7)
    with np.errstate(over="ignore"):
        alone = [float(fitted.probability(*pair)) for pair in zip(raw, days, strict=True)]
        assert alone == fitted.probability(raw, days).tolist()


def test_few_new_cards_with_fraud_leave_it_at_one_calibration() -> None:
    raw, days, fraud = drawn(lambda raw, days: raw)
    few = np.flatnonzero(days == 0)[:30]
    kept = np.concatenate([few, np.flatnonzero(days > 0)])
    fraud[few] = raw[few] < np.median(raw[few])  # as if the lowest scores of new cards were the frauds
    fitted = fit_calibration(raw[kept], days[kept], fraud[kept])
    assert fitted.slope + fitted.new_slope > 0
    alone = fit_calibration(raw[days > 0], days[days > 0], fraud[days > 0])
    assert (fitted.slope, fitted.intercept) == pytest.approx((alone.slope, alone.intercept), abs=0.05)


def test_other_transactions_calibrate_where_they_are_given() -> None:
    # What trains has 10 % of fraud, what calibrates has 2 %.
    where_it_runs = signal_data(rows=12_000, fraud_rate=0.02, seed=6)
    trees, description = train(signal_data(), SMALL, calibrate_on=where_it_runs)
    assert description.metrics["calibration_fraud_rate"] == pytest.approx(0.02, abs=0.005)
    scores = probabilities(trees, description.calibration, where_it_runs)
    assert scores.mean() == pytest.approx(0.02, abs=0.005)
    assert train(signal_data(), SMALL)[0] == trees


def test_too_few_frauds_to_calibrate_on_are_named() -> None:
    with pytest.raises(MisconfiguredError, match="known frauds to calibrate on, needed: 50"):
        train(signal_data(), SMALL, calibrate_on=signal_data(rows=1_000, fraud_rate=0.01))


def test_recalibration_keeps_the_trees_and_takes_the_level_of_other_data(tmp_path: Path) -> None:
    trees, description = train(with_new_cards(6_000), SMALL)
    later = with_new_cards(12_000, seed=8)
    later = dataclasses.replace(later, time_ms=later.time_ms + 200 * DAY_MS)
    new = observed_days(later) == 0
    later.known_fraud[new & (np.random.default_rng(1).random(12_000) < 0.7)] = False
    again = recalibrated(trees, description, later)

    def said(calibration: Calibration) -> float:
        return said_of_seen(probabilities(trees, calibration, later), later.known_fraud, new)

    assert said(description.calibration) > 2.5
    assert said(again.calibration) == pytest.approx(1.0, abs=0.1)
    assert again.version == version_of(trees, again.calibration) != description.version
    assert again.seen_until > description.seen_until
    save_artifact(tmp_path, trees, again)
    assert load_artifact(tmp_path)[1] == again


def test_a_calibration_of_before_has_the_version_it_had() -> None:
    before = hashlib.sha256(b'trees{"slope":1.5,"intercept":-2.0}').hexdigest()[:12]
    assert version_of(b"trees", Calibration(slope=1.5, intercept=-2.0)) == before
    assert version_of(b"trees", Calibration(slope=1.5, intercept=-2.0, new_intercept=-1.0)) != before


@pytest.mark.parametrize("observed", [0.0, 5.0, None])
def test_rows_and_batches_agree_and_contributions_add_up_for_new_cards(observed: float | None, tmp_path: Path) -> None:
    trees, description = train(with_new_cards(6_000), SMALL)
    own = description.calibration.model_copy(update={"new_slope": 0.3, "new_intercept": -1.0})
    described = {"calibration": own, "version": version_of(trees, own)}
    save_artifact(tmp_path, trees, description.model_copy(update=described))
    scorer = InProcessScorer.load(tmp_path)
    values = np.random.default_rng(1).normal(size=len(FEATURE_NAMES)).tolist()
    row = dict(zip(FEATURE_NAMES, values, strict=True)) | {CARD.observed_column: observed}
    batch = pa.RecordBatch.from_pylist([row], pa.schema([(name, pa.float64()) for name in FEATURE_NAMES]))
    (score,) = scorer.score(batch).score.to_pylist()
    assert scorer.score(Row(row)).score == score

    def rest(of: Row) -> float:
        """What of the log-odds is nobody's contribution."""
        score = scorer.score(of).score
        return float(np.log(score / (1 - score)) - sum(one.log_odds for one in scorer.explain(of)[0]))

    assert rest(Row(row)) == pytest.approx(rest(Row(row | {CARD.observed_column: None})), abs=1e-3)


def probabilities(trees: bytes, calibration: Calibration, data: Dataset) -> Floats:
    booster = xgb.Booster()
    booster.load_model(bytearray(trees))
    return calibration.probability(log_odds_of(booster, data), observed_days(data))
