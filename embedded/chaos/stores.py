"""What a run has stored, compared with what it had to store."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from adapters.alerts.alert import Item, alert_item
from adapters.alerts.dynamodb_items import stored_form
from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind, batch_of_key
from embedded.chaos.comparison import Difference, compare_alerts, compare_tables
from embedded.chaos.intruder import Intruder
from embedded.chaos.oracle import RecordId, expected, read_stream, record_ids
from fraud.decision.record import Outcome
from fraud.features import catalogue_of
from fraud.records.arrival import ARRIVAL_FIELDS
from fraud.records.dead_letter import DEAD_LETTER_SCHEMA
from fraud.settings import Settings


def compare_stores(settings: Settings, intruder: Intruder | None = None) -> dict[str, Difference]:
    """Compares archive, labels, dead letters and alerts with what the oracle computes from the streams.

    Args:
        settings: of the run.
        intruder: that mixed in hostile inputs; what became of them is compared with what it says.
    """
    streams = settings.streams
    records = pa.concat_tables([read_stream(settings, name) for name in (streams.transactions, streams.labels)])
    stored = {kind: list(_tables(settings, kind)) for kind in ArchiveKind}
    batch_of: dict[RecordId, int] = {}
    for kind in (ArchiveKind.DECISIONS, ArchiveKind.LABELS, ArchiveKind.DEAD_LETTERS):
        for batch, table in stored[kind]:
            for record_id in record_ids(table):
                batch_of.setdefault(record_id, batch)  # a label may end as a dead letter in a later batch
    wanted = expected(settings, records, batch_of)
    tables = {kind: _joined(kind, [table for _, table in found]) for kind, found in stored.items()}
    hostile = {} if intruder is None else {"hostile": intruder.compare(records, tables)}
    return hostile | {
        "decisions": compare_tables(wanted.decisions, tables[ArchiveKind.DECISIONS]),
        "labels": compare_tables(wanted.labels, tables[ArchiveKind.LABELS]),
        "dead_letters": compare_tables(wanted.dead_letters, tables[ArchiveKind.DEAD_LETTERS], {"field", "detail"}),
        "alerts": compare_alerts(
            _expected_alerts(wanted.decisions, settings), AlertTable(settings.alerts, settings.aws).all()
        ),
    }


def _expected_alerts(decisions: pa.Table, settings: Settings) -> dict[RecordId, Item]:
    found: dict[RecordId, Item] = {}
    for place, row in zip(record_ids(decisions), decisions.to_pylist(), strict=True):
        if row["outcome"] != Outcome.APPROVE.label:
            item = alert_item(
                row | {"decided_at": row["event_time"]},
                {name: row[name] for name in catalogue_of(settings).names},
                settings.alerts.retention_days,
            )
            found[place] = stored_form(item)
    return found


def _tables(settings: Settings, kind: ArchiveKind) -> Iterator[tuple[int, pa.Table]]:
    archive = open_archive(settings.archive, settings.aws)
    for key in archive.keys(kind.prefix):
        yield batch_of_key(key), archive.read_stored(key)


def _joined(kind: ArchiveKind, tables: list[pa.Table]) -> pa.Table:
    if tables:
        return pa.concat_tables(tables)
    return (DEAD_LETTER_SCHEMA if kind is ArchiveKind.DEAD_LETTERS else pa.schema(ARRIVAL_FIELDS)).empty_table()
