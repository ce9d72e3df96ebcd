"""Runs a source into a destination, at a pace, with the truth written to a file."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

import pyarrow as pa

from fraud.errors import MisconfiguredError
from fraud.records.arrival import recorded_arrivals_ms
from producer.data_generator import Generated, arriving_now
from producer.destinations import Destination, write_lines
from producer.pacing import Pacer

_SHARDS_SHOWN = 3  # in a line of progress; the JSON summary has all


class Progress:
    """How far a run has come.

    Attributes:
        destination: its counts are the truth of what was accepted.
        fraud: fraudulent transactions among whole batches accepted.
        first_event_ms: event time of the first transaction taken up; None before it.
        last_event_ms: of the last one accepted.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.fraud = 0
        self.first_event_ms: int | None = None
        self.last_event_ms: int | None = None
        self._started = time.monotonic()

    @property
    def sent(self) -> int:
        """Transactions accepted."""
        return self.destination.transactions.accepted

    @property
    def rate(self) -> float:
        """Transactions a second so far."""
        elapsed = time.monotonic() - self._started
        return self.sent / elapsed if elapsed > 0 else 0.0

    @property
    def retried(self) -> int:
        """Transactions and labels sent again after a failure."""
        return self.destination.transactions.retried + self.destination.labels.retried

    @property
    def throttled(self) -> int:
        """Of these, after a shard's limit was exceeded."""
        return self.destination.transactions.throttled + self.destination.labels.throttled

    @property
    def throttled_by_shard(self) -> dict[str, dict[str, int]]:
        """Of these, as far as the service named the shard: by `transactions` or `labels`, and shard."""
        counts = {"transactions": self.destination.transactions, "labels": self.destination.labels}
        return {name: dict(c.throttled_by_shard) for name, c in counts.items() if c.throttled_by_shard}

    def text(self) -> str:
        """One line for people."""
        return (
            f"{self.sent:,} sent, {self.rate:,.0f}/s, {self.destination.labels.accepted:,} labels, "
            f"{self.fraud:,} fraudulent, {self.retried:,} retried, {self.throttled:,} throttled{self._by_shard()}"
        )

    def _by_shard(self) -> str:
        """The shards refused most, in brackets."""
        counts: Counter[str] = Counter()
        for name, shards in self.throttled_by_shard.items():
            counts.update({f"{name} {shard}": count for shard, count in shards.items()})
        named = [f"{shard} {count:,}" for shard, count in counts.most_common(_SHARDS_SHOWN)]
        more = [f"{len(counts) - _SHARDS_SHOWN} more shards"] if len(counts) > _SHARDS_SHOWN else []
        return f" ({', '.join(named + more)})" if named else ""


class KinesisProducer:
    """Runs a source into a destination; Kinesis is the usual one.

    Args:
        destination: takes the batches.
        pacer: says when.
        ground_truth: file that gets a JSON line for every transaction before it is sent; None for none.
        stopping: set to end the run after the batch at hand.
        report: called after each batch.
        live: whether the run follows the clock, so that what it sends arrives when it arrives.
    """

    def __init__(
        self,
        destination: Destination,
        pacer: Pacer,
        ground_truth: Path | None,
        stopping: threading.Event,
        report: Callable[[Progress], None],
        live: bool = False,
    ) -> None:
        self._live = live
        self.progress = Progress(destination)
        self._destination = destination
        self._pacer = pacer
        self._ground_truth = ground_truth
        self._stopping = stopping
        self._report = report

    def run(self, source: Iterator[Generated]) -> None:
        """Sends until the source ends or the run is asked to stop; what was taken up is sent first."""
        with self._open_truth() as truth:
            for part in source:
                times = part.transactions["event_time"].cast(pa.int64())
                # By the clock of the stream: one event time far ahead must not hold up all the rest.
                self._pacer.wait_for(self.progress.sent, int(recorded_arrivals_ms(part.transactions, "event_time")[-1]))
                if self._stopping.is_set():
                    return
                if self.progress.first_event_ms is None:
                    self.progress.first_event_ms = times[0].as_py()
                if truth is not None:
                    # First, so that no transaction is ever on the stream whose truth is not in the file.
                    write_lines(truth, part.truth)
                    truth.flush()
                self._destination.write(arriving_now(part) if self._live else part)
                self.progress.last_event_ms = times[-1].as_py()
                self.progress.fraud += part.truth["is_fraud"].true_count
                self._report(self.progress)

    def _open_truth(self) -> AbstractContextManager[IO[bytes] | None]:
        if self._ground_truth is None:
            return nullcontext()
        try:
            return self._ground_truth.open("ab")
        except OSError as error:
            raise MisconfiguredError(f"--ground-truth {self._ground_truth}", error.strerror or str(error)) from None
