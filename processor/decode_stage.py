"""The first stage of the job: stream records become columns, addressed to the key groups of their cards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from adapters.program.answer_keys import open_answer_keys
from fraud.records import Records
from fraud.records.intake import Intake
from processor.envelope import first_rows, row_batch
from processor.run import Run
from processor.worker import batch_in_progress, freeze_imports

if TYPE_CHECKING:
    from adapters.archive.archive import Archive


@dataclass(frozen=True)
class DecodeStage:
    """A function for `DataFrame.mapInArrow`: from source rows to `processor.envelope.ROWS`.

    Attributes:
        run: what batches are decided by.
    """

    run: Run

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Decodes the records of one task."""
        freeze_imports()
        return self.rows(batch_in_progress(), batches)

    def rows(self, batch_id: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Decodes records of a batch, addressed to the key groups of their cards."""
        for batch in batches:
            rows = list(first_rows(self.decode(batch_id, batch), self.run.settings.job.key_groups))
            if rows:
                yield row_batch(rows)

    def decode(self, batch_id: int, records: pa.RecordBatch) -> Records:
        """Decodes records of a batch; what an earlier attempt has stored of them stays what it is there."""
        settings = self.run.settings_of(batch_id)
        decoded = Intake.of(settings, open_answer_keys(settings.answers)).read(records)
        if not self.run.repeats(batch_id):
            return decoded
        # Imported here, because few batches repeat anything.
        from adapters.archive.stored_records import as_records
        from fraud.records.fate import as_stored

        return as_stored(decoded, as_records(self.run.stored(self._archive(), batch_id).among(decoded)))

    def _archive(self) -> Archive:
        from adapters.archive.archive import open_archive

        return open_archive(self.run.settings.archive, self.run.settings.aws)
