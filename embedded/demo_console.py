"""The console of a demo: a user made for the run, and how to sign in."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from types import TracebackType

from rich.console import Console
from rich.text import Text

from console.users import Role, add_user
from embedded.child import Child
from embedded.emulator import answers, free_port, require_free
from embedded.history import Population
from embedded.stack import LocalStack
from fraud.settings import Settings

PORT = 8090
USER = "demo"
_EVER = 36_500
"""Days: a generated history may lie in any year."""


def free_console_port(wanted: int | None) -> int:
    """The port that was asked for, else the usual one, else a free one.

    Raises:
        MisconfiguredError: the port that was asked for is taken.
    """
    if wanted is not None:
        require_free(wanted, "--console-port")
        return wanted
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return free_port()
    return PORT


def with_lab(settings: Settings, population: Population) -> Settings:
    """The settings with a lab that attacks the population of the demo's producer, and all of its history in cases."""
    lab = {"lab": True, "lab_seed": population.seed, "lab_cards": population.cards}
    shown = lab | {"lab_merchants": population.merchants, "history_days": _EVER}
    return settings.model_copy(update={"console": settings.console.model_copy(update=shown)})


class DemoConsole:
    """A context: the console of a stack, with a user of its own, once it is started; on exit it has ended.

    Args:
        stack: entered.
        port: where it listens; None serves none.
        terminal: where people read how to sign in.
    """

    def __init__(self, stack: LocalStack, port: int | None, terminal: Console) -> None:
        self._stack = stack
        self._port = port
        self._terminal = terminal
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Where people find it."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> DemoConsole:
        return self

    def start(self) -> None:
        """Starts it, where it is served at all, and prints how to sign in; it answers some seconds later."""
        if self._port is None:
            return
        users = self._stack.folder / "users.json"
        password = add_user(users, USER, Role.ADMIN)
        self._child = self._stack.start_console(users, self._port)
        said = f"console: {self.url}  user {USER}, password {password} (for this run only)"
        self._terminal.print(Text(said, "bold"), soft_wrap=True)

    def open(self) -> None:
        """Shows the console in a browser where somebody sits at a desktop; says so where it could not start."""
        if self._child is None:
            return
        if self._child.exit_code is not None or not answers(self.url):
            self._terminal.print(Text(f"the console does not answer: {self._child.last_words()}", "yellow"))
        elif self._terminal.is_terminal and _has_desktop():
            webbrowser.open(self.url)

    def stop(self) -> None:
        """Ends the console, and the campaigns that were started in it."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _has_desktop() -> bool:
    """Whether a browser would open in a window, not in the terminal that shows the demo."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
