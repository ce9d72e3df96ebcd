"""The system at a glance: what was decided in the last minutes, from the archive as it grows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapters.files.ground_truth import Truth
from adapters.program.metrics import EVENT_TO_ALERT_S, SOURCE_LAG_MS
from console.access import User
from console.services.alerts import card_shown
from console.services.campaign_score import SCORE_COLUMNS, CampaignScores, Score
from console.services.job_window import JobWindow, quantile
from console.services.reach import Clock, Reach
from fraud.decision.key import Subject
from fraud.decision.record import Outcome
from fraud.records.arrival import arrivals_ms
from fraud.records.schema import milliseconds_of

LIVE_COLUMNS = [
    *SCORE_COLUMNS,
    "merchant_id",
    "amount_minor",
    "currency",
    "severity",
    "score",
    "reasons",
    "model_version",
    "policy_version",
    "challenger_version",
    "batch_id",
]
"""Of a stored decision."""

WINDOW_S = 600
STEP_S = 5
_RATE_S = 10
_LATENCY_S = 60
_SETTLED_S = 2
"""Decisions of the last seconds may not have been read yet, so rates leave them out."""

_PACE_MS = 10_000
"""The pace of arrivals is that of the last ten seconds: a history at the start runs much faster."""

_ALERTS = 12
_EDGES_MS = np.geomspace(1.0, 3_600_000.0, 400)
"""Latencies are kept as a histogram whose bounds are 4 % apart."""

_OUTCOMES = [outcome.label for outcome in Outcome]


@dataclass
class _Second:
    """What was decided within a second, by the time of the decision."""

    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_OUTCOMES, 0))
    at_risk_minor: int = 0
    latencies: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_EDGES_MS) + 1, np.int64))

    @property
    def decided(self) -> int:
        return sum(self.outcomes.values())

    @property
    def alerts(self) -> int:
        return self.decided - self.outcomes[Outcome.APPROVE.label]


class LiveBoard:
    """What the Live page shows; fed by watches, read by requests.

    Args:
        currency: the base currency.
        clock: the time.
        job: samples of the job's metrics.
        reaches: by name, whether what the board is fed from can be reached.
        truth_known: whether a producer writes which transactions are fraud.

    Attributes:
        scores: decisions against the ground truth.
        versions: of the latest decision.
    """

    def __init__(
        self,
        currency: str,
        clock: Clock,
        job: JobWindow,
        reaches: Mapping[str, Callable[[], Reach]],
        truth_known: bool,
    ) -> None:
        self._currency = currency
        self._clock = clock
        self._job = job
        self._reaches = reaches
        self._truth_known = truth_known
        self._lock = threading.Lock()
        self._seconds: dict[int, _Second] = {}
        self._alerts: deque[dict[str, Any]] = deque(maxlen=_ALERTS)
        self._arrived_ms = 0
        self._as_of_ms: int | None = None
        self._pace: deque[tuple[int, int]] = deque(maxlen=64)
        self.scores = CampaignScores()
        self.versions: dict[str, Any] = {}

    def add_truth(self, producer: str, truths: list[Truth]) -> None:
        """Adds the truth about some transactions."""
        with self._lock:
            self.scores.add_truth(producer, truths)

    def decided(self, decisions: pa.Table) -> None:
        """Takes stored decisions: `LIVE_COLUMNS`."""
        if not decisions.num_rows:
            return
        decided_ms, sent_ms = _milliseconds(decisions["decided_at"]), _milliseconds(decisions["sent_at"])
        alerted = pc.not_equal(decisions["outcome"], Outcome.APPROVE.label)
        with self._lock:
            for second in np.unique(decided_ms // 1000).tolist():
                inside = decided_ms // 1000 == second
                self._count(second, decisions.filter(pa.array(inside)), (decided_ms - sent_ms)[inside])
            for second in [second for second in self._seconds if second < self._clock() // 1000 - WINDOW_S - STEP_S]:
                del self._seconds[second]
            newest = decisions.filter(alerted)
            newest = newest.slice(max(0, newest.num_rows - _ALERTS))
            self._alerts.extend(_alert(row) for row in newest.to_pylist())
            if self._truth_known:
                self.scores.decided(decisions)
            self._arrived_ms = max(self._arrived_ms, int(arrivals_ms(decisions).max()))
            self._pace.append((int(decided_ms.max()), self._arrived_ms))
            last = decisions.slice(decisions.num_rows - 1).to_pylist()[0]
            self.versions = {
                "model": last["model_version"],
                "challenger": last["challenger_version"],
                "policy": last["policy_version"],
                "batch": last["batch_id"],
                "decided_ms": int(decided_ms[-1]),
            }

    def looked(self, at_ms: int) -> None:
        """Takes when all decisions archived by then were taken over."""
        self._as_of_ms = at_ms

    def event_time(self) -> tuple[int, float]:
        """How far arrivals have come, recorded ones in a replay, and how many times as fast as the clock they run.

        Epoch milliseconds; no event time counts, since any sender may date one years ahead.
        """
        with self._lock:
            if not self._pace:
                return self._clock(), 1.0
            last_at, last = self._pace[-1]
            first_at, first = next(place for place in self._pace if place[0] >= last_at - _PACE_MS)
        speed = (last - first) / (last_at - first_at) if last_at > first_at else 1.0
        return last, max(1.0, speed)

    def sent_by(self, producer: str) -> int:
        """Number of transactions whose truth a producer has written."""
        with self._lock:
            return self.scores.learned_from[producer]

    def score_of(self, producer: str) -> Score:
        """The score of what one producer sent."""
        with self._lock:
            return self.scores.of_producer(producer)

    def snapshot(self, user: User) -> dict[str, Any]:
        """All that the page shows."""
        now_ms = self._clock()
        now = now_ms // 1000 - _SETTLED_S
        with self._lock:
            lately = self._between(now - _RATE_S, now)
            window = self._between(now - WINDOW_S, now + _SETTLED_S + 1)
            latencies = sum((one.latencies for one in self._between(now - _LATENCY_S, now + _SETTLED_S + 1)), _NONE)
            alerts = [_shown(alert, user) for alert in reversed(self._alerts)]
            campaigns = {name: score.figures() for name, score in sorted(self.scores.by_campaign().items())}
            series = self._series(now)
            last_ms = self.versions.get("decided_ms")
        to_alert = self._job.observed(EVENT_TO_ALERT_S, _LATENCY_S * 1000).get((), [])
        lags = self._job.latest.value(SOURCE_LAG_MS).values() if self._job.latest is not None else []
        return {
            "currency": self._currency,
            "reach": {name: reach()._asdict() for name, reach in self._reaches.items()},
            "as_of_ms": self._as_of_ms,
            "last_decided_ms": last_ms,
            "tx_per_s": sum(one.decided for one in lately) / _RATE_S,
            "alerts_per_s": sum(one.alerts for one in lately) / _RATE_S,
            "latency_p50_ms": _quantile(latencies, 0.5),
            "latency_p99_ms": _quantile(latencies, 0.99),
            "to_alert_p50_ms": _thousandfold(quantile(EVENT_TO_ALERT_S, to_alert, 0.5)),
            "to_alert_p99_ms": _thousandfold(quantile(EVENT_TO_ALERT_S, to_alert, 0.99)),
            "lag_ms": max(lags, default=None),
            "window_s": WINDOW_S,
            "outcomes": {name: sum(one.outcomes[name] for one in window) for name in _OUTCOMES},
            "at_risk_minor": sum(one.at_risk_minor for one in window),
            "truth_known": self._truth_known,
            "campaigns": [{"campaign": name} | figures for name, figures in campaigns.items()],
            "alerts": alerts,
            "series": series,
        }

    def _count(self, second: int, decisions: pa.Table, latency_ms: npt.NDArray[np.int64]) -> None:
        held = self._seconds.setdefault(second, _Second())
        for entry in decisions["outcome"].value_counts().to_pylist():
            held.outcomes[entry["values"]] += entry["counts"]
        alerted = decisions.filter(pc.not_equal(decisions["outcome"], Outcome.APPROVE.label))
        held.at_risk_minor += pc.sum(alerted["billing_amount_minor"], min_count=0).as_py()
        held.latencies += np.bincount(np.searchsorted(_EDGES_MS, latency_ms), minlength=len(_EDGES_MS) + 1)

    def _between(self, begin: int, end: int) -> list[_Second]:
        return [held for second, held in self._seconds.items() if begin <= second < end]

    def _series(self, now: int) -> dict[str, list[Any]]:
        """Points of `STEP_S` each over the window, by the end of their step; None where nothing was decided."""
        end = now // STEP_S * STEP_S
        steps = list(range(end - WINDOW_S, end, STEP_S))
        parts: dict[int, list[_Second]] = {step: [] for step in steps}
        for second, held in self._seconds.items():
            step = second // STEP_S * STEP_S
            if step in parts:
                parts[step].append(held)
        latencies = [sum((one.latencies for one in part), _NONE) for part in parts.values()]
        return {
            "at_ms": [(step + STEP_S) * 1000 for step in steps],
            "tx_per_s": [sum(one.decided for one in part) / STEP_S for part in parts.values()],
            "alerts_per_s": [sum(one.alerts for one in part) / STEP_S for part in parts.values()],
            "latency_p50_ms": [_quantile(one, 0.5) for one in latencies],
            "latency_p99_ms": [_quantile(one, 0.99) for one in latencies],
        }


_NONE: npt.NDArray[np.int64] = np.zeros(len(_EDGES_MS) + 1, np.int64)


def _milliseconds(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.asarray(column.cast(pa.int64()).to_numpy())


def _quantile(latencies: npt.NDArray[np.int64], share: float) -> float | None:
    """The upper bound of the histogram's bin that a quantile lies in."""
    total = int(latencies.sum())
    if total == 0:
        return None
    place = int(np.searchsorted(np.cumsum(latencies), share * total))
    return float(_EDGES_MS[min(place, len(_EDGES_MS) - 1)])


def _thousandfold(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _alert(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("card_token", "merchant_id", "outcome", "severity", "score", "amount_minor", "currency")
    return {
        "key": Subject.of(row).key,
        "transaction_id": row["transaction_id"],
        "decided_ms": milliseconds_of(row["decided_at"]),
        "reasons": row["reasons"][:3],
        **{name: row[name] for name in kept},
    }


def _shown(alert: dict[str, Any], user: User) -> dict[str, Any]:
    return alert | card_shown(alert, alert["key"], user)
