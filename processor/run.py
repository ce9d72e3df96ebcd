"""One run of the job: what its attempts of batches are decided by, wherever they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from fraud.settings import Settings
from processor.checkpoint_folder import Numbering, shift_at

if TYPE_CHECKING:
    from adapters.archive.archive import Archive
    from adapters.archive.stored_records import StoredRecords

Ranges = dict[str, tuple[str, str]]
"""The first and the last sequence number of each `stream/shard`."""


class Resumed(BaseModel):
    """A batch that an earlier run began and did not commit.

    Attributes:
        batch_id: Spark's number of it.
        settings: those of this start, but for what the batch is pinned with.
        run: that began it.
        objects: what it has stored of the batch: the records of each object, by key.
    """

    model_config = ConfigDict(frozen=True)

    batch_id: int
    settings: Settings
    run: str
    objects: dict[str, Ranges] = {}


class Run(BaseModel):
    """What a start of the job hands to all its stages.

    Attributes:
        settings: of this start.
        id: fresh for each start.
        program: version of the program.
        numberings: what the archive adds to Spark's numbers of batches.
        resumed: the batch that it has to finish first; None for none.
    """

    model_config = ConfigDict(frozen=True)

    settings: Settings
    id: str = ""
    program: str = ""
    numberings: tuple[Numbering, ...] = ()
    resumed: Resumed | None = None

    def settings_of(self, batch_id: int) -> Settings:
        """The settings that a batch is decided by."""
        if self.resumed is not None and batch_id == self.resumed.batch_id:
            return self.resumed.settings
        return self.settings

    def number_of(self, batch_id: int) -> int:
        """A batch's number in the archive."""
        return batch_id + shift_at(self.numberings, batch_id)

    def runs_of(self, batch_id: int) -> frozenset[str]:
        """The runs that may have pinned a batch."""
        if self.resumed is not None and batch_id == self.resumed.batch_id:
            return frozenset({self.id, self.resumed.run})
        return frozenset({self.id})

    def objects_of(self, batch_id: int) -> tuple[str, ...]:
        """Keys of what an earlier run has stored of a batch."""
        return tuple(self.resumed.objects) if self.resumed is not None and batch_id == self.resumed.batch_id else ()

    def repeats(self, batch_id: int) -> bool:
        """Whether a batch may hold records that were stored before."""
        return bool(self.numberings) or (self.resumed is not None and batch_id == self.resumed.batch_id)

    def stored(self, archive: Archive, batch_id: int) -> StoredRecords:
        """The records of earlier attempts that a batch may hold again."""
        # Imported here, because few batches repeat anything, and the processes that plan a query need none of it.
        from adapters.archive.stored_records import StoredRecords
        from processor.continuation import continued_objects

        objects: dict[str, Ranges] = {}
        for numbering in self.numberings[-1:]:
            objects |= continued_objects(archive, numbering.continuation)
        if self.resumed is not None and batch_id == self.resumed.batch_id:
            objects |= self.resumed.objects
        return StoredRecords(archive, objects)
