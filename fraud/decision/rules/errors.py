"""What is wrong with an expression, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ExpressionError(ValueError):
    """An expression that is refused.

    Attributes:
        text: the expression.
        position: offset of the fault in it, counted from 0.
        problem: what is wrong.
        suggestion: what would be right, where that can be guessed.
    """

    def __init__(self, text: str, position: int, problem: str, suggestion: str | None = None) -> None:
        self.text = text
        self.position = position
        self.problem = problem
        self.suggestion = suggestion
        line = text.count("\n", 0, position) + 1
        column = position - (text.rfind("\n", 0, position) + 1) + 1
        place = f"column {column}" if line == 1 else f"line {line}, column {column}"
        super().__init__(f"{place}: {problem}" + (f"; {suggestion}" if suggestion else ""))


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The suggestion for a misspelt name, or None where nothing is near.

    >>> did_you_mean("amout_minor", ["amount_minor", "mcc"])
    'did you mean amount_minor?'
    """
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else None
