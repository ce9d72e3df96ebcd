"""One chaos run: stream, kill, restart, settle, compare."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from adapters.provision import provision
from embedded.chaos.comparison import Difference
from embedded.chaos.fault_proxy import fault_proxy
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
        stores: differences by store.
        seconds: length of the run.
        timeline: what was done when, in words.
    """

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
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
            "lost": self.total("lost"),
            "duplicated": self.total("duplicated"),
            "different": self.total("different"),
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "kills_by_target": dict(self.kills),
            "faults": dict(sorted(self.faults.items())),
            "stores": {name: asdict(difference) for name, difference in self.stores.items()},
        }


def run_chaos(settings: Settings, folder: Path, kills: int, seed: int, tell: Callable[[str], None]) -> ChaosReport:
    """Streams through the local stack while killing its parts, then compares.

    The job reaches S3 and DynamoDB through a proxy that injects faults; the comparison goes around it. Objects lie in
    a stand-in of their own, which keeps them when it is killed; streams and table do not outlive theirs, so that one
    is not killed.

    Args:
        settings: the user's settings.
        folder: run folder.
        kills: how many kills.
        seed: of instants, targets and faults.
        tell: takes each step in words.

    Raises:
        FatalError: the job did not start again, or stored nothing any more.
    """
    report = ChaosReport(seed)
    began = time.monotonic()

    def note(what: str) -> None:
        line = f"{time.monotonic() - began:6.1f} s  {what}"
        report.timeline.append(line)
        tell(line)

    with LocalStack(through_endpoint(settings), folder) as stack, object_store(stack.folder / "store") as store:
        services = {"s3": store.url, "": str(stack.settings.aws.endpoint_url)}
        with fault_proxy(services) as calm, fault_proxy(services, _SHARES, seed) as faulty:
            stack.write_settings(_at(stack.settings, faulty.url))
            stack.settings = _at(stack.settings, calm.url)
            provision(stack.settings)
            report.kills = Killer(stack, store, faulty, random.Random(seed), note).run(kills)
            report.faults = faulty.faults
            note("comparing with what one process computes from the streams")
            report.stores = compare_stores(stack.settings)
    report.seconds = time.monotonic() - began
    return report


def _at(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"aws": settings.aws.model_copy(update={"endpoint_url": url})})
