"""A program's command line in this process: what it says and how it ends, without the seconds a start costs.

What a process alone has, such as signals and pipes, is tried with a process.
"""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """How a program ended."""

    returncode: int
    stdout: str
    stderr: str


def run_here(main: Callable[[], None], *arguments: str) -> Done:
    """Runs the entry point of a program with these arguments, at the root of the checkout.

    Args:
        main: the entry point; it reads `sys.argv`.
        arguments: of the command line.
    """
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with ExitStack() as held:
        for number in (signal.SIGINT, signal.SIGTERM):
            held.callback(signal.signal, number, signal.getsignal(number))
        held.enter_context(patch.object(sys, "argv", ["program", *arguments]))
        held.enter_context(chdir(ROOT))
        held.enter_context(redirect_stdout(stdout))
        held.enter_context(redirect_stderr(stderr))
        try:
            main()
            code: object = 0
        except SystemExit as ended:
            code = ended.code
    assert code is None or isinstance(code, int), code
    return Done(code or 0, *(_text(written) for written in (stdout, stderr)))


def _text(written: io.TextIOWrapper) -> str:
    buffer = written.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
