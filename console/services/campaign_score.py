"""Decisions against the ground truth: what each fraud campaign cost, and what was found when."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

import pyarrow as pa

from adapters.files.ground_truth import Truth
from fraud.decision.key import Subject
from fraud.decision.record import Outcome
from fraud.records.arrival import arrival_ms_of

SCORE_COLUMNS = [
    "transaction_id",
    "card_token",
    "event_time",
    "sent_at",
    "decided_at",
    "arrival_ms",
    "recorded_arrival",
    "outcome",
    "billing_amount_minor",
]
"""Of a stored decision."""

_MAX_WAITING = 200_000


class CaseSeen(NamedTuple):
    """A case on a card so far, by the recorded arrivals of its frauds.

    Attributes:
        began_ms: of the first fraud decided.
        found_ms: of the first one that raised an alert; None while none did.
    """

    began_ms: int
    found_ms: int | None = None


class TruthSource(NamedTuple):
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
        cases: by case and card.
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
    cases: dict[tuple[str, str], CaseSeen] = field(default_factory=dict)

    def add(self, case: str, row: Mapping[str, Any]) -> None:
        """Counts one fraudulent transaction with its decision."""
        key = (case, row["card_token"])
        arrived_ms = arrival_ms_of(row)
        seen = self.cases.get(key, CaseSeen(arrived_ms))
        known = seen.found_ms is not None
        alerted = row["outcome"] != Outcome.APPROVE.label
        self.frauds += 1
        self.alerted += alerted
        self.cases[key] = seen._replace(found_ms=arrived_ms) if alerted and not known else seen
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

    @property
    def detection_ms(self) -> float | None:
        """Median time that a found case went on before its first alert, as recorded; None while none was found."""
        times = [seen.found_ms - seen.began_ms for seen in self.cases.values() if seen.found_ms is not None]
        return median(times) if times else None

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
            "cards_found": sum(seen.found_ms is not None for seen in self.cases.values()),
            "lost_minor": self.lost_minor,
            "saved_minor": self.saved_minor,
            "first_detection_ms": self.first_detection_ms,
            "detection_ms": self.detection_ms,
        }


class CampaignScores:
    """Joins decisions with the truth, whichever comes first.

    What waits for its other half is bounded: the oldest is forgotten beyond 200,000.

    Attributes:
        scores: by where the fraud came from.
        learned_from: number of transactions whose truth is known, by producer.
    """

    def __init__(self) -> None:
        self.scores: defaultdict[TruthSource, Score] = defaultdict(Score)
        self.learned_from: Counter[str] = Counter()
        self._truths: OrderedDict[Subject, tuple[TruthSource, str] | None] = OrderedDict()
        self._decisions: OrderedDict[Subject, dict[str, Any]] = OrderedDict()

    def add_truth(self, producer: str, truths: Iterable[Truth]) -> None:
        """Adds what a producer knows of some transactions."""
        for truth in truths:
            self.learned_from[producer] += 1
            what = (TruthSource(producer, truth.campaign or "unknown"), truth.case_id or "") if truth.is_fraud else None
            decision = self._decisions.pop(truth.subject, None)
            if decision is None:
                self._truths[truth.subject] = what
            elif what is not None:
                self.scores[what[0]].add(what[1], decision)
        _shorten(self._truths)

    def decided(self, decisions: pa.Table) -> None:
        """Takes stored decisions, in their order: `SCORE_COLUMNS` and maybe others."""
        for row in _rows(decisions):
            subject = Subject.of(row)
            if subject not in self._truths:
                self._decisions[subject] = row
                continue
            what = self._truths.pop(subject)
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


def _shorten(waiting: OrderedDict[Subject, Any]) -> None:
    while len(waiting) > _MAX_WAITING:
        waiting.popitem(last=False)
