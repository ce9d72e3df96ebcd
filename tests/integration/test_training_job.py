"""`python -m ml_model train` in the folders that SageMaker gives a training container."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from fraud.errors import MisconfiguredError
from ml_model.__main__ import main
from ml_model.artifact import load_artifact
from ml_model.training_job import TrainingFolders, run_training_job
from tests.support.model_archives import write_model_archive
from tests.support.programs import ROOT, Done, run_here

HYPERPARAMETERS = {
    "training_days": "80",
    "evaluation_days": "10",
    "maturity_days": "5",
    "trees": "12",
    "bins": "32",
    "seed": "3",
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_model_archive(folder, days=100, per_day=100, fraud_share=0.1)
    return folder


@pytest.fixture
def prefix(archive: Path, tmp_path: Path) -> Path:
    """What SageMaker prepares: configuration and one channel."""
    folder = tmp_path / "ml"
    (folder / "input/config").mkdir(parents=True)
    (folder / "input/config/resourceconfig.json").write_text('{"current_host": "algo-1", "hosts": ["algo-1"]}')
    hyperparameters(folder, HYPERPARAMETERS)
    shutil.copytree(archive, folder / "input/data/archive")
    return folder


def hyperparameters(prefix: Path, values: dict[str, str]) -> None:
    (prefix / "input/config/hyperparameters.json").write_text(json.dumps(values))


def train(prefix: Path) -> Done:
    return run_here(main, "train", "--prefix", str(prefix))


def failure(prefix: Path) -> str:
    return (prefix / "output/failure").read_text()


def failing(prefix: Path) -> str:
    """Runs in this process, and gives what SageMaker reads after a refusal."""
    with pytest.raises(MisconfiguredError) as caught:
        run_training_job(TrainingFolders(prefix), lambda _: None)
    assert failure(prefix) == str(caught.value)[:1024]
    assert not (prefix / "model").exists()
    return failure(prefix)


def test_a_job_trains_on_its_channel_and_leaves_the_artifact(prefix: Path) -> None:
    command = [sys.executable, "-m", "ml_model", "train", "--prefix", str(prefix)]
    result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)

    assert result.returncode == 0, result.stderr
    _, description = load_artifact(prefix / "model")
    assert description.metrics["trees"] <= 12
    assert description.metrics["average_precision"] > 0.5
    # 100 days from 1 January end on 10 April; the last 5 are hardly mature and 10 before them are held back
    assert description.seen_until < "2026-03-30"
    assert result.stdout.splitlines()[-1] == f"wrote version {description.version} to {prefix / 'model'}"
    assert not (prefix / "output/failure").exists()


def test_variables_of_sagemakers_toolkits_move_the_folders(
    prefix: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(prefix / "input")
    moved = {name: str(tmp_path / name) for name in ("SM_MODEL_DIR", "SM_OUTPUT_DIR")}
    given = {**moved, "SM_CHANNEL_ARCHIVE": str(archive), "SM_HPS": json.dumps({**HYPERPARAMETERS, "trials": "1"})}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    result = train(prefix)
    assert result.returncode == 0, result.stderr
    assert "search: trial 1 of 1" in result.stdout
    assert load_artifact(tmp_path / "SM_MODEL_DIR")[1].choices["trees"] == 12
    monkeypatch.setenv("SM_HPS", '["trees"]')
    assert train(prefix).returncode == 2
    assert (tmp_path / "SM_OUTPUT_DIR" / "failure").read_text() == "SM_HPS: holds no object"


def test_a_refused_job_ends_with_2_and_one_line(prefix: Path) -> None:
    hyperparameters(prefix, {"tree": "12"})
    result = train(prefix)
    assert result.returncode == 2
    assert result.stderr.splitlines() == [f"error: {failure(prefix)}"]


def test_the_only_channel_is_taken_whatever_its_name(prefix: Path) -> None:
    (prefix / "input/data/archive").rename(prefix / "input/data/training")
    assert (
        run_training_job(TrainingFolders(prefix), lambda _: None).version == load_artifact(prefix / "model")[1].version
    )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"tree": "12"}, "hyperparameters: unknown tree; known are "),
        ({"trees": "many"}, "hyperparameters: trees: Input should be a valid integer"),
        ({"training_days": "1"}, "hyperparameters: training_days: Input should be greater than or equal to 45"),
    ],
)
def test_hyperparameters_that_do_not_fit_are_named(prefix: Path, values: dict[str, str], reason: str) -> None:
    hyperparameters(prefix, values)
    assert failing(prefix).startswith(reason)


def test_hyperparameters_that_are_no_json_are_named(prefix: Path) -> None:
    (prefix / "input/config/hyperparameters.json").write_text("trees: 12")
    assert failing(prefix).startswith("hyperparameters.json: ")


def test_without_a_channel_the_failure_says_what_is_missing(prefix: Path) -> None:
    shutil.rmtree(prefix / "input/data/archive")
    assert failing(prefix) == "InputDataConfig: needs a channel archive in File mode; channels: none"


def test_more_than_one_instance_is_refused(prefix: Path) -> None:
    (prefix / "input/config/resourceconfig.json").write_text('{"hosts": ["algo-1", "algo-2"]}')
    assert failing(prefix) == "InstanceCount: a model is trained on one instance, got 2"


def test_what_nobody_expected_is_left_as_the_failure_too(prefix: Path) -> None:
    for file in (prefix / "input/data/archive/labels").rglob("*.parquet"):
        file.write_bytes(b"not Parquet")
    with pytest.raises(pa.ArrowInvalid):
        run_training_job(TrainingFolders(prefix), lambda _: None)
    assert failure(prefix).startswith("ArrowInvalid: ")
    assert len(failure(prefix)) <= 1024
