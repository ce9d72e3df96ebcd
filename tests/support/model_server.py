"""The real model server on a free port of loopback, in a thread."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ml_model.predict import InProcessScorer
from ml_model.server import build_app
from tests.support.servers import serving_app


def model_server(scorer: InProcessScorer) -> AbstractContextManager[str]:
    """Serves a model while the context lasts; gives the address."""
    return serving_app(build_app(scorer))
