"""Delta tables of the simulated world: `deltalake` itself, in a folder in memory, with what may go wrong at each call.

Everyone else reaches a table's files as objects of the archive, as erasure does with its log.
"""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from adapters.archive.delta import TABLES, DeltaTables, OpenTable
from embedded.simulation.world import Process, World

Result = TypeVar("Result")

_LOG = "/_delta_log/"
_READ_FAULTS = ("unreachable",)
_COMMIT_FAULTS = ("unreachable", "torn", "unanswered", "lost")
"""`torn` leaves files that no commit names. Of the two whose commit stands, `unanswered` has `deltalake` try again and
meet its own commit, and `lost` ends its attempts."""


class TableFiles:
    """The files of all tables, in a folder and as objects.

    Args:
        folder: where `deltalake` has them.
        objects: of the archive, by key.
    """

    def __init__(self, folder: Path, objects: MutableMapping[str, bytes]) -> None:
        self.folder = folder
        self._objects = objects
        self._same: dict[str, bytes] = {}

    def lay_out(self) -> None:
        """Puts into the folder what others have written as objects."""
        for key, data in self._objects.items():
            if key.startswith(TABLES) and self._same.get(key) is not data:
                file = self._file(key)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
                self._same[key] = data

    def take_up(self, name: str, *, torn: bool) -> None:
        """Makes objects of what was written into a table's folder, but for commits where one was torn.

        Args:
            name: of the table.
            torn: whether the writer came no further than the files that its commit would have named.
        """
        begin, known = len(str(self.folder)) + 1, f"{TABLES}{name}/"
        there = {
            f"{TABLES}{folder[begin:]}/{file}" for folder, _, files in os.walk(self.folder / name) for file in files
        }
        for key in sorted(there - self._same.keys()):
            if torn and _LOG in key:
                self._file(key).unlink()
            else:
                self._objects[key] = self._same[key] = self._file(key).read_bytes()
        for key in [key for key in self._same if key.startswith(known) and key not in there]:
            del self._objects[key], self._same[key]

    def _file(self, key: str) -> Path:
        return self.folder / key.removeprefix(TABLES)


class SimulatedTables(DeltaTables):
    """Tables as a process of the world reaches them.

    Args:
        world: where it is.
        process: whose calls they are.
        files: of the tables.
    """

    def __init__(self, world: World, process: Process, files: TableFiles) -> None:
        super().__init__(f"{files.folder}/", {})
        self._world = world
        self._process = process
        self._files = files

    def open(self, name: str) -> OpenTable | None:
        """See `DeltaTables`."""
        opened = self.call("open", name, lambda: super(SimulatedTables, self).open(name), _READ_FAULTS)
        return None if opened is None else _SimulatedTable(opened._table, self, name)

    def create(self, name: str, schema: pa.Schema) -> None:
        """See `DeltaTables`."""
        self.call("create", name, lambda: super(SimulatedTables, self).create(name, schema), _COMMIT_FAULTS)

    def call(self, what: str, name: str, effect: Callable[[], Result], faults: tuple[str, ...]) -> Result:
        """A call to the outside."""
        met = ""

        def fail(fault: str) -> tuple[Exception, bool]:
            nonlocal met
            met = fault
            error = CommitFailedError if fault == "unanswered" else OSError
            return error(f"simulated: {fault}"), fault != "unreachable"

        def take_effect() -> Result:
            self._files.lay_out()
            made = effect()
            self._files.take_up(name, torn=met == "torn")
            return made

        return self._world.call(self._process, f"delta.{what}", take_effect, faults, fail, about=name)


class _SimulatedTable(OpenTable):
    def __init__(self, table: DeltaTable, tables: SimulatedTables, name: str) -> None:
        super().__init__(table)
        self._tables = tables
        self._name = name

    def refresh(self) -> None:
        self._tables.call("refresh", self._name, super().refresh, _READ_FAULTS)

    def query(self, sql: str) -> pa.Table:
        return self._tables.call("query", self._name, lambda: super(_SimulatedTable, self).query(sql), _READ_FAULTS)

    def append(self, rows: pa.Table, application: str, version: int) -> None:
        def append() -> None:
            super(_SimulatedTable, self).append(rows, application, version)

        self._tables.call("append", self._name, append, _COMMIT_FAULTS)

    def mark(self, application: str) -> None:
        self._tables.call("mark", self._name, lambda: super(_SimulatedTable, self).mark(application), _COMMIT_FAULTS)

    def delete(self, condition: str) -> int:
        def delete() -> int:
            return super(_SimulatedTable, self).delete(condition)

        return self._tables.call("delete", self._name, delete, _COMMIT_FAULTS)

    def compact(self) -> None:
        self._tables.call("compact", self._name, super().compact, _COMMIT_FAULTS)

    def vacuum(self) -> None:
        self._tables.call("vacuum", self._name, super().vacuum, _COMMIT_FAULTS)
