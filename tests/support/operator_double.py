"""A cluster as far as a release sees it, with real driver processes: `helm` and `kubectl`, to be found on the path.

Helm's order is kept: what is new is created and what is there patched, then what is gone is deleted. So is what
Apache's operator does with an application: it starts a driver for a new one, starts it again where it ends, stops it
where the application is deleted, and ignores every change of its specification while it runs (its issue 779).
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_ATTEMPTS = 2
_PROGRAM = "OPERATOR_DOUBLE"
"""Variable with the folder of the cluster."""


class Cluster:
    """What is installed, and what runs.

    Args:
        folder: of its files. `driver` in it is the command of a driver, which is given the folder of its application
            and writes `ready` there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def revisions(self) -> list[Path]:
        """What each revision of the release consists of."""
        return sorted((self._folder / "revisions").glob("*.json"))

    def install(self, objects: list[dict[str, Any]]) -> None:
        """Makes a list of objects what there is, in Helm's order."""
        (self._folder / "revisions").mkdir(exist_ok=True)
        file = self._folder / "revisions" / f"{len(self.revisions) + 1:03}.json"
        file.write_text(json.dumps(objects))
        wanted = {each["metadata"]["name"]: each for each in objects if each["kind"] == "SparkApplication"}
        for name, each in wanted.items():
            self._apply(name, each)
        for folder in self.applications():
            if folder.name not in wanted:
                (folder / "deleted").touch()

    def _apply(self, name: str, application: dict[str, Any]) -> None:
        folder = self._folder / "applications" / name
        patched = folder.exists() and not (folder / "deleted").exists()
        if not patched and folder.exists():
            folder.rename(folder.with_name(f".{name}-{time.monotonic_ns()}"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "application.json").write_text(json.dumps(application))
        if patched:
            return  # the operator compares no specification: what runs goes on
        (folder / "submitted.json").write_text(json.dumps(application))
        command = [sys.executable, "-m", "tests.support.operator_double", "operate", str(folder)]
        with (folder / "log").open("w") as log:
            subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    def applications(self) -> list[Path]:
        """Folders of the applications that are not deleted."""
        found = (self._folder / "applications").glob("[!.]*")
        return [folder for folder in sorted(found) if not (folder / "deleted").exists()]

    def state(self, name: str) -> str:
        """What the operator says of an application."""
        folder = self._folder / "applications" / name
        if (folder / "released").exists():
            return "ResourceReleased"
        return "RunningHealthy" if (folder / "ready").exists() else "DriverStarted"


def operate(folder: Path) -> None:
    """Runs an application's driver, again where it ends, until the application is deleted."""
    command = shlex.split((folder.parents[1] / "driver").read_text())
    for _ in range(_ATTEMPTS):
        with subprocess.Popen([*command, str(folder)]) as driver:
            while driver.poll() is None and not (folder / "deleted").exists():
                if (folder / "pod-deleted").exists():
                    (folder / "pod-deleted").unlink()
                    driver.send_signal(signal.SIGTERM)
                time.sleep(0.02)
            if driver.poll() is None:
                driver.send_signal(signal.SIGTERM)
                driver.wait()
                return
        (folder / "ready").unlink(missing_ok=True)
    (folder / "released").touch()


def helm(cluster: Cluster, arguments: list[str]) -> int:
    """`upgrade`, `rollback`, `history`, `get manifest`."""
    last = json.loads(cluster.revisions[-1].read_text()) if cluster.revisions else []
    match arguments:
        case ["upgrade", "--install", _, _, *options]:
            sets = [value for option, value in pairwise(options) if option == "--set-json"]
            extra = {section: content for each in sets for section, content in json.loads(each).items()}
            program = [str(ROOT / ".venv-infra" / "bin" / "python"), "-m", "infrastructure.checks.render_chart", "dev"]
            cluster.install(json.loads(subprocess.check_output([*program, json.dumps(extra)], cwd=ROOT)))
        case ["rollback", _, revision, *_]:
            cluster.install(json.loads(cluster.revisions[int(revision) - 1].read_text()))
        case ["history", *_]:
            if not cluster.revisions:
                return 1
            print(json.dumps([{"revision": len(cluster.revisions)}], separators=(",", ":")))
        case ["get", "manifest", *_]:
            for each in last:
                print(f"---\nkind: {each['kind']}\nmetadata:\n  name: {each['metadata']['name']}")
        case _:
            raise SystemExit(f"helm {arguments}: not known to the double")
    return 0


def kubectl(cluster: Cluster, arguments: list[str]) -> int:
    """`get sparkapplication NAME`, `logs`, `delete pod` of the driver."""
    match arguments:
        case ["--namespace", _, "get", "sparkapplication", name, *_]:
            print(cluster.state(name))
        case ["--namespace", _, "logs", *_]:
            print("(the driver's log)")
        case ["-n", _, "delete", "pod", "-l", "app.kubernetes.io/component=driver"]:
            for folder in cluster.applications():
                (folder / "pod-deleted").touch()
        case _:
            raise SystemExit(f"kubectl {arguments}: not known to the double")
    return 0


def write_commands(folder: Path, driver: str) -> dict[str, str]:
    """Puts `helm` and `kubectl` into a folder.

    Args:
        folder: of the cluster.
        driver: command of a driver.

    Returns:
        The environment in which a script finds them.
    """
    (folder / "driver").write_text(driver)
    (folder / "bin").mkdir()
    for name in ("helm", "kubectl"):
        file = folder / "bin" / name
        file.write_text(f'#!/bin/sh\ncd {ROOT}\nexec {sys.executable} -m tests.support.operator_double {name} "$@"\n')
        file.chmod(0o755)
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", _PROGRAM: str(folder)}


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "operate":
        operate(Path(rest[0]))
    else:
        sys.exit({"helm": helm, "kubectl": kubectl}[what](Cluster(Path(os.environ[_PROGRAM])), rest))
