"""Callers of a decision service that is killed meanwhile: each asks until it has an answer, and remembers that."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

_CALLERS = 8
_TIMEOUT_S = 5.0
_PAUSE_S = 0.1
_GIVEN_ONLY_ONCE = ("repeated", "lag_ms", "took_ms")
"""Parts of an answer that differ between two times of giving it."""

Fields = Mapping[str, Any]


class Refused(NamedTuple):
    """A payment that got no decision."""

    payment: bytes
    status: int
    answer: str


class Callers:
    """Asks at a steady rate, as long as `asking` lasts.

    Args:
        port: of the service on this machine.
        token: API key.
        payments: to ask about, one after the other.
        rate_per_s: how many are begun in a second.

    Attributes:
        answers: what was answered, by decision key; the first answer of each.
        asked: bytes of each payment that was answered, by decision key.
        differing: decision keys of payments that were answered twice, not alike.
        refused: payments that got neither a decision nor a reason to ask again, with status and answer.
    """

    def __init__(self, port: int, token: str, payments: Iterator[bytes], rate_per_s: float) -> None:
        self._port, self._token, self._payments, self._rate = port, token, payments, rate_per_s
        self._waiting: queue.Queue[bytes] = queue.Queue(maxsize=4 * _CALLERS)
        self._ended, self._given_up = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self.answers: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, bytes] = {}
        self.differing: list[str] = []
        self.refused: list[Refused] = []

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Asks in the background; on exit every payment that was begun has its answer, unless an error ends it."""
        threads = [threading.Thread(target=self._call, name=f"caller-{n}", daemon=True) for n in range(_CALLERS)]
        pacer = threading.Thread(target=self._pace, name="pacer", daemon=True)
        for thread in (*threads, pacer):
            thread.start()
        try:
            yield
        except BaseException:
            self._given_up.set()
            raise
        finally:
            self._ended.set()
            for thread in (pacer, *threads):
                thread.join()

    def ask_again(self, keys: list[str]) -> None:
        """Asks once more about payments that were answered."""
        for key in keys:
            self._ask(self.asked[key])

    def _pace(self) -> None:
        while not self._ended.wait(1 / self._rate):
            payment = next(self._payments)
            while not self._given_up.is_set():
                with contextlib.suppress(queue.Full):
                    self._waiting.put(payment, timeout=_PAUSE_S)
                    break

    def _call(self) -> None:
        while not self._given_up.is_set() and not (self._ended.is_set() and self._waiting.empty()):
            try:
                payment = self._waiting.get(timeout=_PAUSE_S)
            except queue.Empty:
                continue
            self._ask(payment)

    def _ask(self, payment: bytes) -> None:
        """Asks until there is an answer: a service that is killed, starts or is busy is asked again."""
        while True:
            answer = self._post(payment)
            if answer is not None and answer[0] not in (429, 500, 503):
                break
            if self._given_up.wait(_PAUSE_S):
                return
        status, body = answer
        with self._lock:
            if status != 200:
                self.refused.append(Refused(payment, status, body.decode(errors="replace")[:200]))
                return
            given = stated(json.loads(body))
            key = given["decision_key"]
            self.asked[key] = payment
            if self.answers.setdefault(key, given) != given:
                self.differing.append(key)

    def _post(self, payment: bytes) -> tuple[int, bytes] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/decisions", payment, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def stated(body: Fields) -> dict[str, Any]:
    """What an answer says, however often it is given."""
    return {name: value for name, value in body.items() if name not in _GIVEN_ONLY_ONCE}


def now_as(template: Fields, number: int, now: Callable[[], dt.datetime]) -> bytes:
    """A payment as the template's, of this moment and with an id of its own."""
    time = now().isoformat(timespec="milliseconds")
    changed = {"transaction_id": f"asked-{number}", "event_time": time, "sent_at": time}
    return json.dumps(
        {name: value for name, value in template.items() if name != "recorded_arrival"} | changed
    ).encode()
