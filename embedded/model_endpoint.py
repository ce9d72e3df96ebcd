"""The model behind a local endpoint, as SageMaker would run it."""

from __future__ import annotations

import sys
from pathlib import Path

from embedded.child import Child
from embedded.emulator import answers, free_port
from fraud.settings import Settings

_NAME = "fraud"
_READY_S = 60.0


def through_endpoint(settings: Settings) -> Settings:
    """The settings with an endpoint to score through; unchanged where rules decide alone."""
    if not settings.model.artifact or settings.model.endpoint is not None:
        return settings
    return settings.model_copy(update={"model": settings.model.model_copy(update={"endpoint": _NAME})})


class ModelEndpoint:
    """A model server on a free port of loopback; starts at once, answers a little later.

    Args:
        artifact: what it serves.
        folder: for its log.
    """

    def __init__(self, artifact: str, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "ml_model", "serve", "--port", str(port), "--artifact", artifact]
        self._folder = folder
        self.start()

    def start(self) -> None:
        """Starts it, again where it was killed."""
        self._child = Child("endpoint", self._command, self._folder)

    def kill(self) -> None:
        """Ends it at once."""
        self._child.kill()

    def await_ready(self) -> None:
        """Waits until the model is loaded.

        Raises:
            FatalError: it ended, or did not get ready in time.
        """
        self._child.wait_until(lambda: answers(f"{self.url}/ping"), _READY_S)

    def stop(self) -> None:
        """Lets it finish what it answers, then ends it."""
        self._child.stop()
