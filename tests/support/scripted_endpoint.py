"""A model endpoint on loopback that answers as a test has scripted: real HTTP, real Arrow, chosen faults."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import NamedTuple

from adapters.model.invocation import ARROW_STREAM, ATTRIBUTES_HEADER, ModelIdentity, rows_from_stream, scores_to_stream
from fraud.decision.scorer import Scorer
from tests.support.servers import LoopbackServer


class Answer(NamedTuple):
    """What the endpoint says to one call.

    Attributes:
        status: of HTTP.
        identity: of the model it claims to be; None says nothing.
        body: None scores honestly.
        wait_for: set when the endpoint may answer; None answers at once.
        drop: close the connection without an answer.
        headers: further ones.
    """

    status: int = 200
    identity: ModelIdentity | None = None
    body: bytes | None = None
    wait_for: threading.Event | None = None
    drop: bool = False
    headers: Mapping[str, str] = {}


class ScriptedEndpoint:
    """A context: a server on a free port of 127.0.0.1.

    Args:
        scorer: gives the honest scores.
        features: names in the model's order.
        identity: of the honest model.
        port: where to listen; 0 takes a free one.

    Attributes:
        script: says what to answer to the n-th call, counted from 0 and in order of arrival.
        calls: how many have arrived.
        max_at_once: the most calls that were under way at the same time.
        rows: of each call that was scored honestly.
    """

    def __init__(self, scorer: Scorer, features: tuple[str, ...], identity: ModelIdentity, port: int = 0) -> None:
        self.honest = Answer(identity=identity)
        self.script: Callable[[int], Answer] = lambda _: self.honest
        self.calls = 0
        self.max_at_once = 0
        self.rows: list[int] = []
        self._at_once = 0
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with endpoint._lock:
                    endpoint._connections.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = endpoint._begin()
                try:
                    if answer.wait_for is not None:
                        answer.wait_for.wait(60)
                    self._say(answer, body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the caller has given up
                finally:
                    endpoint._end()

            def _say(self, answer: Answer, body: bytes) -> None:
                if answer.drop:
                    self.close_connection = True
                    return
                content = answer.body
                if content is None and answer.status == 200:
                    rows = rows_from_stream(body, features)
                    with endpoint._lock:
                        endpoint.rows.append(rows.num_rows)
                    content = scores_to_stream(scorer.score(rows).score)
                content = content or b'{"message": "scripted"}'
                self.send_response(answer.status)
                self.send_header("Content-Type", ARROW_STREAM if answer.status == 200 else "application/json")
                self.send_header("Content-Length", str(len(content)))
                if answer.identity is not None:
                    self.send_header(ATTRIBUTES_HEADER, answer.identity.to_attributes())
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = LoopbackServer(Handler, port)

    def __enter__(self) -> ScriptedEndpoint:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops listening, as a server that is gone."""
        self._server.stop()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """Its address, for `model.endpoint_url`."""
        return self._server.url

    def _begin(self) -> Answer:
        with self._lock:
            answer = self.script(self.calls)
            self.calls += 1
            self._at_once += 1
            self.max_at_once = max(self.max_at_once, self._at_once)
        return answer

    def _end(self) -> None:
        with self._lock:
            self._at_once -= 1
