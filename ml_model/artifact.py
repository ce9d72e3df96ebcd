"""The model artifact: a folder that names its inputs, executes nothing on load, and refuses a mismatch.

model.ubj    the trees, in XGBoost's own binary JSON
model.json   feature names in order with the hash of their definitions, calibration, training range, metrics
"""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import xgboost as xgb
from pydantic import BaseModel, ConfigDict, ValidationError

from fraud.errors import MisconfiguredError
from fraud.features import FEATURE_NAMES, definition_hash, features_named

TREES = "model.ubj"
DESCRIPTION = "model.json"


class Calibration(BaseModel):
    """Platt's scaling of the raw score: log-odds = slope * raw + intercept (Platt 1999)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float
    intercept: float


class Description(BaseModel):
    """What is known of a model without loading its trees.

    Attributes:
        version: first 12 hexadecimal digits of the SHA-256 of trees and calibration.
        features: input columns in order.
        definition_hash: of their entries in the catalogue that computed them.
        calibration: from raw score to probability.
        trained_from: first event time of the training data, RFC 3339.
        trained_until: last.
        held_out_until: last of the stretch that stopped the training early and calibrated; None where not noted.
        rows: training transactions.
        frauds: of these, known as fraud.
        metrics: on the later stretch that training did not see.
        libraries: versions that made it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    features: tuple[str, ...]
    definition_hash: str
    calibration: Calibration
    trained_from: str
    trained_until: str
    held_out_until: str | None = None
    rows: int
    frauds: int
    metrics: dict[str, float]
    libraries: dict[str, str]

    @property
    def seen_until(self) -> str:
        """Last event time that had a part in making the model."""
        return self.held_out_until or self.trained_until


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
