"""Errors as the API of Amazon Fraud Detector gives them, so that clients of AWS raise the exceptions they know."""

from __future__ import annotations


class ApiError(Exception):
    """A call that is answered with an error.

    Attributes:
        code: the name that AWS gives it; boto3 raises `client.exceptions.CODE`.
        message: in words, without the values of variables.
        status: of the HTTP answer. Clients of AWS try again after 500 and above, and after ThrottlingException.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> ApiError:
    """The request is not one that can be answered."""
    return ApiError("ValidationException", message)


def not_found(message: str) -> ApiError:
    """There is no such thing."""
    return ApiError("ResourceNotFoundException", message)


def denied(message: str) -> ApiError:
    """The key may not do this, or it is not done here."""
    return ApiError("AccessDeniedException", message)


def throttled(message: str) -> ApiError:
    """Too many calls; nothing was done."""
    return ApiError("ThrottlingException", message)


def conflict(message: str) -> ApiError:
    """Something else stands there."""
    return ApiError("ConflictException", message)


def unavailable(message: str) -> ApiError:
    """Nothing was done; another try may succeed."""
    return ApiError("InternalServerException", message, 503)


def failed(message: str) -> ApiError:
    """A fault of the service."""
    return ApiError("InternalServerException", message, 500)
