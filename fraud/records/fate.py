"""What became of a record that is read again: decided, kept as a label, or a dead letter. What was stored first stays.

A record is known by its place in the stream. Nothing else of it is the same in every attempt: other limits or another
version may read its bytes otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.records import Records, joined
from fraud.records.dead_letter import Reason

PLACE = ("stream", "shard", "sequence_number", "sub_sequence")
"""The columns that say where a record lies in its stream."""


ENDED = "ended"
"""Marks the place of a label that ended as a dead letter."""


def places(records: pa.RecordBatch | pa.Table) -> pa.Array:
    """The place of each record as one text.

    A label that ends as a dead letter is a label all the same: the two have different places.

    >>> row = {"stream": "s", "shard": "0", "sequence_number": "17", "sub_sequence": 2}
    >>> places(pa.RecordBatch.from_pylist([row])).to_pylist()
    ['s/0/17/2']
    """
    known = pc.binary_join_element_wise(*(records[name].cast(pa.string()) for name in PLACE), "/")
    if "reason" not in records.schema.names:
        return known
    return pc.if_else(_is_ended(records), pc.binary_join_element_wise(known, ENDED, "/"), known)


def digest(records: pa.RecordBatch | pa.Table) -> str:
    """Names records by their places, in the order given."""
    named = hashlib.blake2b(str(records.num_rows).encode(), digest_size=16)
    for name in PLACE:
        column = _whole(records[name])
        if not pa.types.is_string(column.type):
            named.update(column.to_numpy().tobytes())
        elif len(column):
            ends = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
            named.update((ends - ends[0]).tobytes())
            named.update(memoryview(column.buffers()[2] or b"")[ends[0] : ends[-1]])
    return named.hexdigest()


def ranges(records: pa.RecordBatch | pa.Table) -> dict[str, tuple[str, str]]:
    """The first and the last sequence number in each shard, by `stream/shard`.

    Labels that ended as dead letters were read with earlier records: theirs are by `stream/shard/ended`.

    >>> rows = [{"stream": "s", "shard": "0", "sequence_number": number} for number in ("9", "10")]
    >>> ranges(pa.Table.from_pylist(rows))
    {'s/0': ('9', '10')}
    """
    if "reason" not in records.schema.names:
        return _ranges(records)
    ended = _is_ended(records)
    of_ended = _ranges(records.filter(ended))
    return _ranges(records.filter(pc.invert(ended))) | {f"{place}/{ENDED}": span for place, span in of_ended.items()}


def _is_ended(dead_letters: pa.RecordBatch | pa.Table) -> pa.Array | pa.ChunkedArray:
    """Which of them are labels that waited for their transactions: they were read, and stored, with earlier records."""
    return pc.equal(dead_letters["reason"], Reason.UNMATCHED_LABEL.value)


def _ranges(records: pa.RecordBatch | pa.Table) -> dict[str, tuple[str, str]]:
    if not records.num_rows:
        return {}
    numbers = _whole(records["sequence_number"])
    lengths = pc.min_max(pc.binary_length(numbers)).as_py()
    if lengths["min"] != lengths["max"]:  # digits alone do not order them
        numbers = pc.utf8_lpad(numbers, lengths["max"], "0")
    encoded = [_whole(records[name]).dictionary_encode() for name in ("stream", "shard")]
    codes = pc.add(pc.multiply(encoded[0].indices.cast(pa.int64()), len(encoded[1].dictionary)), encoded[1].indices)
    found = {}
    for code in pc.unique(codes).to_pylist():
        stream, shard = divmod(code, len(encoded[1].dictionary))
        ends = pc.min_max(numbers.filter(pc.equal(codes, code))).as_py()
        place = f"{encoded[0].dictionary[stream]}/{encoded[1].dictionary[shard]}"
        found[place] = (_digits(ends["min"]), _digits(ends["max"]))
    return found


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _digits(padded: str) -> str:
    return padded.lstrip("0") or "0"


def without(records: Records, taken: Iterable[pa.Array]) -> Records:
    """The records whose places are not among those taken."""
    gone = pa.chunked_array([*taken], pa.string())
    if not len(gone):
        return records
    placed = records.stored.kinds()
    left = {kind: part.filter(pc.invert(pc.is_in(places(part), gone))) for kind, part in placed}
    return Records(
        **{kind: part for kind, part in left.items() if part.num_rows}, notes=records.notes, sizes=records.sizes
    )


def as_stored(decoded: Records, stored: Records) -> Records:
    """Decoded records with the fates that an earlier attempt has stored.

    One that is stored as a dead letter is left out, as it changes no state. One that is stored as a transaction or a
    label and was decoded as something else is what is stored.

    Args:
        decoded: arrival, fields and bytes.
        stored: the same columns, of some of these records.
    """
    kept: dict[str, pa.RecordBatch] = {}
    for kind, part in stored._replace(dead_letters=None).kinds():
        same = getattr(decoded, kind)
        known = pa.array([], pa.string()) if same is None else places(same)
        kept[kind] = part.filter(pc.invert(pc.is_in(places(part), known)))
    # A record is taken away where it is stored as another kind; those kept above stand for them.
    cleaned = []
    for kind, part in decoded.stored.kinds():
        others = [places(other) for name, other in stored.kinds() if name != kind or kind == "dead_letters"]
        cleaned.append(without(Records(**{kind: part}), others))
    return joined(
        [
            *cleaned,
            Records(
                **{kind: part for kind, part in kept.items() if part.num_rows}, notes=decoded.notes, sizes=decoded.sizes
            ),
        ]
    )
