"""Callers ask until they have an answer, whatever happens to the service, and notice one that changes."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from embedded.chaos.asking import Callers, now_as

NEVER_ALIKE = itertools.count()
Said = tuple[int, dict[str, Any]] | None


@contextmanager
def service(answers: Sequence[Said]) -> Iterator[Callers]:
    """A service that gives these answers in turn, the last one for ever; None breaks the connection."""
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            if said is None:
                return
            status, more = said
            answer = json.dumps({"decision_key": body["id"], "took_ms": next(NEVER_ALIKE)} | more).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        payments = (json.dumps({"id": f"k{number}"}).encode() for number in itertools.count())
        yield Callers(server.server_port, "token", payments, rate_per_s=200.0)
        server.shutdown()


APPROVED: Said = (200, {"outcome": "approve"})


def test_a_payment_without_an_answer_is_asked_about_again() -> None:
    with service([None, (503, {}), (500, {}), APPROVED]) as callers:
        with callers.asking():
            while len(callers.answers) < 3:
                threading.Event().wait(0.01)
        callers.ask_again(["k0"])
    assert callers.answers["k0"] == {"decision_key": "k0", "outcome": "approve"}
    assert set(callers.answers) == set(callers.asked) == {f"k{number}" for number in range(len(callers.answers))}
    assert (callers.differing, callers.refused) == ([], [])


def test_an_answer_that_is_another_one_the_second_time_and_a_refusal_are_noticed() -> None:
    with service([APPROVED, (200, {"outcome": "decline"}), (409, {})]) as callers:
        callers.asked["k7"] = b'{"id": "k7"}'
        callers.ask_again(["k7", "k7", "k7"])
    assert callers.differing == ["k7"]
    assert callers.answers["k7"]["outcome"] == "approve"
    assert [(each.payment, each.status) for each in callers.refused] == [(b'{"id": "k7"}', 409)]


def test_a_payment_is_one_of_now_without_a_recorded_arrival() -> None:
    now = dt.datetime(2026, 1, 15, 12, tzinfo=dt.UTC)
    template = {
        "transaction_id": "t",
        "event_time": "1970",
        "sent_at": "1970",
        "recorded_arrival": "1970",
        "mcc": "5411",
    }
    assert json.loads(now_as(template, 7, lambda: now)) == {
        "transaction_id": "asked-7",
        "event_time": "2026-01-15T12:00:00.000+00:00",
        "sent_at": "2026-01-15T12:00:00.000+00:00",
        "mcc": "5411",
    }
