"""The system at a glance: what was decided in the last minutes, from the archive as it grows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapters.files.ground_truth import Truth
from adapters.program.metrics import EVENT_TO_ALERT_S, SOURCE_LAG_MS
from console.access import Role, User
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
    "answered_by",
    "received_at",
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

_FIRST_BATCHES = 2
"""A query that has decided no more than these has just begun."""

_CAUGHT_UP_MS = 5_000
"""A query that began has caught up when the decisions of a second took no longer, in the middle. Until then it decides
what had waited for its start: neither pace nor latency says anything of it."""

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
    answers: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_EDGES_MS) + 1, np.int64))
    warm_up: bool = False

    @property
    def decided(self) -> int:
        return sum(self.outcomes.values())

    @property
    def alerts(self) -> int:
        return self.decided - self.outcomes[Outcome.APPROVE.label]


class Paused(NamedTuple):
    """A receiver of events that is paused.

    Attributes:
        receiver: its name.
        since_ms: since when.
        problem: why, for those who may see what the receiver said.
    """

    receiver: str
    since_ms: int
    problem: str

    def shown_to(self, user: User) -> dict[str, Any]:
        """For a viewer without why."""
        shown = self._asdict()
        return shown if user.role >= Role.ANALYST else shown | {"problem": "an analyst sees why"}


class LiveBoard:
    """What the Live page shows; fed by watches, read by requests.

    Args:
        currency: the base currency.
        clock: the time.
        job: samples of the job's metrics.
        reaches: by name, whether what the board is fed from can be reached.
        truth_known: whether a producer writes which transactions are fraud.
        paused: receivers of events that are paused, with since when and why.

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
        paused: Callable[[], Sequence[Paused]] = tuple,
    ) -> None:
        self._currency = currency
        self._clock = clock
        self._job = job
        self._reaches = reaches
        self._truth_known = truth_known
        self._paused = paused
        self._warming_up = False
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
        decided_ms = _milliseconds(decisions["decided_at"])
        if pc.min(decisions["batch_id"]).as_py() < _FIRST_BATCHES:
            self._warming_up = True
        alerted = pc.not_equal(decisions["outcome"], Outcome.APPROVE.label)
        with self._lock:
            for second in np.unique(decided_ms // 1000).tolist():
                inside = decided_ms // 1000 == second
                self._count(second, decisions.filter(pa.array(inside)))
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
        # What is not read yet is not known: figures are those up to the last look, never zeros after it.
        known_ms = min(self._clock(), self._as_of_ms) if self._as_of_ms is not None else self._clock()
        now = known_ms // 1000 - _SETTLED_S
        with self._lock:
            lately = _after_warm_up(self._between(now - _RATE_S, now))
            window = self._between(now - WINDOW_S, now + _SETTLED_S + 1)
            minute = _after_warm_up(self._between(now - _LATENCY_S, now + _SETTLED_S + 1))
            latencies, answers = (sum((getattr(one, of) for one in minute), _NONE) for of in ("latencies", "answers"))
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
            "answers": int(answers.sum()),
            "answer_p50_ms": _quantile(answers, 0.5),
            "answer_p99_ms": _quantile(answers, 0.99),
            "warming_up": self._warming_up,
            "paused": [one.shown_to(user) for one in self._paused()],
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

    def _count(self, second: int, decisions: pa.Table) -> None:
        answered = pc.is_valid(decisions["answered_by"])
        on_stream, in_call = decisions.filter(pc.invert(answered)), decisions.filter(answered)
        latency_ms = _milliseconds(on_stream["decided_at"]) - _milliseconds(on_stream["sent_at"])
        if self._warming_up and latency_ms.size:
            self._warming_up = bool(np.median(latency_ms) > _CAUGHT_UP_MS)
        held = self._seconds.setdefault(second, _Second())
        for entry in decisions["outcome"].value_counts().to_pylist():
            held.outcomes[entry["values"]] += entry["counts"]
        alerted = decisions.filter(pc.not_equal(decisions["outcome"], Outcome.APPROVE.label))
        held.at_risk_minor += pc.sum(alerted["billing_amount_minor"], min_count=0).as_py()
        held.warm_up |= self._warming_up
        held.latencies += _binned(latency_ms)
        held.answers += _binned(_milliseconds(in_call["decided_at"]) - _milliseconds(in_call["received_at"]))

    def _between(self, begin: int, end: int) -> list[_Second]:
        return [held for second, held in self._seconds.items() if begin <= second < end]

    def _series(self, now: int) -> dict[str, list[Any]]:
        """Points of `STEP_S` each over the window, by the end of their step; None where nothing was decided."""
        end = now // STEP_S * STEP_S
        steps = list(range(end - WINDOW_S, end, STEP_S))
        parts: dict[int, list[_Second]] = {step: [] for step in steps}
        for second, held in self._seconds.items():
            step = second // STEP_S * STEP_S
            if step in parts and not held.warm_up:
                parts[step].append(held)
        latencies = [sum((one.latencies for one in part), _NONE) for part in parts.values()]
        answers = [sum((one.answers for one in part), _NONE) for part in parts.values()]
        return {
            "at_ms": [(step + STEP_S) * 1000 for step in steps],
            "tx_per_s": [sum(one.decided for one in part) / STEP_S for part in parts.values()],
            "alerts_per_s": [sum(one.alerts for one in part) / STEP_S for part in parts.values()],
            "latency_p50_ms": [_quantile(one, 0.5) for one in latencies],
            "latency_p99_ms": [_quantile(one, 0.99) for one in latencies],
            "answer_p99_ms": [_quantile(one, 0.99) for one in answers],
        }


_NONE: npt.NDArray[np.int64] = np.zeros(len(_EDGES_MS) + 1, np.int64)


def _after_warm_up(seconds: Sequence[_Second]) -> list[_Second]:
    return [one for one in seconds if not one.warm_up]


def _binned(latency_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.bincount(np.searchsorted(_EDGES_MS, latency_ms), minlength=len(_EDGES_MS) + 1)


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
