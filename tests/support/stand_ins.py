"""A provisioned stand-in for tests that talk to AWS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.provision import provision
from embedded.stand_in import start_stand_in
from fraud.settings import Aws, Settings


@contextmanager
def provisioned(folder: Path, settings: Settings | None = None) -> Iterator[Settings]:
    """Settings of a stand-in with streams, table and bucket, that lives as long as the context."""
    child, url = start_stand_in(folder)
    try:
        located = (settings or Settings()).model_copy(update={"aws": Aws(endpoint_url=url)})
        provision(located)
        yield located
    finally:
        child.stop()
