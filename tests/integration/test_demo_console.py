"""The console beside a local stack, as the demo starts it: signed in to as printed, a campaign ended with it."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
from rich.console import Console

from adapters.archive.archive import open_archive, to_parquet
from adapters.archive.layout import ArchiveKind
from adapters.files.ground_truth import truth_file
from adapters.policy.source import policy_files, read_bundle
from embedded.chaos.oracle import read_stream
from embedded.demo_console import DemoConsole, with_lab
from embedded.emulator import answers, free_port
from embedded.history import Population
from embedded.stack import LocalStack
from fraud.settings import Settings
from tests.support.board_decisions import decisions
from tests.support.calendar import FIRST_DAY
from tests.support.overviews import now_ms

_WAIT_S = 180.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def decide_on_the_first_day(stack: LocalStack) -> None:
    """Archives a decision, so that event time, with which the lab goes on, is not that of the clock."""
    noon = dt.datetime.combine(FIRST_DAY, dt.time(12), dt.UTC)
    key = ArchiveKind.DECISIONS.key(stack.settings.job.query, 0, 0, now_ms())
    archive = open_archive(stack.settings.archive, stack.settings.aws)
    assert archive.put_new(key, to_parquet(decisions({"event_time": noon})))


def first_run(client: httpx2.Client) -> dict[str, Any]:
    (run,) = client.get("/api/lab").json()["runs"]
    return dict(run)


def producers() -> list[psutil.Process]:
    """The producers that run under this process; others may end while they are looked at."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "producer.main" in child.cmdline():
                found.append(child)
    return found


def sign_in(client: httpx2.Client, name: str, password: str) -> dict[str, Any]:
    """The session, which the client's further calls belong to."""
    session: dict[str, Any] = client.post("/api/session", json={"name": name, "password": password}).json()
    client.headers["X-CSRF-Token"] = session["csrf"]
    return session


def shadow_a_live_rule(client: httpx2.Client) -> None:
    """Changes the policy on the rules page."""
    pack = client.get("/api/rules").json()
    rule = next(rule["id"] for rule in pack["rules"] if rule["state"] == "live")
    moved = client.post(f"/api/rules/{rule}/state", json={"version": pack["version"], "state": "shadow"})
    assert moved.status_code == 200, moved.text


def test_printed_user_may_all_on_a_copy_of_the_policy_and_a_running_campaign_ends_with_the_console(
    tmp_path: Path,
) -> None:
    shipped = read_bundle(policy_files(Settings().policy.path, Settings().aws))
    terminal = Console(file=io.StringIO(), width=200)
    with LocalStack(with_lab(Settings(), Population(7, 60, 60, FIRST_DAY)), tmp_path / "run") as stack:
        copy = policy_files(stack.settings.policy.path, stack.settings.aws)
        assert read_bundle(copy) == shipped
        with DemoConsole(stack, free_port(), terminal) as console:
            console.start()
            said = terminal.file.getvalue()  # type: ignore[attr-defined]
            found = re.search(r"console: (\S+)  user (\w+), password (\S+) ", said)
            assert found is not None, said
            url, name, password = found.groups()
            decide_on_the_first_day(stack)
            until(lambda: answers(url))
            console.open()
            with httpx2.Client(base_url=url, timeout=_WAIT_S) as client:
                pages = [page["name"] for page in sign_in(client, name, password)["pages"]]
                assert (pages[0], pages[-1]) == ("live", "audit")
                assert client.get("/api/live").json()["reach"].keys() == {"archive", "job"}
                until(lambda: client.get("/api/live").json()["last_decided_ms"] is not None)
                shadow_a_live_rule(client)
                assert read_bundle(copy) != shipped
                wanted = {"campaign": "slow_drain", "pace": "minute"}  # takes days
                assert client.post("/api/lab/runs", json=wanted).status_code == 201
                until(lambda: first_run(client)["sent"] > 0)
                run = first_run(client)
            children = producers()
            assert len(children) == 1
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive
        transactions = [json.loads(data) for data in stream_of(stack)]
        assert min(transaction["event_time"] for transaction in transactions)[:10] == FIRST_DAY.isoformat()
        sent = {transaction["transaction_id"] for transaction in transactions}
        lines = truth_file(stack.folder, run["name"]).read_text().splitlines()
        assert sent == {json.loads(line)["transaction_id"] for line in lines}  # what it had taken up was sent
    assert "does not answer" not in terminal.file.getvalue()  # type: ignore[attr-defined]
    assert read_bundle(policy_files(Settings().policy.path, Settings().aws)) == shipped


def stream_of(stack: LocalStack) -> list[bytes]:
    """The records of the transactions stream."""
    data: list[bytes] = read_stream(stack.settings, stack.settings.streams.transactions)["data"].to_pylist()
    return data
