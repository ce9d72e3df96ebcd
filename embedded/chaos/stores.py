"""What a run has stored, compared with what it had to store."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from adapters.alerts import AlertTable
from adapters.archive import Archive
from adapters.dynamodb_items import stored_form
from embedded.chaos.comparison import Difference, compare_alerts, compare_tables
from embedded.chaos.oracle import Place, expected, places, read_stream
from fraud.alert import Item, alert_item
from fraud.archive_layout import ArchiveKind, batch_of_key
from fraud.arrival import ARRIVAL_FIELDS
from fraud.dead_letter import DEAD_LETTER_SCHEMA
from fraud.decision import Outcome
from fraud.features import FEATURE_NAMES
from fraud.settings import Settings


def compare_stores(settings: Settings) -> dict[str, Difference]:
    """Compares archive, labels, dead letters and alerts with what the oracle computes from the streams."""
    streams = settings.streams
    records = pa.concat_tables([read_stream(settings, name) for name in (streams.transactions, streams.labels)])
    stored = {kind: list(_tables(settings, kind)) for kind in ArchiveKind}
    batch_of: dict[Place, int] = {
        place: batch for tables in stored.values() for batch, table in tables for place in places(table)
    }
    wanted = expected(settings, records, batch_of)
    tables = {kind: _joined(kind, [table for _, table in found]) for kind, found in stored.items()}
    alerts = {item["alert_id"]: item for item in AlertTable(settings).all()}
    return {
        "decisions": compare_tables(wanted.decisions, tables[ArchiveKind.DECISIONS]),
        "labels": compare_tables(wanted.labels, tables[ArchiveKind.LABELS]),
        "dead_letters": compare_tables(wanted.dead_letters, tables[ArchiveKind.DEAD_LETTERS], {"field", "detail"}),
        "alerts": compare_alerts(_expected_alerts(wanted.decisions, settings), alerts),
    }


def _expected_alerts(decisions: pa.Table, settings: Settings) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for row in decisions.to_pylist():
        if row["outcome"] != Outcome.APPROVE.label:
            item = alert_item(
                row | {"decided_at": row["event_time"]},
                {name: row[name] for name in FEATURE_NAMES},
                settings.alerts.retention_days,
            )
            found.setdefault(item["alert_id"], stored_form(item))
    return found


def _tables(settings: Settings, kind: ArchiveKind) -> Iterator[tuple[int, pa.Table]]:
    archive = Archive(settings)
    for key in archive.keys(kind.prefix):
        yield batch_of_key(key), archive.read_table(key)


def _joined(kind: ArchiveKind, tables: list[pa.Table]) -> pa.Table:
    if tables:
        return pa.concat_tables(tables)
    return (DEAD_LETTER_SCHEMA if kind is ArchiveKind.DEAD_LETTERS else pa.schema(ARRIVAL_FIELDS)).empty_table()
