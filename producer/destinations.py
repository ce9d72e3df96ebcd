"""Where transactions, labels and ground truth go: streams, files, standard output, or nowhere."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.aws.stream_writer import KinesisWriter, StreamRecord, WriterCounts
from fraud.errors import MisconfiguredError
from fraud.records.encode import encode
from fraud.records.label import LABEL_SCHEMA
from fraud.records.schema import TIMESTAMP_MS
from fraud.records.transaction import TRANSACTION_SCHEMA
from fraud.settings import Settings
from producer.columns import TRUTH_SCHEMA
from producer.config import ProducerConfig, Target
from producer.data_generator import Generated

_FILES = {"transactions": TRANSACTION_SCHEMA, "labels": LABEL_SCHEMA, "truth": TRUTH_SCHEMA}


class Destination(ABC):
    """Takes a run's batches.

    Attributes:
        name: what people call it.
        transactions: what became of transactions.
        labels: what became of labels.
    """

    name: str

    def __init__(self) -> None:
        self.transactions = WriterCounts()
        self.labels = WriterCounts()

    @abstractmethod
    def write(self, part: Generated) -> None:
        """Writes a batch; returns when all of it is accepted.

        Raises:
            RetryableError: it was refused for too long; the counts say what was accepted.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Makes what was written readable."""


class Streams(Destination):
    """Two Kinesis streams; `sent_at` is the time of writing."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.name = settings.streams.transactions
        self._writers = (
            KinesisWriter(settings.streams.transactions, settings.aws),
            KinesisWriter(settings.streams.labels, settings.aws),
        )
        self.transactions, self.labels = (writer.counts for writer in self._writers)

    def write(self, part: Generated) -> None:
        """See `Destination`."""
        transactions, labels = self._writers
        transactions.write(stream_records(stamped(part.transactions)))
        if part.labels.num_rows:
            labels.write(stream_records(part.labels))


class ParquetFolder(Destination):
    """`transactions.parquet`, `labels.parquet` and `truth.parquet` in a folder; `sent_at` is the recorded arrival."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.name = str(folder)
        _make(folder)
        self._files = {
            name: pq.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd")
            for name, schema in _FILES.items()
        }

    def write(self, part: Generated) -> None:
        """See `Destination`."""
        for name, columns in part._asdict().items():
            if columns.num_rows:
                self._files[name].write_batch(columns)
        _count(self, part)

    def close(self) -> None:
        """See `Destination`."""
        for file in self._files.values():
            file.close()


class JsonLinesFolder(Destination):
    """`transactions.jsonl`, `labels.jsonl` and `truth.jsonl` in a folder; `sent_at` is the recorded arrival."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.name = str(folder)
        _make(folder)
        self._files = {name: (folder / f"{name}.jsonl").open("wb") for name in _FILES}

    def write(self, part: Generated) -> None:
        """See `Destination`."""
        for name, columns in part._asdict().items():
            write_lines(self._files[name], columns)
        _count(self, part)

    def close(self) -> None:
        """See `Destination`."""
        for file in self._files.values():
            file.close()


class StandardOutput(Destination):
    """Transactions as JSON lines, for pipes; labels are left out. `sent_at` is the time of writing."""

    name = "standard output"

    def __init__(self, output: IO[bytes]) -> None:
        super().__init__()
        self._output = output

    def write(self, part: Generated) -> None:
        """See `Destination`."""
        write_lines(self._output, stamped(part.transactions))
        self._output.flush()
        self.transactions.accepted += part.transactions.num_rows


class Nowhere(Destination):
    """Encodes and forgets: a dry run."""

    name = "nowhere (dry run)"

    def write(self, part: Generated) -> None:
        """See `Destination`."""
        stream_records(stamped(part.transactions))
        stream_records(part.labels)
        _count(self, part)


def open_destination(config: ProducerConfig, settings: Settings, output: IO[bytes]) -> Destination:
    """The destination that the flags ask for.

    Args:
        config: the flags.
        settings: where AWS is.
        output: standard output.

    Raises:
        MisconfiguredError: a stream or folder cannot be written.
    """
    if config.dry_run:
        return Nowhere()
    if config.to is Target.KINESIS:
        return Streams(settings)
    if config.to is Target.STDOUT:
        return StandardOutput(output)
    assert config.output is not None
    return ParquetFolder(config.output) if config.to is Target.PARQUET else JsonLinesFolder(config.output)


def stamped(transactions: pa.RecordBatch, sent_ms: pa.Array | None = None) -> pa.RecordBatch:
    """With `sent_at` as given in milliseconds, or as of now."""
    if sent_ms is None:
        sent_ms = pa.repeat(pa.scalar(time.time_ns() // 1_000_000, pa.int64()), transactions.num_rows)
    place = transactions.schema.get_field_index("sent_at")
    return transactions.set_column(place, transactions.schema.field(place), sent_ms.cast(TIMESTAMP_MS))


def stream_records(columns: pa.RecordBatch) -> list[StreamRecord]:
    """Transactions or labels as they go on a stream, keyed by card."""
    return [
        StreamRecord(key, data) for key, data in zip(columns["card_token"].to_pylist(), encode(columns), strict=True)
    ]


def write_lines(file: IO[bytes], columns: pa.RecordBatch) -> None:
    """Appends rows as JSON lines."""
    file.writelines(line + b"\n" for line in encode(columns))


def _count(destination: Destination, part: Generated) -> None:
    destination.transactions.accepted += part.transactions.num_rows
    destination.labels.accepted += part.labels.num_rows


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MisconfiguredError(f"--output {folder}", error.strerror or str(error)) from None
