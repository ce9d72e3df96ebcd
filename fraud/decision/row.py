"""A single transaction as a row: the same as `fraud.decision.columns`, for what reasons read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fraud.decision.policy.variables import values_of_row
from fraud.decision.rules.fields import Fields
from fraud.records import Row


def some(row: Row, rows: Any) -> Row:  # noqa: ARG001 - as for columns
    """The transaction, which is alone."""
    return row


def values(row: Row, rows: Any, names: Sequence[str], fields: Fields) -> list[Mapping[str, Any]]:  # noqa: ARG001 - as for columns
    """What the transaction has in some fields."""
    return [values_of_row(row, names, fields)]


def value(transaction: Row, row: int, name: str) -> Any:  # noqa: ARG001 - as for columns
    """What the transaction has in a column; None where there is none."""
    return transaction.get(name)
