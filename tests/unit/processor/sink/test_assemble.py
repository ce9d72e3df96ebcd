"""A record's parts meet again, whatever the order in which they come."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fraud.arrival import ARRIVAL_COLUMNS
from processor.envelope import Kind, pack
from processor.sink.assemble import Assembled, assemble
from tests.support.records import stream_records

PLACE = ["stream", "shard", "sequence_number", "sub_sequence"]


def rows(*parts: tuple[Kind, pa.RecordBatch]) -> list[pa.RecordBatch]:
    payloads = [pack(batch) for _, batch in parts]
    return [
        pa.RecordBatch.from_pydict({"slot": [0] * len(parts), "kind": [k.value for k, _ in parts], "payload": payloads})
    ]


def card_and_merchant(count: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    records = stream_records([b""] * count)
    numbers = pa.array(np.arange(count, dtype=float))
    card = records.select(ARRIVAL_COLUMNS).append_column("card_count", numbers)
    merchant = records.select(PLACE).append_column("merchant_count", numbers)
    return card, merchant


def test_parts_are_joined_by_place_and_put_into_arrival_order() -> None:
    card, merchant = card_and_merchant(5)
    shuffled = merchant.take(pa.array([3, 1, 4, 0, 2]))
    late, early = card.slice(3), card.slice(0, 3)
    assembled = assemble(rows((Kind.MERCHANT, shuffled), (Kind.CARD, late), (Kind.CARD, early)))
    assert assembled.transactions is not None
    assert assembled.transactions["card_count"].to_pylist() == [0, 1, 2, 3, 4]
    assert assembled.transactions["merchant_count"].to_pylist() == [0, 1, 2, 3, 4]


def test_a_merchant_part_without_card_part_is_a_duplicates_and_is_left() -> None:
    card, merchant = card_and_merchant(3)
    assembled = assemble(rows((Kind.CARD, card.slice(0, 2)), (Kind.MERCHANT, merchant)))
    assert assembled.transactions is not None
    assert assembled.transactions.num_rows == 2


def test_features_of_an_entity_that_a_record_lacks_are_null() -> None:
    card, device = card_and_merchant(3)
    device = device.rename_columns([*PLACE, "device_count"])
    assembled = assemble(rows((Kind.CARD, card), (Kind.DEVICE, device.slice(1, 1))))
    assert assembled.transactions is not None
    assert assembled.transactions["device_count"].to_pylist() == [None, 1.0, None]


def test_an_empty_partition_holds_nothing() -> None:
    assert assemble([]) == Assembled(None, None, None)
