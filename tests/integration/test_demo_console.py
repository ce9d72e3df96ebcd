"""The console beside a local stack, as the demo starts it: signed in to as printed, a campaign ended with it."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path
from typing import Any

import httpx2
import psutil
from rich.console import Console

from adapters.ground_truth import truth_file
from embedded.chaos.oracle import read_stream
from embedded.demo_console import DemoConsole, free_console_port, with_lab
from embedded.stack import LocalStack
from embedded.stand_in import answers
from fraud.settings import Settings

_WAIT_S = 60.0


def await_run(client: httpx2.Client) -> dict[str, Any]:
    """The lab's only run, once its producer has sent something."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        (run,) = client.get("/api/lab").json()["runs"]
        if run["sent"]:
            return dict(run)
        time.sleep(0.1)
    raise AssertionError(run)


def test_printed_user_may_all_and_a_running_campaign_ends_with_the_console(tmp_path: Path) -> None:
    terminal = Console(file=io.StringIO(), width=200)
    with LocalStack(with_lab(Settings(), 60, 60), tmp_path / "run") as stack:
        with DemoConsole(stack, free_console_port(None), terminal) as console:
            said = terminal.file.getvalue()  # type: ignore[attr-defined]
            found = re.search(r"console: (\S+)  user (\w+), password (\S+) ", said)
            assert found is not None, said
            url, name, password = found.groups()
            deadline = time.monotonic() + _WAIT_S
            while not answers(url) and time.monotonic() < deadline:
                time.sleep(0.1)
            console.open()
            with httpx2.Client(base_url=url, timeout=30) as client:
                session = client.post("/api/session", json={"name": name, "password": password}).json()
                pages = [page["name"] for page in session["pages"]]
                assert (pages[0], pages[-1]) == ("live", "lab")
                assert client.get("/api/live").json()["reach"].keys() == {"archive", "job"}
                wanted = {"campaign": "slow_drain", "pace": "minute"}  # takes days
                headers = {"X-CSRF-Token": session["csrf"]}
                assert client.post("/api/lab/runs", json=wanted, headers=headers).status_code == 201
                run = await_run(client)
            children = [
                child for child in psutil.Process().children(recursive=True) if "producer.main" in child.cmdline()
            ]
            assert len(children) == 1
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive
        sent = {json.loads(data)["transaction_id"] for data in stream_of(stack)}
        lines = truth_file(stack.folder, run["name"]).read_text().splitlines()
        assert sent == {json.loads(line)["transaction_id"] for line in lines}  # what it had taken up was sent
    assert "does not answer" not in terminal.file.getvalue()  # type: ignore[attr-defined]


def stream_of(stack: LocalStack) -> list[bytes]:
    """The records of the transactions stream."""
    data: list[bytes] = read_stream(stack.settings, stack.settings.streams.transactions)["data"].to_pylist()
    return data
