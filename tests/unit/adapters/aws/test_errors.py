"""What boto3 raises becomes an error of ours with service, operation and code, sorted by what the caller must do."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    WaiterError,
)
from botocore.parsers import ResponseParserError

from adapters.aws.clients import aws_client
from adapters.aws.errors import ServiceClient
from fraud.errors import RefusedError, RetryableError, ServiceError, UnavailableError
from fraud.settings import Aws

AWAY = {"endpoint_url": "http://127.0.0.1:1"}


def refused(code: str, message: str = "no", **answer: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}} | answer
    return ClientError(response, "PutObject")


def raised(error: Exception) -> ServiceError:
    def put_object(**_: Any) -> None:
        raise error

    with pytest.raises(ServiceError) as caught:
        ServiceClient("s3", SimpleNamespace(put_object=put_object)).put_object(Bucket="b")
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        refused("SlowDown"),
        refused("ThrottlingException"),
        refused("ProvisionedThroughputExceededException"),
        refused("InternalError"),
        refused("ConditionalRequestConflict"),
        refused("ExpiredTokenException"),
        EndpointConnectionError(**AWAY),
        ReadTimeoutError(**AWAY),
        ResponseParserError("cut off"),
    ],
    ids=str,
)
def test_what_may_pass_is_retryable(error: Exception) -> None:
    assert isinstance(raised(error), UnavailableError)
    assert isinstance(raised(error), RetryableError)


@pytest.mark.parametrize(
    "error",
    [
        refused("AccessDenied"),
        refused("NoSuchBucket"),
        refused("ResourceNotFoundException"),
        refused("ValidationException"),
        refused("PreconditionFailed"),
        refused("ConditionalCheckFailedException"),
        NoCredentialsError(),
    ],
    ids=str,
)
def test_what_will_not_pass_is_refused(error: Exception) -> None:
    found = raised(error)
    assert isinstance(found, RefusedError)
    assert not isinstance(found, RetryableError)
    assert found.exit_code == 2


def test_service_operation_and_code_are_said_in_one_line() -> None:
    found = raised(refused("AccessDenied", "not\n  you", ResponseMetadata={"HTTPStatusCode": 403}))
    assert str(found) == "s3 PutObject: AccessDenied: not you"
    assert (found.service, found.operation, found.code, found.status) == ("s3", "PutObject", "AccessDenied", 403)


def test_what_a_container_answered_counts_and_not_what_wraps_it() -> None:
    assert raised(refused("ModelError", OriginalStatusCode=500, ResponseMetadata={"HTTPStatusCode": 424})).status == 500


def test_a_limit_on_the_rate_is_reported_apart() -> None:
    codes = {"ThrottlingException", "ProvisionedThroughputExceededException", "LimitExceededException", "InternalError"}
    assert {code for code in codes if raised(refused(code)).throttled} == codes - {"InternalError"}


def test_pages_and_waiters_fail_likewise() -> None:
    def broken(**_: Any) -> Iterator[Any]:
        yield {"page": 1}
        raise refused("SlowDown")

    def waiting(**_: Any) -> None:
        raise WaiterError("table_exists", "Max attempts exceeded", {})

    fake = SimpleNamespace(
        get_paginator=lambda _: SimpleNamespace(paginate=broken), get_waiter=lambda _: SimpleNamespace(wait=waiting)
    )
    client = ServiceClient("s3", fake)
    pages = client.pages("list_objects_v2")
    assert next(pages) == {"page": 1}
    with pytest.raises(UnavailableError, match="SlowDown"):
        next(pages)
    with pytest.raises(ServiceError, match="Max attempts exceeded"):
        client.get_waiter("table_exists").wait()


def test_an_error_that_is_none_of_boto3_passes_as_it_is() -> None:
    def put_object(**_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ServiceClient("s3", SimpleNamespace(put_object=put_object)).put_object()


def test_a_service_that_is_not_there_is_said_with_its_call() -> None:
    client = aws_client("s3", Aws(**AWAY), max_attempts=1, connect_timeout=1)
    with pytest.raises(UnavailableError, match=r"s3 ListBuckets: EndpointConnectionError: .*127\.0\.0\.1:1"):
        client.list_buckets()
