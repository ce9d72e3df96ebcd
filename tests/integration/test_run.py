"""A run whose job ends by itself fails with the job's last words, and has counted what was left undecided."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from adapters.files.ground_truth import truth_file
from embedded.child import Child
from embedded.run import Run
from embedded.stack import LocalStack
from fraud.errors import FatalError
from fraud.settings import Settings
from tests.support.emulators import provisioned
from tests.support.records import NOON, truth

SENT = 10


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as provided:
        yield provided


class ScriptedStack:
    """A stack whose producer writes the truth of ten transactions, and whose job then ends without deciding them.

    Args:
        folder: of logs and truth.
        settings: of the emulator.
        exit_code: of the job.
        last_words: of the job.
    """

    keeps_classes = False

    def __init__(self, folder: Path, settings: Settings, exit_code: int, last_words: str) -> None:
        self.folder, self.settings = folder, settings
        self.children: list[Child] = []
        self._ends = f"print({last_words!r}); raise SystemExit({exit_code})"

    def launch_job(self) -> Child:
        wait = f"import time, pathlib\nwhile not pathlib.Path({str(self._truth)!r}).exists(): time.sleep(0.01)\n"
        return self._start("job", wait + self._ends)

    def await_job(self, job: Child) -> None:
        job.wait(60)

    def start_producer(self, name: str, arguments: Sequence[str], key: str | None = None) -> Child:
        lines = [json.dumps(truth(transaction_id=f"t-{n}", event_time=NOON.isoformat())) + "\n" for n in range(SENT)]
        self._truth.write_text("".join(lines))
        return self._start(name, "")

    def _start(self, name: str, program: str) -> Child:
        self.children.append(Child(name, [sys.executable, "-c", program], self.folder))
        return self.children[-1]

    @property
    def _truth(self) -> Path:
        return truth_file(self.folder, "first")


@pytest.mark.parametrize(
    ("exit_code", "last_words"),
    [(1, "error: the query failed: decimal.Underflow: beyond 1E-130"), (0, "query_stopped")],
)
def test_a_job_that_ended_by_itself_fails_the_run_and_its_records_are_lost(
    settings: Settings, tmp_path: Path, exit_code: int, last_words: str
) -> None:
    stack = ScriptedStack(tmp_path, settings, exit_code, last_words)
    run = Run(cast(LocalStack, stack), lambda *_: None)
    said = rf"the job ended with exit code {exit_code}: {last_words} \(log: "
    with pytest.raises(FatalError, match=said):
        run.start([], SENT)
    with pytest.raises(FatalError, match=said):
        run.stop()
    for child in stack.children:
        child.stop()
    figures = run.tally.figures()
    assert [figures[name] for name in ("sent", "decided", "refused", "lost")] == [SENT, 0, 0, SENT]
