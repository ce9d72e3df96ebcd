"""One chaos run: stream, kill, restart, settle, compare."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import yaml

from adapters.alerts import AlertTable
from adapters.archive import Archive
from adapters.dynamodb_items import stored_form
from adapters.stream_writer import KinesisWriter, StreamRecord
from embedded.chaos.comparison import Difference, compare_alerts, compare_tables
from embedded.chaos.fault_proxy import fault_proxy
from embedded.chaos.oracle import Place, expected, places, read_stream
from embedded.child import Child
from embedded.model_endpoint import through_endpoint
from embedded.stack import LocalStack
from fraud.alert import Item, alert_item
from fraud.archive_layout import ArchiveKind, batch_of_key
from fraud.arrival import ARRIVAL_FIELDS
from fraud.dead_letter import DEAD_LETTER_SCHEMA
from fraud.decision import Outcome
from fraud.errors import FatalError
from fraud.features import FEATURE_NAMES
from fraud.settings import Settings

TARGETS = ("driver", "worker", "commit")
"""What is killed: the whole job; one Python worker; the whole job after it stored an object and before its commit."""

_FAULT_SHARE = 0.03
_RATE_PER_S = 40
_BAD_RECORDS = (b"not json", b'{"schema_version": 1}', b'{"schema_version": 99}')
_READY_S = 180.0
_STALL_S = 90.0
_POLL_S = 0.05

Tell = Callable[[str], None]


@dataclass
class ChaosReport:
    """What happened and what is wrong.

    Attributes:
        kills: processes killed, by target.
        faults: faults injected into writes of S3 and DynamoDB, by name.
        stores: differences by store.
        seconds: length of the run.
        timeline: what was done when, in words.
    """

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    stores: dict[str, Difference] = field(default_factory=dict)
    seconds: float = 0.0
    timeline: list[str] = field(default_factory=list)

    def total(self, name: str) -> int:
        """Sum of a count over all stores."""
        return sum(getattr(difference, name) for difference in self.stores.values())

    def figures(self) -> dict[str, Any]:
        """The figures for `--json`."""
        return {
            "kills": sum(self.kills.values()),
            "lost": self.total("lost"),
            "duplicated": self.total("duplicated"),
            "different": self.total("different"),
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "kills_by_target": dict(self.kills),
            "faults": dict(self.faults),
            "stores": {name: asdict(difference) for name, difference in self.stores.items()},
        }


def run_chaos(settings: Settings, folder: Path, kills: int, seed: int, tell: Tell) -> ChaosReport:
    """Streams through the local stack while killing its job, then compares.

    Args:
        settings: the user's settings.
        folder: run folder.
        kills: how many kills.
        seed: of instants, targets and faults.
        tell: takes each step in words.

    Raises:
        FatalError: the job did not start again, or stored nothing any more.
    """
    report = ChaosReport(seed)
    began = time.monotonic()

    def note(what: str) -> None:
        line = f"{time.monotonic() - began:6.1f} s  {what}"
        report.timeline.append(line)
        tell(line)

    with (
        LocalStack(through_endpoint(settings), folder) as stack,
        fault_proxy(str(stack.settings.aws.endpoint_url), _FAULT_SHARE, seed) as proxy,
    ):
        behind_proxy = stack.settings.model_copy(
            update={"aws": stack.settings.aws.model_copy(update={"endpoint_url": proxy.url})}
        )
        stack.settings_file.write_text(yaml.safe_dump(behind_proxy.model_dump()))
        _Killer(stack, random.Random(seed), report, note).run(kills)
        report.faults = proxy.faults
        note("comparing with what one process computes from the streams")
        report.stores = compare_stores(stack.settings)
    report.seconds = time.monotonic() - began
    return report


class _Killer:
    """Streams, kills and restarts."""

    def __init__(self, stack: LocalStack, rng: random.Random, report: ChaosReport, note: Tell) -> None:
        self._stack = stack
        self._rng = rng
        self._report = report
        self._note = note
        self._archive = Archive(stack.settings)
        self._writer = KinesisWriter(stack.settings.streams.transactions, stack.settings.aws)
        self._job: Child | None = None

    def run(self, kills: int) -> None:
        targets = [TARGETS[number % len(TARGETS)] for number in range(kills)]
        self._rng.shuffle(targets)
        self._job = self._stack.start_job()
        producer = self._stack.start_producer(
            "producer", ["--num-transactions", "0", "--rate", str(_RATE_PER_S), "--cards", "300", "--merchants", "100"]
        )
        for target in targets:
            self._disturb()
            self._await_progress()
            getattr(self, f"_kill_{target}")()
            self._report.kills[target] += 1
            if target != "worker":
                self._note("job starts again")
                self._job = self._stack.start_job()
        self._disturb()
        producer.interrupt()
        producer.wait(60)
        self._note("producer has ended")
        self._settle()
        self._job.stop(grace_s=90)
        if self._job.exit_code != 0:
            raise FatalError(f"the job was asked to stop and ended with exit code {self._job.exit_code}")
        self._note("the job stopped when asked, exit code 0")

    def _disturb(self) -> None:
        """Puts records on the stream that must end as dead letters: bad ones, and some that are there already."""
        settings = self._stack.settings
        seen = read_stream(settings, settings.streams.transactions)
        repeated = seen["data"].to_pylist()[-20::4]
        self._writer.write([StreamRecord(str(self._rng.random()), data) for data in [*_BAD_RECORDS, *repeated]])

    def _await_progress(self) -> None:
        """Waits until the job has stored something new, then a random time, so that a kill can meet any phase."""
        self._await_new_object()
        time.sleep(self._rng.uniform(0.0, 4.0))

    def _await_new_object(self) -> None:
        before = sum(1 for _ in self._archive.keys("decisions/"))
        deadline = time.monotonic() + _READY_S
        while sum(1 for _ in self._archive.keys("decisions/")) <= before:
            if self._running.exit_code is not None:
                raise FatalError(f"the job ended: {self._running.last_words()}")
            if time.monotonic() > deadline:
                raise FatalError(f"the job stored nothing for {_READY_S:.0f} s: {self._running.last_words()}")
            time.sleep(_POLL_S)

    @property
    def _running(self) -> Child:
        assert self._job is not None
        return self._job

    def _kill_driver(self) -> None:
        _kill_tree(self._running.pid)
        self._running.wait(30)
        self._note("killed the job: driver, JVM and workers")

    def _kill_commit(self) -> None:
        self._await_new_object()
        _kill_tree(self._running.pid)
        self._running.wait(30)
        self._note("killed the job inside a commit: right after an object was stored")

    def _kill_worker(self) -> None:
        workers = [process for process in _descendants(self._running.pid) if _is_worker(process)]
        if not workers:
            raise FatalError("the job has no Python worker")
        chosen = self._rng.choice(workers)
        chosen.kill()
        self._note(f"killed one of {len(workers)} Python workers")

    def _settle(self) -> None:
        """Waits until every record of the streams is stored, or nothing has moved for a while."""
        settings = self._stack.settings
        sent = sum(
            read_stream(settings, name).num_rows for name in (settings.streams.transactions, settings.streams.labels)
        )
        rows: dict[str, int] = {}
        moved_at = time.monotonic()
        while sum(rows.values()) < sent:
            new = [key for kind in ArchiveKind for key in self._archive.keys(kind.prefix) if key not in rows]
            for key in new:
                rows[key] = self._archive.read_table(key, ["sequence_number"]).num_rows
            if new:
                moved_at = time.monotonic()
            if self._running.exit_code is not None:
                raise FatalError(f"the job ended: {self._running.last_words()}")
            if time.monotonic() - moved_at > _STALL_S:
                self._note(f"nothing moved for {_STALL_S:.0f} s with {sent - sum(rows.values())} records missing")
                return
            time.sleep(_POLL_S)
        self._note(f"all {sent} records are stored")


def compare_stores(settings: Settings) -> dict[str, Difference]:
    """Compares archive, labels, dead letters and alerts with what the oracle computes from the streams."""
    streams = settings.streams
    records = pa.concat_tables([read_stream(settings, name) for name in (streams.transactions, streams.labels)])
    stored = {kind: list(_tables(settings, kind)) for kind in ArchiveKind}
    batch_of: dict[Place, int] = {
        place: batch for tables in stored.values() for batch, table in tables for place in places(table)
    }
    wanted = expected(settings, records, batch_of)
    tables = {kind: _joined(kind, [table for _, table in found]) for kind, found in stored.items()}
    alerts = {item["alert_id"]: item for item in AlertTable(settings).all()}
    return {
        "decisions": compare_tables(wanted.decisions, tables[ArchiveKind.DECISIONS]),
        "labels": compare_tables(wanted.labels, tables[ArchiveKind.LABELS]),
        "dead_letters": compare_tables(wanted.dead_letters, tables[ArchiveKind.DEAD_LETTERS], {"field", "detail"}),
        "alerts": compare_alerts(_expected_alerts(wanted.decisions, settings), alerts),
    }


def _expected_alerts(decisions: pa.Table, settings: Settings) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for row in decisions.to_pylist():
        if row["outcome"] != Outcome.APPROVE.label:
            item = alert_item(
                row | {"decided_at": row["event_time"]},
                {name: row[name] for name in FEATURE_NAMES},
                settings.alerts.retention_days,
            )
            found.setdefault(item["alert_id"], stored_form(item))
    return found


def _tables(settings: Settings, kind: ArchiveKind) -> Iterator[tuple[int, pa.Table]]:
    archive = Archive(settings)
    for key in archive.keys(kind.prefix):
        yield batch_of_key(key), archive.read_table(key)


def _joined(kind: ArchiveKind, tables: list[pa.Table]) -> pa.Table:
    if tables:
        return pa.concat_tables(tables)
    return (DEAD_LETTER_SCHEMA if kind is ArchiveKind.DEAD_LETTERS else pa.schema(ARRIVAL_FIELDS)).empty_table()


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("pyspark.daemon" in part or "pyspark.worker" in part for part in process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _kill_tree(pid: int) -> None:
    """Kills a process with all its descendants, as the loss of its machine would."""
    descendants = _descendants(pid)
    for process in [psutil.Process(pid), *descendants]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(descendants, timeout=30)
