"""A training job as SageMaker runs a container: the folders that it gives are the whole interface.

input/config/hyperparameters.json   strings by name: fields of `TrainingChoices` and of the settings `retraining`
input/data/CHANNEL/                 an archive with decisions/ and labels/
model/                              the artifact, which SageMaker packs into model.tar.gz
output/failure                      why it failed; SageMaker shows the beginning

SageMaker's toolkits give the same places as `SM_*` variables, which may move them (`TrainingFolders`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from adapters.archive.decision_archive import DecisionArchive
from adapters.files.text_files import read_text
from fraud.documents import parse_json
from fraud.errors import MisconfiguredError
from fraud.settings import Aws, Retraining
from ml_model.artifact import save_artifact
from ml_model.description import Description
from ml_model.retraining import ArchiveTrainer
from ml_model.train import TrainingChoices

CHANNEL = "archive"
_HYPERPARAMETERS = "input/config/hyperparameters.json"
_RESOURCES = "input/config/resourceconfig.json"
_FAILURE_CHARACTERS = 1024  # that SageMaker shows
_WINDOWS = frozenset(Retraining.model_fields)
_CHOICES = frozenset(field.name for field in dataclasses.fields(TrainingChoices)) - {"expected_fraud_rate"}


@dataclasses.dataclass(frozen=True)
class TrainingFolders:
    """Where a training job finds and leaves things.

    Attributes:
        prefix: that SageMaker's folders lie in.
        channel: the archive; None takes the channel `archive` below the prefix, or the only one.
        model: the artifact; None takes `model` below the prefix.
        output: of the failure; None takes `output` below the prefix.
        hyperparameters: JSON; None takes the file below the prefix.
    """

    prefix: Path
    channel: Path | None = None
    model: Path | None = None
    output: Path | None = None
    hyperparameters: str | None = None

    @property
    def artifact(self) -> Path:
        """Folder of the artifact."""
        return self.model or self.prefix / "model"

    @property
    def failure(self) -> Path:
        """File that says why the job failed."""
        return (self.output or self.prefix / "output") / "failure"


def run_training_job(folders: TrainingFolders, progress: Callable[[str], None]) -> Description:
    """Trains on the archive that a channel holds.

    Args:
        folders: below `/opt/ml` in a container.
        progress: called with each line of progress.

    Raises:
        MisconfiguredError: channel, hyperparameters or data do not fit; as every failure, it is left in the folder
            for SageMaker as well.
    """
    try:
        given = folders.hyperparameters
        file = folders.prefix / _HYPERPARAMETERS
        windows, choices = _hyperparameters(_read_json(file) if given is None else _object("SM_HPS", given))
        _require_one_host(folders.prefix / _RESOURCES)
        channel = folders.channel or _channel(folders.prefix / "input" / "data")
        trees, description = ArchiveTrainer(DecisionArchive(str(channel), Aws()), windows).train(progress, choices)
        save_artifact(folders.artifact, trees, description)
    except Exception as error:
        failure = folders.failure
        failure.parent.mkdir(parents=True, exist_ok=True)
        text = str(error) if isinstance(error, MisconfiguredError) else f"{type(error).__name__}: {error}"
        failure.write_text(text[:_FAILURE_CHARACTERS])
        raise
    return description


def _hyperparameters(given: dict[str, Any]) -> tuple[Retraining, TrainingChoices]:
    unknown = sorted(set(given) - _WINDOWS - _CHOICES)
    if unknown:
        known = ", ".join(sorted(_WINDOWS | _CHOICES))
        raise MisconfiguredError("hyperparameters", f"unknown {', '.join(unknown)}; known are {known}")
    try:
        windows = Retraining.model_validate({name: value for name, value in given.items() if name in _WINDOWS})
        choices = TypeAdapter(TrainingChoices).validate_python(
            {name: value for name, value in given.items() if name in _CHOICES}
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise MisconfiguredError("hyperparameters", f"{name}: {first['msg']}, got {first['input']!r}") from None
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
    return _object(file.name, read_text(file)) if file.exists() else {}


def _object(name: str, text: str) -> dict[str, Any]:
    content = parse_json(name, text)
    if not isinstance(content, dict):
        raise MisconfiguredError(name, "holds no object")
    return content
