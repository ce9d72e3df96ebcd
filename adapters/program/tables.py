"""Lists on standard output: a table for people, lines for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import typer


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a list: in a terminal as a table, into a pipe or file a line for each row, its cells separated by tabs.

    Args:
        columns: names above the table; lines go without them.
        rows: cells in the order of the columns.
    """
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join("" if cell is None else " ".join(str(cell).split()) for cell in row))
        return
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(column, no_wrap=place == 0) for place, column in enumerate(columns)), box=None)
    for row in rows:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    Console().print(table)


def _shown(cell: object) -> str:
    return "" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)
