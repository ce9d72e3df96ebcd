"""Counts what a run sent against what it decided: nothing lost, nothing twice, how fast, how well."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapters.ground_truth import Truth
from fraud.decision import Outcome, ScoredBy

TALLY_COLUMNS = [
    "transaction_id",
    "event_time",
    "sent_at",
    "decided_at",
    "outcome",
    "score",
    "scored_by",
    "reasons",
    "amount_minor",
    "currency",
]
"""Of a stored decision."""

_NEWEST_ALERTS = 8
_RECENT_BATCHES = 20


class Tally:
    """The running count of one run.

    Attributes:
        fraud_of: for each id sent, whether it is fraud.
        alerted_of: for each id decided, whether its outcome is above approve.
        duplicated: decisions beyond the first of their id.
        dead_letters: refused records by reason.
        scored_by: stored decisions by what scored them.
        newest_alerts: the last few alerted decisions, newest last, as stored rows.
    """

    def __init__(self) -> None:
        self.fraud_of: dict[str, bool] = {}
        self.alerted_of: dict[str, bool] = {}
        self.duplicated = 0
        self.dead_letters: Counter[str] = Counter()
        self.scored_by: Counter[str] = Counter()
        self.newest_alerts: deque[dict[str, Any]] = deque(maxlen=_NEWEST_ALERTS)
        self.alerts = 0
        self._latencies_ms: list[npt.NDArray[np.int64]] = []
        self._first_sent_ms: int | None = None
        self._last_decided_ms = 0
        self._paced_from = 0

    def sent(self, truths: Iterable[Truth]) -> None:
        """Counts transactions that a producer wrote, with the ground truth."""
        self.fraud_of.update((truth.transaction_id, truth.is_fraud) for truth in truths)

    def refused(self, reasons: list[str]) -> None:
        """Counts dead letters."""
        self.dead_letters.update(reasons)

    def decided(self, decisions: pa.Table) -> None:
        """Counts stored decisions: columns of `fraud.decision.decision_schema`."""
        if not decisions.num_rows:
            return
        is_alert = pc.not_equal(decisions["outcome"], Outcome.APPROVE.label)
        for known, alerted in zip(decisions["transaction_id"].to_pylist(), is_alert.to_pylist(), strict=True):
            if known in self.alerted_of:
                self.duplicated += 1
                continue
            self.alerted_of[known] = alerted
            self.alerts += alerted
        self.scored_by.update(decisions["scored_by"].to_pylist())
        sent_ms = decisions["sent_at"].cast(pa.int64()).to_numpy()
        decided_ms = decisions["decided_at"].cast(pa.int64()).to_numpy()
        self._latencies_ms.append(decided_ms - sent_ms)
        first = int(sent_ms.min())
        self._first_sent_ms = first if self._first_sent_ms is None else min(first, self._first_sent_ms)
        self._last_decided_ms = max(self._last_decided_ms, int(decided_ms.max()))
        self.newest_alerts.extend(decisions.filter(is_alert).to_pylist()[-_NEWEST_ALERTS:])

    def forget_pace(self) -> None:
        """Starts latency and rate anew; counts stay."""
        self._latencies_ms.clear()
        self._first_sent_ms = None
        self._paced_from = len(self.alerted_of)

    @property
    def settled(self) -> int:
        """Records that have an end: decided or refused."""
        return len(self.alerted_of) + self.duplicated + sum(self.dead_letters.values())

    def latency_ms(self, quantile: float, recent: bool = False) -> float | None:
        """A quantile of the time from `sent_at` to the stored decision, over the run or its last batches."""
        chosen = self._latencies_ms[-_RECENT_BATCHES:] if recent else self._latencies_ms
        return float(np.quantile(np.concatenate(chosen), quantile)) if chosen else None

    def fraud_counts(self) -> dict[str, int]:
        """Alerts against the ground truth: caught, missed and false among the transactions decided so far."""
        counts = Counter((self.fraud_of.get(known, False), alerted) for known, alerted in self.alerted_of.items())
        return {
            "fraud_caught": counts[True, True],
            "fraud_missed": counts[True, False],
            "false_alerts": counts[False, True],
        }

    def figures(self) -> dict[str, Any]:
        """The summary of the run."""
        lost = sum(1 for known in self.fraud_of if known not in self.alerted_of)
        counts = self.fraud_counts()
        frauds, alerts = counts["fraud_caught"] + counts["fraud_missed"], self.alerts
        seconds = (self._last_decided_ms - (self._first_sent_ms or 0)) / 1000
        return {
            "sent": len(self.fraud_of),
            "decided": len(self.alerted_of),
            "lost": lost,
            "duplicated": self.duplicated,
            "dead_letters": sum(self.dead_letters.values()),
            **{f"scored_by_{kind.value}": self.scored_by[kind.value] for kind in ScoredBy},
            "alerts": alerts,
            "latency_p50_ms": self.latency_ms(0.5),
            "latency_p99_ms": self.latency_ms(0.99),
            "tx_per_s": (len(self.alerted_of) - self._paced_from) / seconds if seconds > 0 else None,
            **counts,
            "precision": counts["fraud_caught"] / alerts if alerts else None,
            "recall": counts["fraud_caught"] / frauds if frauds else None,
        }
