"""Counts what each rule finds, what only it finds, and how rules overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fraud.backtest.labels import Truth
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.evaluation import APPROVE, Findings, Floats, Outcomes

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RuleSums:
    """Sums for each of r rules, and for pairs of rules (r, r)."""

    fired: Counts
    undefined: Counts
    mature: Counts
    fraud: Counts
    fraud_minor: Counts
    alone: Counts
    already_alerted: Counts
    together: Counts


class RuleTally:
    """Counts over all evaluated rules of a policy, live and shadow."""

    def __init__(self, policy: CompiledPolicy) -> None:
        self._policy = policy
        self._sums: RuleSums | None = None

    def add(self, findings: Findings, truth: Truth, amount_minor: Floats, live_outcome: Outcomes) -> None:
        """Counts a chunk; `live_outcome` is what the policy in force decides."""
        some = np.flatnonzero(findings.fired.any(axis=0))
        fired = findings.fired[:, some].astype(np.float32)
        mature = truth.mature[some].astype(np.float32)
        fraud = (truth.fraud & truth.mature)[some].astype(np.float32)
        alone = (fired.sum(axis=0) == 1).astype(np.float32)
        alerted = (live_outcome[some] > APPROVE).astype(np.float32)
        marks = np.stack([np.ones_like(mature), mature, fraud, alone, alerted])
        counts = (fired @ marks.T).astype(np.float64).T
        sums = RuleSums(
            fired=counts[0],
            undefined=np.count_nonzero(findings.undefined, axis=1).astype(np.float64),
            mature=counts[1],
            fraud=counts[2],
            fraud_minor=fired.astype(np.float64) @ (fraud * amount_minor[some]),
            alone=counts[3],
            already_alerted=counts[4],
            together=(fired @ fired.T).astype(np.float64),
        )
        self._sums = sums if self._sums is None else _plus(self._sums, sums)

    def figures(self) -> list[dict[str, Any]]:
        """One row a rule, with the rule that it overlaps most."""
        if self._sums is None:
            return []
        return [self._row(i, self._sums) for i in range(len(self._policy.rules))]

    def _row(self, i: int, sums: RuleSums) -> dict[str, Any]:
        rule = self._policy.rules[i].rule
        shared = sums.together[i].copy()
        shared[i] = 0
        nearest = int(shared.argmax())
        overlap = shared[nearest] / sums.fired[i] if sums.fired[i] else 0.0
        return {
            "rule": rule.id,
            "state": rule.state.value,
            "outcome": rule.outcome,
            "fired": int(sums.fired[i]),
            "undefined": int(sums.undefined[i]),
            "fraud": int(sums.fraud[i]),
            "fraud_minor": round(sums.fraud_minor[i]),
            "precision": float(sums.fraud[i] / sums.mature[i]) if sums.mature[i] else None,
            "alone": int(sums.alone[i]),
            "already_alerted": int(sums.already_alerted[i]),
            "nearest_rule": self._policy.rules[nearest].rule.id if overlap else None,
            "overlap": float(overlap),
        }


def _plus(one: RuleSums, other: RuleSums) -> RuleSums:
    return RuleSums(**{name: value + getattr(other, name) for name, value in vars(one).items()})
