"""What must hold after maintenance and erasure: the objects without the card, and tables that hold the same rows."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from embedded.simulation.services import Services
from embedded.simulation.upkeep import COMPARED, Stores, Upkeep

Rows = Counter[tuple[Any, ...]]


def names(data: bytes, card: str) -> bool:
    """Whether a record that the workload made names a card."""
    return f'"{card}"'.encode() in data


def upkeep_problems(upkeep: Upkeep, services: Services) -> Iterator[str]:
    """What is wrong, in words."""
    before, after = upkeep.before, Stores(services.s3.objects, services.dynamodb.items)
    assert before is not None, "a schedule that comes to its end is closed"
    rows = {key: _rows(key, data) for key, data in after.objects.items() if _kind(key) in COMPARED}
    yield from _said(upkeep)
    yield from _objects(upkeep, before.objects, after.objects, rows)
    yield from _alerts(upkeep.card, before, after)
    yield from _tables(upkeep, rows)


def _said(upkeep: Upkeep) -> Iterator[str]:
    """What maintenance and erasure say of their work."""
    for done in upkeep.maintained:
        for table in done.tables:
            if not table.sound:
                yield f"maintenance finds {table.missing} rows missing and {table.duplicated} again in {table.kind}"
        if done.alone:
            for query in done.counted:
                if query.missing or query.surplus:
                    yield f"maintenance counts {query.missing} records missing and {query.surplus} too many"
    if upkeep.last is not None and any(table.rows for table in upkeep.last.tables):
        yield "maintenance that had come to its end folds again"
    found = upkeep.again
    if found is not None and (found.alerts or any(found.rows.values()) or found.open_objects):
        yield f"an erasure that had come to its end leaves {found}"


def _objects(
    upkeep: Upkeep, before: Mapping[str, bytes], after: Mapping[str, bytes], rows: Mapping[str, Rows]
) -> Iterator[str]:
    """Objects are as they were, but for the rows of the card and those that have expired."""
    card = upkeep.card
    for key in before.keys() - after.keys():
        if _kind(key) != "tables" and not (
            _kind(key) in COMPARED and key.split("/")[1].removeprefix("date=") < upkeep.oldest
        ):
            yield f"{key} is gone"
    for key, data in after.items():
        if (stands := rows.get(key)) is not None:
            stood = stands if before[key] == data else _rows(key, before[key])
            wanted = Counter({row: count for row, count in stood.items() if not names(row[-1], card)})
            if stands != wanted:
                lost, more = wanted - stands, stands - wanted
                yield f"{key} has lost {_named(lost)} and has {_named(more)} too many, without {card}"
        elif _kind(key) not in ("tables", "erased") and before.get(key) != data:
            yield f"{key} was written by maintenance or erasure"
        elif key.startswith("tables/") and "/_delta_log/" in key and card.encode() in data:
            yield f"{key} names {card}"


def _alerts(card: str, before: Stores, after: Stores) -> Iterator[str]:
    """Alerts are as they were, but for those of the card."""
    wanted = {key: item for key, item in before.alerts.items() if item["card_token"] != {"S": card}}
    for alert_id in after.alerts.keys() - wanted.keys():
        yield f"alert {alert_id} is not erased"
    for alert_id, item in wanted.items():
        if after.alerts.get(alert_id) != item:
            yield f"alert {alert_id} is not as it was"


def _tables(upkeep: Upkeep, rows: Mapping[str, Rows]) -> Iterator[str]:
    """A table holds the rows of its objects, but for those that have expired."""
    for kind in COMPARED:
        wanted: Rows = Counter()
        for key, of_object in rows.items():
            if _kind(key) == kind:
                wanted += of_object
        found = Counter(upkeep.tables.get(kind, ()))
        if found != wanted:
            yield f"table {kind} lacks {_named(wanted - found)} and has {_named(found - wanted)} too many"


def _kind(key: str) -> str:
    return key.partition("/")[0]


def _rows(key: str, data: bytes) -> Rows:
    """The rows of an object: where each is from, its bytes and what came of it."""
    table = pl.read_parquet(io.BytesIO(data), columns=list(COMPARED[_kind(key)]))
    return Counter((key, *row) for row in table.iter_rows())


def _named(rows: Rows) -> str:
    return ", ".join("/".join(map(str, row[1:4])) for row in sorted(rows)[:5]) or "nothing"
