"""The files of a checkpoint, by Hadoop's file systems: on this machine or in S3."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from pyspark.sql import SparkSession

from processor.kinesis_source.offsets import Offsets, from_json

_NUMBERING = "archive-numbering.json"
"""Our own file beside Spark's: what the archive adds to the numbers of this checkpoint's batches. It is saved and
restored with the rest."""

_PARTITIONS = "spark.sql.shuffle.partitions"
"""Spark notes it with each batch, and goes by its note whatever a session says."""


class Numbering(NamedTuple):
    """From which batch on the archive adds what to Spark's numbers.

    Attributes:
        since: the first batch, as Spark numbers it.
        shift: what is added.
        continuation: key of the note that says why (`processor.continuation`).
    """

    since: int
    shift: int
    continuation: str


class Progress(NamedTuple):
    """How far a checkpoint is.

    Attributes:
        planned: the last batch whose offsets are logged; -1 for none.
        committed: the last batch that is committed; -1 for none.
        numberings: in ascending order; empty where the archive numbers batches as Spark does.
    """

    planned: int = -1
    committed: int = -1
    numberings: tuple[Numbering, ...] = ()

    @property
    def pending(self) -> int | None:
        """The batch that is planned and not committed."""
        return self.planned if self.planned > self.committed else None

    def number_of(self, batch_id: int) -> int:
        """A batch's number in the archive."""
        return batch_id + shift_at(self.numberings, batch_id)


def shift_at(numberings: Sequence[Numbering], batch_id: int) -> int:
    """What the archive adds to the number of a batch.

    >>> shift_at([Numbering(6, 3, "a"), Numbering(9, 7, "b")], 8)
    3
    """
    return next((numbering.shift for numbering in reversed(numberings) if numbering.since <= batch_id), 0)


def unfinished(checkpoint: str, partitions: int) -> str:
    """What to do about a move of the state that was interrupted."""
    return (
        f"a move of the state of {checkpoint} to {partitions} partitions was interrupted: finish it first, with "
        f"fraud rescale --partitions {partitions}"
    )


class CheckpointFolder:
    """A checkpoint as it lies on disk.

    Args:
        spark: a session.
        address: folder or URL of the checkpoint.
    """

    def __init__(self, spark: SparkSession, address: str) -> None:
        self.address = address
        self._jvm: Any = spark._jvm
        jsc: Any = spark._jsc
        self._configuration = jsc.hadoopConfiguration()

    def id(self) -> str | None:
        """Spark's id of the query that the checkpoint belongs to; None where there is no checkpoint yet."""
        text = self._read("metadata")
        return None if text is None else str(json.loads(text)["id"])

    def make(self) -> str:
        """Begins a checkpoint, as Spark would; its id."""
        self._write("metadata", json.dumps({"id": str(uuid.uuid4())}), overwrite=False)
        made = self.id()
        assert made is not None, f"{self.address} has lost its metadata"
        return made

    def progress(self) -> Progress:
        """How far it is."""
        numberings = json.loads(self._read(_NUMBERING) or "[]")
        last = {log: max(self._numbers(log), default=-1) for log in ("offsets", "commits")}
        return Progress(last["offsets"], last["commits"], tuple(Numbering(*entry) for entry in numberings))

    def number_on(self, numbering: Numbering) -> None:
        """Gives a batch and those after it other numbers in the archive."""
        kept = [earlier for earlier in self.progress().numberings if earlier.since < numbering.since]
        self._write(_NUMBERING, json.dumps([*kept, numbering]), overwrite=True)

    def partitions(self) -> int | None:
        """How many partitions the state is laid out in; None before the first batch is planned."""
        return self._partitions_of(self.progress().planned)

    def unfinished_move(self) -> tuple[int, int] | None:
        """From and to how many partitions the state was being moved when that was interrupted; None where none was.

        Spark plans a move as a batch that differs from the one before in nothing else, and goes on with it alone.
        """
        pending = self.progress().pending
        if pending is None:
            return None
        before, after = self._partitions_of(pending - 1), self._partitions_of(pending)
        return None if before is None or after is None or before == after else (before, after)

    def _partitions_of(self, batch_id: int) -> int | None:
        text = self._read(f"offsets/{batch_id}")
        noted = None if text is None else json.loads(text.splitlines()[1]).get("conf", {}).get(_PARTITIONS)
        return None if noted is None else int(noted)

    def offsets(self, batch_id: int) -> Offsets:
        """How far each shard was to be read by a batch; nothing where its offsets are not logged."""
        text = self._read(f"offsets/{batch_id}")
        # A version, Spark's own metadata, and a line for each source, of which the job has one.
        return {} if text is None else from_json(json.loads(text.splitlines()[2]))

    def _path(self, name: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(f"{self.address}/{name}")

    def _numbers(self, log: str) -> list[int]:
        path = self._path(log)
        files = path.getFileSystem(self._configuration)
        if not files.exists(path):
            return []
        names = [str(status.getPath().getName()) for status in files.listStatus(path)]
        return [int(name) for name in names if name.isdigit()]

    def _read(self, name: str) -> str | None:
        path = self._path(name)
        files = path.getFileSystem(self._configuration)
        if not files.exists(path):
            return None
        opened = files.open(path)
        try:
            return str(self._jvm.org.apache.commons.io.IOUtils.toString(opened, "UTF-8"))
        finally:
            opened.close()

    def _write(self, name: str, text: str, *, overwrite: bool) -> None:
        """Writes a file whole or not at all."""
        path = self._path(name)
        checkpointing = self._jvm.org.apache.spark.sql.execution.streaming.checkpointing
        manager = checkpointing.CheckpointFileManager.create(self._path(""), self._configuration)
        manager.mkdirs(self._path(""))
        out = manager.createAtomic(path, overwrite)
        try:
            out.write(bytearray(text.encode()))
        except BaseException:
            out.cancel()
            raise
        out.close()
