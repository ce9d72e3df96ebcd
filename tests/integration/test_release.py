"""Upgrade, settings, scaling, rollback, a broken release, a moved driver: beside an operator that ignores changes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.operator_double import ROOT, Cluster, write_commands

SCRIPT = ROOT / "infrastructure" / "release.sh"
pytestmark = pytest.mark.skipif(
    not (ROOT / ".venv-infra" / "bin" / "python").exists(), reason="no .venv-infra: `make infra-check` sets it up"
)

DRIVER = """
import json, signal, sys, threading
from pathlib import Path
from adapters.archive.archive import Archive
from adapters.archive.lease import Holder, Lease
from adapters.objects.folder import FolderObjects

folder, log = Path(sys.argv[1]), Path(sys.argv[1]).parents[1] / "driver.log"
spec = json.loads((folder / "submitted.json").read_text())["spec"]
conf = spec["sparkConf"]
tag = conf["spark.kubernetes.container.image"].rpartition(":")[2]
def say(what): log.open("a").write(f"{tag} {conf['spark.executor.instances']} {what}\\n")
stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
if tag == "broken":
    say("fails")
    sys.exit(2)
archive = Archive(FolderObjects(folder.parents[1] / "archive"))
with Lease(archive, "fraud", Holder.this(folder.name, tag), 60, lambda s: stopping.wait(s / 50)):
    say("decides")
    (folder / "ready").touch()
    stopping.wait()
    threading.Event().wait(0.5)  # the rest of its micro-batch
    say("commits")
"""


def wait_until(holds: Callable[[], bool]) -> None:
    """Waits for what other processes do."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Release:
    """The release script and the cluster that it changes."""

    def __init__(self, folder: Path) -> None:
        program = folder / "driver.py"
        program.write_text(DRIVER)
        self.environment = write_commands(folder, f"{ROOT / '.venv' / 'bin' / 'python'} {program}")
        self.environment |= {"RELEASE_POLL_S": "0.05", "RELEASE_TIMEOUT_S": "60", "PYTHONPATH": str(ROOT)}
        self.folder, self.cluster = folder, Cluster(folder)

    def run(self, tag: str, **values: Any) -> int:
        images = {"registry": "registry", "tag": tag}
        command = [str(SCRIPT), "fraud", "fraud", "--set-json", json.dumps({"images": images, **values})]
        return subprocess.run(command, env=self.environment, cwd=self.folder, check=False).returncode

    @property
    def said(self) -> list[str]:
        return (self.folder / "driver.log").read_text().splitlines()

    def ran(self, *lines: str) -> bool:
        """Whether the last lines are these, once everything that is to end has ended."""
        wait_until(lambda: self.said[-len(lines) :] == list(lines))
        return True


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    made = Release(tmp_path)
    yield made
    made.cluster.install([])
    wait_until(lambda: sum("decides" in line for line in made.said) == sum("commits" in line for line in made.said))


@pytest.mark.long
def test_each_change_reaches_the_driver_after_the_one_before_has_committed(release: Release) -> None:
    assert release.run("v1") == 0
    assert release.said == ["v1 1 decides"]
    assert release.run("v2") == 0
    assert release.ran("v1 1 commits", "v2 1 decides")
    job = {"executors": {"instances": 2, "cores": 2, "memory": "2g", "memoryOverhead": "3g", "localStorage": "10Gi"}}
    assert release.run("v2", job=job) == 0
    assert release.ran("v2 1 commits", "v2 2 decides")
    settings = {"job": {"checkpoint": "s3a://c/fraud", "trigger_ms": 400, "stop_timeout_s": 60}}
    assert release.run("v2", job=job, settings=settings) == 0
    assert release.ran("v2 2 commits", "v2 2 decides")
    # Nothing has changed: the driver goes on.
    assert release.run("v2", job=job, settings=settings) == 0
    assert len(release.said) == 7
    assert release.run("v1", job=job, settings=settings) == 0
    assert release.ran("v2 2 commits", "v1 2 decides")


@pytest.mark.long
def test_a_driver_that_is_moved_off_an_old_node_commits_and_decides_again(release: Release) -> None:
    (command,) = re.findall(
        r"^    (kubectl .* delete pod .*)$", (ROOT / "docs" / "upgrade.md").read_text(), re.MULTILINE
    )
    assert release.run("v1") == 0
    subprocess.run(shlex.split(command), env=release.environment, check=True)
    assert release.ran("v1 1 decides", "v1 1 commits", "v1 1 decides")


@pytest.mark.long
def test_a_release_whose_driver_does_not_become_ready_fails_and_the_one_before_decides_again(release: Release) -> None:
    assert release.run("v1") == 0
    assert release.run("broken") == 1
    assert release.ran("v1 1 decides")
    assert "broken 1 fails" in release.said
    assert release.said.count("v1 1 commits") == release.said.count("v1 1 decides") - 1


def test_a_change_under_the_same_name_would_not_reach_the_driver(release: Release) -> None:
    assert release.run("v1") == 0
    (application,) = [
        each for each in json.loads(release.cluster.revisions[-1].read_text()) if "sparkConf" in str(each)
    ]
    application["spec"]["sparkConf"]["spark.kubernetes.container.image"] = "registry/job:v2"
    release.cluster.install([application])
    (running,) = release.cluster.applications()
    assert "job:v2" in (running / "application.json").read_text()
    assert "job:v2" not in (running / "submitted.json").read_text()
    assert release.said == ["v1 1 decides"]
