"""Arrow batches as binary columns: how records travel between the stages of the Spark job.

Rows between stages are few and fat. One row carries all records of one kind that go to one key group, or to one sink
partition, as an Arrow IPC stream; so Spark distributes, orders and stores, and never converts a record.
"""

from __future__ import annotations

import enum
import zlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

KEY_GROUP_ROWS = "key_group int, kind string, payload binary"
"""Rows from the decode stage to the stateful stage."""

SLOT_ROWS = "slot int, kind string, payload binary"
"""Rows from the stateful stage to the sink."""


class Kind(enum.StrEnum):
    """What the payload of a row holds."""

    TRANSACTIONS = "transactions"  # to a key group: arrival, transaction, raw
    LABELS = "labels"  # arrival, label, raw
    DEAD_LETTERS = "dead_letters"  # `fraud.dead_letter.DEAD_LETTER_SCHEMA`
    CARD = "card"  # to a slot: arrival, transaction, raw, card features
    MERCHANT = "merchant"  # to a slot: place in the stream, merchant features
    DEVICE = "device"  # to a slot: place in the stream, device features


class Entity(enum.IntEnum):
    """The entities that have key groups; group `g` of an entity has the number `entity * G + g`."""

    CARD = 0
    MERCHANT = 1
    DEVICE = 2


def pack(batch: pa.RecordBatch) -> bytes:
    """Serialises a batch, schema included."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def unpack(payload: bytes) -> pa.RecordBatch:
    """Reads back what `pack` wrote."""
    return pa.ipc.open_stream(payload).read_next_batch()


def key_group_of(entity: Entity, ids: pa.Array, groups: int) -> npt.NDArray[np.int64]:
    """The key group of each entity id.

    CRC-32 decides, because it will be the same in every version of every library: a checkpoint's state is laid out
    by it.

    Args:
        entity: whose ids they are.
        ids: string array without nulls.
        groups: key groups per entity (`job.key_groups`).
    """
    encoded = ids.dictionary_encode()
    group_of_id = np.fromiter(
        (zlib.crc32(text.encode()) % groups for text in encoded.dictionary.to_pylist()),
        np.int64,
        len(encoded.dictionary),
    )
    return np.asarray(entity * groups + group_of_id[encoded.indices.to_numpy()], np.int64)


def slot_of(batch: pa.RecordBatch | pa.Table, slots: int) -> npt.NDArray[np.int64]:
    """The sink partition of each record, from its place in the stream alone: every part of a record meets there."""
    tail = pc.cast(pc.utf8_slice_codeunits(batch["sequence_number"], -6), pa.int64())
    return np.asarray((tail.to_numpy() + batch["sub_sequence"].to_numpy()) % slots, np.int64)


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
