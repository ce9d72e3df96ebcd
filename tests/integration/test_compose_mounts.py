"""What the JVM unpacks to /tmp loads from there as Docker mounts it for Compose, and would not without exec."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER_DEFAULTS = "noexec,nosuid,nodev"
"""Docker's own options of a tmpfs, which come before those that a service gives."""

LOADS = """
import sys
from pyspark.conf import SparkConf
from pyspark.java_gateway import launch_gateway

jvm = launch_gateway(SparkConf(False).set("spark.driver.extraJavaOptions", f"-Djava.io.tmpdir={sys.argv[1]}")).jvm
jvm.org.rocksdb.RocksDB.loadLibrary()
jvm.org.xerial.snappy.Snappy.getNativeLibraryVersion()
print("loaded")
"""


def can_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False
    )
    return tried.returncode == 0


def loaded(folder: Path, options: str) -> bool:
    """Whether native libraries load from a tmpfs with these options after Docker's."""
    script = f'mount -t tmpfs -o {DOCKER_DEFAULTS},{options} tmpfs {folder} && exec {sys.executable} -c "$0" {folder}'
    command = ["unshare", "--mount", "sh", "-c", script, LOADS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "loaded" or "failed to map segment" in done.stderr, done.stderr
    return done.stdout.strip() == "loaded"


@pytest.mark.long
@pytest.mark.skipif(not can_mount(), reason="mounting needs root and unshare")
def test_native_libraries_load_from_tmp_as_each_service_mounts_it(tmp_path: Path) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    given = {
        options
        for service in services.values()
        for mount in service.get("tmpfs", [])
        for place, _, options in [mount.partition(":")]
        if place == "/tmp"
    }
    assert given
    assert all(loaded(tmp_path, options) for options in given)
    assert not any(loaded(tmp_path, options.replace("exec,", "")) for options in given)
