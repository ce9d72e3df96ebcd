"""Records on the whole way of the job in one process: from the stream's bytes to every store, and back out of it."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.alerts.alert import alert_item
from adapters.alerts.dynamodb_items import stored_form
from adapters.archive.archive import to_parquet
from adapters.archive.layout import ArchiveKind
from adapters.archive.tables import ARCHIVE_SCHEMAS, conform
from adapters.policy.source import policy_files, read_bundle
from console.access import Role, User
from console.services.alerts import shown
from fraud.decision.decide import decide
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import RulesOnly, Scorer
from fraud.features import CATALOGUE, FEATURE_NAMES
from fraud.features.kernel.layout import LEAST_VALUE
from fraud.path import FeaturePath
from fraud.records import Records, Row
from fraud.records.arrival import ARRIVAL_COLUMNS, RECORD_SCHEMA
from fraud.records.intake import Intake
from fraud.settings import Aws
from ml_model.predict import InProcessScorer
from operations.dead_letters import LONGEST_KEY, dead_letters_of, partition_key_of
from processor.envelope import pack, unpack
from processor.kinesis_source.rows import Chunk, Record
from tests.support.decisions import rule
from tests.support.records import KEPT_DAYS, NOON

CONFIG = Path(__file__).parents[2] / "config"
ALL_ALERT = f"thresholds: {{}}\nrules:\n  - {json.dumps(rule('all', 'amount_minor >= 0', owner='tests', severity=1))}\n"
STREAMS = ("transactions", "labels")
FIRST_ARRIVAL_MS = int(NOON.timestamp() * 1000)
VIEWER, ANALYST = (User("ann", role) for role in (Role.VIEWER, Role.ANALYST))


@cache
def policies() -> tuple[CompiledPolicy, ...]:
    """One under which every transaction raises an alert, and the shipped one."""
    shipped = read_bundle(policy_files(str(CONFIG / "policy.yaml"), Aws()))
    return tuple(
        compile_policy(bundle, fields_of(CATALOGUE), "EUR") for bundle in (PolicyBundle({ROOT: ALL_ALERT}), shipped)
    )


@cache
def champion() -> InProcessScorer:
    """The shipped model."""
    return InProcessScorer.load(CONFIG / "model" / "champion")


def arrived(records: Sequence[tuple[str, bytes]]) -> pa.RecordBatch:
    """Records of ("transactions" or "labels", bytes) as the source gives them: aggregates unpacked, a second apart."""
    chunks = [
        Chunk((stream, "shard-0"), [Record(str(10**20 + number), FIRST_ARRIVAL_MS + 1000 * number, "key", data)])
        for number, (stream, data) in enumerate(records)
    ]
    rows = [chunk.rows(0, len(chunk)).select(RECORD_SCHEMA.names).cast(RECORD_SCHEMA) for chunk in chunks]
    return pa.concat_batches(rows) if rows else pa.RecordBatch.from_pylist([], schema=RECORD_SCHEMA)


class WholePath:
    """A job's path with its state; it goes on from one call to the next.

    Attributes:
        made: what became of the records so far, by kind.
    """

    def __init__(self, intake: Intake | None = None) -> None:
        self.made: Counter[str] = Counter()
        self._intake = intake or Intake(STREAMS[1])
        self._columns, self._rows = FeaturePath(), FeaturePath()

    def take(self, records: Sequence[tuple[str, bytes]]) -> Records:
        """Takes a batch all the way, and checks every place on it."""
        source = arrived(records)
        read = self._intake.read(source) if source.num_rows else Records()
        count = Counter({kind: part.num_rows for kind, part in read.kinds() if kind != "notes"})
        assert count.total() == source.num_rows, "a record vanished, or became two"
        for _, part in read.kinds():
            assert unpack(pack(part)).equals(part)
        featured = self._columns.advance(read)
        self._check_one_by_one(source, featured)
        self._check_dead_letters(featured.dead_letters)
        if featured.labels is not None:
            _stored(ArchiveKind.LABELS, pa.Table.from_batches([featured.labels]))
        if featured.transactions is not None:
            self._check_decisions(featured.transactions)
        self.made.update({kind: part.num_rows for kind, part in featured.kinds()})
        return featured

    def _check_one_by_one(self, source: pa.RecordBatch, featured: Records) -> None:
        """One record at a time gives the same, where the batch holds no labels, which it folds in the same order."""
        found = []
        for record in source.to_pylist():
            one = self._intake.read_one(Row({name: record[name] for name in ARRIVAL_COLUMNS}), record["data"])
            after = self._rows.advance(one)
            if after.transactions is not None:
                found.append([after.transactions[name] for name in FEATURE_NAMES])
        wanted = [] if featured.transactions is None else featured.transactions.select(FEATURE_NAMES).to_pylist()
        assert found == [[*row.values()] for row in wanted]

    def _check_dead_letters(self, refused: pa.RecordBatch | None) -> None:
        if refused is None:
            return
        table = pa.Table.from_batches([refused])
        for dead_letter in dead_letters_of(_stored(ArchiveKind.DEAD_LETTERS, table), set()):
            assert 0 < len(partition_key_of(dead_letter).encode()) <= LONGEST_KEY
            assert dead_letter.reason
            json.dumps(dead_letter.data.decode(errors="backslashreplace")).encode()

    def _check_decisions(self, featured: pa.RecordBatch) -> None:
        for name in FEATURE_NAMES:
            for value in featured[name].drop_null().to_pylist():
                assert value == 0 or LEAST_VALUE <= abs(value) < 1e38, f"{name} is {value}"
        scorers: tuple[Scorer, ...] = (RulesOnly(), champion())
        for policy, scorer in zip(policies(), scorers, strict=True):
            verdicts = decide(featured, scorer, policy)
            commit = {
                "batch_id": pa.array([7] * featured.num_rows, pa.int64()),
                "decided_at": pa.array([NOON] * featured.num_rows, pa.timestamp("ms", "UTC")),
                "answered_by": pa.nulls(featured.num_rows, pa.string()),
                "received_at": pa.nulls(featured.num_rows, pa.timestamp("ms", "UTC")),
            }
            columns = {name: part[name] for part in (featured, verdicts) for name in part.schema.names} | commit
            schema = ARCHIVE_SCHEMAS[ArchiveKind.DECISIONS]
            table = pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
            finish(_stored(ArchiveKind.DECISIONS, table))


def finish(decisions: pa.Table) -> list[dict[str, Any]]:
    """The alerts of stored decisions as DynamoDB gives them back, each shown to every role."""
    items = []
    for row in decisions.to_pylist():
        if row["outcome"] == "approve":
            continue
        item = stored_form(alert_item(row, {name: row[name] for name in FEATURE_NAMES}, KEPT_DAYS))
        assert len(json.dumps(item, allow_nan=False).encode()) < 100_000  # of the 400 kB that an item may have
        for user in (VIEWER, ANALYST):
            assert json.loads(json.dumps(shown(item, user), allow_nan=False)) == shown(item, user)
        items.append(item)
    return items


def _stored(kind: ArchiveKind, table: pa.Table) -> pa.Table:
    """A table as it is read back from the archive."""
    read = conform(pq.read_table(io.BytesIO(to_parquet(table))), ARCHIVE_SCHEMAS[kind], f"{kind.value}/x.parquet")
    assert read.equals(table.cast(ARCHIVE_SCHEMAS[kind]))
    return read
