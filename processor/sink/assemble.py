"""Puts what arrives in a sink partition into arrival order."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from fraud.features import Catalogue
from fraud.features.columns import in_arrival_order
from fraud.path import with_every_feature
from fraud.records import Records
from processor.envelope import collect


def assemble(rows: Iterable[pa.RecordBatch], catalogue: Catalogue) -> Records:
    """Collects `processor.envelope.ROWS` of one partition and one batch: each kind in arrival order, with all features.

    A kind without records is None.
    """
    records = collect(
        pair for batch in rows for pair in zip(batch["kind"].to_pylist(), batch["payload"].to_pylist(), strict=True)
    )
    stored = records.stored.kinds()
    ordered = Records(**{kind: in_arrival_order(part) for kind, part in stored if part.num_rows})
    ordered = ordered._replace(notes=records.notes, sizes=records.sizes)
    if ordered.transactions is None:
        return ordered
    return ordered._replace(transactions=with_every_feature(ordered.transactions, catalogue))
