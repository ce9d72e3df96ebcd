"""Runs the archive through the live policy and a candidate, by the code that decides in production."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.backtest.budget import HOUR_MS, BudgetSearch
from fraud.backtest.cases import case_numbers
from fraud.backtest.costs import CostSheet
from fraud.backtest.labels import DAY_MS, KEY_COLUMNS, KnownLabels
from fraud.backtest.recorded_lists import COLUMNS, living, with_lists_as_recorded
from fraud.backtest.rule_tally import RuleTally
from fraud.backtest.samples import SHOWN, Sampler
from fraud.backtest.tally import Cells, Slice, Tally, cells_of
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.conditions import Conditions, distinct
from fraud.decision.policy.evaluation import APPROVE, Findings, Floats, Outcomes
from fraud.decision.record import Outcome
from fraud.money import format_amount
from fraud.records.arrival import arrivals_ms

AMOUNT_BANDS_MINOR = (1_000, 5_000, 20_000, 100_000)
"""Upper bounds of the amount bands, exclusive; the last band is open."""

DIMENSIONS = ("day", "channel", "amount", "country", "segment")
"""What the report breaks its figures down by."""

SHADOW_COLUMNS = ("shadow_outcome", "challenger_outcome")

_READ = (
    *KEY_COLUMNS,
    *SHOWN,
    "customer_id",
    "billing_amount_minor",
    "arrival_ms",
    "recorded_arrival",
    "score",
    "scored_by",
    "model_version",
    "policy_version",
    "outcome",
)


_LOOKERS = 2
"""Chunks looked at beside the one that is counted; each holds some hundred MB, and Polars uses all cores by itself."""


@dataclass(frozen=True)
class _Seen:
    """A chunk of n decisions with what both policies say of it."""

    decisions: pa.Table
    score: Floats
    findings: Findings
    live: Outcomes
    candidate: Outcomes
    chunk: Slice


class TimeMachine:
    """Feed it the archive in chunks, then ask for the report."""

    def __init__(
        self,
        live: CompiledPolicy,
        candidate: CompiledPolicy,
        labels: KnownLabels,
        costs: CostSheet,
        search_budget: bool = False,
    ) -> None:
        """Args:
        live: the policy in force.
        candidate: the policy that is tried.
        labels: what is known by when.
        costs: stated costs.
        search_budget: whether thresholds will be asked for; keeps the scores of all mature decisions.
        """
        self._live = live
        self._candidate = candidate
        self._labels = labels
        self._variants = {name: Tally(costs) for name in ("live", "candidate")}
        self._shadows = {name: Tally(costs) for name in ("recorded", "shadow live", "challenger")}
        self._costs = costs
        self._rules = RuleTally(candidate)
        self._sampler = Sampler(candidate)
        self.budget = BudgetSearch(candidate, costs) if search_budget else None
        self._decisions = 0
        self._same_version = 0
        self._differing = 0
        self._fraud_seen = 0
        self._first_ms, self._last_ms = 2**62, 0
        self._mature_ms = (2**62, 0)
        self._opened: set[int] = set()

    @property
    def columns(self) -> list[str]:
        """The columns of the archive that are needed."""
        return columns_read(self._live, self._candidate)

    @property
    def reviews_per_day(self) -> float:
        """Cases a day that the candidate opens, of mature decisions; counted where a budget is searched."""
        first, last = self._mature_ms
        return len(self._opened) / (max(last - first, HOUR_MS) / DAY_MS)

    def replay(self, chunks: Iterable[pa.Table]) -> None:
        """Takes the archive in chunks, which have `columns`; a few are looked at while an earlier one is counted."""
        with ThreadPoolExecutor(_LOOKERS, thread_name_prefix="replay") as pool:
            looking: deque[Future[_Seen]] = deque()
            for chunk in chunks:
                looking.append(pool.submit(self._look, chunk))
                if len(looking) > _LOOKERS:
                    self._count(looking.popleft().result())
            for seen in looking:
                self._count(seen.result())

    def _look(self, decisions: pa.Table) -> _Seen:
        """What both policies say of a chunk; changes nothing."""
        score = _floats(decisions["score"])
        amount = _floats(decisions["billing_amount_minor"])
        live_findings, findings = (
            with_lists_as_recorded(policy, found, decisions)
            for policy, found in zip((self._live, self._candidate), self._find(decisions), strict=True)
        )
        segment = pa.array(self._candidate.segment_names).take(pa.array(findings.segment))
        truth = self._labels.look_up(decisions)
        return _Seen(
            decisions=decisions,
            score=score,
            findings=findings,
            live=self._live.evaluate(live_findings, score).outcome,
            candidate=self._candidate.evaluate(findings, score).outcome,
            chunk=Slice(
                truth,
                amount,
                _cells(decisions, amount, segment, self._candidate.base_currency),
                decisions["customer_id"],
            ),
        )

    def _count(self, seen: _Seen) -> None:
        truth, amount = seen.chunk.truth, seen.chunk.amount_minor
        event_ms = seen.decisions["event_time"].cast(pa.int64()).to_numpy()
        for tally, outcome in zip(self._variants.values(), (seen.live, seen.candidate), strict=True):
            tally.add(outcome, seen.chunk)
        self._add_recorded(seen.decisions, seen.chunk, seen.live)
        self._rules.add(seen.findings, truth, amount, seen.live)
        self._sampler.add(seen.decisions, truth, amount, seen.live, seen.candidate)
        if self.budget is not None:
            case = case_numbers(seen.decisions["card_token"], arrivals_ms(seen.decisions))
            self.budget.add(seen.findings, seen.score, truth, amount, event_ms, case)
            self._opened.update(case[truth.mature & (seen.candidate > APPROVE)].tolist())
            times, (first, last) = event_ms[truth.mature], self._mature_ms
            self._mature_ms = (int(times.min(initial=first)), int(times.max(initial=last)))
        self._decisions += len(seen.decisions)
        self._fraud_seen += int(np.count_nonzero(truth.fraud))
        self._first_ms = min(self._first_ms, int(event_ms.min(initial=self._first_ms)))
        self._last_ms = max(self._last_ms, int(event_ms.max(initial=self._last_ms)))

    def report(self) -> dict[str, Any]:
        """All figures, as JSON can hold them; `fraud.backtest.page` renders them."""
        if not self._decisions:
            return {"decisions": 0}
        challenger = self._shadows["challenger"]
        shadows = {name: tally for name, tally in self._shadows.items() if tally is not challenger or tally.counted}
        return {
            "decisions": self._decisions,
            "first_event": _time(self._first_ms),
            "last_event": _time(self._last_ms),
            "labels_as_of": _time(self._labels.as_of_ms),
            "maturity_days": self._labels.maturity_ms / DAY_MS,
            "known_frauds": self._fraud_seen,
            "base_currency": self._candidate.base_currency,
            "costs": self._costs.model_dump(),
            "live_version": self._live.version,
            "candidate_version": self._candidate.version,
            "recorded_by_live_version": {"decisions": self._same_version, "differing": self._differing},
            "variants": {name: tally.total() for name, tally in self._variants.items()},
            "shadow": {name: tally.total() for name, tally in shadows.items()},
            "by": {
                dimension: {name: tally.by(dimension) for name, tally in self._variants.items()}
                for dimension in DIMENSIONS
            },
            "rules": self._rules.figures(),
            "samples": self._sampler.cases(),
        }

    def _find(self, decisions: pa.Table) -> tuple[Findings, Findings]:
        """Findings of the live policy and of the candidate; conditions that both have are evaluated once."""
        live, candidate = self._live, self._candidate
        if live.lists != candidate.lists or live.fields != candidate.fields:
            return live.find(decisions), candidate.find(decisions)
        true, null = self._shared.evaluate(decisions)
        place = {expression.text: number for number, expression in enumerate(self._shared.expressions)}
        chosen = ([place[e.text] for e in policy.conditions.expressions] for policy in (live, candidate))
        one, other = (
            policy.findings(decisions, true[rows], null[rows])
            for policy, rows in zip((live, candidate), chosen, strict=True)
        )
        return one, other

    @cached_property
    def _shared(self) -> Conditions:
        both = [*self._live.conditions.expressions, *self._candidate.conditions.expressions]
        return Conditions(distinct(both), self._candidate.fields, self._candidate.lists)

    def _add_recorded(self, decisions: pa.Table, chunk: Slice, live: Outcomes) -> None:
        recorded = _outcomes(decisions["outcome"])
        same = pc.equal(decisions["policy_version"], self._live.version).to_numpy()
        self._same_version += int(np.count_nonzero(same))
        self._differing += int(np.count_nonzero(same & (recorded != live)))
        self._shadows["recorded"].add(recorded, chunk)
        self._shadows["shadow live"].add(_outcomes(decisions["shadow_outcome"]), chunk)
        challenged = decisions["challenger_outcome"]
        if challenged.null_count < len(challenged):
            known = pc.coalesce(challenged, decisions["outcome"])
            self._shadows["challenger"].add(_outcomes(known), chunk)


def columns_read(live: CompiledPolicy, candidate: CompiledPolicy) -> list[str]:
    """The columns of the archive that a backtest of two policies needs."""
    recorded = set(COLUMNS) if living(live) or living(candidate) else set()
    return sorted({*_READ, *SHADOW_COLUMNS, *recorded, *live.columns, *candidate.columns})


def _cells(decisions: pa.Table, amount: Floats, segment: pa.Array, currency: str) -> Cells:
    days = decisions["event_time"].cast(pa.date32())
    bands = pa.array(_bands(currency)).take(pa.array(np.digitize(amount, AMOUNT_BANDS_MINOR)))
    values = (days, decisions["channel"], bands, decisions["merchant_country"], segment)
    return cells_of(dict(zip(DIMENSIONS, values, strict=True)))


def _bands(currency: str) -> list[str]:
    """Names of the amount bands, numbered so that they sort."""
    bounds = [format_amount(bound, currency) for bound in AMOUNT_BANDS_MINOR]
    return [*(f"{i}: below {bound}" for i, bound in enumerate(bounds)), f"{len(bounds)}: {bounds[-1]} and more"]


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan), np.float64)


def _outcomes(column: pa.ChunkedArray) -> Outcomes:
    labels = pa.array([outcome.label for outcome in Outcome])
    return np.asarray(pc.index_in(column, value_set=labels), np.uint8)


def _time(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
