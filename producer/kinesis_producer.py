"""Sends a stream of transactions and labels to Kinesis, at a pace, with the truth told to a file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import IO, Any

import msgspec
import pyarrow as pa

from adapters.stream_writer import KinesisWriter, StreamRecord
from fraud.encode import encode
from fraud.schema import TIMESTAMP_MS
from producer.config import ProducerConfig
from producer.data_generator import Generated
from producer.pacing import Pacer


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        sent: transactions that the stream accepted.
        labels: labels that it accepted.
        started: monotonic seconds.
    """

    sent: int = 0
    labels: int = 0
    started: float = 0.0

    @property
    def rate(self) -> float:
        """Transactions a second so far."""
        elapsed = time.monotonic() - self.started
        return self.sent / elapsed if elapsed > 0 else 0.0


class KinesisProducer:
    """Runs a source into two streams.

    Args:
        config: of the run.
        transactions: writer of the transaction stream.
        labels: writer of the label stream.
        stopping: set to end the run after the batch at hand.
        report: called after each batch.
    """

    def __init__(
        self,
        config: ProducerConfig,
        transactions: KinesisWriter,
        labels: KinesisWriter,
        stopping: threading.Event,
        report: Callable[[Progress], None],
    ) -> None:
        self.progress = Progress()
        self._config = config
        self._transactions = transactions
        self._labels = labels
        self._stopping = stopping
        self._report = report

    def run(self, source: Iterator[Generated]) -> None:
        """Sends until the source ends or the run is told to stop; what was taken up is sent first."""
        pacer = Pacer(self._config.rate, self._config.speed, self._stopping.wait)
        self.progress.started = time.monotonic()
        with self._open_truth() as truth:
            for part in source:
                first_ms = part.transactions["event_time"][0].cast(pa.int64()).as_py()
                pacer.wait_for(self.progress.sent, first_ms)
                if self._stopping.is_set():
                    return
                self._send(part, truth)
                self._report(self.progress)

    def _open_truth(self) -> AbstractContextManager[IO[bytes] | None]:
        if self._config.ground_truth is None:
            return nullcontext()
        return self._config.ground_truth.open("ab")

    def _send(self, part: Generated, truth: IO[bytes] | None) -> None:
        self._transactions.write(_records(_stamped(part.transactions), "card_token"))
        self.progress.sent += part.transactions.num_rows
        if truth is not None:
            truth.write(b"".join(msgspec.json.encode(row) + b"\n" for row in part.truth.to_pylist()))
            truth.flush()
        if part.labels.num_rows:
            self._labels.write(_records(part.labels, "card_token"))
            self.progress.labels += part.labels.num_rows


def _stamped(transactions: pa.RecordBatch) -> pa.RecordBatch:
    """With `sent_at` as of now."""
    now = pa.scalar(time.time_ns() // 1_000_000, pa.int64()).cast(TIMESTAMP_MS)
    place = transactions.schema.get_field_index("sent_at")
    return transactions.set_column(place, transactions.schema.field(place), pa.repeat(now, transactions.num_rows))


def _records(columns: pa.RecordBatch, key: str) -> list[StreamRecord]:
    keys: list[Any] = columns[key].to_pylist()
    return [StreamRecord(key, data) for key, data in zip(keys, encode(columns), strict=True)]
