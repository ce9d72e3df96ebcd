"""Files of JSON lines that programs of a run append to while others read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import structlog

log = structlog.get_logger()

Line = TypeVar("Line", bound=msgspec.Struct)


class GrowingFiles(Generic[Line]):
    """The files of a folder with a common ending, one a program; each line is read once.

    Args:
        folder: may not exist yet; files may come later.
        ending: of their names, behind the program's.
        line: what a line holds.
    """

    def __init__(self, folder: Path, ending: str, line: type[Line]) -> None:
        self._folder = folder
        self._ending = ending
        self._parse = msgspec.json.Decoder(line).decode
        self._positions: dict[Path, int] = {}

    def read_new(self) -> Iterator[tuple[str, list[Line]]]:
        """What was appended since the last call, by program; lines that cannot be read are logged."""
        for file in sorted(self._folder.glob(f"*{self._ending}")):
            with file.open("rb") as lines:
                lines.seek(self._positions.get(file, 0))
                data = lines.read()
            whole = data[: data.rfind(b"\n") + 1]
            if whole:
                self._positions[file] = self._positions.get(file, 0) + len(whole)
                yield file.name.removesuffix(self._ending), list(self._read(file, whole.splitlines()))

    def _read(self, file: Path, lines: list[bytes]) -> Iterator[Line]:
        refused, why = 0, ""
        for line in lines:
            try:
                yield self._parse(line)
            except msgspec.MsgspecError as error:
                refused, why = refused + 1, str(error)
        if refused:
            log.warning("lines_not_read", file=str(file), lines=refused, reason=why, fix="produce the file again")
