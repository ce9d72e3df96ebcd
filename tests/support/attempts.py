"""The job in one process, attempt by attempt: its own stages, a checkpoint in a folder, an archive that can fail."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind
from adapters.model.endpoint_usage import EndpointUsage
from adapters.objects.folder import FolderObjects
from adapters.policy.source import PolicyFiles, PolicySource
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import RulesOnly
from fraud.entities import Entity, measured
from fraud.features import CATALOGUE, SHIPPED
from fraud.features.state import EntityState
from fraud.path import Step, with_every_feature
from fraud.records import Records, joined
from fraud.records.arrival import arrival_order
from fraud.records.fate import PLACE, places
from fraud.settings import Settings
from processor.checkpoint_folder import CheckpointFolder
from processor.decode_stage import DecodeStage
from processor.envelope import by_group, first_rows, unpack
from processor.keyed_state.log import events_entry, replay, waiting_entry
from processor.kinesis_source.offsets import Position, to_json
from processor.run import Run
from processor.scoring import Scoring
from processor.sink.commit import PartitionCommitter
from processor.start import begin
from tests.support.alert_lines import AlertLines

FIELDS = fields_of(CATALOGUE)


class KilledError(Exception):
    """The process died."""


class DyingObjects(FolderObjects):
    """A folder whose writer dies at one of its writes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.writes_left: int | None = None
        self.after = False

    def put_new(self, key: str, data: bytes) -> bool:
        if self.writes_left == 0 and not self.after:
            raise KilledError(key)
        written = super().put_new(key, data)
        if self.writes_left is not None:
            if self.writes_left == 0:
                raise KilledError(key)
            self.writes_left -= 1
        return written


class FolderCheckpoint(CheckpointFolder):
    """A checkpoint whose files are written by this process instead of Spark's."""

    def __init__(self, folder: Path, in_partitions: int = 2) -> None:
        self.in_partitions = in_partitions
        self.address = str(folder)
        self._folder = folder

    def plan(self, batch_id: int, offsets: dict[tuple[str, str], Position]) -> None:
        noted = {"conf": {"spark.sql.shuffle.partitions": str(self.in_partitions)}}
        self._write(f"offsets/{batch_id}", f"v1\n{json.dumps(noted)}\n{json.dumps(to_json(offsets))}", overwrite=False)

    def commit(self, batch_id: int) -> None:
        self._write(f"commits/{batch_id}", "v1\n{}", overwrite=False)

    def set_back(self, batches: int) -> None:
        """Loses the last files of both logs."""
        for log in ("offsets", "commits"):
            for number in sorted(self._numbers(log))[-batches:]:
                (self._folder / log / str(number)).unlink()

    def _read(self, name: str) -> str | None:
        file = self._folder / name
        return file.read_text() if file.exists() else None

    def _write(self, name: str, text: str, *, overwrite: bool) -> None:
        file = self._folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w" if overwrite else "x") as out:
            out.write(text)

    def _numbers(self, log: str) -> list[int]:
        folder = self._folder / log
        return [int(file.name) for file in folder.iterdir()] if folder.exists() else []


@dataclass
class LocalJob:
    """A job over a fixed stretch of records, in batches that the test cuts.

    Attributes:
        folder: of everything that it keeps.
        records: all that is on the streams, in arrival order.
        logs: of each key group, by the last batch that it holds: what a checkpoint has of the state.
    """

    folder: Path
    records: pa.Table
    logs: dict[int, dict[tuple[Entity, int], list[bytes]]] = field(default_factory=lambda: {-1: {}})

    def __post_init__(self) -> None:
        self.objects = DyingObjects(self.folder / "archive")
        self.archive = Archive(self.objects)
        self.checkpoint = FolderCheckpoint(self.folder / "checkpoint")
        self.alerts = AlertLines(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def copy(self, name: str) -> LocalJob:
        """The same archive with a copy of the checkpoint."""
        copied = LocalJob(self.folder, self.records, dict(self.logs))
        copied.checkpoint = FolderCheckpoint(self.folder / name)
        shutil.copytree(self.folder / "checkpoint", self.folder / name)
        return copied

    def start(self, settings: Settings, above_minor: int, program: str = "test") -> Started:
        """A start of the job with a policy that asks for review above an amount."""
        return Started(self, begin(self.checkpoint, self.archive, settings, program), above_minor)

    def read(self) -> int:
        """How many records the planned batches have read."""
        planned = self.checkpoint.progress().planned
        return sum(position.records or 0 for position in self.checkpoint.offsets(planned).values())


class Started:
    """A run of the job."""

    def __init__(self, job: LocalJob, run: Run, above_minor: int) -> None:
        self.job, self.run = job, run
        policy = job.folder / f"policy-{run.id}" / "policy.yaml"
        policy.parent.mkdir()
        rule: dict[str, Any] = {
            "id": "large",
            "description": "Large.",
            "when": f"amount_minor > {above_minor}",
            "outcome": "review",
        }
        rule |= {"outcome": "review", "severity": 10, "reason": "LARGE", "text": "large", "owner": "tests"}
        policy.write_text(yaml.safe_dump({"thresholds": {}, "rules": [rule]}))
        files = PolicyFiles(FolderObjects(policy.parent), "policy.yaml")
        self.committer = PartitionCommitter(
            run,
            job.archive,
            [job.alerts],
            Scoring(RulesOnly(), None, EndpointUsage()),
            PolicySource(files, lambda bundle: compile_policy(bundle, FIELDS, "EUR")),
        )

    def finish(self, sizes: Sequence[int]) -> None:
        """Runs batches of these sizes, after the one that is pending, until all records are read."""
        sizes = list(sizes)
        while (
            read := self.job.read()
        ) < self.job.records.num_rows or self.job.checkpoint.progress().pending is not None:
            if self.job.checkpoint.progress().pending is None:
                size = sizes.pop(0) if sizes else self.job.records.num_rows
                self.plan(min(self.job.records.num_rows, read + size))
            self.attempt()

    def plan(self, until: int) -> None:
        """Logs the offsets of the next batch; the first one has no records."""
        progress = self.job.checkpoint.progress()
        shards = sorted(
            {(row["stream"], row["shard"]) for row in self.job.records.select(["stream", "shard"]).to_pylist()}
        )
        if progress.planned < 0:
            self.job.checkpoint.plan(0, dict.fromkeys(shards, Position("earliest")))
            self.job.checkpoint.commit(0)
            self.job.logs[0] = {}
        offsets = dict.fromkeys(shards, Position("earliest"))
        for row in self.job.records.slice(0, until).to_pylist():
            place = (row["stream"], row["shard"])
            offsets[place] = Position(row["sequence_number"], records=(offsets[place].records or 0) + 1)
        self.job.checkpoint.plan(self.job.checkpoint.progress().planned + 1, offsets)

    def attempt(self, skip: int | None = None) -> None:
        """An attempt of the planned batch.

        Args:
            skip: a partition that is not committed, as if its task had not come to it.
        """
        job, batch_id = self.job, self.job.checkpoint.progress().planned
        settings = self.run.settings_of(batch_id)
        before, until = (
            sum(p.records or 0 for p in job.checkpoint.offsets(n).values()) for n in (batch_id - 1, batch_id)
        )
        stage = _Decode(self.run, job.archive)
        decoded = [stage.decode(batch_id, part) for part in _parts(job.records.slice(before, until - before))]
        logs = {key: list(entries) for key, entries in job.logs[batch_id - 1].items()}
        records = joined([*decoded, Records()])
        for entity in measured(settings.job):
            step, parts = Step(entity, settings), []
            for group, part in by_group(records, entity, settings.job.key_groups):
                if step.concerns(part):
                    state = EntityState()
                    replay(logs.get((entity, group), []), step.fold, state)
                    advanced = step.advance(state, part)
                    entries = [events_entry(advanced.events), waiting_entry(advanced.waiting)]
                    logs.setdefault((entity, group), []).extend(entries)
                    part = advanced.records
                parts.append(part)
            records = joined([*parts, records.outcomes])
        for partition, part in sorted(_by_partition(records, settings).items()):
            if partition != skip:
                self.committer.commit(batch_id, partition, part)
        if skip is None:
            job.checkpoint.commit(batch_id)
            job.logs[batch_id] = logs


class _Decode(DecodeStage):
    """The stage with the test's archive."""

    def __init__(self, run: Run, archive: Archive) -> None:
        super().__init__(run)
        object.__setattr__(self, "own", archive)

    def _archive(self) -> Archive:
        return self.own  # type: ignore[attr-defined, no-any-return]


def _parts(records: pa.Table) -> Iterator[pa.RecordBatch]:
    """Records as the source cuts them: each shard for itself."""
    rows = records.to_pylist()
    for place in sorted({(row["stream"], row["shard"]) for row in rows}):
        of_shard = [row for row in rows if (row["stream"], row["shard"]) == place]
        yield pa.RecordBatch.from_pylist(of_shard, schema=records.schema)


def _by_partition(records: Records, settings: Settings) -> dict[int, Records]:
    """The records of each sink partition, as `assemble` gives them."""
    last = list(measured(settings.job))[-1]
    found: dict[int, list[Records]] = defaultdict(list)
    groups = settings.job.key_groups
    for group, part in by_group(records, last, groups):
        found[group % settings.job.partitions].append(part)
    if records.dead_letters is not None:
        for group, kind, payload in first_rows(Records(dead_letters=records.dead_letters), groups):
            found[group % settings.job.partitions].append(Records(**{kind: unpack(payload)}))
    return {partition: _assembled(joined(parts)) for partition, parts in found.items()}


def _assembled(records: Records) -> Records:
    ordered = Records(**{kind: part.take(arrival_order(part)) for kind, part in records.kinds()})
    if ordered.transactions is None:
        return ordered
    return ordered._replace(transactions=with_every_feature(ordered.transactions, SHIPPED))


def fates(archive: Archive) -> dict[str, list[str]]:
    """For each record that is stored, as what; by its place. A label that ended as a dead letter has two."""
    found: dict[str, list[str]] = defaultdict(list)
    for kind in ArchiveKind:
        for key in archive.keys(kind.prefix):
            columns = [*PLACE, "reason"] if kind is ArchiveKind.DEAD_LETTERS else PLACE
            for place in places(archive.read_table(key, columns)).to_pylist():
                found[place].append(kind.value)
    return dict(found)
