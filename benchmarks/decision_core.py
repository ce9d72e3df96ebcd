"""Decisions a second on one core, given features: rules, lists, a model of 200 trees, policy, reasons for alerts."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}

TREES = 200
REPEATS = 5
ALERT_SHARE = 0.005
ORDINARY = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ.update(ONE_THREAD)  # before the libraries start their pools
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    figures = measure()
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


def measure() -> dict[str, dict[str, float]]:
    import pyarrow.compute as pc

    from benchmarks.rules import RULES, batch_of, policy_of
    from benchmarks.trees import TreeScorer
    from fraud.decision.decide import decide

    policy = policy_of(RULES)
    scorer = TreeScorer.trained(TREES, ALERT_SHARE, batch_of(40_000, scale=ORDINARY))
    figures = {}
    for rows in (500, 1_000, 4_000):
        batch = batch_of(rows, scale=ORDINARY)
        calls = max(1, 40_000 // rows)
        best = float("inf")
        for _ in range(REPEATS):
            started = time.process_time()  # one thread: what a core needs, whoever else is running
            for _ in range(calls):
                verdicts = decide(batch, scorer, policy)
            best = min(best, (time.process_time() - started) / (calls * rows))
        alerts = pc.mean(pc.not_equal(verdicts["outcome"], "approve").cast("float64")).as_py()
        figures[str(rows)] = {"decisions_per_s": 1 / best, "alert_share": alerts}
        print(f"batches of {rows:>5}: {1 / best:>9,.0f} decisions/s, {alerts:.1%} alerts")
    return figures


if __name__ == "__main__":
    main()
