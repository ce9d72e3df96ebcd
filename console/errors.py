"""What a service refuses, and why: `console.api` turns each into its HTTP status."""

from __future__ import annotations

from fraud.errors import FraudError


class ConflictError(FraudError):
    """Someone else changed it since it was read, or its state does not allow the change."""


class NotFoundError(FraudError):
    """There is no such thing."""


class InvalidError(FraudError):
    """It cannot be taken as it is given."""
