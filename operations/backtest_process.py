"""A backtest in a process of its own, so that whoever asked goes on answering: a request in, progress and a result out.

Standard input takes one line of JSON, see `request_of`, and stays open: when it ends, so does the process. Standard
output has one line of JSON for each message: `done` and `total` decisions, at last `result` or `error`.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from adapters.archive.decision_archive import open_decision_archive
from adapters.policy.source import PolicyStore, policy_files
from fraud.backtest.costs import CostSheet
from fraud.backtest.suggestions import suggestions
from fraud.decision.policy.bundle import PolicyBundle
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.errors import FraudError
from fraud.features import catalogue_of
from fraud.settings import Settings
from operations.backtest import AS_NOW, run_backtest

MODULE = "operations.backtest_process"
"""What Python is asked to run."""

_SETTINGS = {"archive", "aws", "policy", "lists", "money", "job"}
"""Which of the settings say where the archive is, and what its decisions and policies are made of."""

_EVERY = 0.5
"""Seconds between two messages of progress."""

_KIND = {"time": dt.datetime.fromisoformat, "date": dt.date.fromisoformat}


def request_of(
    settings: Settings,
    live: PolicyBundle,
    candidate: PolicyBundle,
    *,
    days: int,
    maturity_days: float,
    reviews_per_day: float | None,
    suggest: bool = False,
) -> dict[str, Any]:
    """A request as JSON can hold it; the process reads the living lists itself.

    Args:
        settings: of the console; those in `_SETTINGS` go with the request.
        live: the policy in force.
        candidate: the one that is tried.
        days: to look back.
        maturity_days: age from which a decision is evaluated.
        reviews_per_day: the budget; None for none, unless it shall suggest: then as many as there are now.
        suggest: whether the result also has `suggestions`.
    """
    return {
        "settings": settings.model_dump(mode="json", include=_SETTINGS),
        "live": dict(live.files),
        "candidate": dict(candidate.files),
        "days": days,
        "maturity_days": maturity_days,
        "reviews_per_day": AS_NOW if suggest and reviews_per_day is None else reviews_per_day,
        "suggest": suggest,
    }


def written(value: Mapping[str, Any]) -> str:
    """A result as JSON; `read` gives it back with its times.

    >>> read(written({"at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "day": dt.date(2026, 1, 2)}))["day"]
    datetime.date(2026, 1, 2)
    """
    return json.dumps(value, default=_tagged)


def read(text: str | bytes) -> dict[str, Any]:
    """A result that `written` wrote."""
    found: dict[str, Any] = json.loads(text, object_hook=_untagged)
    return found


def _tagged(value: Any) -> dict[str, str]:
    if isinstance(value, dt.datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, dt.date):
        return {"$date": value.isoformat()}
    raise TypeError(f"{type(value).__name__} has no place in a result")


def _untagged(value: dict[str, Any]) -> Any:
    for kind, parse in _KIND.items():
        if set(value) == {f"${kind}"}:
            return parse(value[f"${kind}"])
    return value


def replay(request: Mapping[str, Any], progress: Any) -> dict[str, Any]:
    """Does what a request asks for.

    Raises:
        FraudError: the archive cannot be read, holds nothing of these days, or a policy does not compile.
    """
    settings = Settings.model_validate(request["settings"])
    catalogue = catalogue_of(settings)
    currency, fields = settings.money.base_currency, fields_of(catalogue.features)
    lists = PolicyStore(policy_files(settings.policy.path, settings.aws, settings.lists.path)).read().lists
    live, candidate = (
        compile_policy(replace(PolicyBundle(request[name]), lists=lists), fields, currency)
        for name in ("live", "candidate")
    )
    report = run_backtest(
        open_decision_archive(None, settings.archive, settings.aws, catalogue),
        live,
        candidate,
        days=request["days"],
        maturity_days=request["maturity_days"],
        costs=CostSheet(),
        reviews_per_day=request["reviews_per_day"],
        progress=progress,
    )
    return report | {"suggestions": suggestions(report, live)} if request["suggest"] else report


class _Said:
    """Reports progress, not more often than people can follow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = 0.0

    def progress(self, done: int, total: int) -> None:
        now = dt.datetime.now(dt.UTC).timestamp()
        if now - self._at >= _EVERY:
            self._at = now
            self.say({"done": done, "total": total})

    def say(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            print(written(message), flush=True)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    """Runs the request of standard input."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    os.nice(10)
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    said = _Said()
    try:
        said.say({"result": replay(request, said.progress)})
    except FraudError as error:
        said.say({"error": str(error)})


if __name__ == "__main__":
    main()
