"""A single transaction and its verdict as rows: the same as `fraud.decision.columns`, without Arrow.

One transaction at a time, Arrow's calls would cost more than all else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fraud.decision.policy.evaluation import Bools, Floats, Outcomes
from fraud.decision.policy.lists import CompiledList
from fraud.decision.record import VERDICT_FIELDS, Outcome
from fraud.decision.scorer import Scores
from fraud.records import Row
from fraud.records.schema import milliseconds_of

_LABELS = [outcome.label for outcome in Outcome]
_NAMES = [field.name for field in VERDICT_FIELDS]


def count(row: Row) -> int:  # noqa: ARG001 - as for columns
    """One."""
    return 1


def listed(row: Row, entities: Sequence[CompiledList]) -> list[Bools]:
    """For each list whether the transaction has its entity on it."""
    event_ms = milliseconds_of(row["event_time"])
    return [np.array([one.has(row.get(one.field), event_ms)]) for one in entities]


def some(row: Row, rows: Any) -> Row:  # noqa: ARG001 - as for columns
    """The transaction, which is alone."""
    return row


def values(row: Row, rows: Any, names: Sequence[str]) -> list[Mapping[str, Any]]:  # noqa: ARG001 - as for columns
    """What the transaction has in some columns."""
    return [{name: row.get(name) for name in names}]


def value(transaction: Row, row: int, name: str) -> Any:  # noqa: ARG001 - as for columns
    """What the transaction has in a column; None where there is none."""
    return transaction.get(name)


def score(scores: Scores) -> float | None:
    """The score."""
    return scores.score[0].as_py()  # type: ignore[no-any-return]


def labels(outcomes: Outcomes) -> str:
    """The stored name of an outcome."""
    return _LABELS[int(outcomes.item())]


def numbers(found: Any) -> int:
    """A whole number."""
    return int(found.item())


def named(places: Any, names: Sequence[str]) -> str:
    """The name at a place."""
    return names[int(places.item())]


def texts(found: Sequence[Sequence[str]]) -> list[str]:
    """Its texts."""
    return list(found[0])


def repeated(value: str | None, times: int) -> str | None:  # noqa: ARG001 - as for columns
    """The text."""
    return value


def unscored(times: int) -> None:
    """No score."""


def names_where(marks: Bools, names: Sequence[str]) -> list[str]:
    """The names that a matrix (names, 1) marks.

    >>> names_where(np.array([[True], [False]]), ["a", "b"])
    ['a']
    """
    return [names[place] for place in np.flatnonzero(marks).tolist()]


def verdicts(columns: Mapping[str, Any]) -> Row:
    """The verdict from the values of `VERDICT_FIELDS` by name."""
    return Row((name, columns[name]) for name in _NAMES)


def floats(found: float | None) -> Floats:
    """The score as the policy takes it: NaN for none."""
    return np.array([np.nan if found is None else found])
