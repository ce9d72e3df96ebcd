"""What the shipped policy and model alert on generated seeds that neither has seen, and what a budget would choose.

python -m benchmarks.alerts                              # ten seeds, warm from day 45, with intervals
python -m benchmarks.alerts --seeds 2001 2002 2003 2004 --choose 0.0028   # rules and thresholds for that share of cases
python -m benchmarks.alerts --demo                       # the live part of `fraud demo --duration 90`, over the seeds
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.metrics import average_precision_score

from adapters.policy.source import policy_files, read_bundle
from cli.demo import CARDS, MERCHANTS
from embedded.history import HISTORY_DAYS
from fraud.backtest.budget import BudgetSearch
from fraud.backtest.cases import CaseFigures, Decided, case_figures, case_numbers
from fraud.backtest.costs import CostSheet
from fraud.backtest.labels import DAY_MS, Truth
from fraud.decision.key import subjects_of
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.policy.evaluation import APPROVE, Findings
from fraud.decision.rules.fields import fields_of
from fraud.features import CATALOGUE
from fraud.path import FeaturePath
from fraud.records.arrival import arrivals_ms, with_arrival
from fraud.settings import Aws, Settings
from ml_model.predict import InProcessScorer
from producer.campaigns.plan import load_plan
from producer.data_generator import generate
from producer.economy import draw_economy

Bools = npt.NDArray[np.bool_]

FIRST_DAY = 20_454  # 2026-01-01
DEMO_FIRST_DAY = 20_458  # 2026-01-05
DEMO_PAYMENTS = 19_000
"""Those of 90 seconds, with the first batch."""

REDRAWS = 2_000
COLD_DAYS = 15
FIRST_FRAUDS = 2
_INTERVAL_T = {2: 6.31, 3: 2.92, 4: 2.35, 5: 2.13, 6: 2.02, 8: 1.89, 10: 1.83}
"""Student's t of 90 % for so many seeds."""


class Day(NamedTuple):
    """A generated day, decided.

    Attributes:
        day: of the run, from 0.
        decisions: transactions with features.
        fraud: the truth.
        score: of the model.
        findings: of the policy.
    """

    day: int
    decisions: pa.RecordBatch
    fraud: Bools
    score: npt.NDArray[np.float64]
    findings: Findings


def decided(
    seed: int,
    cards: int,
    merchants: int,
    days: int | None,
    policy: CompiledPolicy,
    scorer: InProcessScorer,
    first_day: int = FIRST_DAY,
) -> Iterator[Day]:
    """A run of the generator from nothing, day by day; without end where days is None."""
    path = FeaturePath(Settings())
    frauds: set[Any] = set()
    stream = generate(draw_economy(seed, cards, merchants), load_plan("default"), first_day)
    for day, part in enumerate(itertools.islice(stream, days)):
        true = part.truth["is_fraud"].to_pylist()
        frauds.update(
            subject for subject, is_fraud in zip(subjects_of(part.transactions), true, strict=True) if is_fraud
        )
        batch = path.featured(
            with_arrival(part.transactions, "event_time", day), with_arrival(part.labels, "label_time", day)
        )
        fraud = np.array([subject in frauds for subject in subjects_of(batch)], bool)
        score = scorer.score(batch).score.to_numpy(zero_copy_only=False)
        yield Day(day, batch, fraud, score, policy.find(pa.Table.from_batches([batch])))


def figures(days: Sequence[Day], alerted: Sequence[Bools], before: Iterable[str]) -> dict[str, float]:
    """Of some alerts on a stretch of days.

    Args:
        days: the stretch.
        alerted: whether each transaction raised an alert.
        before: cards with an earlier fraud, which nobody can find any more.
    """
    token = np.concatenate([day.decisions["card_token"].to_numpy(zero_copy_only=False) for day in days])
    case = np.concatenate([case_numbers(day.decisions["card_token"], arrivals_ms(day.decisions)) for day in days])
    fraud, alert = np.concatenate([day.fraud for day in days]), np.concatenate(alerted)
    cases, true_cases = np.unique(case[alert]), np.unique(case[alert & fraud])
    first: dict[str, list[bool]] = {}
    for card, found in zip(token[fraud], alert[fraud], strict=True):
        if card not in before:
            first.setdefault(card, []).append(bool(found))
    found = sum(any(seen[:FIRST_FRAUDS]) for seen in first.values())
    return {
        "alerts a day": float(alert.sum()) / len(days),
        "precision": _share(int((alert & fraud).sum()), int(alert.sum())),
        "recall": _share(int((alert & fraud).sum()), int(fraud.sum())),
        "cases a payment": len(cases) / len(alert),
        "true cases": _share(len(true_cases), len(cases)),
        "cards found": _share(found, len(first)),
    }


def demo_figures(seed: int, policy: CompiledPolicy, scorer: InProcessScorer) -> CaseFigures:
    """What `fraud demo --seed N --start-date 2026-01-05 --duration 90` counts of its live part, without services."""
    before: set[str] = set()
    live: list[Decided] = []
    for day in decided(seed, CARDS, MERCHANTS, None, policy, scorer, DEMO_FIRST_DAY):
        card = day.decisions["card_token"]
        if day.day < HISTORY_DAYS:
            before.update(card.filter(pa.array(day.fraud)).to_pylist())
            continue
        alerted = policy.evaluate(day.findings, day.score).outcome > APPROVE
        facts = arrivals_ms(day.decisions).tolist(), day.fraud.tolist(), alerted.tolist()
        live.extend(map(Decided, card.to_pylist(), *facts))
        if len(live) >= DEMO_PAYMENTS:
            break
    return case_figures(live[:DEMO_PAYMENTS], before)


def pooled(runs: Sequence[CaseFigures]) -> dict[str, float]:
    """Shares over all runs together.

    >>> pooled([CaseFigures(100, 4, 3, 2, 1), CaseFigures(100, 0, 0, 2, 2)])
    {'cases a payment': 0.02, 'true cases': 0.75, 'cards found': 0.75}
    """
    payments, cases, true_cases, compromised, found = (sum(column) for column in zip(*runs, strict=True))
    return {
        "cases a payment": cases / payments,
        "true cases": _share(true_cases, cases),
        "cards found": _share(found, compromised),
    }


def print_demo(runs: Sequence[CaseFigures], drawn: int) -> dict[str, Any]:
    """The pooled figures, with the 90 % interval of the same of so many seeds, drawn from these."""
    rng = np.random.default_rng(0)
    redrawn = [pooled([runs[i] for i in rng.integers(0, len(runs), drawn)]) for _ in range(REDRAWS)]
    report = {}
    for name, value in pooled(runs).items():
        known = [draw[name] for draw in redrawn if not math.isnan(draw[name])]
        low, high = np.percentile(known, [5, 95]) if known else (math.nan, math.nan)
        report[name] = {"pooled": value, f"interval of {drawn} seeds": [float(low), float(high)]}
        print(f"  {name:16s} {value:.4f}   {drawn} seeds: {low:.4f} to {high:.4f}")
    return report


def measured(days: Sequence[Day], warm: int, policy: CompiledPolicy, share: float) -> dict[str, dict[str, float]]:
    """The table's rows of one seed."""
    cold, live = days[:COLD_DAYS], days[warm:]
    earlier = {
        card
        for day in days[:warm]
        for card in day.decisions["card_token"].filter(pa.array(day.fraud)).to_pylist()
    }  # fmt: skip
    none = [np.full(len(day.score), np.nan) for day in live]
    whole = [policy.evaluate(day.findings, day.score) for day in live]
    rules = [policy.evaluate(day.findings, score).outcome > APPROVE for day, score in zip(live, none, strict=True)]
    model = [found.model > APPROVE for found in whole]
    scores, fraud = np.concatenate([day.score for day in live]), np.concatenate([day.fraud for day in live])
    best = np.sort(scores)[-max(1, round(share * len(scores)))]
    return {
        "shipped": figures(live, [found.outcome > APPROVE for found in whole], earlier),
        "rules alone": figures(live, rules, earlier),
        "rules beyond the model": figures(live, [r & ~m for r, m in zip(rules, model, strict=True)], earlier),
        "model at its thresholds": figures(live, model, earlier),
        f"model, best {share:.1%}": figures(live, [day.score >= best for day in live], earlier),
        "shipped, the first 15 days": figures(
            cold, [policy.evaluate(day.findings, day.score).outcome > APPROVE for day in cold], ()
        ),
        "ranking": {
            "average precision": float(average_precision_score(fraud, scores)),
            "said": float(scores.sum() / fraud.sum()),
            "said, the first 15 days": float(
                sum(day.score.sum() for day in cold) / max(1, sum(day.fraud.sum() for day in cold))
            ),
            "payments a day": len(scores) / len(live),
            "share of fraud": float(fraud.mean()),
        },
    }


def add_to(search: BudgetSearch, days: Sequence[Day], number: int) -> None:
    """Gives the days of one seed to a search, as days and cards of their own, behind those of the seeds before."""
    for place, day in enumerate(days, number * len(days)):
        rows = len(day.score)
        event_ms = np.full(rows, place * DAY_MS)
        case = case_numbers(day.decisions["card_token"], arrivals_ms(day.decisions) + number * 1_000 * DAY_MS)
        amount = day.decisions["billing_amount_minor"].to_numpy().astype(np.float64)
        search.add(day.findings, day.score, Truth(day.fraud, np.ones(rows, np.bool_)), amount, event_ms, case)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(9_001, 9_011)))
    parser.add_argument("--cards", type=int, default=500)
    parser.add_argument("--merchants", type=int, default=300)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--warm", type=int, default=45, help="days that are not measured")
    parser.add_argument("--choose", type=float, help="cases as a share of payments: choose rules and thresholds for it")
    parser.add_argument("--share", type=float, default=0.003, help="share of payments that the model alone is cut at")
    parser.add_argument("--model", type=Path, default=Path("config/model/champion"))
    parser.add_argument("--policy", default="config/policy.yaml")
    parser.add_argument("--demo", action="store_true", help="instead: the live part of demos of 90 s")
    parser.add_argument(
        "--drawn", type=int, default=3, help="with --demo: seeds whose pooled figures an interval is of"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    policy = compile_policy(read_bundle(policy_files(arguments.policy, Aws())), fields_of(CATALOGUE))
    scorer = InProcessScorer.load(arguments.model)
    if arguments.demo:
        runs = []
        for seed in arguments.seeds:
            runs.append(demo_figures(seed, policy, scorer))
            print(f"seed {seed}: {runs[-1]._asdict()}", flush=True)
        write(arguments.json, {"seeds": arguments.seeds, "runs": runs, **print_demo(runs, arguments.drawn)})
        return
    search = BudgetSearch(policy, CostSheet())
    seeds, payments = [], 0
    for number, seed in enumerate(arguments.seeds):
        began = time.process_time()
        days = list(decided(seed, arguments.cards, arguments.merchants, arguments.days, policy, scorer))
        seeds.append(measured(days, arguments.warm, policy, arguments.share))
        if arguments.choose is not None:
            add_to(search, days[arguments.warm :], number)
            payments += sum(len(day.score) for day in days[arguments.warm :])
        print(f"seed {seed}: {time.process_time() - began:.0f} s of CPU", flush=True)
    together = {row: {name: _over([seed[row][name] for seed in seeds]) for name in seeds[0][row]} for row in seeds[0]}
    for row, values in together.items():
        print(f"\n{row}")
        for name, (mean, half) in values.items():
            print(f"  {name:24s} {mean:.4f} ± {half:.4f}")
    report: dict[str, Any] = {"seeds": arguments.seeds, "together": together, "by_seed": seeds}
    if arguments.choose is not None:
        span = len(seeds) * (arguments.days - arguments.warm) - 1  # as a search counts: from its first time to its last
        report["budget"] = search.choose(arguments.choose * payments / span, np.random.default_rng(0))
        print(json.dumps({name: report["budget"][name] for name in ("thresholds", "within_budget", "rules")}, indent=1))
    write(arguments.json, report)


def write(file: Path | None, report: dict[str, Any]) -> None:
    """Writes the figures where a file is given."""
    if file:
        file.write_text(json.dumps(report, indent=1))


def _over(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds and half of its 90 % interval; NaN of a share of nothing is left out."""
    known = [value for value in values if not math.isnan(value)]
    if len(known) < 2:
        return (known[0] if known else math.nan), math.nan
    return statistics.fmean(known), _INTERVAL_T.get(len(known), 1.83) * statistics.stdev(known) / math.sqrt(len(known))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


if __name__ == "__main__":
    main()
