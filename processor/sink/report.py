"""How the counts of a committed batch reach the driver's metrics.

Spark runs the sink's commit in a process of its own on the driver's machine, so it leaves a file for each batch, which
the driver takes up when it hears that the batch has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import structlog

from adapters.model.endpoint_usage import EndpointUsage
from adapters.program.metrics import ENDPOINT_S, EVENT_TO_ALERT_S, EVENT_TO_DECISION_S, Metric

log = structlog.get_logger()


class Latencies(msgspec.Struct):
    """A histogram: observations by bucket of its metric, and their sum in seconds."""

    counts: list[int]
    total_s: float

    @classmethod
    def of(cls, metric: Metric, values_ms: Iterable[int]) -> Latencies:
        """Counts values in milliseconds."""
        seconds = [float(value) / 1000 for value in values_ms]
        return cls(metric.count(seconds), sum(seconds))

    def plus(self, other: Latencies) -> Latencies:
        """Both together."""
        return Latencies([a + b for a, b in zip(self.counts, other.counts, strict=True)], self.total_s + other.total_s)


class EndpointCounts(msgspec.Struct):
    """Calls of the model endpoint.

    Attributes:
        answered: time of each attempt that was answered.
        retries: attempts after the first.
        fallbacks: batches that it did not score, by reason.
    """

    answered: Latencies = msgspec.field(default_factory=lambda: Latencies.of(ENDPOINT_S, []))
    retries: int = 0
    fallbacks: dict[str, int] = {}

    @classmethod
    def of(cls, usage: EndpointUsage) -> EndpointCounts:
        """Sums up what a worker's calls have cost."""
        answered = Latencies(ENDPOINT_S.count(usage.answered_s), sum(usage.answered_s))
        return cls(answered, usage.retries, dict(usage.fallbacks))

    def plus(self, other: EndpointCounts) -> EndpointCounts:
        """Both together."""
        return EndpointCounts(
            self.answered.plus(other.answered),
            self.retries + other.retries,
            Counter(self.fallbacks) + Counter(other.fallbacks),
        )


class Moments(msgspec.Struct):
    """When the transactions of a batch passed each place: sums over them of UTC milliseconds.

    Attributes:
        transactions: how many.
        sent: handed to the stream by the producer.
        arrived: arrived at the stream.
        featured: came out of the keyed state with their features.
        decided: scored and decided.
        stored: stored in S3.
        alerted: alerts among them with every receiver.
    """

    transactions: int = 0
    sent: int = 0
    arrived: int = 0
    featured: int = 0
    decided: int = 0
    stored: int = 0
    alerted: int = 0

    def plus(self, other: Moments) -> Moments:
        """Both together."""
        return Moments(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))

    def budget_s(self, began_ms: int, plan_ms: int) -> dict[str, float]:
        """Mean seconds of each phase from `sent_at` to the alerts readable; together they are that time.

        Args:
            began_ms: when the micro-batch began.
            plan_ms: how long its driver then planned.
        """
        count = self.transactions
        if not count:
            return {}
        planned = (began_ms + plan_ms) * count
        places = {
            "put": self.arrived,
            "wait": began_ms * count,
            "plan": planned,
            "state": self.featured,
            "score": self.decided,
            "archive": self.stored,
            "alerts": self.alerted,
        }
        before, budget = self.sent, {}
        for phase, moment in places.items():
            budget[phase] = max(0.0, (moment - before) / count / 1000)
            before = moment
        return budget


class GroupSize(msgspec.Struct, frozen=True):
    """What a key group of an entity's state takes.

    Attributes:
        entity: name of the entity.
        key_group: number of the key group.
        keys: how many it has.
        events: remembered of them.
        copy_bytes: in use in the local copy.
        log_bytes: of its log in the checkpoint, before what Spark's store adds.
        owed_bytes: that were logged and are not yet paid for by pieces of snapshots.
        free_bytes: that the volume of the local copy has left.
    """

    entity: str
    key_group: int
    keys: int
    events: int
    copy_bytes: int
    log_bytes: int
    owed_bytes: int
    free_bytes: int


class Committed(msgspec.Struct):
    """What a partition, or a batch, committed.

    Attributes:
        outcomes: decisions by outcome.
        answered: those of them that were answered in the call.
        scored_by: decisions by what scored them.
        inexact: decisions whose windows were cut by the state bound, by entity.
        rules: transactions for each rule that did something, by what it did.
        dead_letters: refused records by reason.
        notes: what else was noticed about records, see `fraud.records.notes.Note`.
        sizes: of key groups whose turn it was to say so.
        alerts_put: alerts that were new, by receiver.
        decision: time from `sent_at` to the decision stored.
        alert: time from `sent_at` until every receiver had the alert, of those that were new to one.
        retries: calls tried again, by sink: the archive and each receiver of alerts.
        endpoint: calls of the model endpoint.
        moments: when its transactions passed each place.
    """

    outcomes: dict[str, int] = {}
    answered: int = 0
    scored_by: dict[str, int] = {}
    inexact: dict[str, int] = {}
    rules: dict[str, dict[str, int]] = {}
    dead_letters: dict[str, int] = {}
    notes: dict[str, int] = {}
    sizes: list[GroupSize] = []
    alerts_put: dict[str, int] = {}
    decision: Latencies = msgspec.field(default_factory=lambda: Latencies.of(EVENT_TO_DECISION_S, []))
    alert: Latencies = msgspec.field(default_factory=lambda: Latencies.of(EVENT_TO_ALERT_S, []))
    retries: dict[str, int] = {}
    endpoint: EndpointCounts = msgspec.field(default_factory=EndpointCounts)
    moments: Moments = msgspec.field(default_factory=Moments)

    def plus(self, other: Committed) -> Committed:
        """Both together."""
        return Committed(
            outcomes=Counter(self.outcomes) + Counter(other.outcomes),
            answered=self.answered + other.answered,
            scored_by=Counter(self.scored_by) + Counter(other.scored_by),
            inexact=Counter(self.inexact) + Counter(other.inexact),
            rules={
                result: Counter(self.rules.get(result, {})) + Counter(other.rules.get(result, {}))
                for result in self.rules.keys() | other.rules.keys()
            },
            dead_letters=Counter(self.dead_letters) + Counter(other.dead_letters),
            notes=Counter(self.notes) + Counter(other.notes),
            sizes=[*self.sizes, *other.sizes],
            alerts_put=Counter(self.alerts_put) + Counter(other.alerts_put),
            decision=self.decision.plus(other.decision),
            alert=self.alert.plus(other.alert),
            retries=Counter(self.retries) + Counter(other.retries),
            endpoint=self.endpoint.plus(other.endpoint),
            moments=self.moments.plus(other.moments),
        )


class BatchReports:
    """Reports in a local folder, one file a batch, taken up once.

    Args:
        folder: on the driver's machine.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def leave(self, batch_id: int, committed: Committed) -> None:
        """Writes a batch's report."""
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / f"{batch_id}.draft"
        draft.write_bytes(msgspec.json.encode(committed))
        draft.replace(self._folder / f"{batch_id}.json")

    def take(self) -> Iterator[tuple[int, Committed]]:
        """Reads the reports that are there, with the batch of each, and removes them.

        One that cannot be read, as a disk that was full may leave it, is logged and removed: metrics lack a batch.
        """
        for file in sorted(self._folder.glob("*.json")):
            data = file.read_bytes()
            file.unlink()
            try:
                batch, committed = int(file.stem), msgspec.json.decode(data, type=Committed)
            except (ValueError, RecursionError) as error:
                log.warning("report_not_read", report=file.name, problem=str(error))
            else:
                yield batch, committed
