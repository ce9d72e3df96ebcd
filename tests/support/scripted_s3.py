"""An S3 endpoint on loopback whose answers to PutObject a test scripts."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class ScriptedS3:
    """A context: takes every object but those that the script refuses.

    Args:
        script: status and error code for each PutObject to come; when it is used up, everything is taken.

    Attributes:
        objects: what was taken, by path.
        script: what is left of it.
    """

    def __init__(self, script: Iterable[tuple[int, str]]) -> None:
        self.objects: dict[str, bytes] = {}
        self.script = deque(script)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, code = owner.script.popleft() if owner.script else (200, "")
                if status == 200:
                    owner.objects[self.path] = body
                answer = f"<Error><Code>{code}</Code><Message>scripted</Message></Error>".encode() if code else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.send_header("ETag", '"scripted"')
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ScriptedS3:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
