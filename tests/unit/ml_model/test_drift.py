"""Drift: what moved is found, what always varies is not called a shift."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fraud.settings import Drift
from ml_model.drift import DriftReport, Level, Window, bin_counts, bin_edges, measure_drift, stability_index

HOUR_MS = 3_600_000


def window(
    rows: int, seed: int, mean: float = 0.0, undefined: float = 0.0, alerts: float = 0.02, from_hour: int = 0
) -> Window:
    rng = np.random.default_rng(seed)
    amount = rng.normal(mean, 1, rows)
    amount[rng.random(rows) < undefined] = np.nan
    return Window(
        {"amount": amount, "steady": rng.normal(0, 1, rows)},
        rng.beta(1, 50, rows),
        np.where(rng.random(rows) < alerts, "review", "approve").tolist(),
        np.linspace(from_hour * HOUR_MS, (from_hour + rows // 100) * HOUR_MS, rows).astype(np.int64),
    )


def level_of(report: DriftReport, name: str) -> Level:
    return next(shift.level for shift in report.shifts if shift.name == name)


def test_index_is_the_sum_over_bins_computed_by_hand() -> None:
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5) = 0.1 ln(1.2 / 0.8)
    index, by_chance = stability_index(np.array([50_000, 50_000]), np.array([60_000, 40_000]))
    assert index == pytest.approx(0.1 * math.log(1.5), abs=1e-5)
    # 99 % of a chi-squared with one degree of freedom: 6.63
    assert by_chance == pytest.approx(6.63 * (1 / 100_000 + 1 / 100_000), rel=0.03)


def test_index_of_one_bin_is_nothing() -> None:
    assert stability_index(np.array([10, 0]), np.array([20, 0])) == (0.0, 0.0)


def test_bins_are_equally_full_and_repeated_values_share_one() -> None:
    values = np.arange(1_000.0)
    assert bin_counts(values, bin_edges(values)).tolist() == [100] * 10 + [0]
    counters = np.array([0.0] * 850 + [1.0] * 100 + [2.0] * 50)
    assert bin_counts(counters, bin_edges(counters)).tolist() == [850, 100, 50, 0]


def test_undefined_values_have_a_bin_of_their_own() -> None:
    assert bin_edges(np.array([np.nan, np.nan])).tolist() == []
    assert bin_counts(np.array([np.nan, 3.0]), bin_edges(np.array([np.nan]))).tolist() == [1, 1]


def test_windows_of_the_same_kind_are_stable() -> None:
    report = measure_drift(window(20_000, seed=1), window(5_000, seed=2, from_hour=300), Drift())
    assert report.shifted == []
    assert {shift.level for shift in report.shifts} == {Level.STABLE}


def test_a_moved_feature_shifts_and_the_others_do_not() -> None:
    report = measure_drift(window(20_000, seed=1), window(5_000, seed=2, mean=0.8, from_hour=300), Drift())
    assert report.shifted == ["amount"]
    first = report.shifts[0]
    assert (first.name, first.level) == ("amount", Level.SHIFTED)
    # normal distributions 0.8 apart: the index approaches 0.8 ** 2 as bins grow finer
    assert 0.5 < first.index < 0.7
    assert first.live_median == pytest.approx(0.8, abs=0.05)


def test_a_smaller_move_is_worth_a_look() -> None:
    report = measure_drift(window(20_000, seed=1), window(5_000, seed=2, mean=0.4, from_hour=300), Drift())
    assert level_of(report, "amount") is Level.WATCH
    assert report.shifted == []


def test_a_feature_that_became_undefined_shifts() -> None:
    report = measure_drift(window(20_000, seed=1), window(5_000, seed=2, undefined=0.3, from_hour=300), Drift())
    assert report.shifted == ["amount"]
    assert report.shifts[0].live_undefined == pytest.approx(0.3, abs=0.03)


def test_a_few_transactions_differ_by_chance() -> None:
    report = measure_drift(window(20_000, seed=1), window(40, seed=8, from_hour=300), Drift())
    amount = next(shift for shift in report.shifts if shift.name == "amount")
    assert amount.index > 0.1
    assert amount.level is Level.STABLE


def test_what_moves_from_one_stretch_of_the_reference_to_the_next_is_usual() -> None:
    reference = window(20_000, seed=1)
    wave = np.where(np.arange(20_000) // 5_000 % 2, 1.0, -1.0)
    reference.features["amount"][:] += wave
    live = window(5_000, seed=2, mean=1.0, from_hour=300)
    report = measure_drift(reference, live, Drift())
    amount = next(shift for shift in report.shifts if shift.name == "amount")
    assert amount.index > 0.25
    assert amount.level is Level.STABLE


def test_three_times_the_alerts_are_a_shift_though_the_features_hold() -> None:
    report = measure_drift(window(20_000, seed=1), window(5_000, seed=2, alerts=0.06, from_hour=300), Drift())
    assert report.shifted == ["alert_rate"]
    assert report.alert_rate.live == pytest.approx(0.06, abs=0.01)


def test_one_alert_more_among_few_transactions_is_chance() -> None:
    quiet = window(20_000, seed=1, alerts=0.001)
    live = window(100, seed=2, alerts=0.0, from_hour=300)
    live = Window(live.features, live.score, ["review"] + ["approve"] * 99, live.time_ms)
    rate = measure_drift(quiet, live, Drift()).alert_rate
    assert (rate.live, rate.level) == (0.01, Level.STABLE)


def test_single_transactions_are_no_evidence() -> None:
    one = window(1, seed=1)
    assert measure_drift(window(20_000, seed=1), one, Drift()).shifted == []
    assert measure_drift(one, one, Drift()).shifted == []
