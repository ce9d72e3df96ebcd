"""The first job of a checkout leaves an archive of Spark's classes, and a job that writes none leaves nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from embedded import class_archive
from embedded.child import Child
from embedded.class_archive import ClassRecording
from processor.class_archive import RECORD_CLASSES

_JVM = "import os, sys; sys.stdin.read(); open(os.environ[{name!r}], 'w').write('classes')"
_JOB = """
import os, signal, subprocess, sys
jvm = subprocess.Popen([sys.executable, "-c", {jvm!r}], stdin=subprocess.PIPE)
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
print("runs", flush=True)
signal.pause()
"""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is kept."""
    file = tmp_path / "environment" / "share" / "classes.jsa"
    monkeypatch.setattr(class_archive, "CLASS_ARCHIVE", file)
    return file


def started(recording: ClassRecording, jvm: str, folder: Path) -> Child:
    """A job whose JVM, as Spark's, ends when its standard input does, some time after the job."""
    job = Child("job", [sys.executable, "-c", _JOB.format(jvm=jvm)], folder, os.environ | recording.environment)
    job.wait_until(lambda: job.said("runs"), 30)
    return job


def test_the_archive_that_the_jvm_writes_after_the_job_has_ended_is_kept(archive: Path, tmp_path: Path) -> None:
    recording = ClassRecording.where_missing(tmp_path)
    assert recording is not None
    job = started(recording, _JVM.format(name=RECORD_CLASSES), tmp_path)
    recording.stop(job, 30)
    assert job.exit_code == 0
    assert archive.read_text() == "classes"
    assert ClassRecording.where_missing(tmp_path) is None


def test_a_jvm_that_writes_none_leaves_none(archive: Path, tmp_path: Path) -> None:
    recording = ClassRecording(tmp_path)
    recording.stop(started(recording, "import sys; sys.stdin.read()", tmp_path), 30)
    assert not archive.exists()


def test_a_job_that_has_failed_leaves_none(archive: Path, tmp_path: Path) -> None:
    recording = ClassRecording(tmp_path)
    job = Child("job", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
    job.wait(30)
    recording.stop(job, 30)
    assert job.exit_code == 3
    assert not archive.exists()
