"""Scores through a SageMaker endpoint, and without it when it does not answer in time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import cached_property

import pyarrow as pa
import structlog

from adapters.aws.clients import aws_client
from adapters.model.circuit_breaker import CircuitBreaker
from adapters.model.endpoint_call import EndpointCall, EndpointError
from adapters.model.endpoint_usage import EndpointUsage, FallbackReason
from adapters.model.invocation import ModelIdentity
from fraud.decision.record import ScoredBy
from fraud.decision.scorer import Contribution, RulesOnly, Scores, VersionedScorer
from fraud.records import Row
from fraud.settings import Aws, Endpoint, Model

log = structlog.get_logger()


class EndpointScorer:
    """A `fraud.decision.scorer.Scorer` over `sagemaker-runtime`; one for each process, used by one thread.

    A batch is cut into calls that run at the same time. When one fails for good, or the budget is used up, the whole
    batch is scored in process, and by rules alone where that fails too. After failures in a row the endpoint is left
    alone for a while.

    Args:
        place: names the endpoint, and its address where that is not AWS.
        calls: how it is called.
        aws: the region.
        fallback: the same model in process; it also explains.
        features: the model's, in its order.
        identity: of the model that must answer.
        usage: takes the counts.
        clock: seconds that never go back.
        sleep: waits so many seconds before another attempt.
        rng: draws the pauses.
    """

    def __init__(
        self,
        place: Model,
        calls: Endpoint,
        aws: Aws,
        fallback: VersionedScorer,
        features: tuple[str, ...],
        identity: ModelIdentity,
        usage: EndpointUsage,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._place = place
        self._calls = calls
        self._aws = aws
        self._fallback = fallback
        self._features = features
        self._identity = identity
        self._usage = usage
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._breaker = CircuitBreaker(calls.breaker_failures, calls.breaker_pause_s, clock)
        self._threads: ThreadPoolExecutor | None = None

    @property
    def model_version(self) -> str | None:
        """Of the model, wherever it runs."""
        return self._identity.version

    def score(self, features: pa.RecordBatch | Row) -> Scores:
        """The endpoint's scores, or the fallback's; takes no longer than the budget and the fallback together."""
        if isinstance(features, Row):  # a call takes milliseconds, a batch of one adds little to it
            return self.score_rows([features])[0]
        if not features.num_rows:
            return self._fall_back(features)
        call = self._call  # made on first use, before the budget begins: a client takes a while
        if not self._breaker.allows():
            self._usage.fell_back(FallbackReason.CIRCUIT_OPEN)
            return self._fall_back(features)
        try:
            scores = self._ask(call, features)
        except Exception as error:  # whatever ends a call must not end the job
            reason = error.reason if isinstance(error, EndpointError) else FallbackReason.FAILED
            self._breaker.failed()
            self._usage.fell_back(reason)
            log.error(
                "endpoint_did_not_score",
                endpoint=self._place.endpoint,
                reason=reason.value,
                detail=str(error),
                circuit=self._breaker.state.value,
            )
            return self._fall_back(features)
        self._breaker.succeeded()
        return Scores(scores, ScoredBy.ENDPOINT, self._identity.version)

    def score_rows(self, rows: Sequence[Row]) -> list[Scores]:
        """The same of several rows, in one batch."""
        columns = {name: pa.array([row.get(name) for row in rows], pa.float64()) for name in self._features}
        scores = self.score(pa.RecordBatch.from_pydict(columns))
        return [scores._replace(score=score) for score in scores.score.to_pylist()]

    def explain(self, features: pa.RecordBatch | Row) -> list[list[Contribution]]:
        """By the model in process: exact contributions are costly, and only alerts need them."""
        return self._fallback.explain(features)

    def _ask(self, call: EndpointCall, features: pa.RecordBatch) -> pa.Array:
        deadline_s = self._clock() + self._calls.budget_ms / 1000
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._calls.concurrency, "endpoint")
        step = self._calls.rows
        calls: list[Future[pa.Array]] = [
            self._threads.submit(call.score, features.slice(start, step), deadline_s)
            for start in range(0, features.num_rows, step)
        ]
        finished, unfinished = wait(calls, max(0.0, deadline_s - self._clock()), FIRST_EXCEPTION)
        failed = next((done.exception() for done in finished if done.exception() is not None), None)
        if failed is None and not unfinished:
            return pa.concat_arrays([done.result() for done in calls])
        # Calls under way end by their own time-outs; the next batch must not queue behind them.
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._threads = None
        raise failed or EndpointError(FallbackReason.TIMED_OUT, "the budget is used up")

    def _fall_back(self, features: pa.RecordBatch) -> Scores:
        try:
            return self._fallback.score(features)
        except Exception:  # the last resort must hold whatever a library raises
            log.exception("model_did_not_score", model=self._identity.version)
            return RulesOnly().score(features)

    @cached_property
    def _call(self) -> EndpointCall:
        client = aws_client(
            "sagemaker-runtime",
            Aws(endpoint_url=self._place.endpoint_url, region=self._aws.region),
            max_connections=self._calls.concurrency,
            max_attempts=1,
            connect_timeout=self._calls.connect_timeout_ms / 1000,
            read_timeout=self._calls.read_timeout_ms / 1000,
        )
        assert self._place.endpoint is not None
        return EndpointCall(
            client,
            self._place.endpoint,
            self._features,
            self._identity,
            self._calls,
            self._usage,
            self._clock,
            self._sleep,
            self._rng,
        )
