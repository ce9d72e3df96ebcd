"""Which program this is: written beside what it stores."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

_PACKAGES = ("fraud", "adapters", "processor", "ml_model")
"""Whose code decides about records."""


def program_version() -> str:
    """The version of the distribution, and a digest of the code that decides: two programs that differ have two.

    >>> program_version().split("+")[0]
    '0.1.0'
    """
    root = Path(__file__).parents[2]
    code = hashlib.sha256()
    for package in _PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            code.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return f"{importlib.metadata.version('card-fraud-streaming')}+{code.hexdigest()[:12]}"
