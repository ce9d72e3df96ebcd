"""Runs the job with its checkpoint on `s3a://`, kills it and lets it go on: `make s3a-check`.

The jars are those of the job's image, resolved as its build does; Spark's options are the chart's, but for where S3 is
and who calls; and the job is started as a pod starts it. Where Maven or its repository is not reached, one line says
so. Options of Maven may follow the command.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.objects.opening import open_objects
from embedded.stack import LocalStack
from fraud.errors import FatalError
from fraud.settings import Settings
from infrastructure.checks.pod_run import IMAGES, ROOT, PodRun

_WORK = ROOT / ".local" / "s3a-check"
_CHECKS_PYTHON = ROOT / ".venv-infra" / "bin" / "python"
_FILE_MANAGER = "spark.sql.streaming.checkpointFileManagerClass"
_S3A = "spark.hadoop.fs.s3a."


def resolve(folder: Path, maven: Sequence[str] = ()) -> str | None:
    """Resolves the image's jars into a folder.

    Args:
        folder: for the jars.
        maven: further options of Maven.

    Returns:
        Why it cannot be tried here; None where the jars are there.

    Raises:
        FatalError: a repository answered, and a jar is not in it.
    """
    if shutil.which("mvn") is None:
        return "Maven is not installed"
    command = [str(IMAGES / "jars.sh"), str(folder), *maven]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    said = (done.stdout + done.stderr).strip()
    if "Could not transfer" in said:
        return "Maven's repository is not reached from here"
    raise FatalError(said)


def on_s3a(settings: Settings, jars: Path, chart: Mapping[str, str]) -> dict[str, str]:
    """Spark's options for files on the local stack's S3.

    Args:
        settings: of the local stack.
        jars: folder of the image's jars.
        chart: Spark's options in the chart.
    """
    kept = {name: value for name, value in chart.items() if name.startswith(_S3A) or name == _FILE_MANAGER}
    emulated = {
        "endpoint": str(settings.aws.endpoint_url),
        "path.style.access": "true",
        "connection.ssl.enabled": "false",
        "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        "access.key": "test",
        "secret.key": "test",
    }
    classes = {f"spark.{who}.extraClassPath": f"{jars}/*" for who in ("driver", "executor")}
    return kept | {_S3A + name: value for name, value in emulated.items()} | classes


def chart_options() -> dict[str, str]:
    """Spark's options that the chart gives the job."""
    command = [str(_CHECKS_PYTHON), "-m", "infrastructure.checks.render_chart", "dev"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    objects: list[dict[str, Any]] = json.loads(printed)
    (application,) = [each for each in objects if each["kind"] == "SparkApplication"]
    options: dict[str, str] = application["spec"]["sparkConf"]
    return options


def run(jars: Path) -> list[str]:
    """Problems of a job on `s3a://` that is killed and goes on."""
    with LocalStack(Settings(), _WORK / "run") as stack:
        store, prefix = f"s3://{stack.settings.archive.bucket}", f"spark/{stack.settings.job.query}"
        options = on_s3a(stack.settings, jars, chart_options())
        with PodRun(stack, options, checkpoint=f"{store.replace('s3:', 's3a:')}/{prefix}") as job:
            job.start()
            job.feed()
            job.kill()
            job.start()
            job.feed()
            job.stop()
            problems = job.problems()
        committed = sum(1 for _ in open_objects(store, stack.settings.aws).keys(f"{prefix}/commits/"))
        print(f"s3a-check: {committed} micro-batches committed in {store}/{prefix}")
        return problems if committed else [*problems, f"nothing lies in {store}/{prefix}/commits"]


def main() -> int:
    """0 where it works or cannot be tried here, which is said; 1 where it does not work."""
    jars = _WORK / "jars"
    shutil.rmtree(jars, ignore_errors=True)
    try:
        skipped = resolve(jars, sys.argv[1:])
        problems = [] if skipped else run(jars)
    except FatalError as error:
        skipped, problems = None, [str(error)]
    if skipped:
        print(f"s3a-check: skipped, {skipped}")
        return 0
    for problem in problems:
        print(f"s3a-check: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
