"""Services of the Compose file without Docker: what its images start, under the restrictions that it names.

Each service gets a root of its own in which nothing can be written but what it mounts, its user without any capability,
a host name that it can look up, the memory it may have where this machine has control groups, and the network that all
of them share: another one than this machine's, in which their names are known. The programs are this checkout's, as an
image has them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DOCKER_DEFAULTS = "noexec,nosuid,nodev"
"""Docker's own options of a tmpfs, which come before those that a service gives."""

_NEEDS = ("unshare", "nsenter", "setpriv", "ip", "chroot")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/dev", "/proc", "/sys")
_USER = 185
_GROUPS = Path("/sys/fs/cgroup/memory")
_UNITS = {"m": 1 << 20, "g": 1 << 30}
_ANSWER_S = 60.0
_UP_S = 600.0
"""Within this a service is up on a machine however busy; one that hangs ends the test."""


def why_not() -> str | None:
    """Why services cannot be run so on this machine; None where they can."""
    if os.geteuid() != 0 or any(shutil.which(name) is None for name in _NEEDS):
        return f"it needs root, and {', '.join(_NEEDS)}"
    if ROOT.is_relative_to("/tmp"):
        return "the checkout lies in /tmp, which services mount"
    tried = subprocess.run(["unshare", "--net", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False)
    return f"unshare ended with {tried.returncode}" if tried.returncode else None


class Services:
    """A network and the services in it, all of which have ended when the context ends.

    Args:
        folder: for logs and what is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._groups: dict[str, Path] = {}
        self._restarts: dict[str, int] = {}

    def __enter__(self) -> Services:
        network = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]
        self._network = subprocess.Popen(network, stdout=subprocess.PIPE)
        assert self._network.stdout is not None
        assert self._network.stdout.readline() == b"up\n"
        names = " ".join(SERVICES)
        (self._folder / "hosts").write_text(f"127.0.0.1 localhost {names}\n")
        user = f"fraud:x:{_USER}:{_USER}::/home/fraud:/bin/sh\n"
        (self._folder / "passwd").write_text(Path("/etc/passwd").read_text() + user)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running.values()):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._network.kill()
        self._network.communicate()
        for group in self._groups.values():
            _end_all(group)
            group.rmdir()

    def start(self, name: str) -> None:
        """Starts a service."""
        self._running[name] = self._popen(name, self._command(name), self.log(name))

    def start_emulator(self) -> None:
        """Starts the emulator, with its variables, from where the checkout has it: its image installs the same."""
        command = [str(ROOT / ".venv-emulator" / "bin" / "ministack")]
        given = {"PATH": os.environ["PATH"], "TMPDIR": str(self._folder)}
        environment = given | {key: str(value) for key, value in SERVICES["emulator"]["environment"].items()}
        with self.log("emulator").open("wb") as log:
            self._running["emulator"] = subprocess.Popen(
                [*self._in_network, *command], env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def await_healthy(self, name: str) -> None:
        """Waits until the health check of a service succeeds."""
        deadline = time.monotonic() + _UP_S
        while self.run(name, self._health_check(name)).returncode:
            assert self.runs(name), self.said(name)
            assert time.monotonic() < deadline, self.said(name)
            time.sleep(0.5)

    def runs(self, name: str) -> bool:
        """Whether a service runs; one that has failed is started again as often as its `restart` says."""
        if self._running[name].poll() is None:
            return True
        _, _, most = SERVICES[name].get("restart", "no").partition(":")
        self._restarts[name] = self._restarts.get(name, 0) + 1
        if self._running[name].returncode == 0 or self._restarts[name] > int(most or 0):
            return False
        self.start(name)
        return True

    def await_end(self, name: str) -> int:
        """Waits until a service has ended by itself; gives its exit code."""
        return self._running[name].wait(_UP_S)

    def stop(self, name: str) -> int:
        """Stops a service as Docker does, within its time; gives its exit code."""
        grace_s = int(str(SERVICES[name].get("stop_grace_period", "10s")).removesuffix("s"))
        self._running[name].send_signal(signal.SIGTERM)
        return self._running[name].wait(grace_s)

    def run(self, name: str, command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        """Runs a command as a service would."""
        log = self._folder / f"{name}-run.log"
        process = self._popen(name, command, log)
        try:
            code = process.wait(_ANSWER_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        return subprocess.CompletedProcess(command, code, log.read_bytes())

    def log(self, name: str) -> Path:
        """What a service says."""
        return self._folder / f"{name}.log"

    def said(self, name: str) -> str:
        """The end of it."""
        return self.log(name).read_text(errors="replace")[-3_000:]

    def memory(self, name: str) -> tuple[int, int] | None:
        """Most bytes that a service had, and how often it wanted more than it may; None where nobody counts."""
        group = self._groups.get(name)
        if group is None:
            return None
        peak, failed = (int((group / f"memory.{file}").read_text()) for file in ("max_usage_in_bytes", "failcnt"))
        return peak, failed

    @property
    def _in_network(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._network.pid}/ns/net", "--"]

    def _popen(self, name: str, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        confined = [*self._in_network, "unshare", "--mount", "--uts", "sh", "-euc", self._script(name), "sh", *command]
        environment = {
            "PATH": "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": "/home/fraud",
            "PYTHONPATH": "/opt/fraud",  # an image's environment has it in a file
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYSPARK_PYTHON": "/opt/venv/bin/python",
            "PYSPARK_DRIVER_PYTHON": "/opt/venv/bin/python",
        } | {key: str(value) for key, value in SERVICES[name].get("environment", {}).items()}
        with log.open("wb") as out:
            return subprocess.Popen(
                confined, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def _script(self, name: str) -> str:
        """Makes the root of a service and runs in it what follows."""
        service, root = SERVICES[name], self._folder / "root"
        places = dict.fromkeys([*_SYSTEM, sys.base_prefix, str(ROOT), str(Path(sys.prefix).resolve())])
        lines = [*self._memory_lines(name), f"echo {name} >/proc/sys/kernel/hostname", f"mkdir -p {root}"]
        lines.append(f"mount -t tmpfs -o mode=755 tmpfs {root}")
        for place in places:
            if Path(place).is_symlink():
                lines.append(f"ln -s {Path(place).readlink()} {root}{place}")
            elif Path(place).exists():
                lines += _bound(place, f"{root}{place}", folder=True)
        lines += _bound(str(ROOT), f"{root}/opt/fraud", folder=True)
        lines += _bound(sys.prefix, f"{root}/opt/venv", folder=True)
        lines += _bound(str(self._folder / "hosts"), f"{root}/etc/hosts")
        lines += _bound(str(self._folder / "passwd"), f"{root}/etc/passwd")
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            lines += _bound(str(ROOT / source), f"{root}{target}")
        for mount in service["tmpfs"]:
            place, _, options = mount.partition(":")
            lines.append(f"mkdir -p {root}{place}")
            lines.append(f"mount -t tmpfs -o {DOCKER_DEFAULTS},{options} tmpfs {root}{place}")
        if service["read_only"]:
            lines.append(f"mount -o remount,ro {root}")
        user = (
            f"setpriv --reuid {_USER} --regid {_USER} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
        )
        inside = f'cd {service["working_dir"]} && exec {user} "$@"'
        return "\n".join([*lines, f'exec chroot {root} sh -euc {shlex.quote(inside)} sh "$@"'])

    def _memory_lines(self, name: str) -> list[str]:
        limit = str(SERVICES[name]["mem_limit"])
        if name not in self._groups:
            group = _GROUPS / f"compose-{os.getpid()}-{name}"
            try:
                group.mkdir()
                (group / "memory.limit_in_bytes").write_text(str(int(limit[:-1]) * _UNITS[limit[-1]]))
            except OSError:
                return []
            self._groups[name] = group
        return [f"echo $$ >{self._groups[name]}/cgroup.procs"]

    def _command(self, name: str) -> list[str]:
        service = SERVICES[name]
        entrypoint = service.get("entrypoint") or json.loads(_instruction(name, "ENTRYPOINT"))
        if entrypoint[0] == "tini" and shutil.which("tini") is None:
            entrypoint = entrypoint[entrypoint.index("--") + 1 :]
        return [*entrypoint, *service.get("command", [])]

    def _health_check(self, name: str) -> list[str]:
        own: list[str] | None = SERVICES[name].get("healthcheck", {}).get("test")
        command: list[str] = json.loads(_instruction(name, r"HEALTHCHECK [^\n]*\\\n\s*CMD")) if own is None else own[1:]
        return command


def _end_all(group: Path) -> None:
    """Ends what is left in a control group: workers of Spark's have sessions of their own."""
    while left := (group / "cgroup.procs").read_text().split():
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        time.sleep(0.05)


def _bound(source: str, target: str, *, folder: bool = False) -> list[str]:
    """Lines that mount one place at another, to be read."""
    made = f"mkdir -p {target}" if folder else f"[ -e {target} ]"
    return [made, f"mount --rbind {source} {target}", f"mount -o remount,bind,ro {target}"]


def _instruction(name: str, words: str) -> str:
    """What follows an instruction in the Dockerfile of a service's image."""
    files: Mapping[str, str] = {
        each["image"]: each["build"]["dockerfile"]
        for each in SERVICES.values()
        if "dockerfile" in each.get("build", {})
    }
    (found,) = re.findall(rf"^\s*{words} (\[.*\])$", (ROOT / files[SERVICES[name]["image"]]).read_text(), re.MULTILINE)
    return str(found)
