"""What would have been approved: how long the answer takes for one alert, and for how many there is one.

The shipped model and policy are asked, on alerts of generated transactions.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer

from adapters.policy.source import policy_files, read_bundle
from adapters.program.program import JsonOption, run_program, write_json
from benchmarks.machine import describe_machine
from fraud.decision.counterfactual import ChangeKind, Counterfactuals
from fraud.decision.decide import decide
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import Scorer
from fraud.features import CATALOGUE, SHIPPED
from fraud.path import FeaturePath
from fraud.records import Row
from fraud.records.arrival import with_arrival
from fraud.settings import Aws
from ml_model.predict import InProcessScorer
from producer.campaigns.plan import load_plan
from producer.data_generator import generate, in_batches
from producer.economy import draw_economy

GOAL_MS = 50
_CONFIG = Path(__file__).parent.parent / "config"
_FIRST_DAY = (dt.date(2026, 1, 1) - dt.date(1970, 1, 1)).days
_CARDS, _MERCHANTS, _BATCH = 500, 250, 10_000


def alerts_of(scorer: Scorer, policy: CompiledPolicy, wanted: int) -> list[Row]:
    """Alerts of generated transactions with their features, after three batches of history."""
    path, found = FeaturePath(), list[Row]()
    stream = generate(draw_economy(7, _CARDS, _MERCHANTS), load_plan("default"), _FIRST_DAY)
    for number, part in enumerate(in_batches(stream, _BATCH)):
        arrived = with_arrival(part.transactions, "event_time", number), with_arrival(part.labels, "label_time", number)
        featured = path.featured(*arrived)
        if number < 3:
            continue
        outcomes = decide(featured, scorer, policy)["outcome"]
        found += map(Row, featured.filter(pc.not_equal(outcomes, pa.scalar("approve"))).to_pylist())
        if len(found) >= wanted:
            break
    return found[:wanted]


def command(json: JsonOption = None, alerts: Annotated[int, typer.Option(help="Alerts to ask for.")] = 150) -> None:
    """Ask for alerts of generated transactions what would have been approved.

    Example: python -m benchmarks.counterfactual
    """
    policy = compile_policy(read_bundle(policy_files(str(_CONFIG / "policy.yaml"), Aws())), fields_of(CATALOGUE))
    scorer = InProcessScorer.load(_CONFIG / "model" / "champion")
    rows = alerts_of(scorer, policy, alerts)
    counterfactuals = Counterfactuals(SHIPPED)
    counterfactuals.nearest_approvals(rows[0], scorer, policy)  # compiles
    took_ms, processor_ms, kinds = [], [], Counter[str]()
    for row in rows:
        started, used = time.perf_counter(), time.process_time()
        changes = counterfactuals.nearest_approvals(row, scorer, policy)
        took_ms.append((time.perf_counter() - started) * 1_000)
        processor_ms.append((time.process_time() - used) * 1_000)
        kinds.update([change.kind.value for change in changes] or ["none"])
    median, most = (float(value) for value in np.percentile(took_ms, [50, 99]))
    used_median, used_most = (float(value) for value in np.percentile(processor_ms, [50, 99]))
    figures = {"machine": describe_machine(), "alerts": len(rows), "p50_ms": median, "p99_ms": most, "goal_ms": GOAL_MS}
    figures |= {"processor_p50_ms": used_median, "processor_p99_ms": used_most}
    figures |= {"within_goal": float(np.mean(np.array(processor_ms) <= GOAL_MS))}
    figures |= {"answers": {name: kinds[name] for name in (*ChangeKind, "none")}}
    write_json(json, figures)
    typer.echo(figures["machine"])
    typer.echo(f"{len(rows)} alerts, goal {GOAL_MS} ms: {figures['within_goal']:.1%} within it, by processor time")
    typer.echo(f"processor time p50 {used_median:.1f} ms, p99 {used_most:.1f} ms")
    typer.echo(f"elapsed p50 {median:.1f} ms, p99 {most:.1f} ms")
    typer.echo(", ".join(f"{name} {kinds[name]}" for name in (*ChangeKind, "none")))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
