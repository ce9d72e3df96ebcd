"""Reads small text and YAML files that a person names on a command line."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from fraud.errors import MisconfiguredError

ModelT = TypeVar("ModelT", bound=BaseModel)


def read_text(file: Path) -> str:
    """The text of a file; MisconfiguredError where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MisconfiguredError(str(file), f"cannot be read: {error}") from None


def read_model(file: Path, model: type[ModelT]) -> ModelT:
    """A YAML file as a checked document; MisconfiguredError names the first fault."""
    try:
        return model.model_validate(yaml.safe_load(read_text(file)) or {})
    except yaml.YAMLError as error:
        raise MisconfiguredError(str(file), f"not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise MisconfiguredError(f"{file}: {place}", fault["msg"]) from None
