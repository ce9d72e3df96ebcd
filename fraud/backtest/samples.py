"""Sample cases of what changes, the largest amounts first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from fraud.backtest.labels import Truth
from fraud.backtest.recorded import RecordedScorer
from fraud.backtest.recorded_lists import living, policy_as_recorded
from fraud.decision.decide import decide
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.evaluation import APPROVE, Bools, Floats, Outcomes

SAMPLES = 5
"""Cases of each kind."""

SHOWN = ("transaction_id", "event_time", "card_token", "merchant_id", "merchant_country", "channel")
"""What identifies a case to its reader, besides amount and score."""

KINDS = ("newly alerted, fraud", "newly alerted, good", "no longer alerted, fraud", "no longer alerted, good")


@dataclass
class Sampler:
    """Keeps the cases with the largest amounts of each kind."""

    candidate: CompiledPolicy
    _kept: dict[str, pa.Table] = field(default_factory=dict)

    def add(self, decisions: pa.Table, truth: Truth, amount: Floats, live: Outcomes, candidate: Outcomes) -> None:
        """Looks through a chunk: decisions with the outcomes of the live policy and of the candidate."""
        new = (live == APPROVE) & (candidate > APPROVE) & truth.mature
        gone = (live > APPROVE) & (candidate == APPROVE) & truth.mature
        fraud = truth.fraud
        for kind, mask in zip(KINDS, (new & fraud, new & ~fraud, gone & fraud, gone & ~fraud), strict=True):
            self._keep(kind, decisions, mask, amount)

    def cases(self) -> dict[str, Sequence[dict[str, Any]]]:
        """For each kind its cases with the outcome and reasons that the candidate gives."""
        return {kind: self._explain(table) for kind, table in self._kept.items()}

    def _keep(self, kind: str, decisions: pa.Table, mask: Bools, amount: Floats) -> None:
        rows = np.flatnonzero(mask)
        if not rows.size:
            return
        largest = rows[np.argsort(-amount[rows], kind="stable")[:SAMPLES]]
        found = decisions.take(pa.array(largest))
        known = [self._kept[kind]] if kind in self._kept else []
        merged = pa.concat_tables([*known, found])
        self._kept[kind] = merged.sort_by([("billing_amount_minor", "descending")]).slice(0, SAMPLES)

    def _verdicts(self, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        if not living(self.candidate):
            return decide(batch, RecordedScorer(), self.candidate).to_pylist()  # type: ignore[no-any-return]
        found: list[dict[str, Any]] = []
        for number, row in enumerate(batch.to_pylist()):
            policy = policy_as_recorded(self.candidate, row)
            found += decide(batch.slice(number, 1), RecordedScorer(), policy).to_pylist()
        return found

    def _explain(self, decisions: pa.Table) -> Sequence[dict[str, Any]]:
        (batch,) = decisions.combine_chunks().to_batches()
        verdicts = self._verdicts(batch)
        shown = decisions.select([*SHOWN, "billing_amount_minor", "score"]).to_pylist()
        return [
            case | {"outcome": verdict["outcome"], "reasons": verdict["reasons"]}
            for case, verdict in zip(shown, verdicts, strict=True)
        ]
