"""A child of the local stack ends with its parent, cleanly where it can, and says why it failed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from embedded.child import Child
from embedded.emulator import free_port, require_free
from fraud.errors import FatalError, MisconfiguredError

ROOT = Path(__file__).parents[3]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_child_that_ends_early_is_quoted(tmp_path: Path) -> None:
    child = Child("job", python("import sys; print('no such stream'); sys.exit(3)"), tmp_path)
    with pytest.raises(FatalError, match="job ended with exit code 3: no such stream"):
        child.wait_until(lambda: False, 30)
    child.stop()


def test_stop_ends_a_child_that_ignores_the_request_and_its_descendants(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print('descendant', child.pid, flush=True); time.sleep(600)"
    )
    child = Child("job", python(code), tmp_path)
    child.wait_until(lambda: child.said("descendant"), 30)
    descendant = psutil.Process(int(child.log_file.read_text().split()[1]))
    child.stop(grace_s=0.1)
    assert child.exit_code == -signal.SIGKILL
    psutil.wait_procs([descendant], timeout=60)
    assert not descendant.is_running() or descendant.status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from embedded.child import Child;"
        f"child = Child('c', [sys.executable, '-c', 'import time; time.sleep(600)'], pathlib.Path({str(tmp_path)!r}));"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        psutil.wait_procs([child], timeout=60)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_taken_port_is_one_clear_line() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MisconfiguredError, match=f"--port: port {port} is taken"):
            require_free(port, "--port")
    require_free(free_port(), "--port")
