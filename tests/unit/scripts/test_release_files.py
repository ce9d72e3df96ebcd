"""The files of a release, laid out for a tag in a made-up checkout."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HELM = """#!/bin/sh
echo "$@" >"$4/fraud-1.2.0.tgz"
"""
CHANGELOG = """# Changelog
## Unreleased
Not yet.

## 1.2.0
What is new.

## 1.1.0
What was new.
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One of version 1.2.0, committed, with bills of materials, and a `helm` that says what it was asked."""
    made = tmp_path / "checkout"
    (made / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "release_files.sh", made / "scripts")
    (made / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (made / "CHANGELOG.md").write_text(CHANGELOG)
    chart = made / "infrastructure" / "helm" / "fraud"
    chart.mkdir(parents=True)
    (chart / "Chart.yaml").write_text("version: 1.2.0\nappVersion: 1.2.0\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "--no-gpg-sign", "-m", "all"]):
        subprocess.run(["git", *command], cwd=made, check=True)
    (made / "build" / "sbom").mkdir(parents=True)
    (made / "build" / "sbom" / "job.json").write_text("{}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "helm").write_text(HELM)
    (tmp_path / "bin" / "helm").chmod(0o755)
    return made


def lay_out(checkout: Path, tag: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{checkout.parent / 'bin'}:{os.environ['PATH']}"}
    command = [str(checkout / "scripts" / "release_files.sh"), tag, str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_release_has_source_chart_bill_of_materials_notes_and_their_checksums(checkout: Path, tmp_path: Path) -> None:
    done = lay_out(checkout, "v1.2.0", tmp_path / "release")
    assert done.returncode == 0, done.stderr
    files = {file.name: file.read_bytes() for file in (tmp_path / "release").iterdir()}
    lines = (line.partition("  ") for line in files.pop("SHA256SUMS").decode().splitlines())
    sums = {name: digest for digest, _, name in lines}
    source = "card-fraud-streaming-1.2.0.tar.gz"
    assert set(files) == {source, "fraud-1.2.0.tgz", "sbom-job.json", "NOTES.md"}
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert files["NOTES.md"] == b"What is new.\n\n"


def test_the_same_commit_makes_the_same_source(checkout: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert lay_out(checkout, "v1.2.0", tmp_path / name).returncode == 0
    one, two = ((tmp_path / name / "card-fraud-streaming-1.2.0.tar.gz").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("file", "sound", "broken", "said"),
    [
        ("pyproject.toml", "1.2.0", "1.2.1", "pyproject.toml has another version"),
        ("infrastructure/helm/fraud/Chart.yaml", "appVersion: 1.2.0", "appVersion: 1.1.0", "the chart's appVersion"),
        ("CHANGELOG.md", "What is new.", "", "no section '## 1.2.0' with a line in it"),
        ("build/sbom/job.json", None, None, "run make sbom"),
    ],
    ids=["version", "chart", "notes", "materials"],
)
def test_a_release_that_does_not_fit_its_tag_is_refused(
    checkout: Path, tmp_path: Path, file: str, sound: str | None, broken: str | None, said: str
) -> None:
    if sound is None or broken is None:
        (checkout / file).unlink()
    else:
        (checkout / file).write_text((checkout / file).read_text().replace(sound, broken))
    done = lay_out(checkout, "v1.2.0", tmp_path / "release")
    assert done.returncode == 1
    assert said in done.stderr
