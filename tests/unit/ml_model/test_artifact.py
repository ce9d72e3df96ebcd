"""The artifact names its inputs and refuses a mismatch; the shipped one fits the catalogue."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fraud.decision.record import ScoredBy
from fraud.entities import DEVICE
from fraud.errors import MisconfiguredError
from fraud.features import FEATURE_NAMES, definition_hash, features_named
from fraud.features.catalogue import features_of
from ml_model.artifact import CARD, DESCRIPTION, TREES, artifact_sha256, load_artifact, version_of
from ml_model.boosting import xgb
from ml_model.description import Description
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
    for row in scorer.explain(features):
        moved = [abs(contribution.log_odds) for contribution in row]
        assert moved == sorted(moved, reverse=True)
        assert 0.0 not in moved


def exchanged(folder: Path) -> None:
    """Puts other trees into an artifact and a version that fits them, as somebody does who wants fraud to pass."""
    trees = bytearray((folder / TREES).read_bytes())
    trees[-10] ^= 1
    (folder / TREES).write_bytes(trees)
    file = folder / DESCRIPTION
    description = Description.model_validate_json(file.read_bytes())
    version = version_of(bytes(trees), description.calibration)
    file.write_text(description.model_copy(update={"version": version}).model_dump_json())


def test_an_exchanged_artifact_is_refused_before_its_trees_are_read(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meant = artifact_sha256(copied)
    assert load_artifact(copied, meant)[1] == load_artifact(copied)[1]
    exchanged(copied)
    read: list[object] = []
    monkeypatch.setattr(xgb.Booster, "load_model", lambda *given: read.append(given))
    with pytest.raises(MisconfiguredError, match=f"has SHA-256 {artifact_sha256(copied)}, wanted is {meant}"):
        load_artifact(copied, meant)
    assert read == []


def test_the_sha256_is_of_what_is_read_alone(copied: Path) -> None:
    before = artifact_sha256(copied)
    (copied / CARD).write_text("another card")
    assert artifact_sha256(copied) == before
    (copied / DESCRIPTION).write_bytes((copied / DESCRIPTION).read_bytes() + b" ")
    assert artifact_sha256(copied) != before


def test_trees_that_xgboost_does_not_take_are_refused(copied: Path) -> None:
    (copied / TREES).write_bytes(b"{no trees")
    file = copied / DESCRIPTION
    description = Description.model_validate_json(file.read_bytes())
    version = version_of(b"{no trees", description.calibration)
    file.write_text(description.model_copy(update={"version": version}).model_dump_json())
    with pytest.raises(MisconfiguredError, match="holds no trees"):
        load_artifact(copied)


def test_the_shipped_model_decides_without_the_features_of_an_entity_that_is_off() -> None:
    rows = random_features(50)
    off = [feature.name for feature in features_of(DEVICE)]
    assert not set(off).isdisjoint(load_artifact(SHIPPED)[1].features)
    without = pa.RecordBatch.from_pydict(
        {name: pa.nulls(50, pa.float64()) if name in off else rows[name] for name in rows.schema.names}
    )

    scores = InProcessScorer.load(SHIPPED).score(without)

    assert scores.scored_by is ScoredBy.IN_PROCESS
    assert all(0 < score < 1 for score in scores.score.to_pylist())
