"""The local emulator for Kinesis, DynamoDB and S3: `ministack`, in an environment of its own."""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from adapters.program.ports import check_port
from embedded.child import Child
from fraud.errors import MisconfiguredError

PROGRAM = Path(__file__).parent.parent / ".venv-emulator" / "bin" / "ministack"
_READY_S = 90.0


_FIRST_PORT, _PORTS, _PORTS_OF_A_PROCESS = 20_000, 12_000, 100
"""Below those that systems give to outgoing connections (from 32768 on Linux), which come and go."""

_chosen = itertools.count()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now, to be taken by a program that starts a little later.

    Until this process ends, no other one that asks here is given the same.
    """
    while True:
        port = _FIRST_PORT + (os.getpid() * _PORTS_OF_A_PROCESS + next(_chosen)) % _PORTS
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if _claim(port):
            return port


def _claim(port: int) -> bool:
    """Locks the port's file, which the system unlocks when the process ends; False where another process has it."""
    folder = Path(tempfile.gettempdir(), f"fraud-ports-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    file = os.open(folder / str(port), os.O_RDWR | os.O_CREAT)  # stays open, and so locked
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    return True


def require_free(port: int, flag: str) -> None:
    """Stops with one line where a wanted port is taken, or is none.

    Raises:
        MisconfiguredError: something listens there, or there is no such port.
    """
    check_port(flag, port)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise MisconfiguredError(flag, f"port {port} is taken ({error.strerror}); choose another") from None


def start_emulator(folder: Path, port: int | None = None, *, keep_objects: bool = False) -> tuple[Child, str]:
    """Starts the emulator and waits until it answers.

    Args:
        folder: for its log and data.
        port: where it listens; None takes a free one.
        keep_objects: whether what S3 has answered for is on disk, and found again by the next start in this folder;
            everything else is gone when it ends.

    Returns:
        The process and its endpoint address.
    """
    if not PROGRAM.exists():
        raise MisconfiguredError("emulator", f"{PROGRAM} is missing; run `make setup`")
    if port is None:
        port = free_port()
    require_free(port, "--port")
    environment = os.environ | {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "S3_DATA_DIR": str(folder / "s3"),
        "S3_PERSIST": "1" if keep_objects else "0",
        "TMPDIR": str(folder),
    }
    child = Child("emulator", [str(PROGRAM)], folder, environment)
    url = f"http://127.0.0.1:{port}"
    try:
        child.wait_until(lambda: answers(f"{url}/_ministack/health"), _READY_S)
    except BaseException:
        child.stop()
        raise
    return child, url


def answers(url: str) -> bool:
    """Whether an HTTP address answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False
