"""A job that fails ends the demo with what was counted, the cause in the last line, and exit code 1."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.aws.clients import aws_client
from embedded.emulator import free_port
from fraud.settings import Alerts, Aws
from tests.support.calendar import FROM_FIRST_DAY

ROOT = Path(__file__).parents[2]
FRAUD = Path(sys.executable).with_name("fraud")

pytestmark = [pytest.mark.spark, pytest.mark.timeout(1200)]


def _generated(folder: Path) -> list[str]:
    return ["--rate", "200", "--duration", "300", "--ask-share", "0", *FROM_FIRST_DAY]


def _recorded(folder: Path) -> list[str]:
    recording = folder / "recording.jsonl"
    command = [sys.executable, "-m", "producer.main", "--to", "stdout", "--num-transactions", "20000"]
    with recording.open("w") as file:
        subprocess.run([*command, *FROM_FIRST_DAY], cwd=ROOT, stdout=file, stderr=subprocess.DEVNULL, check=True)
    return ["--replay", str(recording), "--mapping", "generated"]


@pytest.mark.parametrize(
    "source", [pytest.param(_generated, id="generated"), pytest.param(_recorded, id="replay", marks=pytest.mark.long)]
)
def test_a_failed_job_is_reported_with_its_cause_and_what_it_left_undecided(
    tmp_path: Path, source: Callable[[Path], list[str]]
) -> None:
    port, figures_file = free_port(), tmp_path / "figures.json"
    command = [str(FRAUD), "demo", "--port", str(port), "--no-console", "--json", str(figures_file), "--in-process"]
    command += [*source(tmp_path), "--set", "log.format=text"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        for line in demo.stdout or ():
            if "streaming" in line:
                break
        # What the workers' next alerts meet: an error that no attempt gets over.
        dynamodb = aws_client("dynamodb", Aws(endpoint_url=f"http://127.0.0.1:{port}"))
        dynamodb.delete_table(TableName=Alerts().table)
        output, errors = demo.communicate(timeout=600)
    last = errors.splitlines()[-1]
    assert demo.returncode == 1, output + errors
    assert last.startswith(
        "error: the job ended with exit code 1: error: the query failed: fraud.errors.RefusedError: "
    )
    assert "ResourceNotFoundException" in last
    assert re.search(r" \(adapters/\w+/\w+\.py:\d+, in \w+\) \(log: ", last)
    figures = json.loads(figures_file.read_text())
    assert figures["lost"] == figures["sent"] - figures["decided"] - figures["refused"] > 0
    assert figures["failure"] == last.removeprefix("error: ")
