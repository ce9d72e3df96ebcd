"""Records are known by their place; what was stored of them first stays."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fraud.records import Records
from fraud.records.dead_letter import Reason, Reject, dead_letters
from fraud.records.fate import as_stored, digest, places, ranges, without
from fraud.records.intake import Intake
from tests.support.records import label, stream_records, transaction, wire


def ids(part: pa.RecordBatch | None) -> list[str]:
    assert part is not None
    return sorted(part["transaction_id"].to_pylist())


def decoded(*data: bytes) -> Records:
    return Intake("fraud-labels").read(stream_records(data))


GOOD, ALSO, BROKEN = (wire(transaction(transaction_id=name)) for name in ("t-1", "t-2", "t-3"))


def test_a_digest_names_the_places_and_their_order_however_the_columns_are_cut() -> None:
    batch = stream_records([b"a", b"b", b"c", b"d"])
    table = pa.Table.from_batches([batch.slice(0, 1), batch.slice(1)])
    assert digest(batch) == digest(table)
    assert digest(batch.slice(1, 2)) == digest(table.slice(1, 2)) == digest(batch.take(pa.array([1, 2])))
    others = [batch.slice(0, 2), batch.slice(2), batch.take(pa.array([1, 0, 2, 3])), batch.slice(0, 0)]
    assert len({digest(other) for other in [batch, *others]}) == 5


def test_ranges_compare_sequence_numbers_as_numbers() -> None:
    batch = stream_records([b""] * 3)
    numbers = batch.set_column(2, "sequence_number", pa.array(["9", "100", "20"]))
    assert ranges(numbers) == {"fraud-transactions/shard-0": ("9", "100")}
    assert ranges(numbers.slice(0, 0)) == {}


def test_a_record_stored_as_a_dead_letter_is_folded_no_more() -> None:
    first = decoded(b"{", ALSO)
    assert first.dead_letters is not None
    again = as_stored(decoded(GOOD, ALSO), Records(dead_letters=first.dead_letters))
    assert ids(again.transactions) == ["t-2"]
    assert again.dead_letters is None


def test_a_record_stored_as_decided_stays_a_transaction_though_it_is_now_refused() -> None:
    first = decoded(GOOD, ALSO)
    again = as_stored(decoded(b"{", ALSO), first)
    assert again.dead_letters is None
    assert ids(again.transactions) == ["t-1", "t-2"]


def test_what_is_read_as_it_is_stored_or_is_not_stored_passes() -> None:
    records = decoded(GOOD, b"{")
    assert as_stored(records, Records()) == records
    assert as_stored(records, Records(transactions=records.transactions)) == records


@pytest.mark.parametrize("data", [wire(label()), b"{"])
def test_labels_keep_their_fate_too(data: bytes) -> None:
    intake = Intake("fraud-transactions")  # so that the records here are labels
    stored = intake.read(stream_records([wire(label())]))
    again = as_stored(intake.read(stream_records([data])), stored)
    assert (again.dead_letters, ids(again.labels)) == (None, ["t-1"])


def test_a_label_that_ended_as_a_dead_letter_stays_a_label_when_it_is_read_again() -> None:
    labels = Intake("fraud-transactions").read(stream_records([wire(label())])).labels
    assert labels is not None
    reject = Reject(0, Reason.UNMATCHED_LABEL, None, "never came")
    ended = dead_letters(labels, [reject])
    both = Records(labels=labels, dead_letters=ended)
    assert as_stored(Records(labels=labels), both).labels == labels
    assert without(both, [places(labels)]) == Records(dead_letters=ended)
    assert without(both, [places(ended)]) == Records(labels=labels)
    number = labels["sequence_number"][0].as_py()
    assert ranges(ended) == {"fraud-transactions/shard-0/ended": (number, number)}


def test_without_leaves_out_places_of_every_kind() -> None:
    records = decoded(GOOD, b"{", ALSO)
    assert records.transactions is not None
    left = without(records, [places(records.dead_letters), places(records.transactions.slice(0, 1))])
    assert (left.dead_letters, ids(left.transactions)) == (None, ["t-2"])
    assert without(records, []) == records
