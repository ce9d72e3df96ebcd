"""A training job as SageMaker runs a container: the folders that it gives are the whole interface.

input/config/hyperparameters.json   strings by name: fields of `TrainingChoices` and of the settings `retraining`
input/data/CHANNEL/                 an archive with decisions/ and labels/
model/                              the artifact, which SageMaker packs into model.tar.gz
output/failure                      why it failed; SageMaker shows the beginning
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from adapters.decision_archive import DecisionArchive
from fraud.errors import MisconfiguredError
from fraud.settings import Aws, Retraining
from ml_model.artifact import Description, save_artifact
from ml_model.retraining import ArchiveSchool
from ml_model.train import TrainingChoices

CHANNEL = "archive"
_HYPERPARAMETERS = "input/config/hyperparameters.json"
_RESOURCES = "input/config/resourceconfig.json"
_FAILURE_CHARACTERS = 1024  # that SageMaker shows
_WINDOWS = frozenset(Retraining.model_fields)
_CHOICES = frozenset(field.name for field in dataclasses.fields(TrainingChoices)) - {"expected_fraud_rate"}


def run_training_job(prefix: Path, tell: Callable[[str], None]) -> Description:
    """Trains on the archive that a channel holds.

    Args:
        prefix: `/opt/ml` in a container.
        tell: is told the progress in lines.

    Raises:
        MisconfiguredError: channel, hyperparameters or data do not fit; as every failure, it is left in the folder
            for SageMaker as well.
    """
    try:
        windows, choices = _hyperparameters(prefix / _HYPERPARAMETERS)
        _require_one_host(prefix / _RESOURCES)
        school = ArchiveSchool(DecisionArchive(str(_channel(prefix / "input" / "data")), Aws()), windows)
        trees, description = school.train(tell, choices)
        save_artifact(prefix / "model", trees, description)
    except Exception as error:
        failure = prefix / "output" / "failure"
        failure.parent.mkdir(parents=True, exist_ok=True)
        text = str(error) if isinstance(error, MisconfiguredError) else f"{type(error).__name__}: {error}"
        failure.write_text(text[:_FAILURE_CHARACTERS])
        raise
    return description


def _hyperparameters(file: Path) -> tuple[Retraining, TrainingChoices]:
    given = _read_json(file)
    unknown = sorted(set(given) - _WINDOWS - _CHOICES)
    if unknown:
        known = ", ".join(sorted(_WINDOWS | _CHOICES))
        raise MisconfiguredError(file.name, f"unknown {', '.join(unknown)}; known are {known}")
    try:
        windows = Retraining.model_validate({name: value for name, value in given.items() if name in _WINDOWS})
        choices = TypeAdapter(TrainingChoices).validate_python(
            {name: value for name, value in given.items() if name in _CHOICES}
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise MisconfiguredError(file.name, f"{name}: {first['msg']}, got {first['input']!r}") from None
    return windows, choices


def _require_one_host(file: Path) -> None:
    hosts = _read_json(file).get("hosts", [])
    if len(hosts) > 1:
        raise MisconfiguredError("InstanceCount", f"a model is trained on one instance, got {len(hosts)}")


def _channel(folder: Path) -> Path:
    """The channel named `archive`, or the only one."""
    channels = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    named = [channel for channel in channels if channel.name == CHANNEL] or channels
    if len(named) != 1:
        found = ", ".join(channel.name for channel in channels) or "none"
        raise MisconfiguredError("InputDataConfig", f"needs a channel {CHANNEL} in File mode; channels: {found}")
    return named[0]


def _read_json(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise MisconfiguredError(file.name, str(error)) from None
    return content
