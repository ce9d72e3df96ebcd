"""One chaos run: stream, kill, restart, settle, compare."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from adapters.aws.provision import provision
from embedded.chaos.comparison import Difference
from embedded.chaos.fault_proxy import fault_proxy
from embedded.chaos.intruder import Intruder
from embedded.chaos.killer import Killer
from embedded.chaos.object_store import object_store
from embedded.chaos.stores import compare_stores
from embedded.model_endpoint import through_endpoint
from embedded.stack import LocalStack
from fraud.settings import Settings

_SHARES = {"s3 write": 0.05, "s3 read": 0.05, "dynamodb write": 0.25}
"""Of calls that meet a fault, by kind; a short run makes few of the last."""


@dataclass
class ChaosReport:
    """What happened and what is wrong.

    Attributes:
        kills: processes killed, by target.
        faults: faults injected into calls of S3 and DynamoDB, by name.
        hostile: hostile inputs mixed in, by name; empty for a run without.
        answered: payments that the decision service answered; None for a run without one.
        stores: differences by store.
        seconds: length of the run.
        timeline: what was done when, in words.
    """

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    hostile: Counter[str] = field(default_factory=Counter)
    answered: int | None = None
    stores: dict[str, Difference] = field(default_factory=dict)
    seconds: float = 0.0
    timeline: list[str] = field(default_factory=list)

    def total(self, name: str) -> int:
        """Sum of a count over all stores."""
        return sum(getattr(difference, name) for difference in self.stores.values())

    def figures(self) -> dict[str, Any]:
        """The figures for `--json`."""
        return {
            "kills": sum(self.kills.values()),
            **({} if self.answered is None else {"answered": self.answered}),
            "lost": self.total("lost"),
            "duplicated": self.total("duplicated"),
            "different": self.total("different"),
            "hostile": sum(self.hostile.values()),
            "hostile_by_name": dict(sorted(self.hostile.items())),
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "kills_by_target": dict(self.kills),
            "faults": dict(sorted(self.faults.items())),
            "stores": {name: asdict(difference) for name, difference in self.stores.items()},
        }


@contextmanager
def noting(report: ChaosReport, progress: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Gives what takes each step of a run in words, for timeline and progress; at its end the report has its length.

    Args:
        report: of the run.
        progress: called with a line for each step.
    """
    began = time.monotonic()

    def note(what: str) -> None:
        line = f"{time.monotonic() - began:6.1f} s  {what}"
        report.timeline.append(line)
        progress(line)

    yield note
    report.seconds = time.monotonic() - began


def run_chaos(
    settings: Settings,
    folder: Path,
    kills: int,
    seed: int,
    start_date: dt.date,
    progress: Callable[[str], None],
    hostile: bool = False,
) -> ChaosReport:
    """Streams through the local stack while killing its parts, then compares.

    The job reaches S3 and DynamoDB through a proxy that injects faults; the comparison goes around it. Objects lie in
    an emulator of their own, which keeps them when it is killed; streams and table do not outlive theirs, so that one
    is not killed.

    Args:
        settings: the user's settings.
        folder: run folder.
        kills: how many kills.
        seed: of instants, targets and faults.
        start_date: first day of event times.
        progress: called with a line for each step.
        hostile: whether hostile records, labels and edits of the policy are mixed in (`embedded.chaos.hostile`).

    Raises:
        FatalError: the job did not start again, or stored nothing any more.
    """
    report = ChaosReport(seed)
    with (
        noting(report, progress) as note,
        LocalStack(through_endpoint(settings), folder) as stack,
        object_store(stack.folder / "store") as store,
    ):
        services = {"s3": store.url, "": str(stack.settings.aws.endpoint_url)}
        with fault_proxy(services) as calm, fault_proxy(services, _SHARES, seed) as faulty:
            stack.write_settings(_at(stack.settings, faulty.url))
            stack.settings = _at(stack.settings, calm.url)
            provision(stack.settings)
            intruder = Intruder(stack.settings, note) if hostile else None
            killer = Killer(stack, store, faulty, random.Random(seed), start_date, note, intruder)
            report.kills = killer.run(kills)
            report.faults = faulty.faults
            note("comparing with what one process computes from the streams")
            report.stores = compare_stores(stack.settings, intruder)
            if intruder is not None:
                report.hostile = intruder.counts
    return report


def _at(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"aws": settings.aws.model_copy(update={"endpoint_url": url})})
