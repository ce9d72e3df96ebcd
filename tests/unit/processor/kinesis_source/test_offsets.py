"""Offsets: where a query starts, and when a child shard may be read."""

from __future__ import annotations

from processor.kinesis_source.offsets import Position, Shard, from_json, initial_offsets, to_json, with_children

#   a ──┬─► b        a was split into b and c,
#       └─► c ─┐     c and d were merged into e
#   d ─────────┴─► e
SHARDS = [
    Shard("a", (), closed=True),
    Shard("b", ("a",), closed=False),
    Shard("c", ("a",), closed=True),
    Shard("d", (), closed=True),
    Shard("e", ("c", "d"), closed=False),
]


def test_earliest_starts_at_shards_without_living_parents() -> None:
    offsets = initial_offsets("s", SHARDS, "earliest", now_ms=5)
    assert offsets == {("s", "a"): Position("earliest"), ("s", "d"): Position("earliest")}


def test_latest_starts_open_shards_now_and_is_done_with_ended_ones() -> None:
    offsets = initial_offsets("s", SHARDS, "latest", now_ms=5)
    assert {shard for (_, shard), position in offsets.items() if not position.closed} == {"b", "e"}
    assert {position.after for position in offsets.values()} == {"@5"}


def test_a_child_follows_only_when_all_its_parents_are_drained() -> None:
    offsets = initial_offsets("s", SHARDS, "earliest", now_ms=5)
    assert with_children(offsets, "s", SHARDS) == offsets
    offsets[("s", "a")] = Position("9", closed=True)
    offsets = with_children(offsets, "s", SHARDS)
    assert {shard for _, shard in offsets} == {"a", "b", "c", "d"}
    offsets[("s", "c")] = Position("9", closed=True)
    assert ("s", "e") not in with_children(offsets, "s", SHARDS)  # d is not drained yet
    offsets[("s", "d")] = Position("9", closed=True)
    assert with_children(offsets, "s", SHARDS)[("s", "e")] == Position("earliest")


def test_a_child_whose_parents_have_expired_is_read_from_its_beginning() -> None:
    assert with_children({}, "s", [Shard("b", ("a",), closed=False)]) == {("s", "b"): Position("earliest")}


def test_the_stored_form_is_stable_and_exact() -> None:
    offsets = {("s", "b"): Position("2", closed=True), ("s", "a"): Position("@1")}
    stored = to_json(offsets)
    assert list(stored["s"]) == ["a", "b"]
    assert from_json(stored) == offsets


def test_each_kind_of_position_continues_where_it_should() -> None:
    assert Position("earliest").iterator == {"ShardIteratorType": "TRIM_HORIZON"}
    assert Position("@1500").iterator == {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1.5}
    assert Position("7").iterator == {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "7"}
