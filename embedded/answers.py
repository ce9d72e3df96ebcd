"""The decision service of a local stack: folders and keys of its own, begun with the history of a demo."""

from __future__ import annotations

import secrets
import urllib.request
from pathlib import Path
from types import TracebackType

from adapters.files.asked import asked_file
from decision_service.access import add_key
from embedded.child import Child
from embedded.emulator import free_port
from embedded.stack import LocalStack
from fraud.errors import FatalError
from fraud.settings import Settings

_READY_S = 120.0
_BUDGET_MS = 1_000
"""Longer than usual: the job takes both cores of a small machine for as long."""


def with_answers(settings: Settings, folder: Path) -> Settings:
    """Settings with a key that answers are signed with, made for a run, and with the service's files in its folder.

    Args:
        settings: of the run.
        folder: of the run.
    """
    secret = folder / "answer-key"
    secret.write_text(secrets.token_hex(32))
    decide = {"folder": str(folder / "decide"), "api_keys": str(folder / "decide" / "keys.json")}
    answers = {"keys": {"local": f"file:{secret}"}, "sign_with": None}
    return settings.model_copy(
        update={
            "answers": settings.answers.model_copy(update=answers),
            "decide": settings.decide.model_copy(update=decide),
        }
    )


def is_ready(port: int) -> bool:
    """Whether the service on a port of this machine has caught up."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class DemoService:
    """A context: the decision service of a demo, once it is started; on exit it has ended.

    Args:
        stack: entered; its settings are of `with_answers`.
        share: of the cards that it is asked about; 0 starts none.
    """

    def __init__(self, stack: LocalStack, share: float) -> None:
        self._stack = stack
        self._share = share
        self._port = free_port()
        self._child: Child | None = None
        self.key: str | None = None

    def __enter__(self) -> DemoService:
        return self

    def start(self, history: str) -> None:
        """Starts it, where it is asked at all; it is ready some seconds later.

        Args:
            history: the archived query that its state begins with.
        """
        if not self._share:
            return
        keys = Path(self._stack.settings.decide.api_keys)
        self.key = add_key(keys, "demo", frozenset({"decide"}), 100_000)
        own = {"job.query": history, "decide.begin_with": "archive", "decide.budget_ms": str(_BUDGET_MS)}
        given = [part for name, value in own.items() for part in ("--set", f"{name}={value}")]
        self._child = self._stack.start_decide("decide", self._port, *given, "--set", "model.endpoint=null")

    def await_ready(self, producer: str) -> list[str]:
        """Waits until it answers.

        Args:
            producer: that will ask it.

        Returns:
            What asks it: arguments of `python -m producer.main`. None, where it is not asked.

        Raises:
            FatalError: it ended, or was not ready in time.
        """
        if self._child is None:
            return []
        self._child.wait_until(lambda: is_ready(self._port), _READY_S)
        file = asked_file(self._stack.folder, producer)
        asked = ["--ask", f"http://127.0.0.1:{self._port}", "--ask-share", str(self._share)]
        return [*asked, "--answers", str(file)]

    def stop(self) -> None:
        """Has it put what it answered on the stream, and ends it.

        Raises:
            FatalError: it ended by itself, or not well.
        """
        child, self._child = self._child, None
        if child is None:
            return
        ended = child.exit_code is not None
        child.stop()
        if ended or child.exit_code != 0:
            raise FatalError(f"the decision service ended with exit code {child.exit_code}: {child.last_words()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()
