"""Analysts at work at once on one console: how long each answer takes them, and whether a change was lost or crossed.

Each reads the queue, thinks, opens a case, thinks, and changes the alert as it was seen. Thinking takes an exponential
time of a stated mean. They choose among the first cases, so that they get in each other's way. `python -m
benchmarks.console --analysts 20` lets them work on what it has filled.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx2
import numpy as np

CHANGES = ("note", "assign", "escalate", "confirm_fraud", "false_positive")
_REFUSED = 409
_FIRST = 5
"""Cases at the top of the queue among which an analyst chooses."""


class Accepted(NamedTuple):
    """A change that the console said was made.

    Attributes:
        key: of the alert.
        version: of the alert after it.
        by: who made it.
        change: what.
    """

    key: str
    version: int
    by: str
    change: str


@dataclass
class Work:
    """What came of it; threads share it.

    Attributes:
        taken_ms: by answer, how long each took.
        accepted: changes that were made.
        refused: how many were not, because somebody was faster.
    """

    taken_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    accepted: list[Accepted] = field(default_factory=list)
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


def work(address: str, passwords: Mapping[str, str], think_s: float, seconds: float) -> Work:
    """Lets users work for a time.

    Args:
        address: of the console.
        passwords: of the users, by name.
        think_s: mean time that each thinks before each step.
        seconds: how long.
    """
    done = Work()
    with ExitStack() as opened, ThreadPoolExecutor(len(passwords)) as pool:
        # One after the other: tries at one time from one address count as failed until their passwords are checked.
        clients = {
            name: opened.enter_context(_signed_in(address, name, password))
            for name, password in sorted(passwords.items())
        }
        until = time.monotonic() + seconds
        running = [
            pool.submit(_work_one, client, name, think_s, until, np.random.default_rng(number), done)
            for number, (name, client) in enumerate(clients.items())
        ]
        for each in running:
            each.result()
    return done


@contextmanager
def _signed_in(address: str, name: str, password: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{address}/api", timeout=60) as client:
        session = client.post("/session", json={"name": name, "password": password}).raise_for_status().json()
        client.headers["x-csrf-token"] = session["csrf"]
        yield client


def _work_one(
    client: httpx2.Client, name: str, think_s: float, until: float, rng: np.random.Generator, done: Work
) -> None:
    def timed(what: str, method: str, path: str, thinks: bool = True, **asked: Any) -> Any:
        if thinks:
            time.sleep(rng.exponential(think_s))
        begun = time.perf_counter()
        answer = client.request(method, path, **asked)
        with done.lock:
            done.taken_ms[what].append((time.perf_counter() - begun) * 1000)
        if answer.status_code != _REFUSED:
            answer.raise_for_status()
        return answer

    while time.monotonic() < until:
        page = timed("queue", "GET", "/alerts/cases").json()
        case = page["cases"][int(rng.integers(min(_FIRST, len(page["cases"]))))]
        seen = case["waiting"][0]
        asked = {"key": seen["key"]}
        shown = timed("case", "GET", "/cases/one", params=asked).json()["alert"]
        for part in ("card", "merchant", "linked"):
            timed(part, "GET", f"/cases/{part}", thinks=False, params=asked)
        change = str(rng.choice(CHANGES))
        body = {**asked, "version": shown["version"], "change": change, "note": f"by {name}"}
        answer = timed("change", "POST", "/alerts/change", json=body)
        with done.lock:
            if answer.status_code == _REFUSED:
                done.refused += 1
            else:
                done.accepted.append(Accepted(seen["key"], answer.json()["version"], name, change))


def faults(accepted: Sequence[Accepted], read: Callable[[str], Mapping[str, Any]]) -> list[str]:
    """What does not hold: each change that was accepted stands once in the history of its alert, in its place.

    Args:
        accepted: changes that the console said were made.
        read: an alert by its key, with its history; an alert begins with version 1.
    """
    by_alert = defaultdict[str, list[Accepted]](list)
    for each in accepted:
        by_alert[each.key].append(each)
    found = []
    for key, changes in by_alert.items():
        alert = read(key)
        made = {each.version: (each.by, each.change) for each in changes}
        kept = {2 + place: (entry["by"], entry["change"]) for place, entry in enumerate(alert["history"])}
        if len(made) != len(changes):
            found.append(f"{key}: two changes were accepted as the same version")
        if kept != made:
            found.append(f"{key}: the history has {kept}, accepted were {made}")
    return found
