"""Arrow batches as binary columns: how records travel between the stages of the Spark job.

Rows between stages are few and fat. One row carries all records of one kind (a field of `fraud.records.Records`) that
go to one key group, as an Arrow IPC stream; so Spark distributes, orders and stores, and never converts a record.
"""

from __future__ import annotations

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

from fraud.entities import ENTITIES, Entity
from fraud.records import Records, joined

ROWS = "key_group int, kind string, payload binary"
"""Rows between all stages."""

ROW_SCHEMA = pa.schema([("key_group", pa.int32()), ("kind", pa.string()), ("payload", pa.binary())])


_SPARK_SEED = 42
"""Of the Murmur3 hash that Spark partitions by."""


def pack(batch: pa.RecordBatch) -> bytes:
    """Serialises a batch, schema included."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def unpack(payload: bytes) -> pa.RecordBatch:
    """Reads back what `pack` wrote."""
    return pa.ipc.open_stream(payload).read_next_batch()


def collect(rows: Iterable[tuple[str, bytes]]) -> Records:
    """Unpacks rows of (kind, payload) and joins those of one kind."""
    return joined(Records(**{kind: unpack(payload)}) for kind, payload in rows)


def row_batch(rows: Iterable[tuple[Any, ...]], schema: pa.Schema = ROW_SCHEMA) -> pa.RecordBatch:
    """Rows for Spark to take, as `first_rows` and `next_rows` give them; `schema` may have more columns."""
    found = list(rows)
    columns = zip(*found, strict=True) if found else ([] for _ in schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def by_group(records: Records, entity: Entity, groups: int) -> Iterator[tuple[int, Records]]:
    """Transactions and labels by the key group of their entity; groups in ascending order."""
    parts: dict[int, dict[str, pa.RecordBatch]] = defaultdict(dict)
    for kind, part in Records(records.transactions, records.labels).kinds():
        for group, rows in split(part, entity_groups(entity, part, groups)):
            parts[group][kind] = rows
    return ((group, Records(**parts[group])) for group in sorted(parts))


def address(records: Records, entity: Entity, groups: int) -> Iterator[tuple[int, str, bytes]]:
    """Rows of `ROWS` for transactions and labels, addressed to the key groups of an entity."""
    for group, part in by_group(records, entity, groups):
        yield from _packed(group, part)


def first_rows(records: Records, groups: int) -> Iterator[tuple[int, str, bytes]]:
    """Rows for the first stage; dead letters and notes, which none of them folds, are spread over the key groups."""
    yield from address(records, ENTITIES[0], groups)
    if records.notes is not None:
        yield from _packed(int(spread_groups(groups)[0]), Records(notes=records.notes))
    if records.dead_letters is not None:
        for group, rows in split(records.dead_letters, key_group_of(records.dead_letters["sequence_number"], groups)):
            yield from _packed(group, Records(dead_letters=rows))


def next_rows(group: int, records: Records, entity: Entity | None, groups: int) -> Iterator[tuple[int, str, bytes]]:
    """Rows for the next stage; what no stage folds any more stays with its group.

    Args:
        group: the key group that the records come from.
        records: of one batch.
        entity: whose stage is next; None after the last.
        groups: number of key groups.
    """
    if entity is not None:
        yield from address(records, entity, groups)
        records = records.outcomes
    yield from _packed(group, records)


def _packed(group: int, records: Records) -> Iterator[tuple[int, str, bytes]]:
    return ((group, kind, pack(part)) for kind, part in records.kinds())


def entity_groups(entity: Entity, records: pa.RecordBatch, groups: int) -> npt.NDArray[np.int64]:
    """The key group that each record of a kind with a card is folded in; one without the entity goes with its card."""
    cards = records["card_token"]
    known = set(entity.columns) <= set(records.schema.names)
    return key_group_of(
        pc.coalesce(joined_id(*(records[name] for name in entity.columns)), cards) if known else cards, groups
    )


def joined_id(*parts: pa.Array) -> pa.Array:
    """The ids of an entity that several columns identify, as one text each; null where one of them is.

    >>> joined_id(pa.array(["tok-1", "tok-1"]), pa.array(["m-1", None])).to_pylist()
    ['tok-1\x1fm-1', None]
    """
    return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, "\x1f")


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
    if len(part) and bool((part == part[0]).all()):  # with few records, the rule
        return [(int(part[0]), batch)]
    order = np.argsort(part, kind="stable")
    parts, starts = np.unique(part[order], return_index=True)
    sorted_batch = batch.take(pa.array(order))
    ends = np.append(starts[1:], len(part))[: len(starts)]
    return [
        (int(number), sorted_batch.slice(start, end - start))
        for number, start, end in zip(parts, starts, ends, strict=True)
    ]
