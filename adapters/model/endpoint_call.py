"""One call of a SageMaker endpoint: attempts within a deadline, and what went wrong in words."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from adapters.aws.backoff import Backoff
from adapters.aws.errors import translated
from adapters.model.endpoint_usage import EndpointUsage, FallbackReason
from adapters.model.invocation import (
    ARROW_STREAM,
    MAX_BODY_BYTES,
    ModelIdentity,
    rows_to_stream,
    scores_from_stream,
)
from fraud.errors import ServiceError, UnavailableError
from fraud.settings import Endpoint

_TIMED_OUT = {"ConnectTimeoutError", "ReadTimeoutError"}
_TRANSIENT_STATUSES = {408, 429}


class EndpointError(Exception):
    """The endpoint did not score.

    Args:
        reason: the kind.
        detail: in words.
        transient: whether another attempt may succeed.
    """

    def __init__(self, reason: FallbackReason, detail: str, transient: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.transient = transient


class EndpointCall:
    """Scores rows by `InvokeEndpoint`; safe to use from several threads.

    Args:
        client: of `sagemaker-runtime`, without retries of its own.
        name: of the endpoint.
        features: names in the model's order.
        identity: of the model that must answer.
        settings: attempts and backoff.
        usage: takes the counts.
        clock: seconds that never go back.
        sleep: waits so many seconds.
        rng: draws the pauses, so that many callers do not come back at the same instant.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        features: tuple[str, ...],
        identity: ModelIdentity,
        settings: Endpoint,
        usage: EndpointUsage,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        rng: random.Random,
    ) -> None:
        self._client = client
        self._name = name
        self._features = features
        self._identity = identity
        self._settings = settings
        self._usage = usage
        self._clock = clock
        self._sleep = sleep
        self._rng = rng

    def score(self, rows: pa.RecordBatch, deadline_s: float) -> pa.Array:
        """The scores of the rows, in their order.

        Args:
            rows: at least the model's features.
            deadline_s: by the clock; no attempt begins later.

        Raises:
            EndpointError: the last attempt failed, or the error is not transient.
        """
        body = rows_to_stream(rows, self._features)
        first_s = self._settings.backoff_ms / 1000
        backoff = Backoff(
            first_s,
            math.inf,
            attempts=self._settings.attempts,
            deadline_s=deadline_s,
            clock=self._clock,
            sleep=self._sleep,
            rng=self._rng,
        )
        while True:
            began = self._clock()
            if began >= deadline_s:
                raise EndpointError(FallbackReason.TIMED_OUT, "the budget is used up")
            try:
                scores = self._attempt(body, rows.num_rows)
            except EndpointError as error:
                if not error.transient or not backoff.pause():
                    raise
                self._usage.retried()
            else:
                self._usage.answered(self._clock() - began)
                return scores

    def _attempt(self, body: bytes, rows: int) -> pa.Array:
        try:
            answer = self._client.invoke_endpoint(
                EndpointName=self._name, Body=body, ContentType=ARROW_STREAM, Accept=ARROW_STREAM
            )
            with translated("sagemaker-runtime", "InvokeEndpoint"):
                content = _content(answer["Body"])
        except EndpointError:
            raise
        except Exception as error:  # whatever a remote call can end in must not end the job
            raise _endpoint_error(error) from error
        identity = ModelIdentity.from_attributes(answer.get("CustomAttributes", ""))
        if identity != self._identity:
            found = "nothing" if identity is None else identity.to_attributes()
            detail = f"wanted {self._identity.to_attributes()}, the endpoint says {found}"
            raise EndpointError(FallbackReason.WRONG_MODEL, detail)
        try:
            return scores_from_stream(content, rows)
        except ValueError as error:
            raise EndpointError(FallbackReason.BAD_ANSWER, " ".join(str(error).split())) from error


def _content(body: Any) -> bytes:
    content: bytes = body.read(MAX_BODY_BYTES)
    if len(content) == MAX_BODY_BYTES:
        body.close()  # the rest stays unread
        raise EndpointError(FallbackReason.BAD_ANSWER, f"the answer has {MAX_BODY_BYTES} bytes or more")
    body.read(1)  # at its end the body's length is compared with what the answer said
    return content


def _endpoint_error(error: Exception) -> EndpointError:
    detail = " ".join(str(error).split())
    if not isinstance(error, ServiceError):
        return EndpointError(FallbackReason.FAILED, detail)
    if error.code in _TIMED_OUT:
        return EndpointError(FallbackReason.TIMED_OUT, detail, transient=True)
    if error.status is None:
        return EndpointError(FallbackReason.FAILED, detail, isinstance(error, UnavailableError))
    transient = error.throttled or error.status >= 500 or error.status in _TRANSIENT_STATUSES
    return EndpointError(FallbackReason.FAILED if transient else FallbackReason.REFUSED, detail, transient)
