"""Has each Python program that starts with this folder on its path find no module that only development installs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import ModuleType


class _Absent:
    """Finds nothing, and says so for the given names.

    Args:
        names: top-level modules.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """As a finder of `sys.meta_path`."""
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r} (only development installs it)", name=name)


# The emulator has an environment of its own, where a module of the same name may well be.
if os.environ.get("WITHOUT_TOOLS_IN") == sys.prefix:
    sys.meta_path.insert(0, _Absent(frozenset(os.environ["WITHOUT_TOOLS"].split(","))))
