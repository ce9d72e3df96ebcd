"""Tables as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import Response

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings that a spreadsheet takes for a formula."""

CSV_ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
"""For the description of a route that answers with a sheet."""


def sheet(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows below their columns; no text of a cell is a formula, nothing is an empty cell.

    >>> sheet(["who", "count"], [["=1+1", -2], ["ann", None]])
    "who,count\\n'=1+1,-2\\nann,\\n"
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def sheet_answer(name: str, text: str) -> Response:
    """An answer that a browser saves as a file."""
    saved = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=saved)


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
