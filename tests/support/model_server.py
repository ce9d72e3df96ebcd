"""The real model server on a free port of loopback, in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn

from ml_model.predict import InProcessScorer
from ml_model.server import build_app


@contextlib.contextmanager
def model_server(scorer: InProcessScorer) -> Iterator[str]:
    """Serves a model; yields the address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(build_app(scorer), log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()  # connections wait in the socket's queue until it answers
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
