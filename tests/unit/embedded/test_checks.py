"""What a machine lacks is one line that says how to fix it, and exit code 2 where a start needs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from embedded.checks import Finding, check_disk, check_emulator, check_java, check_names, check_python, require
from fraud.errors import MisconfiguredError

ROOT = Path(__file__).parents[3]
FRAUD = Path(sys.executable).with_name("fraud")


def test_this_machine_has_what_the_demo_needs() -> None:
    require(check_python(), check_java(), check_emulator(), check_disk(ROOT))


def test_no_other_distribution_provides_a_package_of_ours() -> None:
    assert check_names() == Finding("Package names", True, "ours alone", "uninstall the other distribution")


def test_a_foreign_package_of_our_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    providers = {"console": ["card-fraud-streaming", "other-console"]}
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: providers)
    assert check_names().detail == "console (from other-console)"


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100 << 20))
    with pytest.raises(MisconfiguredError, match=r"^Disk: 0\.1 GiB free at .*; free 1 GiB on the disk of"):
        require(check_disk(tmp_path / "not" / "there" / "yet"))


def test_an_old_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MisconfiguredError, match=rf"^Java: 11 at {java}; install a JRE 17 or newer"):
        require(check_java())


@pytest.mark.parametrize(
    ("environment", "arguments", "line"),
    [
        ({"JAVA_HOME": "/nowhere"}, [], "error: Java: none at JAVA_HOME=/nowhere; install a JRE 17 or newer"),
        ({}, ["--port", "{taken}"], "error: --port: port {taken} is taken"),
        (
            {},
            ["--replay", "/no/such.parquet", "--mapping", "handbook"],
            "error: /no/such.parquet: no such file",
        ),
    ],
)
def test_the_demo_stops_at_start_with_one_line(environment: dict[str, str], arguments: list[str], line: str) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [str(FRAUD), "demo", *(argument.format(taken=port) for argument in arguments)],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(line.format(taken=port))
    assert done.stderr.count("\n") == 1
