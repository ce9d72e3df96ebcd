"""Errors, sorted by what the caller must do.

    FraudError
    ├── MisconfiguredError   stop at start: one clear line, exit code 2
    ├── RetryableError       try again later, with backoff
    └── FatalError           give up: something that neither waiting nor a setting mends

A bad record is not an error but a value: see `fraud.dead_letter.Reject`.
"""

from __future__ import annotations


class FraudError(Exception):
    """Base of every error that this project raises on purpose."""

    exit_code = 1


class MisconfiguredError(FraudError):
    """A setting, file or environment that must be mended by a person before a start can succeed.

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
