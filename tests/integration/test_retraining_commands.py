"""`fraud models challenge` and `retrain` over an archive on which it is known which model is better."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from adapters.archive.decision_archive import DecisionArchive
from adapters.model.registry import Stage, open_registry
from cli.main import build_app
from fraud.errors import MisconfiguredError
from fraud.features import FEATURE_NAMES
from fraud.settings import Aws, Retraining
from ml_model.archived import labels_known_now, matured_until, training_set
from ml_model.artifact import TREES, load_artifact, save_artifact, version_of
from ml_model.description import Description
from ml_model.retraining import ArchiveTrainer
from ml_model.train import TrainingChoices, train
from tests.support.model_archives import BEGIN, write_model_archive

WINDOWS = {"training_days": 80, "evaluation_days": 25, "maturity_days": 5.0, "min_frauds": 50, "draws": 50}
Run = Callable[..., str]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_model_archive(folder, days=100, per_day=100, fraud_share=0.1)
    return folder


@pytest.fixture(scope="module")
def folders(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A strong model, and a weak one that has not learnt from the most predictive feature."""
    decisions = DecisionArchive(str(archive), Aws())
    known = labels_known_now(decisions, 30)
    data, _ = training_set(decisions, known, BEGIN, matured_until(known), 10**6)
    written = {}
    for name in ("strong", "weak"):
        if name == "weak":
            data.features[:, FEATURE_NAMES.index("tx_amount")] = np.random.default_rng(1).normal(0, 1, len(data))
        trees, description = train(data, TrainingChoices(trees=15, bins=32, maturity_days=0))
        written[name] = tmp_path_factory.mktemp(name)
        save_artifact(written[name], trees, description)
    return written


@pytest.fixture
def registry(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A registry whose champion is the weak model."""
    models = open_registry(str(tmp_path / "registry"), Aws())
    version = register(tmp_path / "registry", folders["weak"]).version
    models.promote(version, Stage.CHAMPION, BEGIN, "ada")
    return tmp_path / "registry"


@pytest.fixture
def challenger(registry: Path, folders: dict[str, Path]) -> str:
    """The strong model as challenger in the registry."""
    version = register(registry, folders["strong"]).version
    open_registry(str(registry), Aws()).promote(version, Stage.CHALLENGER, BEGIN, "ada")
    return version


def register(registry: Path, folder: Path) -> Description:
    _, description = load_artifact(folder)
    open_registry(str(registry), Aws()).register(folder, description.version, description.metrics, BEGIN)
    return description


@pytest.fixture
def models(registry: Path) -> Run:
    def run(*arguments: str, code: int, **settings: object) -> str:
        assigned = {f"retraining.{name}": value for name, value in (WINDOWS | settings).items()}
        assigned |= {"model.registry": registry, "log.level": "error"}
        flags = [flag for name, value in assigned.items() for flag in ("--set", f"{name}={value}")]
        result = CliRunner().invoke(build_app(), ["models", *arguments, *flags])
        if isinstance(result.exception, MisconfiguredError):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    return run


def stages(registry: Path) -> list[Stage]:
    return [entry.stage for entry in open_registry(str(registry), Aws()).entries()]


def test_retraining_promotes_the_model_that_wins(models: Run, archive: Path, registry: Path, tmp_path: Path) -> None:
    file = tmp_path / "verdict.json"
    output = models("retrain", "--archive", str(archive), "--json", str(file), code=0)

    verdict = json.loads(file.read_text())
    assert (verdict["wins"], verdict["promoted"], verdict["objections"]) == (True, True, [])
    assert verdict["figures"]["gain"]["average_precision"] > verdict["figures"]["low"]["average_precision"] > 0.1
    # 25 days of 100 transactions
    assert verdict["evaluated"]["transactions"] == pytest.approx(25 * 100, abs=2)
    assert stages(registry) == [Stage.ARCHIVED, Stage.CHAMPION]
    assert f"{verdict['challenger']} is champion" in output

    # It has not seen what it was evaluated on.
    models("fetch", "champion", "--out", str(tmp_path / "champion"), code=0)
    _, description = load_artifact(tmp_path / "champion")
    seen_until, evaluated_from = (
        dt.datetime.fromisoformat(time) for time in (description.seen_until, verdict["evaluated"]["from"])
    )
    assert description.version == verdict["challenger"]
    assert seen_until < evaluated_from


def test_a_challenger_that_loses_leaves_the_champion(
    models: Run, archive: Path, registry: Path, challenger: str, tmp_path: Path
) -> None:
    file = tmp_path / "verdict.json"
    weak = open_registry(str(registry), Aws()).find("champion").version
    models("promote", challenger, "--ungated", code=0)

    output = models("challenge", weak, "--archive", str(archive), "--json", str(file), code=1)

    verdict = json.loads(file.read_text())
    assert (verdict["wins"], verdict["promoted"]) == (False, False)
    assert verdict["objections"][0].endswith("not the margin of 0.01 (retraining.margin)")
    assert f"{challenger} stays champion:" in output
    assert stages(registry) == [Stage.ARCHIVED, Stage.CHAMPION]


def test_a_challenger_that_wins_becomes_champion(models: Run, archive: Path, registry: Path, challenger: str) -> None:
    models("challenge", "--archive", str(archive), code=0)
    assert stages(registry) == [Stage.ARCHIVED, Stage.CHAMPION]


def test_recalibration_corrects_the_level_without_training(
    models: Run, archive: Path, registry: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    trees, strong = (folders["strong"] / TREES).read_bytes(), load_artifact(folders["strong"])[1]
    loud = strong.calibration.model_copy(update={"intercept": strong.calibration.intercept + 3.0})
    save_artifact(
        tmp_path / "loud", trees, strong.model_copy(update={"calibration": loud, "version": version_of(trees, loud)})
    )
    version, file = register(registry, tmp_path / "loud").version, tmp_path / "said.json"

    output = models("recalibrate", version, "--archive", str(archive), "--json", str(file), code=0)

    said = json.loads(file.read_text())
    before, after = (said[when] for when in ("before", "after"))
    assert sum(row["frauds"] for row in after.values()) > 100
    assert all(row["calibration"] > 2 for row in before.values())
    assert all(row["calibration"] == pytest.approx(1.0, abs=0.4) for row in after.values())
    assert f"{said['version']} is registered" in output
    assert open_registry(str(registry), Aws()).find("champion").version not in (version, said["version"])
    models("fetch", said["version"], "--out", str(tmp_path / "again"), code=0)
    assert (tmp_path / "again" / TREES).read_bytes() == trees


def test_a_dry_run_promotes_nothing(models: Run, archive: Path, registry: Path, challenger: str) -> None:
    output = models("challenge", "--dry-run", "--archive", str(archive), code=0)
    assert f"{challenger} wins" in output
    assert stages(registry) == [Stage.CHAMPION, Stage.CHALLENGER]


@pytest.mark.parametrize(
    ("setting", "value", "objection"),
    [
        ("margin", 0.9, "not the margin of 0.9 (retraining.margin)"),
        ("min_frauds", 100_000, "needed are 100000 (retraining.min_frauds)"),
    ],
)
def test_what_is_not_reached_keeps_the_champion(
    models: Run, archive: Path, registry: Path, challenger: str, setting: str, value: float, objection: str
) -> None:
    assert objection in models("challenge", "--archive", str(archive), code=1, **{setting: value})
    assert stages(registry) == [Stage.CHAMPION, Stage.CHALLENGER]


def test_the_champion_cannot_challenge_itself(models: Run, archive: Path) -> None:
    with pytest.raises(MisconfiguredError, match="is the champion already"):
        models("challenge", "champion", "--archive", str(archive), code=2)


def test_without_a_champion_there_is_nothing_to_beat(models: Run, archive: Path, registry: Path) -> None:
    shutil.rmtree(registry)
    with pytest.raises(MisconfiguredError, match=r"model\.registry: .* holds no champion"):
        models("retrain", "--archive", str(archive), code=2)


def test_an_archive_too_young_to_train_on_is_named(models: Run, tmp_path: Path) -> None:
    write_model_archive(tmp_path / "young", days=20, per_day=20)
    with pytest.raises(MisconfiguredError, match=r"retraining\.training_days: no mature decisions archived"):
        models("retrain", "--archive", str(tmp_path / "young"), code=2)


def test_sampled_training_keeps_every_fraud_and_knows_their_share(archive: Path) -> None:
    decisions = DecisionArchive(str(archive), Aws())
    known = labels_known_now(decisions, Retraining().maturity_days)
    whole, without = training_set(decisions, known, BEGIN, matured_until(known), 10**6)
    part, rate = training_set(decisions, known, BEGIN, matured_until(known), 2_000)
    assert without is None
    assert part.known_fraud.sum() == whole.known_fraud.sum()
    assert 800 < len(part) - part.known_fraud.sum() <= 2_000
    assert rate == pytest.approx(whole.known_fraud.mean(), rel=0.15)


def test_a_champion_that_is_trained_again_stays(
    models: Run, archive: Path, registry: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, champion = load_artifact(folders["weak"])
    trees = (folders["weak"] / TREES).read_bytes()
    monkeypatch.setattr(ArchiveTrainer, "train", lambda *_: (trees, champion))
    output = models("retrain", "--archive", str(archive), code=0)
    assert output == f"the archive teaches nothing new: {champion.version} is what the champion is\n"
    assert stages(registry) == [Stage.CHAMPION]


def test_train_takes_an_archive(
    archive: Path, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, strong = load_artifact(folders["strong"])
    trees = (folders["strong"] / TREES).read_bytes()
    asked: list[TrainingChoices] = []

    def train(
        _: ArchiveTrainer, progress: Callable[[str], None], choices: TrainingChoices
    ) -> tuple[bytes, Description]:
        asked.append(choices)
        return trees, strong

    monkeypatch.setattr(ArchiveTrainer, "train", train)
    arguments = ["train", "--archive", str(archive), "--out", str(tmp_path / "next"), "--seed", "11"]
    assert CliRunner().invoke(build_app(), arguments, catch_exceptions=False).exit_code == 0
    assert load_artifact(tmp_path / "next")[1] == strong
    assert [choices.seed for choices in asked] == [11]

    with pytest.raises(MisconfiguredError, match="--data, --archive: give one of them"):
        CliRunner().invoke(build_app(), [*arguments, "--data", "file.parquet"], catch_exceptions=False)
