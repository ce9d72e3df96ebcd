"""Features of an archived history, computed again: by one process, or by Spark where the history is large.

Both fold what the archive holds in the order in which the job folded it, with the same kernel, so they agree to the
last bit. In Spark a key group goes through the batches in turn, in one task, with its state in that task's memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from adapters.archive.archive import Archive, open_archive
from adapters.archive.batch_replay import archived_batches, archived_keys
from adapters.archive.layout import ArchiveKind
from adapters.archive.tables import LABEL_COLUMNS, TRANSACTION_COLUMNS
from fraud.entities import ENTITIES, Entity, measured
from fraud.features import Catalogue, catalogue_of
from fraud.features.state import EntityState
from fraud.path import FeaturePath, Step, with_every_feature
from fraud.records import Records
from fraud.records.arrival import ARRIVAL_FIELDS
from fraud.records.transaction import TRANSACTION_SCHEMA
from fraud.settings import Settings
from processor.envelope import ROW_SCHEMA, address, collect, next_rows, row_batch, unpack
from processor.worker import freeze_imports

_TRANSACTIONS = "transactions"
_BATCH_ID = pa.field("batch_id", pa.int64())
_SOURCE = "batch_id long, kind string, key string"
_ROWS = "batch_id long, key_group int, kind string, payload binary"
_ROW_SCHEMA = pa.schema([_BATCH_ID, *ROW_SCHEMA])
_ROWS_AT_ONCE = "64"
_MICROSECONDS = pa.timestamp("us", tz="UTC")


def featured_schema(catalogue: Catalogue) -> pa.Schema:
    """What both ways give: batch, arrival, transaction, features; times as Spark keeps them."""
    return pa.schema(
        [
            field.with_type(_MICROSECONDS) if pa.types.is_timestamp(field.type) else field
            for field in (_BATCH_ID, *ARRIVAL_FIELDS, *TRANSACTION_SCHEMA, *catalogue.columns)
        ]
    )


Row = tuple[int, int, str, bytes]


def featured_in_process(archive: Archive, settings: Settings) -> Iterator[tuple[int, pa.Table]]:
    """Numbers of the query's batches with their transactions and features, one after the other; in arrival order."""
    path = FeaturePath(settings)
    for batch in archived_batches(archive, settings.job.query):
        featured = path.advance(batch.records).transactions
        if featured is not None:
            yield batch.number, pa.Table.from_batches([_featured(batch.number, featured, path.catalogue)])


def featured_by_spark(spark: SparkSession, archive: Archive, settings: Settings) -> DataFrame:
    """The same as a data frame, in no particular order; the driver only lists keys.

    Args:
        spark: `job.key_groups` bounds how many of its tasks fold at a time.
        archive: to list.
        settings: of the query, for the executors too.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", _ROWS_AT_ONCE)  # rows are fat
    keys = [
        (number, kind.value, key)
        for number, kinds in archived_keys(archive, settings.job.query)
        for kind in kinds
        for key in kinds[kind]
    ]
    groups = settings.job.key_groups
    rows = spark.createDataFrame(keys, _SOURCE).repartition(groups).mapInArrow(ReadArchived(settings), _ROWS)
    for entity in measured(settings.job):
        of_group = rows.repartition(groups, "key_group").sortWithinPartitions("key_group", "batch_id")
        rows = of_group.mapInArrow(FoldGroups(entity, settings), _ROWS)
    schema = from_arrow_schema(featured_schema(catalogue_of(settings)))
    return rows.mapInArrow(Unpack(settings), schema)


@dataclass(frozen=True)
class ReadArchived:
    """For `DataFrame.mapInArrow`: from keys of archived objects to their records, addressed to their cards' groups."""

    settings: Settings

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Reads the objects of one task."""
        freeze_imports()
        archive = open_archive(self.settings.archive, self.settings.aws)
        for batch in batches:
            for source in batch.to_pylist():
                is_label = source["kind"] == ArchiveKind.LABELS
                records = _one(archive.read_table(source["key"], LABEL_COLUMNS if is_label else TRANSACTION_COLUMNS))
                part = Records(labels=records) if is_label else Records(transactions=records)
                rows = address(part, ENTITIES[0], self.settings.job.key_groups)
                yield row_batch(((source["batch_id"], *row) for row in rows), _ROW_SCHEMA)


@dataclass(frozen=True)
class FoldGroups:
    """For `DataFrame.mapInArrow`: folds key groups, each through its batches in turn, and hands on what comes out.

    Attributes:
        entity: whose stage it is.
        settings: of the query.
    """

    entity: Entity
    settings: Settings

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Folds rows that are sorted by key group and batch."""
        freeze_imports()
        rows = (row for batch in batches for row in zip(*(column.to_pylist() for column in batch.columns), strict=True))
        for group, of_group in groupby(rows, itemgetter(1)):
            state = EntityState()
            for batch_id, of_batch in groupby(of_group, itemgetter(0)):
                yield row_batch(((batch_id, *row) for row in self._fold(group, state, of_batch)), _ROW_SCHEMA)

    def _fold(self, group: int, state: EntityState, rows: Iterable[Row]) -> Iterator[tuple[int, str, bytes]]:
        step = Step(self.entity, self.settings)
        records = collect((kind, payload) for _, _, kind, payload in rows)
        if step.concerns(records):
            records = step.advance(state, records).records
        found = Records(records.transactions, records.labels)
        return next_rows(group, found, step.next, self.settings.job.key_groups)


@dataclass(frozen=True)
class Unpack:
    """For `DataFrame.mapInArrow`: from what the last stage handed on to transactions with all features."""

    settings: Settings

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Unpacks the rows of one task."""
        catalogue = catalogue_of(self.settings)
        for batch in batches:
            for number, kind, payload in zip(
                *(batch[name].to_pylist() for name in ("batch_id", "kind", "payload")), strict=True
            ):
                if kind == _TRANSACTIONS:
                    yield _featured(number, unpack(payload), catalogue)


def _featured(number: int, transactions: pa.RecordBatch, catalogue: Catalogue) -> pa.RecordBatch:
    complete, schema = with_every_feature(transactions, catalogue), featured_schema(catalogue)
    batch_id = pa.repeat(pa.scalar(number, pa.int64()), complete.num_rows)
    columns = [batch_id, *(complete[name] for name in schema.names[1:])]
    cast = [column.cast(field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(cast, schema=schema)


def _one(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
