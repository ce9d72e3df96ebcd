"""What travels: transactions, labels and dead letters, their arrival, and how bytes become them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa


class Row(dict[str, Any]):
    """One record as Python values by column: what a batch of one would hold, without the cost of Arrow.

    Times are aware UTC datetimes. A row may lack columns; those are null.

    Attributes:
        facts: what a step has worked out from the record, for the next one; no part of its value.
    """

    facts: Any = None


class Records(NamedTuple):
    """What travels along the path: a batch, the share of a key group in it, or a single record.

    Each part is a `pa.RecordBatch` of any number of records, or else each is a `Row`. It is None where there is nothing
    of its kind.

    Attributes:
        transactions: arrival, transaction, raw; each step appends its features.
        labels: arrival, label, raw.
        dead_letters: as `fraud.records.dead_letter.DEAD_LETTER_SCHEMA` has them.
        notes: counts of what was noticed, as `fraud.records.notes.NOTE_SCHEMA` has them.
        sizes: what key groups of the job's state take, as `processor.keyed_state.sizes.SIZE_SCHEMA` has them.
    """

    transactions: pa.RecordBatch | None = None
    labels: pa.RecordBatch | None = None
    dead_letters: pa.RecordBatch | None = None
    notes: pa.RecordBatch | None = None
    sizes: pa.RecordBatch | None = None

    @property
    def outcomes(self) -> Records:
        """What no step folds: dead letters, notes and sizes."""
        return Records(dead_letters=self.dead_letters, notes=self.notes, sizes=self.sizes)

    @property
    def stored(self) -> Records:
        """What is stored: all but notes and sizes, which become metrics."""
        return self._replace(notes=None, sizes=None)

    def kinds(self) -> Iterator[tuple[str, pa.RecordBatch]]:
        """What there is, by kind.

        >>> [kind for kind, _ in Records(labels=Row(transaction_id="t-1")).kinds()]
        ['labels']
        """
        return ((kind, part) for kind, part in zip(self._fields, self, strict=True) if part is not None)


def joined(parts: Iterable[Records]) -> Records:
    """The records of several batches, all of them columns, as those of one; in no particular order."""
    together = {
        kind: [part for part in found if part is not None]
        for kind, found in zip(Records._fields, zip(*parts, strict=True), strict=False)
    }
    return Records(
        **{kind: found[0] if len(found) == 1 else pa.concat_batches(found) for kind, found in together.items() if found}
    )
