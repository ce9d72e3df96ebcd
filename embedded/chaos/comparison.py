"""Compares what a job stored with what it had to store, by identity and by value."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from adapters.alerts.alert import Item, subject_of
from embedded.chaos.oracle import RecordId, record_ids
from fraud.decision.key import Subject

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
    wanted = dict(zip(record_ids(expected), expected.select(names).to_pylist(), strict=True))
    found_ids = record_ids(stored)
    difference = compare_maps(
        wanted, dict(zip(found_ids, stored.select(names).to_pylist(), strict=True)), expected.num_rows
    )
    for record_id, count in Counter(found_ids).items():
        if count > 1:
            difference.duplicated += count - 1
            difference.note(f"{_name(record_id)} stored {count} times")
    return difference


def compare_alerts(expected: Mapping[RecordId, Item], stored: Iterable[Item]) -> Difference:
    """Compares alerts by the place in the stream of what they are on.

    Which decision an alert is on it says itself, by card, transaction and time. Its key proves nothing here: were one
    key given to two decisions, one alert would be missing, and so it is.
    """
    free: defaultdict[Subject, list[RecordId]] = defaultdict(list)
    for place, item in expected.items():
        free[subject_of(item)].append(place)
    placed: dict[RecordId, Item] = {}
    surplus: list[Item] = []
    for item in stored:
        places = free.get(subject_of(item))
        if places:
            placed[places.pop(0)] = item
        else:
            surplus.append(item)
    difference = compare_maps(_lasting(expected), _lasting(placed), len(expected))
    for item in surplus:
        if subject_of(item) in free:
            difference.duplicated += 1
            difference.note(f"{item['alert_id']} is another alert on the same decision")
        else:
            difference.different += 1
            difference.note(f"{item['alert_id']} was not expected")
    return difference


def _lasting(items: Mapping[RecordId, Item]) -> dict[RecordId, Item]:
    return {
        place: {name: value for name, value in item.items() if name not in PROCESSING_ATTRIBUTES}
        for place, item in items.items()
    }


def compare_maps(
    wanted: Mapping[RecordId, Mapping[str, Any]], found: Mapping[RecordId, Mapping[str, Any]], count: int
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


def _name(identity: RecordId) -> str:
    return "/".join(map(str, identity))
