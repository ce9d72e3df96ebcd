"""A single transaction as a row: the same as `fraud.decision.columns`, for what reasons read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fraud.records import Row


def some(row: Row, rows: Any) -> Row:  # noqa: ARG001 - as for columns
    """The transaction, which is alone."""
    return row


def values(row: Row, rows: Any, names: Sequence[str]) -> list[Mapping[str, Any]]:  # noqa: ARG001 - as for columns
    """What the transaction has in some columns."""
    return [{name: row.get(name) for name in names}]


def value(transaction: Row, row: int, name: str) -> Any:  # noqa: ARG001 - as for columns
    """What the transaction has in a column; None where there is none."""
    return transaction.get(name)
