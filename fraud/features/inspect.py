"""Makes the state of an entity kind readable: one row a key, its remembered events nested."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from fraud.entities import Entity
from fraud.features.events import Floats, Ints, hash_string, key_of
from fraud.features.kernel import layout, memory
from fraud.features.kernel.layout import Flag
from fraud.features.state import EntityState

_TIME = pa.timestamp("ms", tz="UTC")
_FLAGS = (Flag.DECLINED, Flag.UNUSUAL, Flag.FRAUD, Flag.MONEY_BACK, Flag.CHECK)
_CHANNELS = {ord(name[0]): name for name in ("pos", "atm", "ecommerce", "moto")}

EVENT_TYPE = pa.struct(
    [
        ("event_time", _TIME),
        ("arrival_time", _TIME),
        ("transaction_hash", pa.int64()),
        ("amount_minor", pa.int64()),
        ("other_hash", pa.int64()),
        ("device_hash", pa.int64()),
        ("country", pa.string()),
        ("mcc", pa.string()),
        ("channel", pa.string()),
        ("declined", pa.bool_()),
        ("unusual", pa.bool_()),
        ("fraud", pa.bool_()),
        ("money_back", pa.bool_()),
        ("account_check", pa.bool_()),
    ]
)
"""A remembered event.

Ids are kept as hashes (`fraud.features.events.hash_strings`), of which a card's events keep parts: of the transaction
the lowest 48 bits, 32 once it arrived a day before the card's latest; of the merchant 40, of the device 32. `other` is
the merchant in a card's events and the card in those of all others. The amount is what was spent, in minor units: 0 of
all but approved payments. What no feature of the entity compares is null: only cards have device, country, category and
channel, only cards and merchants (32 bits) the transaction's hash.
"""

STATE_SCHEMA = pa.schema(
    [
        ("key_hash", pa.int64()),
        ("first_arrival_time", _TIME),
        ("last_arrival_time", _TIME),
        ("forgotten_until", _TIME),
        ("history_count", pa.int64()),
        ("amount_log_mean", pa.float64()),
        ("amount_log_std", pa.float64()),
        ("usual_hour", pa.float64()),
        ("usual_weekday", pa.float64()),
        ("last_place_time", _TIME),
        ("last_place_lat", pa.float64()),
        ("last_place_lon", pa.float64()),
        ("events", pa.list_(EVENT_TYPE)),
    ]
)
"""A key's state.

`forgotten_until` is the time of the latest event that fell out. `history_count`, mean and standard deviation of the
amount's logarithm, the usual hour (UTC) and weekday (0 is Monday) are of its whole history.
"""


def state_table(state: EntityState) -> pa.Table:
    """The state of every key, in no particular order."""
    return _table(state, state.arrays.rows[: state.keys])


def key_table(state: EntityState, entity: Entity, ids: Sequence[str]) -> pa.Table:
    """The state of one card, merchant or the like: one row, or none where it is unknown.

    Args:
        state: of all of its kind.
        entity: of which kind it is.
        ids: what it is found by, in the order of `Entity.columns`.
    """
    key = key_of(entity, dict(zip(entity.columns, map(hash_string, ids), strict=True)).__getitem__)
    row = memory.find_row(key, state.arrays.index, state.arrays.rows)
    return _table(state, state.arrays.rows[row : row + 1] if row >= 0 else state.arrays.rows[:0])


def _table(state: EntityState, rows: Ints) -> pa.Table:
    lengths = rows[:, layout.ROW_END] - rows[:, layout.ROW_START]
    events = state.unpacked(rows)
    history = np.ascontiguousarray(rows).view(np.float64)[:, layout.ROW_HISTORY : layout.ROW_BINS]
    count = history[:, layout.H_COUNT]
    place_time = history[:, layout.H_PLACE_TIME]
    nowhere = place_time == 0
    hour = _turns(history[:, layout.H_SIN], history[:, layout.H_COS]) * 24
    weekday = _turns(history[:, layout.H_WEEK_SIN], history[:, layout.H_WEEK_COS]) * 7
    forgotten = rows[:, layout.ROW_EVICTED]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    columns = [
        pa.array(rows[:, layout.ROW_KEY]),
        pa.array(rows[:, layout.ROW_FIRST]).cast(_TIME),
        pa.array(rows[:, layout.ROW_LAST]).cast(_TIME),
        pa.array(forgotten, mask=forgotten == layout.NO_TIME).cast(_TIME),
        pa.array(count.astype(np.int64)),
        pa.array(history[:, layout.H_MEAN], mask=count < 1),
        pa.array(np.sqrt(history[:, layout.H_M2] / np.maximum(count - 1, 1)), mask=count < 2),
        pa.array(hour, mask=count < 1),
        pa.array(weekday, mask=count < 1),
        pa.array(place_time.astype(np.int64), mask=nowhere).cast(_TIME),
        pa.array(history[:, layout.H_LAT], mask=nowhere),
        pa.array(history[:, layout.H_LON], mask=nowhere),
        pa.ListArray.from_arrays(offsets, _events(events)),
    ]
    return pa.Table.from_arrays(columns, schema=STATE_SCHEMA)


def _turns(sin: Floats, cos: Floats) -> Floats:
    """Directions as shares of a full turn."""
    return np.asarray(np.arctan2(sin, cos) / (2 * np.pi) % 1, np.float64)


def _events(words: Ints) -> pa.StructArray:
    codes = words[:, layout.EVENT_CODES]
    flags = codes >> layout.CODE_FLAGS_SHIFT
    device, ids = words[:, layout.EVENT_DEVICE], words[:, layout.EVENT_ID]
    mcc = (codes & layout.CODE_MCC) >> 16
    country = codes & layout.CODE_COUNTRY
    columns = [
        pa.array(words[:, layout.EVENT_TIME]).cast(_TIME),
        pa.array(words[:, layout.EVENT_TIME] + words[:, layout.EVENT_DELAY]).cast(_TIME),
        pa.array(ids, mask=ids == 0),
        pa.array(words[:, layout.EVENT_AMOUNT]),
        pa.array(words[:, layout.EVENT_OTHER]),
        pa.array(device, mask=device == 0),
        _decoded(country, lambda code: chr(code >> 8) + chr(code & 0xFF)),
        _decoded(mcc, lambda code: f"{code - 1:04d}"),
        _decoded((codes & layout.CODE_CHANNEL) >> 32, _CHANNELS.__getitem__),
        *(pa.array(flags & int(flag) != 0) for flag in _FLAGS),
    ]
    return pa.StructArray.from_arrays(columns, fields=list(EVENT_TYPE))


def _decoded(codes: Ints, name_of: Callable[[int], str]) -> pa.Array:
    found, places = np.unique(codes, return_inverse=True)
    names = pa.array([name_of(int(code)) if code else None for code in found], pa.string())
    return names.take(pa.array(places.reshape(-1)))
