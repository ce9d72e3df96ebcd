"""An example of what somebody who leaves Amazon Fraud Detector has: an exported detector, and recorded answers.

The answers are those of an interpreter of the exported rules (`benchmarks.afd_rules`) with scores by chance.

Run: python -m benchmarks.afd_sample FOLDER
"""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path
from typing import Annotated

import typer

from adapters.program.program import run_program
from benchmarks.afd_detector import SCORE, events, write_export
from benchmarks.afd_rules import Interpreter
from cli.import_afd import read_export

_FIRST = dt.datetime(2026, 1, 15, 12, tzinfo=dt.UTC)
_MOST = 1_000
"""Scores go up to it."""


def command(
    folder: Annotated[Path, typer.Argument(help="Gets exported/ and recorded.jsonl.")],
    answers: Annotated[int, typer.Option(min=1, help="How many recorded answers.")] = 100,
) -> None:
    """Write the example.

    Example: python -m benchmarks.afd_sample moved
    """
    write_export(folder / "exported")
    interpreter, chance = Interpreter(read_export(folder / "exported")), random.Random(23)
    with (folder / "recorded.jsonl").open("w") as recorded:
        for event in events(answers, _FIRST):
            scores = {SCORE: _MOST * chance.random() ** 4}
            results = interpreter.results(event["eventVariables"], scores)
            response = {"ruleResults": results, "modelScores": [{"scores": scores}]}
            recorded.write(json.dumps({"request": event, "response": response}) + "\n")
    typer.echo(f"an exported detector and {answers} recorded answers are in {folder}")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
