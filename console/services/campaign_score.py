"""Decisions against the ground truth: what each fraud campaign cost, and what was found when."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from adapters.ground_truth import Truth
from fraud.decision import Outcome

SCORE_COLUMNS = ["transaction_id", "card_token", "sent_at", "decided_at", "outcome", "billing_amount_minor"]
"""Of a stored decision."""

_MOST_WAITING = 200_000


class Source(NamedTuple):
    """Where fraud came from: a producer's name and its campaign."""

    producer: str
    campaign: str


@dataclass
class Score:
    """The fraud of one source so far. Money is in minor units of the base currency.

    A card's fraud is lost until the first alert of the case on that card, this transaction included, since it is
    authorised already; what follows is saved, if who sees the alert acts on it at once.

    Attributes:
        frauds: decided.
        alerted: of these, with an outcome above approve.
        cases: by case and card, whether an alert was raised.
        first_sent_ms: when its first transaction was sent.
        first_alert_ms: when the decision on the first alerted one was stored.
        lost_minor: money lost.
        saved_minor: money saved.
    """

    frauds: int = 0
    alerted: int = 0
    lost_minor: int = 0
    saved_minor: int = 0
    first_sent_ms: int | None = None
    first_alert_ms: int | None = None
    cases: dict[tuple[str, str], bool] = field(default_factory=dict)

    def add(self, case: str, row: Mapping[str, Any]) -> None:
        """Counts one fraudulent transaction with its decision."""
        key = (case, row["card_token"])
        known = self.cases.get(key, False)
        alerted = row["outcome"] != Outcome.APPROVE.label
        self.frauds += 1
        self.alerted += alerted
        self.cases[key] = known or alerted
        if known:
            self.saved_minor += row["billing_amount_minor"]
        else:
            self.lost_minor += row["billing_amount_minor"]
        sent_ms, decided_ms = (int(row[name].timestamp() * 1000) for name in ("sent_at", "decided_at"))
        self.first_sent_ms = min(sent_ms, self.first_sent_ms or sent_ms)
        if alerted:
            self.first_alert_ms = min(decided_ms, self.first_alert_ms or decided_ms)

    @property
    def first_detection_ms(self) -> int | None:
        """From the first transaction sent to the first alert; None while nothing was found."""
        if self.first_alert_ms is None or self.first_sent_ms is None:
            return None
        return self.first_alert_ms - self.first_sent_ms

    def plus(self, other: Score) -> Score:
        """Both together."""

        def least(*times: int | None) -> int | None:
            return min((time for time in times if time is not None), default=None)

        return Score(
            self.frauds + other.frauds,
            self.alerted + other.alerted,
            self.lost_minor + other.lost_minor,
            self.saved_minor + other.saved_minor,
            least(self.first_sent_ms, other.first_sent_ms),
            least(self.first_alert_ms, other.first_alert_ms),
            self.cases | other.cases,
        )

    def figures(self) -> dict[str, Any]:
        """What pages show."""
        return {
            "frauds": self.frauds,
            "alerted": self.alerted,
            "cards": len(self.cases),
            "cards_found": sum(self.cases.values()),
            "lost_minor": self.lost_minor,
            "saved_minor": self.saved_minor,
            "first_detection_ms": self.first_detection_ms,
        }


class CampaignScores:
    """Joins decisions with the truth, whichever comes first.

    What waits for its other half is bounded: the oldest is forgotten beyond 200,000.

    Attributes:
        scores: by where the fraud came from.
        told_by: transactions told of, by producer.
    """

    def __init__(self) -> None:
        self.scores: defaultdict[Source, Score] = defaultdict(Score)
        self.told_by: Counter[str] = Counter()
        self._truths: OrderedDict[str, tuple[Source, str] | None] = OrderedDict()
        self._decisions: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def told(self, producer: str, truths: Iterable[Truth]) -> None:
        """Takes what a producer knows."""
        for truth in truths:
            self.told_by[producer] += 1
            what = (Source(producer, truth.campaign or "unknown"), truth.case_id or "") if truth.is_fraud else None
            decision = self._decisions.pop(truth.transaction_id, None)
            if decision is None:
                self._truths[truth.transaction_id] = what
            elif what is not None:
                self.scores[what[0]].add(what[1], decision)
        _shorten(self._truths)

    def decided(self, decisions: pa.Table) -> None:
        """Takes stored decisions, in their order: `SCORE_COLUMNS` and maybe others."""
        for row in _rows(decisions):
            identifier = row["transaction_id"]
            if identifier not in self._truths:
                self._decisions[identifier] = row
                continue
            what = self._truths.pop(identifier)
            if what is not None:
                self.scores[what[0]].add(what[1], row)
        _shorten(self._decisions)

    def by_campaign(self) -> dict[str, Score]:
        """Scores of all producers together."""
        found: dict[str, Score] = {}
        for (_, campaign), score in list(self.scores.items()):
            found[campaign] = found[campaign].plus(score) if campaign in found else score
        return found

    def of_producer(self, producer: str) -> Score:
        """The score of all that one producer sent."""
        total = Score()
        for source, score in list(self.scores.items()):
            if source.producer == producer:
                total = total.plus(score)
        return total


def _rows(decisions: pa.Table) -> Iterator[dict[str, Any]]:
    yield from decisions.select(SCORE_COLUMNS).to_pylist()


def _shorten(waiting: OrderedDict[str, Any]) -> None:
    while len(waiting) > _MOST_WAITING:
        waiting.popitem(last=False)
