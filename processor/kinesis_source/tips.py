"""Where a shard's records lie, without reading them: marks at which batches may end, for executors that read the rest.

The driver then fetches a record a second of each shard instead of all of them. Three ways lead to the next mark:

- **Far behind**, it is the first record that arrived so much later as a batch may span.
- **Near the tip**, it is the first record put after a moment that the shard was asked for (an iterator at `LATEST`) one
  poll ago. Everything before it is part of the batch.
- **Where the shard is quiet**, or has ended, no record follows a moment. What lies between the last mark and the tip is
  then read, and its last record is the mark, until a read gives more than a few again.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from fraud.errors import ServiceError
from processor.kinesis_source.cursor import (
    EXPIRED,
    RECORDS_PER_CALL,
    TRANSIENT,
    Fetched,
    Track,
    open_iterator,
    record_of,
    service_time_ms,
)
from processor.kinesis_source.offsets import Position, ShardId
from processor.kinesis_source.rows import Record

_FEW = 100
"""Records of one read that cost the driver no more than to look for a mark."""


class _Way(Enum):
    """How the next mark is looked for."""

    AHEAD = "the first record that arrived some time later"
    NEWEST = "the first record after the tip of a poll ago"
    THROUGH = "all records up to the tip, of which the last counts"


class _Look(NamedTuple):
    """A look that goes on with the next poll.

    Attributes:
        way: how.
        iterator: where.
    """

    way: _Way
    iterator: str


class TipReader:
    """Gives marks of a shard; a `ShardReader` whose records are empty.

    Args:
        client: a Kinesis client.
        place: stream and shard.
        position: behind what batches have.
        fail_on_data_loss: as for whoever reads the records.
        span_ms: how much time a batch may span.
    """

    def __init__(
        self, client: Any, place: ShardId, position: Position, fail_on_data_loss: bool, span_ms: Callable[[], int]
    ) -> None:
        self._client = client
        self._place = place
        self._span_ms = span_ms
        self._track = Track(client, place, position, fail_on_data_loss)
        self._look: _Look | None = None

    @property
    def position(self) -> Position:
        """Behind the last mark."""
        return self._track.position

    def read(self, limit: int = RECORDS_PER_CALL) -> Fetched:
        """The next mark, if this look finds it; see `ShardReader.read`."""
        try:
            return self._read(limit)
        except TRANSIENT as error:
            self._look = None
            if isinstance(error, ServiceError) and error.code == EXPIRED:
                return Fetched([], False, 1, 0)
            return self._track.failed(error, "GetRecords")

    def renew(self) -> None:
        """See `ShardReader.renew`."""
        self._look = None

    def close(self) -> None:
        """Holds nothing."""

    def _read(self, limit: int) -> Fetched:
        if self._look is None:
            self._look, at_ms = self._begin()
            if self._look.way is _Way.NEWEST:
                return self._nothing(at_ms)
        way, iterator = self._look
        wanted = limit if way is _Way.THROUGH else 1
        answer = self._client.get_records(ShardIterator=iterator, Limit=min(RECORDS_PER_CALL, wanted))
        at_ms, following = service_time_ms(answer), answer.get("NextShardIterator")
        lag_ms, ended = int(answer.get("MillisBehindLatest") or 0), following is None
        new = [each for each in answer["Records"] if int(each["SequenceNumber"]) > self.position.sequence]
        even = ended or lag_ms == 0
        if way is _Way.THROUGH:
            goes_on = not ended and (not even or len(answer["Records"]) <= _FEW)
            self._look = _Look(way, following) if goes_on else None
            marks = [_mark(new[-1])] if new else []
            return self._track.take(marks, ended, lag_ms, at_ms)
        if new:
            self._look = None
            return self._track.take([_mark(new[0])], False, max(1, lag_ms), at_ms)
        # Nothing came later, so what there is lies before: it is read. Or the shard looks on for it.
        self._look = _Look(_Way.THROUGH, self._through()[0]) if even else _Look(way, following)
        return self._nothing(at_ms)

    def _begin(self) -> tuple[_Look, int]:
        """A look, and the service's time."""
        position, span_ms = self.position, self._span_ms()
        if position.sequence < 0:
            iterator, at_ms = self._through()
            return _Look(_Way.AHEAD, iterator), at_ms
        iterator, at_ms = open_iterator(self._client, self._place, "LATEST")
        if position.read_until_ms + 2 * span_ms >= at_ms:
            return _Look(_Way.NEWEST, iterator), at_ms
        later_s = (position.read_until_ms + span_ms) / 1000
        iterator, at_ms = open_iterator(self._client, self._place, "AT_TIMESTAMP", later_s)
        return _Look(_Way.AHEAD, iterator), at_ms

    def _through(self) -> tuple[str, int]:
        """An iterator to what follows the last mark, and the service's time; its reader checks that it is there."""
        return open_iterator(self._client, self._place, *self._track.begin(checks=False))

    def _nothing(self, at_ms: int) -> Fetched:
        """No mark yet: what arrived behind the last one is not known."""
        return Fetched([], False, max(1, at_ms - self.position.read_until_ms), at_ms)


def _mark(record: dict[str, Any]) -> Record:
    return record_of(record)._replace(data=b"")
