"""Reads archived decisions and labels in large chunks, from a folder or from S3."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from fraud.archive_layout import ArchiveKind
from fraud.backtest.labels import LABEL_COLUMNS
from fraud.errors import MisconfiguredError
from fraud.label import LABEL_SCHEMA
from fraud.settings import Aws, Settings

CHUNK_ROWS = 131_072
"""Decisions that are looked at together: enough to pay for the work done once a chunk, few enough for memory."""


class DecisionArchive:
    """The archive below a folder or `s3://bucket/prefix`: `decisions/` and `labels/` with Parquet objects inside."""

    def __init__(self, root: str, aws: Aws) -> None:
        self._root = root.rstrip("/")
        self._filesystem, self._path = _filesystem(self._root, aws)
        self._decisions = self._open(ArchiveKind.DECISIONS)
        self._ahead = 16 if root.startswith("s3://") else 1

    def last_event(self) -> dt.datetime:
        """The latest event time of all decisions."""
        latest = dt.datetime.min.replace(tzinfo=dt.UTC)
        for batch in self._decisions.to_batches(columns=["event_time"]):
            if batch.num_rows:
                latest = max(latest, pc.max(batch["event_time"]).as_py())
        return latest

    def decisions(self, columns: list[str], since: dt.datetime, until: dt.datetime) -> Iterator[pa.Table]:
        """Decisions with event times from `since` to `until`, both included, in chunks of one Arrow chunk a column.

        Raises:
            MisconfiguredError: the archive lacks a column.
        """
        missing = set(columns) - set(self._decisions.schema.names)
        if missing:
            names = ", ".join(sorted(missing))
            raise MisconfiguredError(self._root, f"its decisions lack the columns {names}")
        inside = (ds.field("event_time") >= since) & (ds.field("event_time") <= until)
        waiting: list[pa.RecordBatch] = []
        batches = self._decisions.to_batches(
            columns=columns, filter=inside, batch_size=CHUNK_ROWS, batch_readahead=2, fragment_readahead=self._ahead
        )
        for batch in batches:
            waiting.append(batch)
            if sum(part.num_rows for part in waiting) >= CHUNK_ROWS:
                yield pa.Table.from_batches(waiting).combine_chunks()
                waiting = []
        if any(part.num_rows for part in waiting):
            yield pa.Table.from_batches(waiting).combine_chunks()

    def labels(self) -> pa.Table:
        """All labels; an archive without labels has none."""
        try:
            labels = self._open(ArchiveKind.LABELS)
        except MisconfiguredError:
            return LABEL_SCHEMA.empty_table()
        return labels.to_table(columns=list(LABEL_COLUMNS))

    def _open(self, kind: ArchiveKind) -> ds.Dataset:
        folder = f"{self._path}/{kind.value}"
        try:
            files = self._filesystem.get_file_info(pafs.FileSelector(folder, recursive=True))
        except (FileNotFoundError, OSError) as error:
            raise MisconfiguredError(self._root, f"no {kind.value} there: {error}") from None
        paths = sorted(file.path for file in files if file.path.endswith(".parquet"))
        if not paths:
            raise MisconfiguredError(self._root, f"no {kind.value} there: {kind.value}/ holds no Parquet object")
        return ds.dataset(paths, filesystem=self._filesystem, format="parquet")


def open_decision_archive(root: str | None, settings: Settings) -> DecisionArchive:
    """The archive at `root`, or the one that the settings name.

    Raises:
        MisconfiguredError: there are no decisions there.
    """
    configured = f"s3://{settings.archive.bucket}/{settings.archive.prefix}"
    return DecisionArchive(root or configured, settings.aws)


def _filesystem(root: str, aws: Aws) -> tuple[pafs.FileSystem, str]:
    if not root.startswith("s3://"):
        return pafs.LocalFileSystem(), root
    parts = urlsplit(root)
    options: dict[str, str] = {"region": aws.region}
    if aws.endpoint_url is not None:
        endpoint = urlsplit(aws.endpoint_url)
        options |= {
            "endpoint_override": endpoint.netloc,
            "scheme": endpoint.scheme,
            "access_key": "local",
            "secret_key": "local",
        }
    return pafs.S3FileSystem(**options), f"{parts.netloc}{parts.path}"
