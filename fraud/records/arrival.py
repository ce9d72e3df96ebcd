"""Where and when a record arrived, and the one total order that follows from it.

Inside a batch, records are ordered by (`arrival_ms`, `stream`, `shard`, sequence number as an integer, `sub_sequence`).
Batches are ordered by their id. State, training, backtest and the oracle all fold in this order, so cutting the
same records into other batches must not change it: the source plans batches such that no record of a later
batch precedes one of an earlier batch *of the same shard*, and the archive stores the batch with each record.

Arrival is also the clock: what is remembered, forgotten, taken for a duplicate or refused as too old follows from it,
never from the largest event time seen, which any sender can set. A replay or a generated run sends months within
minutes. Its records carry a recorded arrival, which stands for the arrival where the job's settings say so; intake
removes it elsewhere. Of a transaction that was answered in the call, it is the time at which its service received it.
The order is that of the stream all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraud.records.schema import milliseconds_of

Ints = npt.NDArray[np.int64]

ARRIVAL_FIELDS = (
    pa.field("stream", pa.string(), nullable=False),
    pa.field("shard", pa.string(), nullable=False),
    pa.field("sequence_number", pa.string(), nullable=False),  # decimal digits, up to 128 bits and more
    pa.field("sub_sequence", pa.int64(), nullable=False),  # place inside a KPL aggregate, otherwise 0
    pa.field("arrival_ms", pa.int64(), nullable=False),  # approximate arrival at the stream, UTC epoch
)
ARRIVAL_COLUMNS = tuple(field.name for field in ARRIVAL_FIELDS)

RAW_FIELD = pa.field("raw", pa.binary(), nullable=False)
"""The bytes as received, kept beside the decoded columns."""

DUPLICATE_HORIZON_MS = 86_400_000
"""A transaction id that arrives again for its card within this is a duplicate."""

RECORD_SCHEMA = pa.schema([*ARRIVAL_FIELDS, pa.field("data", pa.binary(), nullable=False)])
"""A record as any source delivers it: its place in the stream and its bytes."""


Place = tuple[int, str, str, int, str, int]
"""A record's place in arrival order: arrival, stream, shard, digits of the sequence number and these, sub-sequence."""


def places_in_order(batch: pa.RecordBatch) -> list[Place]:
    """The place of each record; they sort as `arrival_order` does."""
    names = ("arrival_ms", "stream", "shard", "sequence_number", "sequence_number", "sub_sequence")
    columns = [batch[name] for name in names]
    columns[3] = pc.binary_length(columns[3])
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def arrival_order(batch: pa.RecordBatch | pa.Table) -> pa.Array:
    """The row indices that put a batch into arrival order.

    Sequence numbers are compared as integers: by length, then by digits.
    """
    keys = pa.table(
        {
            "arrival_ms": batch["arrival_ms"],
            "stream": batch["stream"],
            "shard": batch["shard"],
            "digits": pc.binary_length(batch["sequence_number"]),
            "sequence_number": batch["sequence_number"],
            "sub_sequence": batch["sub_sequence"],
        }
    )
    return pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])


def arrivals_ms(records: pa.RecordBatch | pa.Table) -> Ints:
    """When each record arrived by the clock that horizons follow: its recorded arrival, where it has one."""
    arrived, recorded = records["arrival_ms"], records["recorded_arrival"]
    if recorded.null_count < len(recorded):
        arrived = pc.coalesce(recorded.cast(pa.int64()), arrived)
    return np.asarray(arrived.to_numpy(), np.int64)


def recorded_arrivals_ms(records: pa.RecordBatch | pa.Table, otherwise: str) -> Ints:
    """The recorded arrival of each record that has not been on a stream, or the time of another column without one."""
    together = pc.coalesce(records["recorded_arrival"].cast(pa.int64()), records[otherwise].cast(pa.int64()))
    return np.asarray(together.to_numpy(), np.int64)


def with_recorded_arrivals(records: pa.RecordBatch, arrived_ms: Ints | None) -> pa.RecordBatch:
    """The records with these recorded arrivals; None for none."""
    place = records.schema.get_field_index("recorded_arrival")
    field = records.schema.field(place)
    times = pa.nulls(records.num_rows, field.type) if arrived_ms is None else pa.array(arrived_ms).cast(field.type)
    return records.set_column(place, field, times)


def with_arrival(records: pa.RecordBatch, time_column: str, batch: int) -> pa.RecordBatch:
    """Records as if they had arrived when they say that they did, otherwise at the time of a column; in their order."""
    n = records.num_rows
    arrival = {
        "stream": pa.repeat(pa.scalar("recorded"), n),
        "shard": pa.repeat(pa.scalar("0"), n),
        "sequence_number": pa.array(np.arange(n) + (batch + 1) * 10**10).cast(pa.string()),
        "sub_sequence": pa.repeat(pa.scalar(0, pa.int64()), n),
        "arrival_ms": pa.array(recorded_arrivals_ms(records, time_column)),
    }
    arrays = [arrival[field.name] for field in ARRIVAL_FIELDS] + records.columns
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([*ARRIVAL_FIELDS, *records.schema]))


def arrival_ms_of(record: Mapping[str, Any]) -> int:
    """The same of a single record."""
    recorded = record.get("recorded_arrival")
    arrived: int = record["arrival_ms"]
    return arrived if recorded is None else milliseconds_of(recorded)


CLOCK_STEP_MS = 86_400_000
"""How far a record near the end of a recording, whose time no later one confirms, may move its clock."""

CONFIRMING = 2
"""Records that are looked at to confirm the time of the one before them."""


def recorded_clock(time_ms: Ints, following_ms: Sequence[int] = (), reached_ms: int | None = None) -> Ints:
    """The arrivals that follow from a recording's event times: a clock that stands or goes forward, record by record.

    It goes on to a record's event time where one of the next two records does not lie before that. So a single time
    from the far future, or the far past, moves it nowhere.

    Args:
        time_ms: event times, in the order of the recording.
        following_ms: those of the next `CONFIRMING` records behind them; fewer only at the end of the recording.
        reached_ms: what the clock showed before them; None at the beginning.

    >>> recorded_clock(np.array([1_000, 3_000, 4_070_908_800_000, 4_000, 2_000, 6_000, 7_000])).tolist()
    [1000, 3000, 3000, 4000, 4000, 6000, 7000]
    >>> recorded_clock(np.array([1_000, 4_070_908_800_000])).tolist()
    [1000, 86401000]
    """
    count = len(time_ms)
    times = np.concatenate([time_ms, np.array(following_ms[:CONFIRMING], np.int64)])
    confirmed = min(count, max(0, len(times) - CONFIRMING))
    now, first, second = times[:confirmed], times[1 : confirmed + 1], times[2 : confirmed + 2]
    clock = np.where(now <= np.maximum(first, second), now, np.minimum(first, second))
    if confirmed and reached_ms is not None:
        clock[0] = max(clock[0], reached_ms)
    clock = np.maximum.accumulate(clock)
    reached = int(clock[-1]) if confirmed else reached_ms
    at_end = []
    for place in range(confirmed, count):
        time, later = int(times[place]), times[place + 1 :]
        if not (later >= time).any() and (reached is not None or len(later)):
            time = min(time, (int(later.max()) if reached is None else reached) + CLOCK_STEP_MS)
        reached = time if reached is None else max(reached, time)
        at_end.append(reached)
    return np.concatenate([clock, np.array(at_end, np.int64)])
