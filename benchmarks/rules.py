"""Cost of evaluating the shipped policy's rules, lists and segments: microseconds a transaction by batch size."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.policy.source import policy_files, read_bundle
from benchmarks.synthetic_archive import FIRST_MS, synthetic_decisions
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.features import CATALOGUE, FEATURE_FIELDS
from fraud.settings import Aws

POLICY = Path(__file__).parent.parent / "config" / "policy.yaml"
RULES = 30
REPEATS = 5


def policy_of(rules: int | None = None) -> CompiledPolicy:
    policy = compile_policy(read_bundle(policy_files(str(POLICY), Aws())), fields_of(CATALOGUE))
    return policy if rules is None else dataclasses.replace(policy, rules=policy.rules[:rules])


def batch_of(rows: int, scale: float = 4.0) -> pa.RecordBatch:
    """Random transactions with features of the given mean; small ones fire few rules."""
    table = synthetic_decisions(rows, list(FEATURE_FIELDS), np.random.default_rng(3), FIRST_MS, scale=scale)
    (batch,) = table.combine_chunks().to_batches()
    return batch


def best_us(policy: CompiledPolicy, batch: pa.RecordBatch) -> float:
    """Best of some runs, each over about 100,000 transactions, in microseconds a transaction."""
    calls = max(1, 100_000 // batch.num_rows)
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        for _ in range(calls):
            policy.find(batch)
        best = min(best, (time.perf_counter() - started) / (calls * batch.num_rows) * 1e6)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    policy = policy_of(RULES)
    figures: dict[str, float] = {}
    for rows in (100, 500, 1_000, 10_000):
        figures[str(rows)] = best_us(policy, batch_of(rows))
        print(f"{len(policy.rules)} rules, batches of {rows:>6}: {figures[str(rows)]:.2f} us a transaction")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rules": len(policy.rules), "us_per_transaction": figures}, indent=2))


if __name__ == "__main__":
    main()
