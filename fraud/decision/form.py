"""Which of the two forms transactions have, columns or a single row."""

from __future__ import annotations

from typing import Any

from fraud.decision import columns, row
from fraud.records import Row


def form_of(transactions: Any) -> Any:
    """The module that reads them for reasons: `fraud.decision.columns` or `fraud.decision.row`."""
    return row if isinstance(transactions, Row) else columns
