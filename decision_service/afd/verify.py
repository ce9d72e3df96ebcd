"""Replays predictions that Amazon Fraud Detector made, and says where the imported rules answer otherwise.

The decision core decides the recorded events in their order, with the scores that were recorded: what differs is the
rules' own doing.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from decision_service.afd.detector import Served
from decision_service.afd.errors import ApiError
from decision_service.afd.predictions import Predictions
from decision_service.afd.refusals import reader_of, refused
from decision_service.afd.requests import GetEventPrediction, event_of, time_of_text
from decision_service.engine import Answer, Engine, Refusal
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.record import ScoredBy
from fraud.decision.scorer import Contribution, Scores, rows_of
from fraud.errors import MisconfiguredError
from fraud.migration.convert import SCORE_SCALE
from fraud.records import Row
from fraud.records.answered import AnswerKey
from fraud.records.intake import Intake
from fraud.records.schema import milliseconds_of
from fraud.settings import Settings


class _Score(msgspec.Struct):
    scores: dict[str, float] = {}


class _Result(msgspec.Struct, rename="camel"):
    rule_id: str


class _Answer(msgspec.Struct, rename="camel"):
    rule_results: list[_Result] = []
    model_scores: list[_Score] = []


class Recorded(msgspec.Struct):
    """A line of a recording: the arguments of GetEventPrediction, and what was answered."""

    request: GetEventPrediction
    response: _Answer


_read = msgspec.json.Decoder(Recorded).decode
_read_answer = msgspec.json.Decoder(Answer).decode


@dataclass
class Verified:
    """What a comparison found.

    Attributes:
        alike: events on which the same rules matched.
        refused: events that are not decided here, by the reason.
        only_there: by rule, on how many of the others it matched there and not here.
        only_here: the other way round.
        first: by rule, the id of the first such event.
    """

    alike: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    only_there: Counter[str] = field(default_factory=Counter)
    only_here: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    differing: int = 0

    def add(self, event_id: str, there: set[str], here: set[str]) -> None:
        """Takes the rules that matched on an event."""
        if there == here:
            self.alike += 1
            return
        self.differing += 1
        self.only_there.update(there - here)
        self.only_here.update(here - there)
        for rule in there ^ here:
            self.first.setdefault(rule, event_id)

    def lines(self) -> list[str]:
        """What was found, a line each."""
        compared = self.alike + self.differing
        found = [f"{compared:,} answers compared: {self.alike:,} alike, {self.differing:,} differ"]
        for rule in sorted(self.first):
            there, here = self.only_there[rule], self.only_here[rule]
            found.append(f"rule {rule}: matched {there:,} times only there, {here:,} times only here, first on "
                         f"{self.first[rule]}")  # fmt: skip
        return found + [f"{count:,} not decided here: {reason}" for reason, count in self.refused.most_common()]


class _RecordedScore:
    """Gives the score that was recorded."""

    model_version = "recorded"

    def __init__(self) -> None:
        self.score_of_event: float | None = None

    def score(self, features: pa.RecordBatch | Row) -> Scores:  # noqa: ARG002 - as all scorers
        by = ScoredBy.RULES_ONLY if self.score_of_event is None else ScoredBy.IN_PROCESS
        return Scores(self.score_of_event, by, self.model_version)

    def explain(self, features: pa.RecordBatch | Row) -> list[list[Contribution]]:
        return [[] for _ in range(rows_of(features))]


def verify(served: Served, policy: CompiledPolicy, lines: Iterable[bytes], file: str, settings: Settings) -> Verified:
    """Compares recorded answers with ours.

    Args:
        served: the imported detector.
        policy: that it became.
        lines: `Recorded` as JSON, in the order in which they were answered.
        file: where they are from, for messages.
        settings: of the query.

    Raises:
        MisconfiguredError: a line is none.
    """
    scorer, key = _RecordedScore(), AnswerKey("verify", secrets.token_bytes(32))
    intake = Intake.of(settings)
    engine = Engine(settings, intake, policy, scorer, {key.id: key}, key, "verify", lambda: 0)
    predictions, found = Predictions(served), Verified()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            recorded = _read(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MisconfiguredError(f"{file}, line {number}", f"no recorded answer: {error}") from None
        scores = [score for scored in recorded.response.model_scores for score in scored.scores.values()]
        scorer.score_of_event = min(1.0, scores[0] / SCORE_SCALE) if scores else None
        try:
            here = _matched(served, engine, predictions, policy, recorded.request)
        except ApiError as error:
            found.refused[error.message] += 1
            continue
        there = {result.rule_id for result in recorded.response.rule_results}
        found.add(recorded.request.event_id, there, here)
    return found


def _matched(
    served: Served, engine: Engine, predictions: Predictions, policy: CompiledPolicy, asked: GetEventPrediction
) -> set[str]:
    """The rules that match here on an event, which is taken to have been received when it happened."""
    reader = reader_of(served, asked.event_type_name)
    at: dt.datetime = time_of_text("eventTimestamp", asked.event_timestamp)
    record = reader.record(event_of(asked), at)
    row = engine.read(record, milliseconds_of(at))
    decided = row if isinstance(row, Refusal) else engine.decide(row, b"", lambda: milliseconds_of(at), True)
    if isinstance(decided, Refusal):
        raise refused(decided, reader)
    verdict = _read_answer(decided.kept.answer)
    results: list[dict[str, Any]] = predictions.rule_results(record, verdict, policy)
    return {result["ruleId"] for result in results}
