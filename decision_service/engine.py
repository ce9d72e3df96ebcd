"""Decides one transaction after the other: decode, fold, decide, seal. No disk, no network, no thread.

State changes with the answer: what is folded here is on its way to the journal in the same order, and a service that
cannot write there ends, so that its next start begins from what is durable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec
import structlog

from decision_service.answers import Kept, payment_of
from fraud.decision.decide import decide
from fraud.decision.key import Subject
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.record import Verdict
from fraud.decision.scorer import RulesOnly, Scorer, VersionedScorer
from fraud.entities import measured
from fraud.features.waiting import Change
from fraud.path import DUPLICATE, FeaturePath
from fraud.records import Records, Row
from fraud.records.answered import Answered, AnswerKey, fitted, is_sealed, packed, seal, unseal
from fraud.records.arrival import ARRIVAL_COLUMNS
from fraud.records.intake import Intake
from fraud.records.schema import milliseconds_of
from fraud.records.transaction import Transaction
from fraud.settings import Settings

_SHARD = "decide"
_WAITING = "/waiting"  # behind the name of an entity: the labels that wait beside its state
_CONTENT = [name for name in Transaction.__struct_fields__ if name not in ("sent_at", "recorded_arrival")]
_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode

log = structlog.get_logger()


class Answer(Verdict, frozen=True, kw_only=True, omit_defaults=False):
    """What is answered, as it is kept; the time it took and the like stand beside it.

    Attributes:
        decision_key: names the decision everywhere, see `fraud.decision.key`.
        card_token: of the transaction.
        transaction_id: of the transaction.
        event_time_ms: of the transaction, UTC milliseconds.
        received_ms: when it was received, UTC milliseconds.
        decided_ms: when it was decided, UTC milliseconds.
        instance: of the service.
        exact: by entity, whether its windows were whole.
    """

    decision_key: str
    card_token: str
    transaction_id: str
    event_time_ms: int
    received_ms: int
    decided_ms: int
    instance: str
    exact: dict[str, bool]


_SAID = [name for name in Answer.__struct_fields__ if name in Answered.__struct_fields__]
_said_by = attrgetter(*_SAID)


class Refusal(NamedTuple):
    """Why there is no decision.

    Attributes:
        reason: a reason of dead letters.
        field: at fault, where one is.
        detail: in words, without the record's values.
    """

    reason: str
    field: str | None
    detail: str


TAKEN = Refusal(DUPLICATE.reason, DUPLICATE.field, DUPLICATE.detail)
"""What a call gets whose transaction id the card has had, with other content."""


class Undecided(NamedTuple):
    """A transaction that is folded and not decided yet.

    Attributes:
        row: as `Engine.read` gave it.
        features: the row with its features.
        content: as `content_of` has it.
    """

    row: Row
    features: Row
    content: bytes


class Decided(NamedTuple):
    """A new decision.

    Attributes:
        record: with its decision, as the journal and the stream get it.
        card_token: what the stream is partitioned by.
        kept: the answer.
    """

    record: bytes
    card_token: str
    kept: Kept


TIMED = 16
"""One record in so many is timed and stands for all of them: reading a thread's clock takes as long as some stages."""


class Stages:
    """Where the time goes.

    Args:
        clock_ns: that never goes back.

    Attributes:
        spent: nanoseconds by stage since the start, estimated from one record in `TIMED`; `follow` is what the
            streams bring.
    """

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self.spent = dict.fromkeys(("decode", "fold", "decide", "seal", "follow"), 0)
        self._clock_ns = clock_ns
        self._records = 0
        self._timed = False

    def next(self) -> int:
        """Begins with another record, and its first stage."""
        self._records += 1
        self._timed = self._records % TIMED == 0
        return self.now()

    def now(self) -> int:
        """When a stage of the record begins; 0 of one that is not timed."""
        return self._clock_ns() if self._timed else 0

    def spend(self, stage: str, began: int) -> int:
        """Adds what a stage took; when the next one begins."""
        if not self._timed:
            return 0
        now = self._clock_ns()
        self.spent[stage] += (now - began) * TIMED
        return now


class Engine:
    """The state of the entities, and what decides.

    Args:
        settings: of the query.
        intake: decodes.
        policy: in force; exchange it between two calls.
        scorer: in force; likewise.
        keys: that answers are authenticated with, by id.
        signing: the key for new answers.
        instance: id of this process.
        clock_ns: for `stages`.
    """

    def __init__(
        self,
        settings: Settings,
        intake: Intake,
        policy: CompiledPolicy,
        scorer: VersionedScorer,
        keys: Mapping[str, AnswerKey],
        signing: AnswerKey,
        instance: str,
        clock_ns: Callable[[], int],
    ) -> None:
        self.policy, self.scorer = policy, scorer
        self.path = FeaturePath(settings)
        self.stages = Stages(clock_ns)
        self.instance = instance
        self._sent: set[bytes] = set()  # digests of own records that have not come back on the stream
        self._intake = intake
        self._stream = settings.streams.transactions
        self._keys, self._signing = keys, signing
        self._exact = [(entity.name, entity.exact_column) for entity in measured(settings.job)]
        self._features_of = itemgetter(*self.path.catalogue.names)

    def read(self, body: bytes, received_ms: int) -> Row | Refusal:
        """Decodes a transaction as one that arrives now on the stream."""
        if is_sealed(body):  # only the stream has those, and none gets a second answer
            return Refusal("unsupported_version", "schema_version", "carries an answer already: send version 1")
        began = self.stages.next()
        arrival = Row(stream=self._stream, shard=_SHARD, sequence_number="0", sub_sequence=0, arrival_ms=received_ms)
        records = self._intake.read_one(arrival, body)
        self.stages.spend("decode", began)
        if records.dead_letters is not None:
            return _refusal(records.dead_letters)
        return records.transactions  # type: ignore[return-value]

    def decide(self, row: Row, content: bytes, now_ms: Callable[[], int], in_time: bool) -> Decided | Refusal:
        """Decides a transaction and folds it.

        Args:
            row: as `read` gave it.
            content: as `content_of` has it.
            now_ms: UTC milliseconds.
            in_time: whether there is time for the model; rules alone answer otherwise.
        """
        undecided = self.begin(row, content)
        if isinstance(undecided, Refusal):
            return undecided
        return self.conclude(undecided, self.scorer if in_time else RulesOnly(), now_ms)

    def begin(self, row: Row, content: bytes) -> Undecided | Refusal:
        """Folds a transaction. Whatever was begun must be concluded in the same order."""
        began = self.stages.now()
        records = self.path.advance(Records(row))
        self.stages.spend("fold", began)
        if records.transactions is None:
            return _refusal(records.dead_letters)
        return Undecided(row, records.transactions, content)

    def conclude(self, undecided: Undecided, scorer: Scorer, now_ms: Callable[[], int]) -> Decided:
        """Decides what was folded."""
        row, featured, content = undecided
        began = self.stages.now()
        verdict = decide(featured, scorer, self.policy)
        began = self.stages.spend("decide", began)
        exact = {name: whole for name, column in self._exact if (whole := featured[column]) is not None}
        key = Subject.of(row).key
        answer = fitted(
            Answered(
                **verdict,
                decision_key=key,
                received_ms=row["arrival_ms"],
                decided_ms=now_ms(),
                instance=self.instance,
                exact=exact,
                catalogue=self.path.catalogue.hash,
                features=packed(self._features_of(featured)),
            )
        )
        if answer.left_out is not None:
            log.warning("answer_shortened", decision_key=key, left_out=answer.left_out, way_out="docs/decisions-api.md")
        record = seal(row["raw"], answer, self._signing)  # `read` has refused what carries an answer
        self._sent.add(_digest(record))
        decided = Decided(record, row["card_token"], kept(row, answer.answered, content))
        self.stages.spend("seal", began)
        return decided

    def follow(self, arrival: Sequence[Any], data: bytes) -> Kept | None:
        """Folds a record of a stream, unless it was decided here and comes back.

        Args:
            arrival: `fraud.records.arrival.ARRIVAL_COLUMNS`.
            data: as it is on the stream.

        Returns:
            The answer that it carries, where one counts that was not given here.
        """
        began = self.stages.next()
        digest = _digest(data)
        if digest in self._sent:
            self._sent.remove(digest)
            kept = None
        else:
            kept = self.fold(Row(zip(ARRIVAL_COLUMNS, arrival, strict=True)), data)
        self.stages.spend("follow", began)
        return kept

    def fold(self, arrival: Row, data: bytes) -> Kept | None:
        """Folds a record.

        Args:
            arrival: its place and arrival.
            data: as it is on the stream: with a decision, without one, or a label.

        Returns:
            The answer that it carries, where one counts.
        """
        records, answered = self._opened(arrival, data)
        if records.transactions is None and records.labels is None:
            return None
        self.path.advance(records)
        row: Row | None = records.transactions
        return None if row is None or answered is None else kept(row, answered, content_of(row))

    def fold_batch(self, records: Records) -> None:
        """Folds many records at once: columns, in the order in which a job folded them."""
        if records.transactions is not None or records.labels is not None:
            self.path.advance(records)

    def answer_on(self, arrival: Sequence[Any], data: bytes) -> Kept | None:
        """The answer that a record carries, where one counts; nothing is folded.

        Args:
            arrival: `fraud.records.arrival.ARRIVAL_COLUMNS`.
            data: as it is on the stream.
        """
        records, answered = self._opened(Row(zip(ARRIVAL_COLUMNS, arrival, strict=True)), data)
        row: Row | None = records.transactions
        return None if row is None or answered is None else kept(row, answered, content_of(row))

    def _opened(self, arrival: Row, data: bytes) -> tuple[Records, Answered | None]:
        opened = unseal(data, self._keys)
        if opened.answered is not None:
            arrival = Row(arrival, arrival_ms=opened.answered.received_ms)
        return self._intake.read_one(arrival, opened.record), opened.answered

    @property
    def cards(self) -> int:
        """How many cards are known."""
        return next(iter(self.path.states.values())).keys

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """The state in pieces, each with its entity."""
        for entity, state in self.path.states.items():
            for piece in state.dump():
                yield entity.name, piece
            yield f"{entity.name}{_WAITING}", msgspec.msgpack.encode(state.waiting.whole())

    def load(self, pieces: Iterator[tuple[str, bytes]]) -> None:
        """The inverse of `dump`, into an engine without state."""
        states = {entity.name: state for entity, state in self.path.states.items()}
        for name, piece in pieces:
            if name.endswith(_WAITING):
                states[name.removesuffix(_WAITING)].waiting.apply(msgspec.msgpack.decode(piece, type=Change))
            else:
                states[name].load(piece)


def content_of(row: Row) -> bytes:
    """A digest of a transaction, its send time aside."""
    return hashlib.blake2b(_pack(list(map(row.get, _CONTENT))), digest_size=16).digest()


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def kept(row: Row, answered: Answered, content: bytes) -> Kept:
    """The answer as it is kept."""
    answer = Answer(
        **dict(zip(_SAID, _said_by(answered), strict=True)),
        card_token=row["card_token"],
        transaction_id=row["transaction_id"],
        event_time_ms=milliseconds_of(row["event_time"]),
    )
    payment = payment_of(row["card_token"], row["transaction_id"])
    return Kept(answered.decision_key, payment, content, answered.received_ms, _encode(answer))


def _refusal(dead_letter: Any) -> Refusal:
    return Refusal(dead_letter["reason"], dead_letter["field"], dead_letter["detail"])
