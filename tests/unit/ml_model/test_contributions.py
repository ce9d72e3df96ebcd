"""What moves scores, summed up over a sample that is as likely to hold one transaction as another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_model.contributions import Sample, summary
from ml_model.evaluate import Labelled
from ml_model.predict import InProcessScorer

SHIPPED = Path(__file__).parents[3] / "config" / "model" / "champion"


def numbered(parts: list[list[bool]]) -> Iterator[Labelled]:
    """Transactions with a number each."""
    first = 0
    for part in parts:
        batch = pa.RecordBatch.from_pydict({"number": range(first, first + len(part)), "other": ["x"] * len(part)})
        yield Labelled(batch, np.array(part, bool), [""] * len(part))
        first += len(part)


def drawn(sample: Sample, fraud: bool) -> list[int]:
    batch = sample.drawn(fraud)
    return [] if batch is None else batch["number"].to_pylist()


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=8), max_size=6), st.integers(1, 10), st.integers(0, 99))
def test_so_many_of_each_are_drawn_and_what_passes_stays_as_it_is(
    parts: list[list[bool]], size: int, seed: int
) -> None:
    sample = Sample(["number"], np.random.default_rng(seed), size)
    passed = [(part.transactions.to_pydict(), part.fraud.tolist()) for part in sample.passing(numbered(parts))]
    assert passed == [(part.transactions.to_pydict(), part.fraud.tolist()) for part in numbered(parts)]
    truth = [fraud for part in parts for fraud in part]
    for kind in (False, True):
        chosen = drawn(sample, kind)
        assert chosen == sorted(set(chosen))
        assert len(chosen) == min(size, truth.count(kind))
        assert all(truth[number] == kind for number in chosen)


def test_each_is_as_likely_as_any_other_wherever_it_passed() -> None:
    times = np.zeros(24)
    for seed in range(300):
        sample = Sample(["number"], np.random.default_rng(seed), 6)
        list(sample.passing(numbered([[False] * 4, [False] * 12, [False] * 8])))
        times[drawn(sample, False)] += 1
    expected = 300 * 6 / 24
    assert (
        (times - expected) ** 2 / expected
    ).sum() < 70  # of 23 degrees of freedom: beyond it by chance once in 10**6


def test_what_moves_frauds_and_good_ones_adds_up_to_what_lies_between_their_scores() -> None:
    scorer, rng = InProcessScorer.load(SHIPPED), np.random.default_rng(3)
    features = {name: rng.gamma(1.0, 4.0, 200) for name in scorer.description.features}
    batch, fraud = pa.RecordBatch.from_pydict(features), features["tx_amount"] > 6
    sample = Sample(scorer.description.features, rng)
    list(sample.passing([Labelled(batch, fraud, [""] * 200)]))
    found = summary(sample, scorer)
    score = scorer.score(batch).score.to_numpy()
    log_odds = np.log(score / (1 - score))
    between = sum(moved["frauds"] - moved["good"] for moved in found.values())
    assert between == pytest.approx(log_odds[fraud].mean() - log_odds[~fraud].mean(), abs=1e-3)
    assert [moved["size"] for moved in found.values()] == sorted((m["size"] for m in found.values()), reverse=True)
    assert all(moved["size"] >= max(abs(moved["frauds"]), abs(moved["good"])) / 2 for moved in found.values())


def test_without_frauds_the_good_ones_are_summed_up() -> None:
    scorer = InProcessScorer.load(SHIPPED)
    batch = pa.RecordBatch.from_pydict({name: [1.0] for name in scorer.description.features})
    sample = Sample(scorer.description.features, np.random.default_rng(1))
    list(sample.passing([Labelled(batch, np.array([False]), [""])]))
    assert all(moved["frauds"] == 0 and moved["good"] != 0 for moved in summary(sample, scorer).values())
