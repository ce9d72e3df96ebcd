"""Compares what a job stored with what it had to store, by identity and by value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from embedded.chaos.oracle import Place, places
from fraud.alert import Item

PROCESSING_COLUMNS = {"decided_at", "batch_id", "scored_by"}
"""Columns that may differ between two runs: when and by whom a decision was made, not what it is."""

PROCESSING_ATTRIBUTES = {"decided_ms", "day_shard", "expires_at", "scored_by"}
"""The same for alerts."""

_EXAMPLES = 5


@dataclass
class Difference:
    """What is wrong in one store.

    Attributes:
        expected: how many there must be.
        lost: expected, but absent.
        duplicated: stored beyond the first time.
        different: stored with another value, or without being expected.
        examples: a few of them in words.
    """

    expected: int = 0
    lost: int = 0
    duplicated: int = 0
    different: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Keeps an example."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append(what)


def compare_tables(expected: pa.Table, stored: pa.Table, ignored: Iterable[str] = PROCESSING_COLUMNS) -> Difference:
    """Compares rows by their place in the stream, in the columns that both have; a column of only one is ignored."""
    names = [name for name in expected.column_names if name in stored.column_names and name not in set(ignored)]
    wanted = dict(zip(places(expected), expected.select(names).to_pylist(), strict=True))
    found_places = places(stored)
    difference = compare_maps(
        wanted, dict(zip(found_places, stored.select(names).to_pylist(), strict=True)), expected.num_rows
    )
    for place, count in Counter(found_places).items():
        if count > 1:
            difference.duplicated += count - 1
            difference.note(f"{_name(place)} stored {count} times")
    return difference


def compare_alerts(expected: Mapping[str, Item], stored: Mapping[str, Item]) -> Difference:
    """Compares alerts by id; the table's key makes a second one with an id impossible."""
    return compare_maps(_lasting(expected), _lasting(stored), len(expected))


def _lasting(items: Mapping[str, Item]) -> dict[str, Item]:
    return {
        known: {name: value for name, value in item.items() if name not in PROCESSING_ATTRIBUTES}
        for known, item in items.items()
    }


def compare_maps(
    wanted: Mapping[Any, Mapping[str, Any]], found: Mapping[Any, Mapping[str, Any]], count: int
) -> Difference:
    """Compares records by identity and value."""
    difference = Difference(expected=count)
    for identity, record in wanted.items():
        if identity not in found:
            difference.lost += 1
            difference.note(f"{_name(identity)} lost")
            continue
        unequal = [name for name, value in record.items() if not _equal(value, found[identity].get(name))]
        if unequal:
            name = unequal[0]
            difference.different += 1
            difference.note(f"{_name(identity)} {name}: {found[identity].get(name)!r}, expected {record[name]!r}")
    for identity in found.keys() - wanted.keys():
        difference.different += 1
        difference.note(f"{_name(identity)} was not expected")
    return difference


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) or (one != one and other != other)


def _name(identity: Place | str) -> str:
    return identity if isinstance(identity, str) else "/".join(map(str, identity))
