"""Checks that no YAML file of ours gives a key twice: whoever reads it takes the last one, and says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from infrastructure.checks import strict_yaml

ROOT = Path(__file__).parents[2]
_PLACES = ("*.y*ml", "config/**/*.y*ml", ".github/**/*.y*ml", "infrastructure/**/*.y*ml")
_TEMPLATES = "templates"


def run() -> list[str]:
    """Problems found, each with its file and place; empty when all is well."""
    return [problem for pattern in _PLACES for file in sorted(ROOT.glob(pattern)) for problem in _problems(file)]


def _problems(file: Path) -> Iterator[str]:
    if _TEMPLATES in file.parts:
        return  # no YAML before it is rendered; checks/chart.py loads what becomes of it
    try:
        list(strict_yaml.load_all(file.read_text()))
    except yaml.YAMLError as error:
        yield f"{file.relative_to(ROOT)}: {' '.join(str(error).split())}"
