"""A receiver of webhooks that checks what it gets, and fails now and then."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler
from types import TracebackType

from tests.support.servers import LoopbackServer

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


class Webhooks:
    """A context: a server that keeps the bodies that it took, by id.

    Args:
        failing: share of requests that it answers by an error, or not at all.
        seed: of which ones.
        signs: whether requests are signed; else those without an id are kept under none.

    Attributes:
        bodies: of the requests that were taken, by event id.
        refused: how many requests were not.
        status: what it answers to those that it takes.
    """

    def __init__(self, failing: float = 0.0, seed: int = 7, signs: bool = True) -> None:
        self.bodies: defaultdict[str, list[bytes]] = defaultdict(list)
        self.refused = 0
        self.status = 204
        rng, lock, outer = random.Random(seed), threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with lock:
                    fate = rng.random()
                if fate < failing / 2:
                    outer.refused += 1
                    return  # the connection ends without an answer
                if fate < failing or outer.status >= 300 or (signs and not signed(self.headers, body)):
                    outer.refused += 1
                    self.answer(503 if outer.status < 300 else outer.status)
                    return
                with lock:
                    outer.bodies[self.headers.get("webhook-id", "")].append(body)
                self.answer(outer.status)

            def answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = LoopbackServer(Handler)
        self.url = f"{self._server.url}/hook"

    def __enter__(self) -> Webhooks:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()


def signed(headers: object, body: bytes) -> bool:
    """Whether a request bears a signature by `KEY`, as the standard's text has it."""
    identity, at, given = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))  # type: ignore[index]
    text = identity.encode() + b"." + at.encode() + b"." + body
    wanted = "v1," + base64.b64encode(hmac.digest(KEY, text, hashlib.sha256)).decode()
    return wanted in given.split(" ")
