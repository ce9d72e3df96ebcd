"""The one place where what boto3 raises becomes an error of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.parsers import ResponseParserError

from fraud.errors import RefusedError, ServiceError, UnavailableError

_REFUSED = frozenset(
    {
        # Rights and credentials
        "AccessDenied",
        "AccessDeniedException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "AuthorizationError",
        "UnrecognizedClientException",
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "403",
        # Names
        "NoRegionError",
        "NoSuchBucket",
        "NoSuchKey",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "NotFound",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "404",
        # Requests
        "InvalidArgument",
        "InvalidArgumentException",
        "ItemCollectionSizeLimitExceeded",
        "ParamValidationError",
        "ValidationError",
        "ValidationException",
        # Conditions, and limits that a person raises
        "BucketAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "ConditionalCheckFailed",
        "ConditionalCheckFailedException",
        "DuplicateItem",
        "PreconditionFailed",
        "ResourceLimitExceeded",
        "412",
    }
)
"""Codes of errors that waiting does not fix, of all services that are called; all others may pass.

409 `ConditionalRequestConflict` of S3 is not among them: another write of the same key was under way, and nothing was
stored (S3 user guide, conditional writes).
"""

_NO_CREDENTIALS = "no AWS credentials found; run `aws sso login` or set AWS_PROFILE"


def may_pass(code: str) -> bool:
    """Whether what failed with a code may succeed later.

    >>> may_pass("ThrottlingException"), may_pass("AccessDenied")
    (True, False)
    """
    return code not in _REFUSED


@contextmanager
def translated(service: str, operation: str) -> Iterator[None]:
    """Turns what boto3 raises inside the context into errors of ours.

    Args:
        service: as boto3 names it, e.g. `s3`.
        operation: that is called, e.g. `PutObject`.

    Raises:
        UnavailableError: the call may succeed later.
        RefusedError: it will not.
    """
    try:
        yield
    except ClientError as error:
        answer: Any = error.response
        code, detail = str(answer["Error"].get("Code", "Unknown")), str(answer["Error"].get("Message", ""))
        # SageMaker wraps what a container answers into an answer of its own.
        status = answer.get("OriginalStatusCode") or answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        raise service_error(service, error.operation_name, code, detail, status) from error
    except NoCredentialsError as error:
        raise service_error(service, operation, type(error).__name__, _NO_CREDENTIALS) from error
    except (BotoCoreError, HTTPClientError, ResponseParserError) as error:
        raise service_error(service, operation, type(error).__name__, str(error)) from error


def service_error(service: str, operation: str, code: str, detail: str, status: int | None = None) -> ServiceError:
    """The error of ours that a service's code stands for; see `fraud.errors.ServiceError`."""
    kind = UnavailableError if may_pass(code) else RefusedError
    return kind(service, operation, code, " ".join(detail.split()), status)


class ServiceClient:
    """A boto3 client whose failures are `fraud.errors.ServiceError`; everything else is the client's own.

    Args:
        service: as boto3 names it.
        client: made by boto3, or one of its waiters.
    """

    def __init__(self, service: str, client: Any) -> None:
        self._service = service
        self._client = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found
        operation = "".join(word.capitalize() for word in name.split("_"))

        def call(*arguments: Any, **named: Any) -> Any:
            with translated(self._service, operation):
                return found(*arguments, **named)

        return call

    def get_waiter(self, name: str) -> ServiceClient:
        """A waiter of the client; `wait` fails likewise."""
        return ServiceClient(self._service, self._client.get_waiter(name))

    def pages(self, operation: str, **named: Any) -> Iterator[Any]:
        """The answers of an operation that come in pages.

        Args:
            operation: as a method of the client.
            **named: arguments of the call, and `PaginationConfig`.
        """
        paginate: Callable[..., Any] = self._client.get_paginator(operation).paginate
        with translated(self._service, operation):
            yield from paginate(**named)
