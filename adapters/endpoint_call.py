"""One call of a SageMaker endpoint: attempts within a deadline, and what went wrong in words."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from botocore.exceptions import (
    ClientError,
    ConnectionError,
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from adapters.endpoint_usage import EndpointUsage, FallbackReason
from fraud.invocation import ARROW_STREAM, ModelIdentity, rows_to_stream, scores_from_stream
from fraud.settings import Endpoint

_THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "ModelNotReadyException"}
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
        for attempt in range(1, self._settings.attempts + 1):
            began = self._clock()
            if began >= deadline_s:
                raise EndpointError(FallbackReason.TIMED_OUT, "the budget is used up")
            try:
                scores = self._attempt(body, rows.num_rows)
            except EndpointError as error:
                pause_s = self._rng.uniform(0.0, self._settings.backoff_ms / 1000 * 2 ** (attempt - 1))
                last = attempt == self._settings.attempts or self._clock() + pause_s >= deadline_s
                if last or not error.transient:
                    raise
                self._usage.retried()
                self._sleep(pause_s)
            else:
                self._usage.answered(self._clock() - began)
                return scores
        raise AssertionError("at least one attempt is made")

    def _attempt(self, body: bytes, rows: int) -> pa.Array:
        try:
            answer = self._client.invoke_endpoint(
                EndpointName=self._name, Body=body, ContentType=ARROW_STREAM, Accept=ARROW_STREAM
            )
            content = answer["Body"].read()
        except Exception as error:  # whatever a remote call can end in must not end the job
            raise _endpoint_error(error) from error
        identity = ModelIdentity.from_attributes(answer.get("CustomAttributes", ""))
        if identity != self._identity:
            found = "nothing" if identity is None else identity.to_attributes()
            detail = f"wanted {self._identity.to_attributes()}, the endpoint says {found}"
            raise EndpointError(FallbackReason.WRONG_MODEL, detail)
        try:
            return scores_from_stream(content, rows)
        except (ValueError, KeyError) as error:
            raise EndpointError(FallbackReason.BAD_ANSWER, str(error)) from error


def _endpoint_error(error: Exception) -> EndpointError:
    detail = " ".join(str(error).split())
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
        return EndpointError(FallbackReason.TIMED_OUT, detail, transient=True)
    if isinstance(error, ClientError):
        transient = _is_transient(error.response)
        return EndpointError(FallbackReason.FAILED if transient else FallbackReason.REFUSED, detail, transient)
    transient = isinstance(error, ConnectionError | HTTPClientError | ResponseStreamingError)
    return EndpointError(FallbackReason.FAILED, detail, transient)


def _is_transient(response: Mapping[str, Any]) -> bool:
    """Whether an error answer may pass; SageMaker wraps what the container says into a `ModelError` of its own."""
    status = int(response.get("OriginalStatusCode") or response["ResponseMetadata"]["HTTPStatusCode"])
    return status >= 500 or status in _TRANSIENT_STATUSES or response["Error"].get("Code") in _THROTTLED
