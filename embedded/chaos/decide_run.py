"""A chaos run of the decision service: ask, kill, start again, let the job store, compare."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters.archive.archive import Archive, open_archive
from adapters.archive.layout import ArchiveKind
from adapters.archive.tables import ARCHIVE_SCHEMAS
from adapters.aws.stream_writer import KinesisWriter, StreamRecord
from decision_service.access import add_key
from embedded.answers import is_ready, with_answers
from embedded.chaos.answers import compare_answers
from embedded.chaos.asking import Callers, Fields, now_as
from embedded.chaos.fault_proxy import FaultProxy, fault_proxy
from embedded.chaos.oracle import read_stream
from embedded.chaos.run import ChaosReport, noting
from embedded.chaos.stores import compare_stores
from embedded.child import Child
from embedded.emulator import free_port
from embedded.stack import LocalStack
from fraud.errors import FatalError
from fraud.settings import Settings

_SHARES = {"kinesis write": 0.1}
_RATE_PER_S = 60.0
_ANSWERS_BETWEEN = 150
"""So many at least between two kills, and before the first."""

_UNASKED = 10
"""Every so manieth payment also has a neighbour of its card that is not asked about."""

_TWIN = b"twin-"
"""In the id of a payment that is put on the stream unasked, too."""

_TEMPLATES = 400
_AGAIN = 20
_READY_S = 300.0
_STALL_S = 300.0
_POLL_S, _PAUSE_S = 0.05, 1.0
_LONGEST_OUTAGE_S = 4.0


class DecideKiller:
    """One run.

    Args:
        stack: entered.
        job: that stores what is on the stream.
        proxy: between the service and Kinesis.
        templates: payments, whose times and ids are exchanged.
        rng: of instants.
        note: takes each step in words.

    Attributes:
        job: the one that runs now.
        callers: who ask.
    """

    def __init__(
        self,
        stack: LocalStack,
        job: Child,
        proxy: FaultProxy,
        templates: Sequence[Fields],
        rng: random.Random,
        note: Callable[[str], None],
    ) -> None:
        self._stack, self._proxy, self._templates, self._rng, self._note = stack, proxy, templates, rng, note
        self.job = job
        self._port = free_port()
        self._starts: list[Child] = []
        self._journal = Path(stack.settings.decide.folder) / "journal"
        token = add_key(Path(stack.settings.decide.api_keys), "chaos", frozenset({"decide"}), 100_000)
        self.callers = Callers(self._port, token, self._payments(), _RATE_PER_S)
        self._unasked = KinesisWriter(stack.settings.streams.transactions, stack.settings.aws)

    def run(self, kills: int) -> Counter[str]:
        """Asks and kills, then waits until the job has stored every answer; how often it was killed at which instant.

        Raises:
            FatalError: the service did not start again, or the job stored nothing any more.
        """
        killed: Counter[str] = Counter()
        self._start()
        with self.callers.asking():
            for number in range(kills):
                self._await_answers(_ANSWERS_BETWEEN)
                instant = self._kill_in_a_write if number % 2 else self._kill_at_random
                with self._outage() if number % 3 == 0 else nullcontext():
                    killed[instant()] += 1
                self._start()
                self.callers.ask_again(self._rng.sample(sorted(self.callers.asked), _AGAIN))
            self._await_answers(_ANSWERS_BETWEEN)
        self._note(f"{len(self.callers.answers)} payments were answered")
        self._await_stored(self._has_every_answer)
        self._service.stop(grace_s=60)
        if self._service.exit_code != 0:
            raise FatalError(f"the service was asked to stop and ended with exit code {self._service.exit_code}")
        self._await_stored(self._has_every_record)
        self._note("every record of the stream is stored")
        return killed

    @property
    def _service(self) -> Child:
        return self._starts[-1]

    def _start(self) -> None:
        self._starts.append(self._stack.start_decide(f"decide-{len(self._starts)}", self._port))
        self._service.wait_until(lambda: is_ready(self._port), _READY_S)
        self._note("the decision service is ready")

    def _kill_at_random(self) -> str:
        time.sleep(self._rng.uniform(0.0, 1.5))
        self._service.kill()
        self._note("killed the service")
        return "at random"

    def _kill_in_a_write(self) -> str:
        """Kills when the journal has grown, which is before its fsync has returned as a rule."""
        size, deadline = self._journal_bytes(), time.monotonic() + _READY_S
        while self._journal_bytes() <= size:
            if time.monotonic() > deadline:
                raise FatalError(f"nothing was written to the journal for {_READY_S:.0f} s")
        self._service.kill()
        self._note("killed the service as it wrote its journal")
        return "in a write of the journal"

    def _journal_bytes(self) -> int:
        return sum(file.stat().st_size for file in self._journal.glob("*.journal"))

    @contextmanager
    def _outage(self) -> Iterator[None]:
        """Kinesis takes nothing for a while, before and after."""
        self._proxy.away = frozenset(_SHARES)
        self._note("Kinesis takes no records")
        time.sleep(self._rng.uniform(0.0, _LONGEST_OUTAGE_S))
        try:
            yield
        finally:
            ending = threading.Timer(self._rng.uniform(0.0, _LONGEST_OUTAGE_S), self._come_back)
            ending.daemon = True
            ending.start()

    def _come_back(self) -> None:
        self._proxy.away = frozenset()
        self._note("Kinesis takes records again")

    def _await_answers(self, count: int) -> None:
        wanted, deadline = len(self.callers.answers) + count, time.monotonic() + _READY_S
        while len(self.callers.answers) < wanted:
            if self._service.exit_code is not None:
                raise FatalError(f"the service ended by itself: {self._service.last_words()}")
            if time.monotonic() > deadline:
                raise FatalError(f"fewer than {count} answers in {_READY_S:.0f} s: {self.callers.refused[-1:]}")
            time.sleep(_POLL_S)

    def _payments(self) -> Iterator[bytes]:
        """Payments of now; of some cards another one comes unasked just before, or the very same one."""
        now = lambda: dt.datetime.now(dt.UTC)  # noqa: E731
        for number in itertools.count():
            template = self._templates[number % len(self._templates)]
            payment = now_as(template, number, now)
            if number % _UNASKED == 0:
                other = now_as(template, number, now).replace(b"asked-", b"unasked-")
                self._unasked.write([StreamRecord(template["card_token"], other)])
            elif number % _UNASKED == 1:
                payment = payment.replace(b"asked-", _TWIN)
                self._unasked.write([StreamRecord(template["card_token"], payment)])
            yield payment

    def _await_stored(self, done: Callable[[pa.Table, pa.Table], bool]) -> None:
        """Waits until decisions and dead letters of the archive are complete, or nothing has moved for a while."""
        archive = open_archive(self._stack.settings.archive, self._stack.settings.aws)
        moved_at, stored = time.monotonic(), -1
        while time.monotonic() - moved_at < _STALL_S:
            if self.job.exit_code is not None:  # its supervisor starts it again
                self._note(f"the job ended by itself: {self.job.last_words()}")
                self.job = self._stack.start_job()
                moved_at = time.monotonic()
            decisions, dead_letters = archived(archive)
            if done(decisions, dead_letters):
                return
            rows = decisions.num_rows + dead_letters.num_rows
            if rows != stored:
                stored, moved_at = rows, time.monotonic()
            time.sleep(_PAUSE_S)
        self._note(f"nothing was stored for {_STALL_S:.0f} s")

    def _has_every_answer(self, decisions: pa.Table, dead_letters: pa.Table) -> bool:
        return not compare_answers(self.callers.answers, (), decisions, dead_letters).lost

    def _has_every_record(self, decisions: pa.Table, dead_letters: pa.Table) -> bool:
        settings = self._stack.settings
        sent: int = read_stream(settings, settings.streams.transactions).num_rows
        return bool(decisions.num_rows + dead_letters.num_rows >= sent)


def archived(archive: Archive) -> tuple[pa.Table, pa.Table]:
    """The decisions and the dead letters of an archive."""
    decisions, dead_letters = (
        [archive.read_table(key, ARCHIVE_SCHEMAS[kind].names) for key in archive.keys(kind.prefix)]
        for kind in (ArchiveKind.DECISIONS, ArchiveKind.DEAD_LETTERS)
    )
    schemas = ARCHIVE_SCHEMAS[ArchiveKind.DECISIONS], ARCHIVE_SCHEMAS[ArchiveKind.DEAD_LETTERS]
    both = zip((decisions, dead_letters), schemas, strict=True)
    whole = [pa.concat_tables(tables) if tables else schema.empty_table() for tables, schema in both]
    return whole[0], whole[1]


def run_decide_chaos(
    settings: Settings, folder: Path, kills: int, seed: int, start_date: dt.date, progress: Callable[[str], None]
) -> ChaosReport:
    """Asks a decision service that is killed again and again, beside a job that stores what it answered.

    Args:
        settings: the user's settings.
        folder: run folder.
        kills: how many kills.
        seed: of instants and faults.
        start_date: first day of the generated payments, whose times are then those of asking.
        progress: called with a line for each step.

    Raises:
        FatalError: service or job did not start again, or nothing was stored any more.
    """
    report = ChaosReport(seed)
    with noting(report, progress) as note, LocalStack(settings, folder) as stack:
        stack.settings = _with_service(stack.settings, stack.folder)
        stack.write_settings(stack.settings)
        templates = _generated(stack, start_date)
        job = stack.start_job()
        note("the job runs")
        url = str(stack.settings.aws.endpoint_url)
        with fault_proxy({"": url}, _SHARES, seed) as proxy:
            stack.write_settings(_at(stack.settings, proxy.url))
            killer = DecideKiller(stack, job, proxy, templates, random.Random(seed), note)
            report.kills = killer.run(kills)
            report.faults = proxy.faults
        stack.stop_job(killer.job)
        note("comparing with what was answered, and with what one process computes from the streams")
        callers = killer.callers
        answers = compare_answers(
            callers.answers, callers.differing, *archived(open_archive(stack.settings.archive, stack.settings.aws))
        )
        for refused in callers.refused:
            if not (refused.status == HTTPStatus.CONFLICT and _TWIN in refused.payment):  # it came unasked before
                answers.different += 1
                answers.note(f"refused with {refused.status}: {refused.answer}")
        report.stores = {"answers": answers} | compare_stores(stack.settings)
        report.answered = len(callers.answers)
    return report


def _with_service(settings: Settings, folder: Path) -> Settings:
    """Settings with a key for answers and with folders of this run; payments arrive when they do."""
    job = settings.job.model_copy(update={"recorded_arrival": False})
    return with_answers(settings, folder).model_copy(update={"job": job})


def _generated(stack: LocalStack, start_date: dt.date) -> list[dict[str, Any]]:
    """Payments of a generated population."""
    population = ["--cards", "100", "--merchants", "50", "--start-date", f"{start_date:%Y-%m-%d}"]
    to = ["--to", "jsonl", "--output", str(stack.folder / "payments"), "--num-transactions", str(_TEMPLATES)]
    producer = stack.start_producer("payments", [*population, *to])
    if producer.wait(_READY_S):
        raise FatalError(f"no payments were generated: {producer.last_words()}")
    files = sorted((stack.folder / "payments").glob("*transactions*.jsonl"))
    found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [payment for payment in found if "card_token" in payment]


def _at(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"aws": settings.aws.model_copy(update={"endpoint_url": url})})
