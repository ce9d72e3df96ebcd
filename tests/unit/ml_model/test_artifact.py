"""The artifact names its inputs and refuses a mismatch; the shipped one fits the catalogue."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fraud.decision import ScoredBy
from fraud.errors import MisconfiguredError
from fraud.features import FEATURE_NAMES, definition_hash, features_named
from ml_model.artifact import DESCRIPTION, TREES, load_artifact
from ml_model.predict import InProcessScorer

SHIPPED = Path(__file__).parents[3] / "config" / "model" / "champion"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "model"))


def random_features(rows: int) -> pa.RecordBatch:
    rng = np.random.default_rng(1)
    return pa.RecordBatch.from_pydict({name: rng.lognormal(0, 2, rows) for name in FEATURE_NAMES})


def test_the_shipped_model_fits_the_catalogue_and_is_small() -> None:
    _, description = load_artifact(SHIPPED)
    current = definition_hash(features_named(description.features))
    assert description.definition_hash == current, "the catalogue changed: run `fraud train`"
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 2_000_000


def test_other_feature_definitions_are_refused_with_both_sides_named(copied: Path) -> None:
    file = copied / DESCRIPTION
    current = load_artifact(copied)[1].definition_hash
    file.write_text(file.read_text().replace(current, "0123456789abcdef"))
    with pytest.raises(MisconfiguredError, match=f"0123456789abcdef, this program has {current}"):
        load_artifact(copied)


def test_damaged_trees_are_refused(copied: Path) -> None:
    trees = bytearray((copied / TREES).read_bytes())
    trees[-10] ^= 1
    (copied / TREES).write_bytes(trees)
    with pytest.raises(MisconfiguredError, match="is damaged"):
        load_artifact(copied)


def test_a_folder_without_a_model_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="run `fraud train`"):
        load_artifact(tmp_path)


def test_scores_are_probabilities_and_name_their_model() -> None:
    scorer = InProcessScorer.load(SHIPPED)
    scores = scorer.score(random_features(50))
    assert scores.scored_by is ScoredBy.IN_PROCESS
    assert scores.model_version == scorer.description.version
    assert all(0 < score < 1 for score in scores.score.to_pylist())


def test_contributions_add_up_to_the_score() -> None:
    scorer = InProcessScorer.load(SHIPPED)
    features = random_features(20)
    log_odds = [np.log(score / (1 - score)) for score in scorer.score(features).score.to_pylist()]
    totals = [sum(c.log_odds for c in row) for row in scorer.explain(features)]
    # What remains after the contributions is the same for every row: the trees' bias and the calibration's intercept.
    rest = np.array(log_odds) - np.array(totals)
    assert rest == pytest.approx(np.full(20, rest[0]), abs=1e-3)
    assert all(row == sorted(row, key=lambda c: -c.log_odds) for row in scorer.explain(features))
