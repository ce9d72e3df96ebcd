"""What `scripts/setup.sh` installs for the demo and for developing, on a made-up machine; and its lock files."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_TOOLS = ("bash", "cat", "dirname", "grep", "head", "kill", "mkdir", "rm", "sed", "tail")
_LOCKS = {
    ".venv": ["requirements.txt", "requirements-dev.txt", "pyproject.toml"],
    ".venv/share/setup": ["scripts/requirements-setup.txt"],
    ".venv-emulator": ["embedded/requirements-emulator.txt"],
}
_NAME = re.compile(r"[-_.]+")


@dataclass(frozen=True)
class Machine:
    """A checkout whose environments are installed, on a machine of a few programs.

    Attributes:
        folder: of both.
    """

    folder: Path

    def program(self, name: str, script: str) -> None:
        """Puts a program on its path."""
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def set_up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the set-up there as root, or as somebody that the machine's `id` takes for root."""
        command = [str(self.folder / "scripts" / "setup.sh"), *arguments]
        path = {"PATH": str(self.folder / "bin"), "PYTHON": sys.executable}
        return subprocess.run(command, env=path, capture_output=True, text=True, check=False)

    @property
    def installed(self) -> list[str]:
        """What apt-get was asked to install."""
        asked = self.folder / "asked"
        lines = asked.read_text().splitlines() if asked.exists() else []
        return [line.split()[-1] for line in lines if line.startswith("install")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One with Java and without Chromium, and the whole set-up done but for that."""
    made = Machine(tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in _TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    made.program("id", "echo 0")
    made.program("sleep", "exit 0")
    made.program("java", "echo 'openjdk version \"17.0.15\"' >&2")
    made.program("apt-get", f'echo "$@" >>{tmp_path}/asked')
    for folder, files in _LOCKS.items():
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, tmp_path / file)
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        stamps = [f"{hashlib.sha256((ROOT / file).read_bytes()).hexdigest()} {file}\n" for file in files]
        (tmp_path / folder / ".installed").write_text("".join(stamps))
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "scripts")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to("/bin/true")
    return made


def test_what_is_installed_is_left_alone_without_a_word(machine: Machine) -> None:
    done = machine.set_up("demo")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.installed == []


def test_the_demo_installs_no_browser_and_developing_does(machine: Machine) -> None:
    assert machine.set_up("demo").returncode == 0
    assert machine.installed == []
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert machine.installed == ["chromium"]


def test_the_demo_installs_a_java_runtime_where_there_is_none(machine: Machine) -> None:
    (machine.folder / "bin" / "java").unlink()
    done = machine.set_up("demo")
    assert done.returncode == 0, done.stderr
    assert machine.installed == ["openjdk-17-jre-headless"]
    assert done.stdout == "setup: installing a Java runtime with apt-get\n"


def test_a_step_that_fails_shows_what_it_printed_and_fails_the_set_up(machine: Machine) -> None:
    machine.program("apt-get", "echo 'E: Unable to locate package'; exit 100")
    machine.program("java", "echo 'openjdk version \"11.0.2\"' >&2")
    done = machine.set_up("demo")
    assert done.returncode != 0
    assert "E: Unable to locate package\nsetup: installing a Java runtime with apt-get: failed\n" in done.stderr


def test_an_index_that_does_not_answer_once_is_asked_again(machine: Machine) -> None:
    answered = machine.folder / "answered"
    machine.program("apt-get", f'echo "$@" >>{machine.folder}/asked; [ -e {answered} ] || {{ >{answered}; exit 100; }}')
    done = machine.set_up()
    assert done.returncode == 0
    assert done.stderr == ""
    assert machine.installed == ["chromium"]


def test_developing_does_without_a_browser_that_cannot_be_installed(machine: Machine) -> None:
    machine.program("apt-get", "exit 100")
    done = machine.set_up()
    assert done.returncode == 0
    assert "the browser tests will skip" in done.stderr


def test_an_archive_of_classes_of_another_java_is_taken_away(machine: Machine) -> None:
    archive = machine.folder / ".venv" / "share" / "spark-classes.jsa"
    machine.set_up("demo")
    archive.touch()
    machine.set_up("demo")
    assert archive.exists()
    machine.program("java", "echo 'openjdk version \"21.0.1\"' >&2")
    machine.set_up("demo")
    assert not archive.exists()


def locked(file: str) -> dict[str, set[str]]:
    """Of each package that a lock file pins, by name and version, the hashes."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / file).read_text().splitlines():
        if re.match(r"[a-z]", line):
            name = line.split()[0]
            found[name] = set()
        elif line.strip().startswith("--hash"):
            found[name].add(line.split()[0])
    return found


def names(requirements: list[str]) -> set[str]:
    """The packages of some requirements."""
    return {_NAME.sub("-", re.split(r"[\[<>=]", each)[0]).lower() for each in requirements}


def test_development_installs_the_very_packages_of_the_product() -> None:
    product, development = locked("requirements.txt"), locked("requirements-dev.txt")
    assert {name: development.get(name) for name in product} == product
    assert all(product.values())


def test_each_lock_file_pins_what_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    product = names(project["project"]["dependencies"])
    tools = names(project["project"]["optional-dependencies"]["dev"])
    for file, wanted in [
        ("requirements.txt", product),
        ("requirements-dev.txt", product | tools),
        ("scripts/requirements-setup.txt", names(project["dependency-groups"]["setup"])),
    ]:
        assert wanted <= {pin.partition("==")[0] for pin in locked(file)}, file
    assert not tools & {pin.partition("==")[0] for pin in locked("requirements.txt")}


def test_uv_installs_from_where_pip_is_configured_to_look(tmp_path: Path) -> None:
    from zipfile import ZipFile

    wheel = tmp_path / "index" / "made-up" / "made_up-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with ZipFile(wheel, "w") as archive:
        archive.writestr("made_up.py", "")
        archive.writestr("made_up-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
        archive.writestr(
            "made_up-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("made_up-1.0.dist-info/RECORD", "")
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {(tmp_path / 'index').as_uri()}\n")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"made-up==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    install = ["pip", "install", "--no-deps", "--require-hashes", "--target", str(tmp_path / "target"), "-r", str(lock)]
    others = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "uv_as_pip.py"), *install],
        env={**others, "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "UV_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "target" / "made_up.py").exists()
