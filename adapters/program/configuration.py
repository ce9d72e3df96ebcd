"""Loads settings: file, then environment, then flags; the later wins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from pydantic import ValidationError

from adapters.files.text_files import read_text
from adapters.program.declared_features import read_declared
from fraud.declared import NOTHING_DECLARED, Declared
from fraud.documents import parse_yaml, problem_of
from fraud.errors import MisconfiguredError
from fraud.settings import Settings

ENVIRONMENT_PREFIX = "FRAUD_"
DEFAULT_FILE = Path("config/config.yaml")

_UNSHOWN = "answers.keys"
"""A setting whose values are never repeated: by mistake, one may be the secret itself."""


def load_settings(
    file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Reads and checks all settings.

    Args:
        file: YAML file; None reads `config/config.yaml` where it exists.
        environment: variables; those named `FRAUD_SECTION__KEY` count.
        overrides: dotted names with values, from flags: `{"job.trigger_ms": 200}`.

    Raises:
        MisconfiguredError: a file is missing or unreadable, a key unknown or a value out of bounds; the message names
            the setting.
    """
    merged: dict[str, Any] = {}
    _merge(merged, _from_file(file))
    for name, text in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            path = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            _merge(merged, _nested(path, parse_yaml(name, text)))
    for dotted, value in (overrides or {}).items():
        _merge(merged, _nested(dotted.split("."), value))
    job = merged.get("job")
    if isinstance(job, dict) and "features" in job:
        job["features"] = _declared(job["features"])
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise MisconfiguredError(name, "no such setting (docs/reference/settings.md lists them)") from None
        given = "" if name.startswith(_UNSHOWN) else f", got {shortened(first['input'])}"
        raise MisconfiguredError(name, f"{problem_of(first)}{given}") from None
    except Exception as error:  # a validator met what it was not written for
        raise MisconfiguredError("settings", f"{type(error).__name__}: {error}") from error


def _declared(given: Any) -> Any:
    """What `job.features` stands for: a file that it names, nothing, or rows that another program has read already."""
    if given is None:
        return NOTHING_DECLARED
    if isinstance(given, dict | Declared):
        return given
    if not isinstance(given, str) or not given.strip():
        raise MisconfiguredError("job.features", f"name a file of features (docs/windows.md), got {shortened(given)}")
    return read_declared(Path(given))


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """Turns `--set job.trigger_ms=200` texts into overrides; values are YAML scalars.

    >>> parse_assignments(["job.trigger_ms=200", "aws.endpoint_url="])
    {'job.trigger_ms': 200, 'aws.endpoint_url': None}
    """
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise MisconfiguredError(f"--set {assignment}", "write it as section.key=value")
        overrides[name] = parse_yaml(f"--set {name}", text)
    return overrides


def _from_file(file: Path | None) -> dict[str, Any]:
    path = file or DEFAULT_FILE
    if file is None and not path.exists():
        return {}
    content = parse_yaml(str(path), read_text(path)) or {}
    if not isinstance(content, dict):
        raise MisconfiguredError(str(path), "must hold sections with keys")
    return content


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return value  # type: ignore[no-any-return]


def _merge(target: dict[str, Any], extra: dict[str, Any]) -> None:
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
