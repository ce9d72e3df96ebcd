"""What a program leaves out at its start: pandas, which PyArrow would import for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Hidden(MetaPathFinder):
    """Hides a package."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `MetaPathFinder`."""
        if fullname == self._name:
            raise ModuleNotFoundError(f"{fullname} is left out for now", name=fullname)
        return None


def leave_out_pandas() -> None:
    """Has PyArrow make its first array while pandas is hidden.

    With that array, PyArrow imports pandas where it is installed, to know its types: a third of the processor time that
    a program of ours takes to start, though none hands such types over. What converts to pandas imports it then.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    hidden = _Hidden("pandas")
    sys.meta_path.insert(0, hidden)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(hidden)
