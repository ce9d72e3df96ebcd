"""What was read by the offsets is compared with what is stored, span by span."""

from __future__ import annotations

from adapters.archive.layout import ArchiveKind
from adapters.archive.offset_check import Counted, OffsetNote, check_counts

HOUR_MS = 3_600_000


def note(batches: int, records: dict[str, int], at_ms: int = 0, query: str = "fraud") -> OffsetNote:
    return OffsetNote(query, batches, records, at_ms)


def rows(*counts: tuple[int, int], query: str = "fraud") -> dict[str, int]:
    """Objects of batches with so many rows."""
    return {ArchiveKind.DECISIONS.key(query, batch, n, 0): count for n, (batch, count) in enumerate(counts)}


NOTES = [note(0, {}), note(2, {"tx/0": 5, "tx/1": 3}), note(5, {"tx/0": 9, "tx/1": 3, "labels/0": 1})]


def check(notes: list[OffsetNote], stored: dict[str, int]) -> list[Counted]:
    return check_counts(notes, stored, 0, HOUR_MS)


def test_counts_that_agree_over_batches_kinds_and_partitions() -> None:
    stored = rows((0, 4), (1, 2), (1, 2), (4, 4)) | {ArchiveKind.LABELS.key("fraud", 3, 0, 0): 1}
    assert check(NOTES, stored) == [Counted("fraud", 0, 4, 13, 13, 0, 0)]


def test_a_loss_in_one_span_is_not_hidden_by_a_surplus_in_another() -> None:
    assert check(NOTES, rows((1, 7), (2, 6))) == [Counted("fraud", 0, 4, 13, 13, 1, 1)]


def test_queries_are_counted_apart_and_batches_after_the_last_note_are_not() -> None:
    notes = [*NOTES, note(0, {}, query="fraud-2"), note(1, {"tx/0": 2}, query="fraud-2"), note(0, {}, query="young")]
    stored = rows((1, 8), (2, 5), (5, 99)) | rows((0, 2), query="fraud-2")
    assert [(c.query, c.read, c.missing, c.surplus) for c in check(notes, stored)] == [
        ("fraud", 13, 0, 0),
        ("fraud-2", 2, 0, 0),
    ]


def test_notes_from_before_the_retention_and_of_open_hours_are_left_out() -> None:
    notes = [note(0, {}, 1), note(2, {"tx/0": 5}, 10), note(5, {"tx/0": 9}, 20), note(7, {"tx/0": 12}, 30)]
    assert check_counts(notes, rows((3, 4)), 10, 20) == [Counted("fraud", 2, 4, 4, 4, 0, 0)]
    assert check_counts(notes, {}, 15, 20) == []
