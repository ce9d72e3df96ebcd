"""Time of a backtest of 30 rules against the live policy over 5 million archived decisions."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import tempfile
import time
from pathlib import Path

from adapters.archive.decision_archive import DecisionArchive
from benchmarks.rules import RULES, policy_of
from benchmarks.synthetic_archive import write_archive
from fraud.backtest.costs import CostSheet
from fraud.backtest.labels import DAY_MS, KnownLabels
from fraud.backtest.machine import TimeMachine
from fraud.features import FEATURE_FIELDS
from fraud.settings import Aws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=5_000_000)
    parser.add_argument("--archive", type=Path, help="keep the generated archive here and use it again")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.archive or Path(temporary)
        if not (folder / "decisions").exists():
            write_archive(folder, arguments.decisions, FEATURE_FIELDS, scale=0.3)
        figures = run(folder)
    line = "{decisions:,} decisions, {rules} rules: {seconds:.1f} s on {cores} cores, {cpu_seconds:.1f} s of CPU"
    print(line.format(**figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


def run(folder: Path) -> dict[str, float]:
    candidate = policy_of(RULES)
    started, cpu_started = time.perf_counter(), time.process_time()
    archive = DecisionArchive(str(folder), Aws())
    last = archive.last_event()
    labels = KnownLabels(archive.labels(), round(last.timestamp() * 1000), 10 * DAY_MS)
    machine = TimeMachine(policy_of(RULES), candidate, labels, CostSheet())
    machine.replay(archive.decisions(machine.columns, last - dt.timedelta(days=30), last))
    report = machine.report()
    return {
        "decisions": report["decisions"],
        "rules": len(candidate.rules),
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "cores": len(os.sched_getaffinity(0)),
    }


if __name__ == "__main__":
    main()
