"""The model artifact: a folder that names its inputs, executes nothing on load, and refuses a mismatch.

model.ubj    the trees, in XGBoost's own binary JSON
model.json   feature names in order with the hash of their definitions, calibration, training range, metrics
card.md      the model card, for people; nothing reads it
"""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters.program.version import program_version
from fraud.errors import MisconfiguredError
from fraud.features import DeclarationError, catalogue_with, definition_hash
from ml_model.boosting import xgb
from ml_model.card import render_card
from ml_model.description import Calibration, Description

TREES = "model.ubj"
DESCRIPTION = "model.json"
CARD = "card.md"


def version_of(trees: bytes, calibration: Calibration) -> str:
    """The version that follows from a model's content."""
    said = calibration.model_dump_json(exclude_defaults=True)  # what came later changes no version of before
    return hashlib.sha256(trees + said.encode()).hexdigest()[:12]


def library_versions() -> dict[str, str]:
    """Versions that a later reader may need to know."""
    libraries = {"python": platform.python_version(), "xgboost": xgb.__version__}
    return libraries | {"card-fraud-streaming": program_version()}


def save_artifact(folder: Path, trees: bytes, description: Description) -> None:
    """Writes a model; an earlier one in the folder is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TREES).write_bytes(trees)
    content: dict[str, Any] = json.loads(description.model_dump_json())
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=2) + "\n")
    (folder / CARD).write_text(render_card(description))


def artifact_sha256(folder: Path) -> str:
    """The SHA-256 of what a program reads of an artifact: of the SHA-256s of trees and description.

    Raises:
        MisconfiguredError: the folder holds no artifact.
    """
    return _sha256(*_read(folder))


def _read(folder: Path) -> tuple[bytes, bytes]:
    try:
        return (folder / TREES).read_bytes(), (folder / DESCRIPTION).read_bytes()
    except OSError as error:
        raise MisconfiguredError("model.artifact", f"{folder} holds no model: {error}; run `fraud train`") from None


def _sha256(trees: bytes, description: bytes) -> str:
    parts = [hashlib.sha256(part).digest() for part in (trees, description)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def load_artifact(folder: Path, sha256: str | None = None) -> tuple[xgb.Booster, Description]:
    """Reads a model and checks that it fits this program.

    Args:
        folder: of the artifact.
        sha256: that it must have, see `artifact_sha256`; where it has another, nothing of it is parsed. None trusts the
            folder: whoever writes there decides.

    Raises:
        MisconfiguredError: it has another SHA-256.
        MisconfiguredError: files are missing or damaged, or the model was trained on other features than the
            catalogue defines now; the message names both sides.
    """
    trees, described = _read(folder)
    if sha256 is not None and sha256 != _sha256(trees, described):
        raise MisconfiguredError(
            "model.artifact",
            f"{folder} has SHA-256 {_sha256(trees, described)}, wanted is {sha256}: it was exchanged",
        )
    try:
        description = Description.model_validate_json(described)
    except ValidationError as error:
        raise MisconfiguredError("model.artifact", f"{folder / DESCRIPTION}: {' '.join(str(error).split())}") from None
    try:
        catalogue = catalogue_with(description.declared)
    except DeclarationError as error:
        raise MisconfiguredError("model.artifact", f"{folder / DESCRIPTION}: declared: {error}") from None
    unknown = sorted(set(description.features) - set(catalogue.names))
    if unknown:
        raise MisconfiguredError("model.artifact", f"{folder} needs features that do not exist: {', '.join(unknown)}")
    defined = definition_hash(catalogue.features_named(description.features))
    if description.definition_hash != defined:
        raise MisconfiguredError(
            "model.artifact",
            f"{folder} was trained on feature definitions {description.definition_hash}, this program has "
            f"{defined}; run `fraud train`",
        )
    if description.version != version_of(trees, description.calibration):
        raise MisconfiguredError(
            "model.artifact", f"{folder} is damaged: its content is not version {description.version}"
        )
    booster = xgb.Booster(params={"nthread": 1})
    try:
        booster.load_model(bytearray(trees))
    except xgb.core.XGBoostError as error:
        raise MisconfiguredError("model.artifact", f"{folder / TREES} holds no trees: {str(error)[:200]}") from None
    if booster.num_features() != len(description.features):
        sides = f"trees of {booster.num_features()} features, and names {len(description.features)}"
        raise MisconfiguredError("model.artifact", f"{folder} holds {sides}")
    return booster, description
