"""One call: which errors are tried again, how often, and never beyond the deadline."""

from __future__ import annotations

import contextlib
import io
import random
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from hypothesis import given
from hypothesis import strategies as st

from adapters.aws.errors import ServiceClient
from adapters.model.endpoint_call import EndpointCall, EndpointError
from adapters.model.endpoint_usage import EndpointUsage, FallbackReason
from adapters.model.invocation import ModelIdentity, scores_to_stream
from fraud.settings import Endpoint

MODEL = ModelIdentity("v1", "d1")
ROWS = pa.RecordBatch.from_pydict({"amount": [1.0, 2.0]})
URL = {"endpoint_url": "http://127.0.0.1:1"}


def client_error(status: int, code: str = "Some", original: int | None = None) -> ClientError:
    response: dict[str, Any] = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    if original is not None:
        response["OriginalStatusCode"] = original
    return ClientError(response, "InvokeEndpoint")  # type: ignore[arg-type]


class Body(io.BytesIO):
    def __init__(self) -> None:
        super().__init__(scores_to_stream(pa.array([0.25, 0.75], pa.float64())))


class Client:
    """Fails as scripted, then answers; each attempt takes its time on a clock of its own."""

    def __init__(self, errors: list[Exception], takes_s: float = 0.0) -> None:
        self.errors = errors
        self.takes_s = takes_s
        self.now = 0.0
        self.began: list[float] = []
        self.paused: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.now += seconds

    def invoke_endpoint(self, **_: Any) -> dict[str, Any]:
        self.began.append(self.now)
        self.now += self.takes_s
        if self.errors:
            raise self.errors.pop(0)
        return {"Body": Body(), "CustomAttributes": MODEL.to_attributes()}


def call(client: Client, settings: Endpoint, usage: EndpointUsage | None = None, seed: int = 1) -> EndpointCall:
    rng = random.Random(seed)
    counts = usage or EndpointUsage()
    return EndpointCall(
        ServiceClient("sagemaker-runtime", client),
        "fraud",
        ("amount",),
        MODEL,
        settings,
        counts,
        client.clock,
        client.sleep,
        rng,
    )


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(**URL),
        ConnectTimeoutError(**URL),
        EndpointConnectionError(**URL),
        ConnectionClosedError(**URL),
        ResponseStreamingError(error="cut off"),
        client_error(500),
        client_error(503),
        client_error(429),
        client_error(400, "ThrottlingException"),
        client_error(424, "ModelError", 500),
        client_error(424, "ModelError", 503),
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    client, usage = Client([error]), EndpointUsage()
    assert call(client, Endpoint(attempts=2), usage).score(ROWS, 10.0).to_pylist() == [0.25, 0.75]
    assert (len(client.began), usage.retries, len(usage.answered_s)) == (2, 1, 1)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (client_error(400, "ValidationError"), FallbackReason.REFUSED),
        (client_error(403, "AccessDenied"), FallbackReason.REFUSED),
        (client_error(424, "ModelError", 400), FallbackReason.REFUSED),
        (client_error(413), FallbackReason.REFUSED),
        (NoCredentialsError(), FallbackReason.FAILED),
        (RuntimeError("a fault of a library"), FallbackReason.FAILED),
    ],
    ids=str,
)
def test_what_will_not_pass_is_not_tried_again(error: Exception, reason: FallbackReason) -> None:
    client = Client([error])
    with pytest.raises(EndpointError) as raised:
        call(client, Endpoint(attempts=3)).score(ROWS, 10.0)
    assert (raised.value.reason, len(client.began)) == (reason, 1)


def test_the_last_attempts_error_is_raised() -> None:
    client = Client([client_error(500), ReadTimeoutError(**URL), client_error(503, "Overloaded")])
    with pytest.raises(EndpointError) as raised:
        call(client, Endpoint(attempts=3)).score(ROWS, 10.0)
    assert (raised.value.reason, len(client.began)) == (FallbackReason.FAILED, 3)
    assert "Overloaded" in str(raised.value)


def test_pauses_are_drawn_below_a_bound_that_doubles() -> None:
    bounds_s = [0.1, 0.2, 0.4]
    drawn = []
    for seed in range(20):
        client = Client([client_error(500)] * 3)
        call(client, Endpoint(attempts=4, backoff_ms=100), seed=seed).score(ROWS, 10.0)
        assert all(0 <= pause <= bound for pause, bound in zip(client.paused, bounds_s, strict=True))
        drawn.append(tuple(client.paused))
    assert len(set(drawn)) == 20


@given(
    takes_s=st.floats(0.0, 2.0),
    deadline_s=st.floats(0.0, 3.0),
    attempts=st.integers(1, 8),
    failures=st.integers(0, 8),
    seed=st.integers(0, 1000),
)
def test_no_attempt_begins_after_the_deadline_or_beyond_the_number(
    takes_s: float, deadline_s: float, attempts: int, failures: int, seed: int
) -> None:
    client = Client([ReadTimeoutError(**URL) for _ in range(failures)], takes_s)
    scorer = call(client, Endpoint(attempts=attempts, backoff_ms=500), seed=seed)
    with contextlib.suppress(EndpointError):
        scorer.score(ROWS, deadline_s)
        assert len(client.began) == failures + 1
    assert all(began < deadline_s for began in client.began)
    assert len(client.began) <= attempts
