"""Errors, sorted by what the caller must do.

    FraudError
    ├── MisconfiguredError        stop at start: one clear line, exit code 2
    ├── RetryableError            try again later, with backoff
    ├── FatalError                give up: something that neither waiting nor a setting fixes
    └── ServiceError              a remote service did not do what it was asked to
        ├── UnavailableError      also retryable: throttled, slow, failed, not reached
        └── RefusedError          a person must fix a right, a name or the request: exit code 2

A bad record is not an error but a value: see `fraud.records.dead_letter.Reject`.
"""

from __future__ import annotations

from typing import Any


class FraudError(Exception):
    """Base of every error that this project raises on purpose."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels between processes as it is: the arguments that made it are not those of its base."""
        return _as_it_was, (type(self), self.args), self.__dict__


def _as_it_was(kind: type[FraudError], said: tuple[Any, ...]) -> FraudError:
    return kind.__new__(kind, *said)


class MisconfiguredError(FraudError):
    """A setting, file or environment that must be fixed by a person before a start can succeed.

    Args:
        setting: the setting, flag or file at fault, as its user writes it.
        problem: what is wrong with it, and what would be right.

    >>> str(MisconfiguredError("stream.shards", "must be at least 1, got 0"))
    'stream.shards: must be at least 1, got 0'
    """

    exit_code = 2

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


class RetryableError(FraudError):
    """A remote part failed in a way that may pass: throttled, slow, unreachable."""


class FatalError(FraudError):
    """Going on would lose or falsify data."""


class ServiceError(FraudError):
    """A remote service did not do what it was asked to; adapters raise this in place of what a client library raises.

    Args:
        service: as AWS names it, e.g. `s3`.
        operation: that was called, e.g. `PutObject`.
        code: the service's code of the error, or the kind of failure where it did not answer.
        detail: in words.
        status: of the HTTP answer; None where there was none.

    >>> str(RefusedError("s3", "PutObject", "AccessDenied", "no right to write", 403))
    's3 PutObject: AccessDenied: no right to write'
    """

    def __init__(self, service: str, operation: str, code: str, detail: str, status: int | None = None) -> None:
        super().__init__(f"{service} {operation}: {code}: {detail}" if detail else f"{service} {operation}: {code}")
        self.service = service
        self.operation = operation
        self.code = code
        self.detail = detail
        self.status = status

    @property
    def throttled(self) -> bool:
        """Whether a limit on the rate of calls was exceeded."""
        return any(word in self.code for word in ("Throttl", "Throughput", "LimitExceeded", "TooManyRequests"))


class UnavailableError(ServiceError, RetryableError):
    """A service was too busy, failed or was not reached; the same call may succeed later."""


class RefusedError(ServiceError):
    """A service refused a call: calling again does not help."""

    exit_code = 2
