"""Counts what a run sent against what it decided: nothing lost, nothing twice, how fast, how well."""

from __future__ import annotations

import datetime as dt
from collections import Counter, deque
from collections.abc import Collection, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapters.files.asked import Asked
from adapters.files.ground_truth import Truth
from console.services.campaign_score import SCORE_COLUMNS, CampaignScores
from fraud.backtest.cases import CaseFigures, Decided, case_figures
from fraud.decision.key import Subject, subjects_of
from fraud.decision.record import Outcome, ScoredBy
from fraud.records.arrival import arrivals_ms
from fraud.records.schema import milliseconds_of
from fraud.settings import Streams

TALLY_COLUMNS = [
    *SCORE_COLUMNS,
    "score",
    "scored_by",
    "reasons",
    "amount_minor",
    "currency",
    "answered_by",
]
"""Of a stored decision."""

REFUSED_COLUMNS = ["stream", "reason", "data", "replayable"]
"""Of a dead letter."""

_NEWEST_ALERTS = 8
_RECENT_BATCHES = 20
_ANSWERS = 100_000
"""So many of the last answers' times are kept."""


class _Named(msgspec.Struct):
    """The fields of a refused record that name its transaction."""

    card_token: str
    transaction_id: str
    event_time: Annotated[dt.datetime, msgspec.Meta(tz=True)]


_read_named = msgspec.json.Decoder(_Named).decode


class RunTally:
    """The running count of one run, of records: a transaction that was sent twice is two, of which one is refused.

    Args:
        transactions: the stream of transactions; what is refused of others is no transaction.
        compromised: cards with a fraud before the run.

    Attributes:
        fraud_of: for each transaction sent, whether it is fraud.
        records_sent: transactions that producers wrote.
        refused: transactions that became dead letters, or were asked about and got no decision of their own.
        answered: decisions that were asked for.
        alerted_of: for each transaction decided, whether its outcome is above approve.
        duplicated: decisions beyond the first of their transaction.
        dead_letters: refused records of all streams by reason.
        scored_by: stored decisions by what scored them.
        scores: the fraud of each campaign, as the console counts it.
        newest_alerts: the last few alerted decisions, newest last, as stored rows.
    """

    def __init__(self, transactions: str = Streams().transactions, compromised: Collection[str] = ()) -> None:
        self._transactions = transactions
        self._compromised = compromised
        self._arrived_ms: dict[Subject, int] = {}
        self.scores = CampaignScores()
        self._open: Counter[Subject] = Counter()  # sent, less decided and refused
        self._without_end = 0
        self._redacted = 0
        self.records_sent = 0
        self.refused = 0
        self.answered = 0
        self._answers_ms: deque[float] = deque(maxlen=_ANSWERS)
        self._refusals = 0
        self.fraud_of: dict[Subject, bool] = {}
        self.alerted_of: dict[Subject, bool] = {}
        self.duplicated = 0
        self.dead_letters: Counter[str] = Counter()
        self.scored_by: Counter[str] = Counter()
        self.newest_alerts: deque[dict[str, Any]] = deque(maxlen=_NEWEST_ALERTS)
        self.alerts = 0
        self._latencies_ms: list[npt.NDArray[np.int64]] = []
        self._first_sent_ms: int | None = None
        self._last_decided_ms = 0
        self._paced_from = 0

    def sent(self, truths: Sequence[Truth], producer: str = "") -> None:
        """Counts transactions that a producer wrote, with the ground truth."""
        self.scores.add_truth(producer, truths)
        for truth in truths:
            subject = truth.subject
            self.fraud_of[subject] = truth.is_fraud
            self.records_sent += 1
            self._open[subject] += 1
            self._without_end += self._open[subject] > 0

    def asked(self, answers: Sequence[Asked]) -> None:
        """Counts calls of a decision service: what got a decision of its own is on the stream, the rest has its end."""
        for answer in answers:
            if answer.is_new:
                self.answered += 1
                self._answers_ms.append(answer.took_ms)
            else:
                self.refused += 1
                self._refusals += 1
                self._ended(answer.subject)

    def refuse(self, dead_letters: pa.Table) -> None:
        """Counts dead letters: `REFUSED_COLUMNS`."""
        self.dead_letters.update(dead_letters["reason"].to_pylist())
        transactions = dead_letters.filter(pc.equal(dead_letters["stream"], self._transactions))
        self.refused += transactions.num_rows
        kept = transactions["data"].to_pylist(), transactions["replayable"].to_pylist()
        for data, replayable in zip(*kept, strict=True):
            if replayable:
                self._end(data)
            else:
                self._redacted += 1

    def _end(self, data: bytes) -> None:
        """Takes note that a record was refused; one that names no transaction is none that our producers sent."""
        try:
            named = _read_named(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        self._ended(Subject(named.card_token, named.transaction_id, milliseconds_of(named.event_time)))

    def _ended(self, subject: Subject) -> None:
        self._without_end -= self._open[subject] > 0
        self._open[subject] -= 1

    @property
    def lost(self) -> int:
        """Transactions sent that have been neither decided nor refused.

        A dead letter with a card number in it is redacted, so that it may be any of them: each is one of them.
        """
        return max(0, self._without_end - self._redacted)

    def decided(self, decisions: pa.Table) -> None:
        """Counts stored decisions: columns of `fraud.decision.record.decision_schema`."""
        if not decisions.num_rows:
            return
        is_alert = pc.not_equal(decisions["outcome"], Outcome.APPROVE.label)
        fresh = []
        rows = zip(subjects_of(decisions), is_alert.to_pylist(), arrivals_ms(decisions).tolist(), strict=True)
        for known, alerted, arrived_ms in rows:
            self._ended(known)
            fresh.append(known not in self.alerted_of)
            if not fresh[-1]:
                self.duplicated += 1
                continue
            self.alerted_of[known] = alerted
            self._arrived_ms[known] = arrived_ms
            self.alerts += alerted
        self.scores.decided(decisions.filter(pa.array(fresh)))
        self.scored_by.update(decisions["scored_by"].to_pylist())
        sent_ms = decisions["sent_at"].cast(pa.int64()).to_numpy()
        decided_ms = decisions["decided_at"].cast(pa.int64()).to_numpy()
        on_stream = decisions["answered_by"].is_null().to_numpy(zero_copy_only=False)
        self._latencies_ms.append((decided_ms - sent_ms)[on_stream])
        first = int(sent_ms.min())
        self._first_sent_ms = first if self._first_sent_ms is None else min(first, self._first_sent_ms)
        self._last_decided_ms = max(self._last_decided_ms, int(decided_ms.max()))
        self.newest_alerts.extend(decisions.filter(is_alert).to_pylist()[-_NEWEST_ALERTS:])

    def forget_pace(self) -> None:
        """Restarts latency and rate; counts stay."""
        self._latencies_ms.clear()
        self._first_sent_ms = None
        self._paced_from = len(self.alerted_of)

    @property
    def settled(self) -> int:
        """Records that have an end: decided or refused."""
        return len(self.alerted_of) + self.duplicated + sum(self.dead_letters.values()) + self._refusals

    def latency_ms(self, quantile: float, recent: bool = False) -> float | None:
        """A quantile of the time from `sent_at` to the stored decision, over the run or its last batches."""
        chosen = self._latencies_ms[-_RECENT_BATCHES:] if recent else self._latencies_ms
        joined = np.concatenate(chosen) if chosen else np.empty(0)
        return float(np.quantile(joined, quantile)) if joined.size else None

    def answer_ms(self, quantile: float) -> float | None:
        """A quantile of the time that calls of a decision service took, over the last of them."""
        return float(np.quantile(np.array(self._answers_ms), quantile)) if self._answers_ms else None

    def fraud_counts(self) -> dict[str, int]:
        """Alerts against the ground truth: caught, missed and false among the transactions decided so far."""
        counts = Counter((self.fraud_of.get(known, False), alerted) for known, alerted in self.alerted_of.items())
        return {
            "fraud_caught": counts[True, True],
            "fraud_missed": counts[True, False],
            "false_alerts": counts[False, True],
        }

    def cases(self) -> CaseFigures:
        """Alerts as cases against the ground truth."""
        decided = (
            Decided(known.card_token, self._arrived_ms[known], self.fraud_of.get(known, False), alerted)
            for known, alerted in self.alerted_of.items()
        )
        return case_figures(decided, self._compromised)

    def figures(self) -> dict[str, Any]:
        """The summary of the run."""
        counts = self.fraud_counts()
        frauds, alerts = counts["fraud_caught"] + counts["fraud_missed"], self.alerts
        seconds = (self._last_decided_ms - (self._first_sent_ms or 0)) / 1000
        campaigns = {name: score.figures() for name, score in sorted(self.scores.by_campaign().items())}
        return {
            "sent": self.records_sent,
            "decided": len(self.alerted_of),
            "refused": self.refused,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "dead_letters": sum(self.dead_letters.values()),
            **{f"scored_by_{kind.value}": self.scored_by[kind.value] for kind in ScoredBy},
            "alerts": alerts,
            "answered": self.answered,
            "answer_p50_ms": self.answer_ms(0.5),
            "answer_p99_ms": self.answer_ms(0.99),
            "latency_p50_ms": self.latency_ms(0.5),
            "latency_p99_ms": self.latency_ms(0.99),
            "tx_per_s": (len(self.alerted_of) - self._paced_from) / seconds if seconds > 0 else None,
            **counts,
            "precision": counts["fraud_caught"] / alerts if alerts else None,
            "recall": counts["fraud_caught"] / frauds if frauds else None,
            **{f"live_{name}": count for name, count in self.cases()._asdict().items()},
            **{name: sum(of[name] for of in campaigns.values()) for name in ("saved_minor", "lost_minor")},
            "campaigns": campaigns,
        }
