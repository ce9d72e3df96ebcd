"""Arrow batches as binary columns: how records travel between the stages of the Spark job.

Rows between stages are few and fat. One row carries all records of one kind that go to one key group, as an Arrow IPC
stream; so Spark distributes, orders and stores, and never converts a record.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import mmh3
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraud.features.catalogue import Entity

ROWS = "key_group int, kind string, payload binary"
"""Rows between all stages."""

ROW_SCHEMA = pa.schema([("key_group", pa.int32()), ("kind", pa.string()), ("payload", pa.binary())])


_SPARK_SEED = 42
"""Of the Murmur3 hash that Spark partitions by."""


class Kind(enum.StrEnum):
    """What the payload of a row holds."""

    TRANSACTIONS = "transactions"  # arrival, transaction, raw; each stage appends its features
    LABELS = "labels"  # arrival, label, raw
    DEAD_LETTERS = "dead_letters"  # `fraud.dead_letter.DEAD_LETTER_SCHEMA`


Parts = dict[Kind, pa.RecordBatch]
"""The records of a key group in one batch, by kind; kinds without records are absent."""


def pack(batch: pa.RecordBatch) -> bytes:
    """Serialises a batch, schema included."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def unpack(payload: bytes) -> pa.RecordBatch:
    """Reads back what `pack` wrote."""
    return pa.ipc.open_stream(payload).read_next_batch()


def collect(rows: Iterable[tuple[str, bytes]]) -> Parts:
    """Unpacks rows of (kind, payload) and joins those of one kind."""
    batches: dict[Kind, list[pa.RecordBatch]] = defaultdict(list)
    for kind, payload in rows:
        batches[Kind(kind)].append(unpack(payload))
    return {kind: pa.concat_batches(found) for kind, found in batches.items()}


def row_batch(rows: Iterable[tuple[Any, ...]], schema: pa.Schema = ROW_SCHEMA) -> pa.RecordBatch:
    """Rows, as `address` and `onward` give them, for Spark to take; `schema` may have more columns than `ROWS`."""
    found = list(rows)
    columns = zip(*found, strict=True) if found else ([] for _ in schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def address(kind: Kind, records: pa.RecordBatch, groups: npt.NDArray[np.int64]) -> Iterator[tuple[int, str, bytes]]:
    """Rows of `ROWS` for records with their key groups."""
    for group, part in split(records, groups):
        yield group, kind.value, pack(part)


def entity_groups(entity: Entity, records: pa.RecordBatch, groups: int) -> npt.NDArray[np.int64]:
    """The key group that each record of a kind with a card is folded in; one without the entity goes with its card."""
    cards = records["card_token"]
    known = entity.key in records.schema.names
    return key_group_of(pc.coalesce(records[entity.key], cards) if known else cards, groups)


def onward(
    group: int, kind: Kind, records: pa.RecordBatch, entity: Entity | None, groups: int
) -> Iterator[tuple[int, str, bytes]]:
    """Rows for the next stage; what no stage folds any more stays with its group.

    Args:
        group: the key group that the records come from.
        kind: of the records.
        records: of one batch.
        entity: whose stage is next; None after the last.
        groups: number of key groups.
    """
    if entity is None or kind is Kind.DEAD_LETTERS:
        yield group, kind.value, pack(records)
    else:
        yield from address(kind, records, entity_groups(entity, records, groups))


def key_group_of(ids: pa.Array, groups: int) -> npt.NDArray[np.int64]:
    """The key group of each entity id.

    CRC-32 decides, because it will be the same in every version of every library: a checkpoint's state is laid out
    by it.

    Args:
        ids: string array without nulls.
        groups: number of key groups (`job.key_groups`).
    """
    encoded = ids.dictionary_encode()
    names = encoded.dictionary.cast(pa.binary()).to_pylist()
    place_of_id = np.fromiter((zlib.crc32(name) % groups for name in names), np.int64, len(names))
    return np.asarray(spread_groups(groups)[place_of_id][encoded.indices.to_numpy()], np.int64)


@lru_cache(maxsize=8)
def spread_groups(groups: int) -> npt.NDArray[np.int64]:
    """Numbers for key groups that Spark spreads evenly over partitions, whose count divides theirs.

    Spark sends a row to the partition that the hash of its key gives. Of four groups numbered from 0 it gives three to
    one of two partitions, which then takes three times as long as the other. These are the least numbers whose hashes
    have all remainders, in turn.

    Args:
        groups: how many (`job.key_groups`).
    """
    found: dict[int, int] = {}
    number = 0
    while len(found) < groups:
        found.setdefault(mmh3.hash(struct.pack("<i", number), _SPARK_SEED) % groups, number)
        number += 1
    return np.array([found[place] for place in range(groups)], np.int64)


def split(batch: pa.RecordBatch, part: npt.NDArray[np.int64]) -> list[tuple[int, pa.RecordBatch]]:
    """Cuts a batch by part number; the order of rows inside each part stays."""
    order = np.argsort(part, kind="stable")
    parts, starts = np.unique(part[order], return_index=True)
    sorted_batch = batch.take(pa.array(order))
    ends = np.append(starts[1:], len(part))[: len(starts)]
    return [
        (int(number), sorted_batch.slice(start, end - start))
        for number, start, end in zip(parts, starts, ends, strict=True)
    ]
