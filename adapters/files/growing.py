"""Files of lines that programs of a run append to while others read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


class GrowingFiles:
    """The files of a folder with a common ending, one a program; each line is read once.

    Args:
        folder: may not exist yet; files may come later.
        ending: of their names, behind the program's.
    """

    def __init__(self, folder: Path, ending: str) -> None:
        self._folder = folder
        self._ending = ending
        self._positions: dict[Path, int] = {}

    def read_new(self) -> Iterator[tuple[str, Path, list[bytes]]]:
        """The whole lines that were appended since the last call, by program, with their file."""
        for file in sorted(self._folder.glob(f"*{self._ending}")):
            with file.open("rb") as lines:
                lines.seek(self._positions.get(file, 0))
                data = lines.read()
            whole = data[: data.rfind(b"\n") + 1]
            if whole:
                self._positions[file] = self._positions.get(file, 0) + len(whole)
                yield file.name.removesuffix(self._ending), file, whole.splitlines()
