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

from fraud.errors import MisconfiguredError
from fraud.features import FEATURE_NAMES, definition_hash, features_named
from ml_model.boosting import xgb
from ml_model.card import render_card
from ml_model.description import Calibration, Description

TREES = "model.ubj"
DESCRIPTION = "model.json"
CARD = "card.md"


def version_of(trees: bytes, calibration: Calibration) -> str:
    """The version that follows from a model's content."""
    return hashlib.sha256(trees + calibration.model_dump_json().encode()).hexdigest()[:12]


def library_versions() -> dict[str, str]:
    """Versions that a later reader may need to know."""
    return {"python": platform.python_version(), "xgboost": xgb.__version__}


def save_artifact(folder: Path, trees: bytes, description: Description) -> None:
    """Writes a model; an earlier one in the folder is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TREES).write_bytes(trees)
    content: dict[str, Any] = json.loads(description.model_dump_json())
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=2) + "\n")
    (folder / CARD).write_text(render_card(description))


def load_artifact(folder: Path) -> tuple[xgb.Booster, Description]:
    """Reads a model and checks that it fits this program.

    Raises:
        MisconfiguredError: files are missing or damaged, or the model was trained on other features than the
            catalogue defines now; the message names both sides.
    """
    try:
        trees = (folder / TREES).read_bytes()
        description = Description.model_validate_json((folder / DESCRIPTION).read_text())
    except OSError as error:
        raise MisconfiguredError("model.artifact", f"{folder} holds no model: {error}; run `fraud train`") from None
    except ValidationError as error:
        raise MisconfiguredError("model.artifact", f"{folder / DESCRIPTION}: {' '.join(str(error).split())}") from None
    unknown = sorted(set(description.features) - set(FEATURE_NAMES))
    if unknown:
        raise MisconfiguredError("model.artifact", f"{folder} needs features that do not exist: {', '.join(unknown)}")
    defined = definition_hash(features_named(description.features))
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
    booster.load_model(bytearray(trees))
    return booster, description
