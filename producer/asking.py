"""Asks a decision service about the payments of some cards, instead of putting them on the stream."""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit
from zlib import crc32

import msgspec
import pyarrow as pa

from adapters.aws.backoff import Backoff
from adapters.aws.stream_writer import StreamRecord
from adapters.files.asked import Asked
from fraud.errors import MisconfiguredError, RetryableError
from producer.config import Ask
from producer.data_generator import Generated
from producer.destinations import Destination, stamped, stream_records

_CALLERS = 4
_TIMEOUT_S = 10.0
_GIVE_UP_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_WAITING = 1_000

_BUSY = (429, 500, 502, 503, 504)
"""Answers after which the same payment is asked about again; the service decides it once."""

_encode = msgspec.json.Encoder().encode


class Asking(Destination):
    """Asks about the payments of some cards; all else goes where it would have gone.

    The payments of a card are asked about in their order, one after the other. A call that gets no answer is made
    again.

    Args:
        ask: what is asked where.
        otherwise: takes the other cards' payments, and all labels.
        clock: seconds that never go back.
    """

    def __init__(self, ask: Ask, otherwise: Destination, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self.name = f"{otherwise.name} and {ask.url}"
        self.transactions, self.labels = otherwise.transactions, otherwise.labels
        self._ask, self._otherwise = ask, otherwise
        self._lock = threading.Lock()
        self._answered = 0
        self._file = None if ask.file is None else ask.file.open("ab", buffering=0)
        self._failure: BaseException | None = None
        self._callers = [_Caller(ask, self._note, self._fail, clock) for _ in range(_CALLERS)]

    def write(self, part: Generated) -> None:
        """See `Destination`; returns while calls are under way, unless very many wait."""
        self._check()
        cards = part.transactions["card_token"].to_pylist()
        asked = [self._ask.is_of(card) for card in cards]
        for record, row in self._records(part.transactions.filter(pa.array(asked))):
            self._callers[crc32(record.key.encode()) // _CALLERS % _CALLERS].put(record, row)
        left = part.transactions.filter(pa.array([not one for one in asked]))
        if left.num_rows or part.labels.num_rows:
            self._otherwise.write(part._replace(transactions=left))
        self._count()

    def close(self) -> None:
        """See `Destination`: waits for the answers that are still to come."""
        for caller in self._callers:
            caller.close()
        if self._file is not None:
            self._file.close()
        self._otherwise.close()
        self._count()
        self._check()

    def _records(self, transactions: pa.RecordBatch) -> Sequence[tuple[StreamRecord, dict[str, object]]]:
        rows = transactions.select(["transaction_id", "card_token", "event_time"]).to_pylist()
        return list(zip(stream_records(stamped(transactions)), rows, strict=True))

    def _note(self, asked: Asked) -> None:
        with self._lock:
            self._answered += 1
            if self._file is not None:
                self._file.write(_encode(asked) + b"\n")

    def _count(self) -> None:
        with self._lock:
            answered, self._answered = self._answered, 0
        self.transactions.accepted += answered

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure


class _Caller:
    """A thread with a connection of its own."""

    def __init__(
        self,
        ask: Ask,
        note: Callable[[Asked], None],
        fail: Callable[[BaseException], None],
        clock: Callable[[], float],
    ) -> None:
        self._ask, self._note, self._fail, self._clock = ask, note, fail, clock
        self._waiting: queue.Queue[tuple[StreamRecord, dict[str, object]] | None] = queue.Queue(_WAITING)
        self._connection: http.client.HTTPConnection | None = None
        self._headers = {"Authorization": f"Bearer {ask.key}", "Content-Type": "application/json"}
        self._thread = threading.Thread(target=self._run, name="asking", daemon=True)
        self._thread.start()

    def put(self, record: StreamRecord, row: dict[str, object]) -> None:
        self._waiting.put((record, row))

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()
        self._hang_up()

    def _run(self) -> None:
        failed = False
        while (each := self._waiting.get()) is not None:
            if failed:
                continue  # the run ends; what waits must not block it
            try:
                self._note(self._asked(*each))
            except Exception as error:
                self._fail(error)
                failed = True

    def _asked(self, record: StreamRecord, row: dict[str, object]) -> Asked:
        began = self._clock()
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, deadline_s=time.monotonic() + _GIVE_UP_S)
        while True:
            status, body = self._post(record.data)
            if status is not None and status not in _BUSY:
                break
            if not backoff.pause():
                reason = body.decode(errors="replace") if status is None else f"status {status}"
                raise RetryableError(f"{self._ask.url} gave no answer for {_GIVE_UP_S:.0f} s: {reason}")
        if status in (401, 403):
            raise MisconfiguredError(f"--ask {self._ask.url}", "does not take the API key in DECISIONS_API_KEY")
        # An attempt whose answer was lost decided it, so that the answer to the next one is marked as repeated.
        repeated = status == 200 and not backoff.retries and bool(json.loads(body)["repeated"])
        return msgspec.convert(
            row | {"status": status, "repeated": repeated, "took_ms": 1_000 * (self._clock() - began)}, Asked
        )

    def _post(self, data: bytes) -> tuple[int | None, bytes]:
        try:
            if self._connection is None:
                parts = urlsplit(self._ask.url)
                kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
                self._connection = kind(str(parts.hostname), parts.port, timeout=_TIMEOUT_S)
            self._connection.request("POST", "/v1/decisions", data, self._headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._hang_up()
            return None, (str(error) or type(error).__name__).encode()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
