"""Reads archived decisions and labels in large chunks, from a folder or from S3."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from adapters.archive.layout import ArchiveKind
from adapters.archive.tables import ARCHIVE_SCHEMAS, require_readable
from adapters.aws.credentials import emulator_credentials
from fraud.backtest.labels import LABEL_COLUMNS, NAMING_COLUMNS, is_coarse, with_exact_times
from fraud.decision.record import decision_schema
from fraud.errors import MisconfiguredError
from fraud.features import SHIPPED, Catalogue
from fraud.records.arrival import ARRIVAL_COLUMNS, arrival_order, arrivals_ms
from fraud.records.label import LABEL_SCHEMA
from fraud.records.schema import milliseconds
from fraud.settings import Archive as ArchiveSettings
from fraud.settings import Aws

CHUNK_ROWS = 131_072
"""Decisions that are looked at together: enough to pay for the work done once a chunk, few enough for memory."""


class DecisionArchive:
    """The archive below a folder or `s3://bucket/prefix`: `decisions/` and `labels/` with Parquet objects inside.

    Args:
        root: where it lies.
        aws: where S3 is.
        catalogue: whose features decisions may have, null where they are older.
    """

    def __init__(self, root: str, aws: Aws, catalogue: Catalogue = SHIPPED) -> None:
        self._root = root.rstrip("/")
        self._schemas = ARCHIVE_SCHEMAS | {ArchiveKind.DECISIONS: decision_schema(catalogue.columns)}
        self._filesystem, self._path = _filesystem(self._root, aws)
        self._decisions = self._open(ArchiveKind.DECISIONS)
        self._ahead = 16 if root.startswith("s3://") else 1

    def last_event(self) -> dt.datetime:
        """The latest event time of all decisions; one that lies ahead of its arrival counts as of then."""
        return _latest(self._decisions, "event_time") or dt.datetime.min.replace(tzinfo=dt.UTC)

    def last_known(self) -> dt.datetime:
        """The latest time at which something became known: an event or a label."""
        labels = self._labels()
        last = self.last_event()
        return last if labels is None else max(last, _latest(labels, "label_time") or last)

    def decisions(self, columns: list[str], since: dt.datetime, until: dt.datetime) -> Iterator[pa.Table]:
        """Decisions with event times from `since` to `until`, both included, in chunks of one Arrow chunk a column.

        Columns that are younger than a decision are null.

        Raises:
            MisconfiguredError: there is no such column, or an object lacks one that is required, or has it as another
                type.
        """
        missing = set(columns) - set(self._decisions.schema.names)
        if missing:
            names = ", ".join(sorted(missing))
            raise MisconfiguredError(self._root, f"its decisions lack the columns {names}")
        waiting: list[pa.RecordBatch] = []
        batches = _scan(
            self._decisions,
            columns,
            filter=_between(since, until),
            batch_size=CHUNK_ROWS,
            batch_readahead=2,
            fragment_readahead=self._ahead,
        )
        for batch in batches:
            waiting.append(batch)
            if sum(part.num_rows for part in waiting) >= CHUNK_ROWS:
                yield pa.Table.from_batches(waiting).combine_chunks()
                waiting = []
        if any(part.num_rows for part in waiting):
            yield pa.Table.from_batches(waiting).combine_chunks()

    def count(self, since: dt.datetime, until: dt.datetime) -> int:
        """How many decisions have event times from `since` to `until`, both included."""
        return int(self._decisions.count_rows(filter=_between(since, until)))

    def labels(self) -> pa.Table:
        """All labels in arrival order, with the very event times of their transactions; none without labels.

        Where labels leave open when their transactions were, the decisions of these times are read to find them.

        Raises:
            MisconfiguredError: see `decisions`.
        """
        stored = self._labels()
        if stored is None:
            return LABEL_SCHEMA.empty_table()
        columns = list(LABEL_COLUMNS)
        wanted = [*columns, *ARRIVAL_COLUMNS]
        schema = pa.schema([stored.schema.field(name) for name in wanted])
        arrived = pa.Table.from_batches(_scan(stored, wanted), schema)
        labels = arrived.take(arrival_order(arrived)).select(columns)
        span = pc.min_max(labels.filter(is_coarse(labels))["transaction_time"]).as_py()
        if span["min"] is None:
            return labels
        until = span["max"] + dt.timedelta(milliseconds=pc.max(labels["transaction_time_precision_ms"]).as_py())
        return with_exact_times(labels, self.decisions(list(NAMING_COLUMNS), span["min"], until))

    def _labels(self) -> ds.Dataset | None:
        try:
            return self._open(ArchiveKind.LABELS)
        except MisconfiguredError:
            return None

    def _open(self, kind: ArchiveKind) -> ds.Dataset:
        """The objects of a kind with the columns of today, and after them what the first object has beyond."""
        folder = f"{self._path}/{kind.value}"
        try:
            files = self._filesystem.get_file_info(pafs.FileSelector(folder, recursive=True))
        except (FileNotFoundError, OSError) as error:
            raise MisconfiguredError(self._root, f"no {kind.value} there: {error}") from None
        paths = sorted(file.path for file in files if file.path.endswith(".parquet"))
        if not paths:
            raise MisconfiguredError(self._root, f"no {kind.value} there: {kind.value}/ holds no Parquet object")
        known = self._schemas[kind]
        stored = ds.dataset(paths[:1], filesystem=self._filesystem, format="parquet").schema
        schema = pa.schema([*known, *(field for field in stored if field.name not in known.names)])
        return ds.dataset(paths, schema, format="parquet", filesystem=self._filesystem)


def _between(since: dt.datetime, until: dt.datetime) -> ds.Expression:
    return (ds.field("event_time") >= since) & (ds.field("event_time") <= until)


def _latest(records: ds.Dataset, column: str) -> dt.datetime | None:
    """The latest of the times of a column, none of them later than its record's arrival; None without records."""
    latest_ms = (
        int(np.minimum(milliseconds(batch[column]), arrivals_ms(batch)).max())
        for batch in _scan(records, [column, "arrival_ms", "recorded_arrival"])
        if batch.num_rows
    )
    last_ms = max(latest_ms, default=None)
    return None if last_ms is None else dt.datetime.fromtimestamp(last_ms / 1000, dt.UTC)


def _scan(dataset: ds.Dataset, columns: list[str], **options: Any) -> Iterator[pa.RecordBatch]:
    """Columns of a dataset, whose objects are checked when their footers have been read anyway."""
    wanted = pa.schema([dataset.schema.field(name) for name in columns])
    checked: set[str] = set()

    def check(fragment: ds.Fragment) -> None:
        if fragment.path not in checked:
            require_readable(fragment.physical_schema, wanted, fragment.path)
            checked.add(fragment.path)

    try:
        for tagged in dataset.scanner(columns=columns, **options).scan_batches():
            check(tagged.fragment)
            yield tagged.record_batch
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # the scan says neither which object nor which column
        for fragment in dataset.get_fragments():
            check(fragment)
        raise
    for fragment in dataset.get_fragments():  # those of which nothing passed the filter, perhaps for want of a column
        check(fragment)


def open_decision_archive(
    root: str | None, archive: ArchiveSettings, aws: Aws, catalogue: Catalogue = SHIPPED
) -> DecisionArchive:
    """The archive at `root`, or the job's; see `DecisionArchive`.

    Raises:
        MisconfiguredError: there are no decisions there.
    """
    return DecisionArchive(root or archive.address, aws, catalogue)


def _filesystem(root: str, aws: Aws) -> tuple[pafs.FileSystem, str]:
    if not root.startswith("s3://"):
        return pafs.LocalFileSystem(), root
    parts = urlsplit(root)
    access_key, secret_key = emulator_credentials(aws, "s3")
    options: dict[str, str] = {}
    if aws.endpoint_url is not None:
        endpoint = urlsplit(aws.endpoint_url)
        options = {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme}
    filesystem = pafs.S3FileSystem(region=aws.region, access_key=access_key, secret_key=secret_key, **options)
    return filesystem, f"{parts.netloc}{parts.path}"
