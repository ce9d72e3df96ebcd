"""Joins the parts of each record that arrive in a sink partition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from fraud.arrival import arrival_order
from processor.envelope import Kind, unpack

_PLACE = ["stream", "shard", "sequence_number", "sub_sequence"]
_JOINED = (Kind.MERCHANT, Kind.DEVICE)


class Assembled(NamedTuple):
    """What a partition holds, each in arrival order; None where there is nothing.

    Attributes:
        transactions: arrival, transaction, raw, and the features of every entity.
        labels: arrival, label, raw.
        dead_letters: `fraud.dead_letter.DEAD_LETTER_SCHEMA`.
    """

    transactions: pa.Table | None
    labels: pa.Table | None
    dead_letters: pa.Table | None


def assemble(rows: Iterable[pa.RecordBatch]) -> Assembled:
    """Collects `processor.envelope.SLOT_ROWS` of one partition and one batch.

    A merchant's part without a card's belongs to a duplicate, which the card's fold made a dead letter.
    """
    parts: dict[str, list[pa.RecordBatch]] = defaultdict(list)
    for batch in rows:
        for kind, payload in zip(batch["kind"].to_pylist(), batch["payload"].to_pylist(), strict=True):
            parts[kind].append(unpack(payload))
    transactions = _in_order(parts[Kind.CARD])
    if transactions is not None:
        for kind in _JOINED:
            transactions = _with_features(transactions, parts[kind])
    return Assembled(transactions, _in_order(parts[Kind.LABELS]), _in_order(parts[Kind.DEAD_LETTERS]))


def _in_order(parts: list[pa.RecordBatch]) -> pa.Table | None:
    if not parts:
        return None
    table = pa.Table.from_batches(parts)
    return table.take(arrival_order(table)).combine_chunks()


def _with_features(transactions: pa.Table, parts: list[pa.RecordBatch]) -> pa.Table:
    """Appends an entity's feature columns; null in rows for which the entity has none."""
    if not parts:
        return transactions
    features = pa.Table.from_batches(parts)
    wanted = pl.DataFrame(transactions.select(_PLACE))
    found = pl.DataFrame(features.select(_PLACE)).with_row_index("row")
    rows = wanted.join(found, on=_PLACE, how="left", maintain_order="left")["row"].to_arrow()
    for name in features.schema.names:
        if name not in _PLACE:
            transactions = transactions.append_column(features.schema.field(name), features[name].take(rows))
    return transactions
