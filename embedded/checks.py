"""What this machine needs, each check with its remedy; `fraud doctor` shows all, a start stops at the first failure."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.aws.clients import aws_client
from embedded.emulator import PROGRAM
from fraud.errors import MisconfiguredError, ServiceError
from fraud.settings import Settings

DISTRIBUTION = "card-fraud-streaming"
PACKAGES = ("fraud", "adapters", "producer", "processor", "ml_model", "operations", "console", "cli", "embedded")
MINIMUM_PYTHON = (3, 11)
MINIMUM_JAVA = 17
MINIMUM_FREE_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        name: what was checked.
        ok: whether it will do.
        detail: what was found.
        remedy: how to fix it; empty where nothing need be.
        advice: what would be better although it will do.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    advice: str = ""


def check_python() -> Finding:
    """Python is recent enough for PySpark 4.3 and this project."""
    found = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, MINIMUM_PYTHON))
    return Finding("Python", sys.version_info >= MINIMUM_PYTHON, found, f"install Python {wanted} and run `make setup`")


def check_java() -> Finding:
    """A Java runtime that Spark 4.3 can use is where Spark will look for it."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    remedy = f"install a JRE {MINIMUM_JAVA} or newer (`make setup` tries), or point JAVA_HOME at one"
    if program is None or not Path(program).exists():
        return Finding("Java", False, f"none at JAVA_HOME={home}" if home else "none on the PATH", remedy)
    printed = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', printed)
    major = int(version.group(1)) if version else 0
    return Finding("Java", major >= MINIMUM_JAVA, f"{major or 'unknown version'} at {program}", remedy)


def check_disk(folder: Path) -> Finding:
    """The disk below a folder has room for state, checkpoint and logs."""
    existing = next(parent for parent in [folder.absolute(), *folder.absolute().parents] if parent.exists())
    free = shutil.disk_usage(existing).free
    remedy = f"free {MINIMUM_FREE_BYTES >> 30} GiB on the disk of {existing}, or choose another folder"
    return Finding("Disk", free >= MINIMUM_FREE_BYTES, f"{free / (1 << 30):.1f} GiB free at {existing}", remedy)


def check_names() -> Finding:
    """No other installed distribution provides one of our top-level packages, which would shadow it."""
    providers = importlib.metadata.packages_distributions()
    foreign = sorted(
        f"{package} (from {other})"
        for package in PACKAGES
        for other in providers.get(package, [])
        if other != DISTRIBUTION
    )
    return Finding("Package names", not foreign, ", ".join(foreign) or "ours alone", "uninstall the other distribution")


def check_emulator() -> Finding:
    """The local AWS emulator is installed."""
    return Finding("AWS emulator", PROGRAM.exists(), str(PROGRAM), "run `make setup`")


def check_credentials(settings: Settings) -> Finding:
    """Credentials are at hand and the endpoint knows them."""
    where = settings.aws.endpoint_url or f"AWS {settings.aws.region}"
    try:
        caller = aws_client("sts", settings.aws, connect_timeout=3, read_timeout=5).get_caller_identity()
    except ServiceError as error:
        remedy = (
            "start it, or correct aws.endpoint_url"
            if settings.aws.endpoint_url
            else "run `aws configure` or set AWS_PROFILE; for a local emulator set aws.endpoint_url"
        )
        return Finding("Endpoint", False, f"{where}: {error}", remedy)
    return Finding("Endpoint", True, f"{where}, account {caller['Account']}")


def check_resources(settings: Settings) -> Iterator[Finding]:
    """Streams, table and bucket of the settings exist."""
    remedy = "create it: python scripts/setup_localstack.py (any endpoint), or infrastructure/terraform"
    kinesis, dynamodb, s3 = (aws_client(service, settings.aws) for service in ("kinesis", "dynamodb", "s3"))
    streams = settings.streams
    wanted: list[tuple[str, Callable[[], object]]] = [
        (f"Stream {streams.transactions}", lambda: kinesis.describe_stream_summary(StreamName=streams.transactions)),
        (f"Stream {streams.labels}", lambda: kinesis.describe_stream_summary(StreamName=streams.labels)),
        (f"Table {settings.alerts.table}", lambda: dynamodb.describe_table(TableName=settings.alerts.table)),
    ]
    if settings.archive.folder is None:
        wanted.append((f"Bucket {settings.archive.bucket}", lambda: s3.head_bucket(Bucket=settings.archive.bucket)))
    for name, look in wanted:
        try:
            look()
        except ServiceError as error:
            yield Finding(name, False, str(error), remedy)
        else:
            yield Finding(name, True, "there")


def require(*findings: Finding) -> None:
    """Stops a start at the first failed check.

    Raises:
        MisconfiguredError: naming the check, what was found and the remedy.
    """
    for finding in findings:
        if not finding.ok:
            raise MisconfiguredError(finding.name, f"{finding.detail}; {finding.remedy}")
