"""Offsets: where a query starts, and when a child shard may be read."""

from __future__ import annotations

from processor.kinesis_source.offsets import Position, Shard, follow_shards, from_json, initial_offsets, to_json

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
    assert follow_shards(offsets, "s", SHARDS, "earliest") == offsets
    offsets[("s", "d")] = Position("9", closed=True)
    assert ("s", "e") not in follow_shards(offsets, "s", SHARDS, "earliest")  # c lives and has not even begun
    offsets[("s", "a")] = Position("9", closed=True)
    offsets = follow_shards(offsets, "s", SHARDS, "earliest")
    assert {shard for _, shard in offsets} == {"a", "b", "c", "d"}
    offsets[("s", "c")] = Position("9", closed=True)
    assert follow_shards(offsets, "s", SHARDS, "earliest")[("s", "e")] == Position("earliest")


def test_a_child_whose_parents_have_expired_is_read_from_its_beginning() -> None:
    orphan = [Shard("b", ("a",), closed=False)]
    assert follow_shards({}, "s", orphan, "earliest") == {("s", "b"): Position("earliest")}


def test_from_a_time_children_wait_too_and_skip_what_is_older() -> None:
    offsets = initial_offsets("s", SHARDS, 1500, now_ms=5)
    assert {shard for _, shard in offsets} == {"a", "d"}
    offsets[("s", "a")] = Position("@1500", closed=True)
    assert follow_shards(offsets, "s", SHARDS, 1500)[("s", "b")].after == "@1500"


def test_drained_shards_that_the_stream_no_longer_lists_are_forgotten() -> None:
    offsets = {("s", "a"): Position("1", closed=True), ("s", "z"): Position("1"), ("t", "a"): Position("1", True)}
    assert set(follow_shards(offsets, "s", [], "earliest")) == {("s", "z"), ("t", "a")}


def test_the_stored_form_is_stable_and_exact() -> None:
    offsets = {("s", "b"): Position("2", closed=True), ("s", "a"): Position("@1", read_until_ms=1)}
    stored = to_json(offsets)
    assert list(stored["s"]) == ["a", "b"]
    assert from_json(stored) == offsets
