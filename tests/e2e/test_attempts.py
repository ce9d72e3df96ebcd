"""A checkpoint that was set back, and a batch that is finished under other limits: the job as it runs.

The long form of `tests/property/test_attempts.py` and `tests/unit/processor/test_start.py`.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.archive.archive import Archive, open_archive
from adapters.archive.layout import ArchiveKind, batch_of_key
from adapters.aws.stream_writer import KinesisWriter, StreamRecord
from embedded.child import Child
from embedded.stack import LocalStack
from fraud.settings import Job, Model, Settings
from tests.support.attempts import fates
from tests.support.records import label, transaction, wire

ROOT = Path(__file__).parents[2]
FRAUD = Path(sys.executable).with_name("fraud")

pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    settings = Settings(job=Job(trigger_ms=100, max_records_per_trigger=40), model=Model(artifact=""))
    with LocalStack(settings, tmp_path) as started:
        yield started


class Sender:
    """Puts records on the streams: of ten, eight transactions, one of them an hour late, a label and a broken one."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._name = name
        self._streams = settings.streams
        names = (self._streams.transactions, self._streams.labels)
        self._writers = {name: KinesisWriter(name, settings.aws) for name in names}
        self.sent = 0

    def send(self, count: int) -> None:
        now = dt.datetime.now(dt.UTC)  # noqa: TID251 - limits compare with the arrival, which the emulator's clock gives
        for number in range(self.sent, self.sent + count):
            ids: dict[str, Any] = {"transaction_id": f"{self._name}-{number}", "card_token": f"card-{number % 7}"}
            stream, data = self._streams.transactions, b"{"
            if number % 10 == 3:
                stream, data = self._streams.labels, wire(label(**ids, transaction_time=now, label_time=now))
            elif number % 10 != 7:
                used = now - dt.timedelta(hours=number % 10 == 5)
                data = wire(transaction(**ids, event_time=used, sent_at=now, amount_minor=10_000 * (number % 50)))
            self._writers[stream].write([StreamRecord(ids["card_token"], data)])
        self.sent += count


def until(job: Child, holds: Callable[[], bool]) -> None:
    job.wait_until(holds, 240)


def last_files(stack: LocalStack, log: str) -> list[Path]:
    files = (Path(stack.settings.job.checkpoint) / log).iterdir()
    return sorted((file for file in files if file.name.isdigit()), key=lambda file: int(file.name))


def stored_once(archive: Archive) -> int:
    found = fates(archive)
    assert {place: kinds for place, kinds in found.items() if len(kinds) > 1} == {}
    return len(found)


def test_a_set_back_checkpoint_stops_the_job_and_goes_on_after_fraud_state_continue(stack: LocalStack) -> None:
    archive, sender = open_archive(stack.settings.archive, stack.settings.aws), Sender(stack.settings, "one")
    job = stack.start_job()
    sender.send(300)
    until(job, lambda: stored_once(archive) == sender.sent)
    stack.stop_job(job)
    before = fates(archive)
    for log in ("offsets", "commits"):
        for file in last_files(stack, log)[-3:]:
            file.unlink()
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
    sender.send(60)

    refused = stack.launch_job()
    while refused.exit_code is None:
        refused.wait_until(lambda: refused.exit_code is not None or refused.said("query_started"), 240)
        assert not refused.said("query_started")
    assert refused.exit_code == 2
    assert "was set back" in refused.last_words()
    assert "fraud state continue" in refused.last_words()
    assert fates(archive) == before

    command = [str(FRAUD), "state", "continue", "--config", str(stack.settings_file), "--reason", "lost writes"]
    figures = stack.folder / "continued.json"
    done = subprocess.run([*command, "--json", str(figures)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    note = json.loads(archive.get("continuations/fraud/0001.json") or b"{}")
    assert (note["reason"], note["first"]) == ("lost writes", json.loads(figures.read_text())["first"])

    job = stack.start_job()
    until(job, lambda: stored_once(archive) == sender.sent)
    sender.send(40)
    until(job, lambda: stored_once(archive) == sender.sent)
    stack.stop_job(job)
    found = fates(archive)
    assert {place: found[place] for place in before} == before
    decided = sum(kinds == ["decisions"] for kinds in found.values())
    assert (sender.sent, decided) == (400, 320)


def test_a_batch_that_an_earlier_run_began_is_finished_under_its_own_limits(stack: LocalStack) -> None:
    archive, sender = open_archive(stack.settings.archive, stack.settings.aws), Sender(stack.settings, "two")
    job = stack.start_job()
    sender.send(100)
    until(job, lambda: stored_once(archive) == sender.sent)
    stack.stop_job(job)
    # As if it had died before one partition's decisions of the last batch were stored, and before its commit.
    whole = fates(archive)
    keys = list(archive.keys(ArchiveKind.DECISIONS.prefix))
    last = max(map(batch_of_key, keys))
    lost = next(key for key in keys if batch_of_key(key) == last)
    archive._objects.delete(lost)
    file = last_files(stack, "commits")[-1]
    file.unlink()
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)

    strict = stack.settings.job.model_copy(update={"max_age_s": 60})
    stack.write_settings(stack.settings.model_copy(update={"job": strict}))
    job = stack.start_job()
    until(job, lambda: stored_once(archive) == 100)
    assert fates(archive) == whole
    sender.send(10)
    until(job, lambda: stored_once(archive) == 110)
    stack.stop_job(job)
    reasons = [row["reason"] for table in archive.tables(ArchiveKind.DEAD_LETTERS) for row in table.to_pylist()]
    assert reasons.count("too_old") == 1  # of the ten records after the batch, which went by the new limits
