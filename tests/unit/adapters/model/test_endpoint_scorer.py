"""The endpoint over real HTTP: equal scores, faults of every kind, bounded time, nothing lost or scored twice."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model.endpoint_scorer import EndpointScorer
from adapters.model.endpoint_usage import EndpointUsage
from adapters.model.invocation import MAX_BODY_BYTES, ModelIdentity, scores_from_stream, scores_to_stream
from fraud.decision.record import ScoredBy
from fraud.decision.scorer import RulesOnly, Scores, VersionedScorer
from fraud.settings import Aws, Endpoint, Model
from ml_model.predict import InProcessScorer
from tests.support.model_features import random_features
from tests.support.model_server import model_server
from tests.support.scripted_endpoint import Answer, ScriptedEndpoint

SHIPPED = Path(__file__).parents[4] / "config" / "model" / "champion"
FEATURES = random_features(1_200)
FEW = FEATURES.slice(0, 40)
UNBOUNDED = Endpoint(budget_ms=60_000, connect_timeout_ms=60_000, read_timeout_ms=60_000, backoff_ms=0)
"""For tests of what happens, not of how long it takes: a busy machine must not time out."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def model() -> InProcessScorer:
    return InProcessScorer.load(SHIPPED)


@pytest.fixture
def endpoint(model: InProcessScorer) -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint(model, model.description.features, model.identity) as server:
        yield server


class Opened:
    """A scorer over an endpoint, and what its calls cost."""

    def __init__(
        self,
        model: InProcessScorer,
        url: str,
        how: Endpoint = UNBOUNDED,
        fallback: VersionedScorer | None = None,
        **other: Any,
    ) -> None:
        place = Model(endpoint="fraud", endpoint_url=url)
        self.usage = EndpointUsage()
        names, identity = model.description.features, model.identity
        self.scorer = EndpointScorer(place, how, Aws(), fallback or model, names, identity, self.usage, **other)

    def scored_by(self, features: pa.RecordBatch = FEW) -> ScoredBy:
        return self.scorer.score(features).scored_by

    @property
    def fallbacks(self) -> dict[str, int]:
        return dict(self.usage.fallbacks)


def test_the_server_and_the_model_in_process_give_equal_scores(model: InProcessScorer) -> None:
    with model_server(model) as url:
        opened = Opened(model, url)
        scores = opened.scorer.score(FEATURES)
    wanted = model.score(FEATURES)
    assert scores.score.equals(wanted.score)
    assert (scores.scored_by, scores.model_version) == (ScoredBy.ENDPOINT, wanted.model_version)
    assert (len(opened.usage.answered_s), opened.fallbacks) == (3, {})  # 500 + 500 + 200 rows


def test_reasons_come_from_the_model_in_process(model: InProcessScorer, endpoint: ScriptedEndpoint) -> None:
    opened = Opened(model, endpoint.url)
    assert opened.scorer.explain(FEW.slice(0, 3)) == model.explain(FEW.slice(0, 3))
    assert endpoint.calls == 0


def test_nothing_to_score_asks_nothing(model: InProcessScorer, endpoint: ScriptedEndpoint) -> None:
    assert len(Opened(model, endpoint.url).scorer.score(FEATURES.slice(0, 0)).score) == 0
    assert endpoint.calls == 0


def test_a_batch_is_cut_into_calls_that_run_at_the_same_time(
    model: InProcessScorer, endpoint: ScriptedEndpoint
) -> None:
    together = threading.Barrier(3)

    def answer(_: int) -> Answer:
        return endpoint.honest._replace(wait_for=_BarrierEvent(together))

    endpoint.script = answer
    opened = Opened(model, endpoint.url, UNBOUNDED.model_copy(update={"rows": 400, "concurrency": 3}))
    scores = opened.scorer.score(FEATURES)
    assert scores.score.equals(model.score(FEATURES).score)
    assert (sorted(endpoint.rows), endpoint.max_at_once) == ([400, 400, 400], 3)


class _BarrierEvent(threading.Event):
    """Waits for all calls: none is answered before all have arrived."""

    def __init__(self, barrier: threading.Barrier) -> None:
        super().__init__()
        self._barrier = barrier

    def wait(self, timeout: float | None = None) -> bool:
        return self._barrier.wait(timeout) >= 0


@pytest.mark.parametrize(
    "fault",
    [Answer(status=500), Answer(status=503), Answer(status=429), Answer(drop=True)],
    ids=["500", "503", "429", "dropped"],
)
def test_a_fault_that_passes_is_tried_again(model: InProcessScorer, endpoint: ScriptedEndpoint, fault: Answer) -> None:
    endpoint.script = lambda n: fault if n == 0 else endpoint.honest
    opened = Opened(model, endpoint.url)
    assert opened.scored_by() is ScoredBy.ENDPOINT
    assert (endpoint.calls, opened.usage.retries, opened.fallbacks) == (2, 1, {})


@pytest.mark.parametrize(
    ("fault", "calls", "reason"),
    [
        (Answer(status=500), 3, "failed"),
        (Answer(drop=True), 3, "failed"),
        (Answer(status=400), 1, "refused"),
        (Answer(status=403), 1, "refused"),
        (
            _error := Answer(424, None, b'{"OriginalStatusCode": 400}', headers={"x-amzn-ErrorType": "ModelError"}),
            1,
            "refused",
        ),
        (_error._replace(body=b'{"OriginalStatusCode": 500}'), 3, "failed"),
    ],
    ids=["500", "dropped", "400", "403", "model says 400", "model says 500"],
)
def test_a_fault_that_stays_is_scored_in_process(
    model: InProcessScorer, endpoint: ScriptedEndpoint, fault: Answer, calls: int, reason: str
) -> None:
    endpoint.script = lambda _: fault
    opened = Opened(model, endpoint.url)
    scores = opened.scorer.score(FEW)
    assert scores.score.equals(model.score(FEW).score)
    assert (scores.scored_by, scores.model_version) == (ScoredBy.IN_PROCESS, model.description.version)
    assert (endpoint.calls, opened.fallbacks) == (calls, {reason: 1})


@pytest.mark.parametrize(
    "identity",
    [ModelIdentity("another", "1"), None],
    ids=["another version", "says nothing"],
)
def test_another_model_is_logged_and_not_believed(
    model: InProcessScorer, endpoint: ScriptedEndpoint, identity: ModelIdentity | None
) -> None:
    endpoint.script = lambda _: endpoint.honest._replace(identity=identity)
    opened = Opened(model, endpoint.url)
    with structlog.testing.capture_logs() as logs:
        assert opened.scored_by() is ScoredBy.IN_PROCESS
    assert (endpoint.calls, opened.fallbacks) == (1, {"wrong_model": 1})
    assert [(entry["log_level"], entry["reason"]) for entry in logs] == [("error", "wrong_model")]
    assert model.description.version in logs[0]["detail"]


def test_other_feature_definitions_are_another_model(model: InProcessScorer, endpoint: ScriptedEndpoint) -> None:
    other = ModelIdentity(model.description.version, "otherdefinitions")
    endpoint.script = lambda _: endpoint.honest._replace(identity=other)
    opened = Opened(model, endpoint.url)
    assert opened.scored_by() is ScoredBy.IN_PROCESS
    assert opened.fallbacks == {"wrong_model": 1}


GOOD = [0.5] * FEW.num_rows


def bomb(rows: int) -> bytes:
    """A short body that unpacks to a gigabyte of zeros."""
    column = pa.array([0.0]).take(pa.array(np.zeros(1 << 20, np.int64)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema({"score": pa.float64()}), options=COMPRESSED) as writer:
        for _ in range(rows // len(column)):
            writer.write_batch(pa.RecordBatch.from_arrays([column], ["score"]))
    return bytes(sink.getvalue())


COMPRESSED = pa.ipc.IpcWriteOptions(compression="zstd")
BAD_ANSWERS = {
    "junk": b"junk",
    "nothing": b"\0",
    "JSON": b'{"predictions": [0.5]}',
    "too few": scores_to_stream(pa.array(GOOD[1:])),
    "too many": scores_to_stream(pa.array([*GOOD, 0.5])),
    "nulls": scores_to_stream(pa.nulls(len(GOOD), pa.float64())),
    "NaN": scores_to_stream(pa.array([*GOOD[1:], math.nan])),
    "infinity": scores_to_stream(pa.array([math.inf, *GOOD[1:]])),
    "7": scores_to_stream(pa.array([*GOOD[1:], 7.0])),
    "below 0": scores_to_stream(pa.array([*GOOD[1:], -1e-9])),
    "integers": scores_to_stream(pa.array([1] * len(GOOD))),
    "texts": scores_to_stream(pa.array(["0.5"] * len(GOOD))),
    "nested": scores_to_stream(pa.array([[0.5]] * len(GOOD))),
    "dictionary": scores_to_stream(pa.array(GOOD).dictionary_encode()),
    "cut off": scores_to_stream(pa.array(GOOD))[:-40],
    "too large": b"x" * (MAX_BODY_BYTES + 1),
    "a bomb": bomb(1 << 27),
}


@pytest.mark.parametrize("body", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_an_answer_that_is_not_a_probability_for_each_row_is_not_taken(
    model: InProcessScorer, endpoint: ScriptedEndpoint, body: bytes
) -> None:
    endpoint.script = lambda _: endpoint.honest._replace(body=body)
    opened = Opened(model, endpoint.url)
    with structlog.testing.capture_logs() as logs:
        assert opened.scored_by() is ScoredBy.IN_PROCESS
    assert (endpoint.calls, opened.fallbacks) == (1, {"bad_answer": 1})
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("endpoint_did_not_score", "bad_answer")]


@given(st.integers(0, 1_000), st.binary(max_size=8), st.integers(0, 1_000))
@settings(max_examples=200, deadline=None)
def test_a_damaged_answer_is_refused_or_holds_one_probability_for_each_row(at: int, junk: bytes, cut: int) -> None:
    whole = scores_to_stream(pa.array(GOOD))
    damaged = (whole[: at % len(whole)] + junk + whole[at % len(whole) + len(junk) :])[: len(whole) - cut % 200]
    try:
        scores = scores_from_stream(damaged, len(GOOD))
    except ValueError:
        return
    assert len(scores) == len(GOOD)
    assert all(0 <= score <= 1 for score in scores.to_pylist())


class Forest:
    """Trees that give what they were made with."""

    def __init__(self, raw: float) -> None:
        self.raw = raw

    def inplace_predict(self, matrix: Any, predict_type: str) -> Any:
        return np.full(len(matrix), self.raw, np.float32)


@pytest.mark.parametrize(("raw", "by"), [(math.nan, ScoredBy.RULES_ONLY), (math.inf, ScoredBy.IN_PROCESS)])
def test_trees_that_give_no_number_leave_the_decision_to_the_rules(
    model: InProcessScorer, raw: float, by: ScoredBy
) -> None:
    scores = InProcessScorer(Forest(raw), model.description).score(FEW)
    assert scores.scored_by is by
    assert all(score is None or 0 <= score <= 1 for score in scores.score.to_pylist())


def test_one_failed_call_of_a_batch_sends_the_whole_batch_to_the_fallback(
    model: InProcessScorer, endpoint: ScriptedEndpoint
) -> None:
    endpoint.script = lambda n: Answer(status=400) if n == 1 else endpoint.honest
    scores = Opened(model, endpoint.url).scorer.score(FEATURES)
    assert scores.scored_by is ScoredBy.IN_PROCESS
    assert scores.score.equals(model.score(FEATURES).score)


def test_a_hanging_endpoint_takes_no_longer_than_the_budget_and_holds_up_no_later_batch(
    model: InProcessScorer, endpoint: ScriptedEndpoint
) -> None:
    release = threading.Event()
    endpoint.script = lambda n: endpoint.honest._replace(wait_for=release) if n == 0 else endpoint.honest
    how = UNBOUNDED.model_copy(update={"budget_ms": 1_000, "concurrency": 1, "breaker_failures": 100})
    hasty = Opened(model, endpoint.url, how)
    assert hasty.scored_by() is ScoredBy.IN_PROCESS
    assert not release.is_set()  # the first call hangs to this moment
    assert hasty.fallbacks == {"timed_out": 1}
    assert any(hasty.scored_by() is ScoredBy.ENDPOINT for _ in range(20))  # its only thread is not taken
    release.set()


def test_an_attempt_that_hangs_is_given_up_and_made_again(model: InProcessScorer, endpoint: ScriptedEndpoint) -> None:
    release = threading.Event()
    endpoint.script = lambda n: endpoint.honest._replace(wait_for=release) if n == 0 else endpoint.honest
    opened = Opened(model, endpoint.url, UNBOUNDED.model_copy(update={"read_timeout_ms": 2_000}))
    assert opened.scored_by() is ScoredBy.ENDPOINT
    assert not release.is_set()
    assert opened.usage.retries >= 1
    release.set()


def test_after_failures_in_a_row_the_endpoint_is_left_alone_until_the_pause_is_over(
    model: InProcessScorer, endpoint: ScriptedEndpoint
) -> None:
    clock = Clock()
    endpoint.script = lambda _: Answer(status=500)
    how = UNBOUNDED.model_copy(update={"attempts": 1, "breaker_failures": 2, "breaker_pause_s": 10.0})
    opened = Opened(model, endpoint.url, how, clock=clock)
    assert [opened.scored_by() for _ in range(5)] == [ScoredBy.IN_PROCESS] * 5
    assert (endpoint.calls, opened.fallbacks) == (2, {"failed": 2, "circuit_open": 3})
    clock.now = 10.0
    opened.scored_by()
    opened.scored_by()
    assert (endpoint.calls, opened.fallbacks) == (3, {"failed": 3, "circuit_open": 4})  # one attempt, open again
    endpoint.script = lambda _: endpoint.honest
    clock.now = 20.0
    assert [opened.scored_by() for _ in range(2)] == [ScoredBy.ENDPOINT] * 2


def test_an_endpoint_gone_and_back_again_changes_no_score(model: InProcessScorer) -> None:
    clock = Clock()
    how = UNBOUNDED.model_copy(update={"breaker_failures": 1, "breaker_pause_s": 10.0})
    served = (model, model.description.features, model.identity)
    found = []
    with ScriptedEndpoint(*served) as first:
        port = first.port
        opened = Opened(model, first.url, how, clock=clock)
        found += [opened.scorer.score(FEATURES.slice(100 * n, 100)) for n in range(4)]
    found += [opened.scorer.score(FEATURES.slice(100 * n, 100)) for n in range(4, 8)]
    clock.now = 10.0
    with ScriptedEndpoint(*served, port=port):
        found += [opened.scorer.score(FEATURES.slice(100 * n, 100)) for n in range(8, 12)]
    by = [scores.scored_by for scores in found]
    assert by == [ScoredBy.ENDPOINT] * 4 + [ScoredBy.IN_PROCESS] * 4 + [ScoredBy.ENDPOINT] * 4
    assert pa.concat_arrays([scores.score for scores in found]).equals(model.score(FEATURES).score)


class BrokenModel(RulesOnly):
    def score(self, features: pa.RecordBatch) -> Scores:
        raise MemoryError("no room for the trees")


def test_without_endpoint_and_model_the_rules_decide_alone(model: InProcessScorer, endpoint: ScriptedEndpoint) -> None:
    endpoint.script = lambda _: Answer(status=500)
    scores = Opened(model, endpoint.url, fallback=BrokenModel()).scorer.score(FEW)
    assert (scores.scored_by, scores.model_version) == (ScoredBy.RULES_ONLY, None)
    assert scores.score.null_count == FEW.num_rows


def test_what_calls_have_cost_is_handed_over_once(model: InProcessScorer, endpoint: ScriptedEndpoint) -> None:
    opened = Opened(model, endpoint.url)
    opened.scored_by()
    assert len(opened.usage.take().answered_s) == 1
    assert opened.usage.take().answered_s == []
