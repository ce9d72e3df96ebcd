"""Faults to plant into the product, each of which the simulator must find: what is wrong, and how to plant it.

`python -m tests.support.mutations` plants all of them, in two processes, and prints which seed finds each.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import count, islice
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from adapters.alerts.alert import LABEL_PENDING
from adapters.alerts.table import AlertTable
from adapters.archive import pins
from adapters.archive.archive import Archive
from adapters.archive.layout import ERASED, ArchiveKind, replayed_key
from adapters.archive.offset_notes import OffsetNotes
from adapters.archive.pins import Pins
from adapters.archive.stored_records import StoredRecords
from adapters.aws.stream_writer import KinesisWriter
from adapters.objects.s3 import S3Objects
from console.services import alerts
from console.services.alerts import AlertDesk
from decision_service import journal, service
from decision_service.journal import Done, Journal
from decision_service.streams import Shipper
from embedded.simulation.plan import Plan
from embedded.simulation.quiet import silence
from embedded.simulation.schedule import has_upkeep, run_schedule
from embedded.simulation.verify import problems_of
from fraud.decision import answers as answers_of_batch
from fraud.errors import FraudError
from fraud.features import columns
from fraud.features.waiting import Change, Stage, WaitingLabels
from fraud.records.intake import Intake
from operations.dead_letters import DeadLetter, DeadLetterStore
from operations.lake import Lake
from processor.keyed_state import group
from processor.keyed_state.local_copy import LocalCopy
from processor.keyed_state.stateful import EntityProcessor
from processor.kinesis_source import reader
from processor.kinesis_source.offsets import Shard
from processor.kinesis_source.reader import HeldRows, KinesisStreamReader
from processor.run import Run
from processor.sink import commit
from processor.sink.commit import PartitionCommitter

Plant = Callable[[pytest.MonkeyPatch], None]


def _in_place(owner: Any, name: str, make: Callable[[Any], Any]) -> Plant:
    """Puts what `make` makes of an attribute in its place."""
    return lambda patch: patch.setattr(owner, name, make(getattr(owner, name)))


def _instead(owner: Any, name: str, value: Any) -> Plant:
    return _in_place(owner, name, lambda _: value)


def _put_without_condition(self: S3Objects, key: str, data: bytes) -> bool:
    self.put(key, data)
    return True


def _keeps_its_own(self: Archive, key: str, table: pa.Table, program: str) -> pa.Table:
    self.put_table_once(key, table)
    return table


def _alerts_first(keep: Any) -> Any:
    def kept(self: PartitionCommitter, kind: ArchiveKind, *rest: Any) -> pa.Table:
        if kind is ArchiveKind.DECISIONS:
            decided = rest[-1]
            self._hand_over(decided.filter(pa.compute.not_equal(decided["outcome"], "approve")))
        return keep(self, kind, *rest)

    return kept


def _unless_resumed(hand_over: Any) -> Any:
    def handed(self: PartitionCommitter, alerted: pa.Table) -> Any:
        return hand_over(self, alerted.slice(0, 0) if self._run.resumed is not None else alerted)

    return handed


def _but_the_first(hand_over: Any) -> Any:
    def handed(self: PartitionCommitter, alerted: pa.Table) -> Any:
        new = hand_over(self, alerted.slice(1))
        return {name: np.append(np.zeros(min(1, alerted.num_rows), bool), taken) for name, taken in new.items()}

    return handed


def _own_pin(original: Any) -> Any:
    def pinned(self: Pins, number: int, own: pins.Pin, *rest: Any) -> pins.Pin:
        original(self, number, own, *rest)
        return own

    return pinned


def _without_storing(kind: ArchiveKind) -> Any:
    def make(keep: Any) -> Any:
        def kept(self: PartitionCommitter, of: ArchiveKind, *rest: Any) -> pa.Table:
            return rest[-1] if of is kind and self._run.resumed is not None else keep(self, of, *rest)

        return kept

    return make


def _one_behind(original: Any) -> Any:
    def leave(self: OffsetNotes, batches: int, records: dict[str, int]) -> None:
        original(self, batches + 1 if batches else 0, records)

    return leave


def _of_one_shard(original: Any) -> Any:
    def leave(self: OffsetNotes, batches: int, records: dict[str, int]) -> None:
        original(self, batches, dict(sorted(records.items())[:1]))

    return leave


def _one_token(self: Any) -> bytes:
    return b"always the same "


def _with_alert_id(column: str) -> Any:
    def make(original: Any) -> Any:
        def item(row: Any, *rest: Any) -> Any:
            return original(row, *rest) | {"alert_id": row[column]}

        return item

    return make


def _decided_later(original: Any) -> Any:
    def item(*arguments: Any) -> Any:
        made = original(*arguments)
        return made | {"decided_ms": made["decided_ms"] + 1}

    return item


def _marked_first(replay: Any) -> Any:
    def replayed(self: DeadLetterStore, dead_letters: Iterable[DeadLetter]) -> Iterator[int]:
        chosen = list(dead_letters)
        for dead_letter in chosen:
            if dead_letter.replayable and not dead_letter.replayed:
                self._archive.put_new(replayed_key(dead_letter.id), b"{}")
        yield from replay(self, chosen)

    return replayed


def _marked_before_written(self: AlertDesk, item: dict[str, Any]) -> dict[str, Any] | None:
    due = item[LABEL_PENDING]
    taken = due | {"taken": True}
    try:
        if not self._table.take_label(item["alert_id"], due, taken):
            return None
        self._table.label_written(item["alert_id"], item["status"], taken)
        self._write_label(item["card_token"], alerts._label(item))
    except FraudError:
        return None
    return {name: value for name, value in item.items() if name != LABEL_PENDING}


_ALWAYS = "attribute_not_exists(nothing)"


def _whatever_its_version(update: Any) -> Any:
    def updated(self: AlertTable, alert_id: str, change: str, condition: str, values: dict[str, Any]) -> bool:
        return bool(update(self, alert_id, change, condition.replace("#version = :seen", _ALWAYS), values))

    return updated


def _taken_for_put(insert: Any) -> Any:
    def inserted(self: AlertTable, items: Any) -> list[Any]:
        return [error if error and error[0] == "DuplicateItem" else None for error in insert(self, items)]

    return inserted


def _orphans(follow: Any) -> Any:
    def followed(offsets: Any, stream: str, shards: Iterable[Shard], start: Any) -> Any:
        return follow(offsets, stream, [replace(shard, parents=()) for shard in shards], start)

    return followed


def _places_again(apply: Any) -> Any:
    def applied(self: WaitingLabels, change: Change) -> None:
        added = [msgspec.structs.replace(label, stage=Stage.AHEAD) for label in change.added]
        apply(self, Change(change.gone, change.moved, added))

    return applied


def _before_it_is_durable(append: Any) -> Any:
    def appended(self: Journal, data: bytes, done: Done) -> None:
        append(self, data, lambda _: None)
        done(None)

    return appended


def _written_alone(self: Any, data: bytes, sync: Any) -> int:
    self.file.write(data)
    self.size += len(data)
    return len(data)


def _noted_first(ship: Any) -> Any:
    def shipped(self: Shipper) -> None:
        self._note.write_text(str(self._journal.durable))
        ship(self)

    return shipped


def _noted_last(rewrite: Any) -> Any:
    """Rewrites an object, and notes its erasure after that."""
    put_new = Archive.put_new

    def rewritten(self: Archive, key: str, table: pa.Table) -> None:
        rewrite(self, key, table)
        for note, data in _held_back:
            put_new(self, note, data)
        _held_back.clear()

    return rewritten


_held_back: list[tuple[str, bytes]] = []


def _held_back_of_erasures(put_new: Any) -> Any:
    def put(self: Archive, key: str, data: bytes) -> bool:
        if not key.startswith(ERASED):
            return bool(put_new(self, key, data))
        _held_back[:] = [(key, data)]
        return True

    return put


def _noting_last(patch: pytest.MonkeyPatch) -> None:
    _in_place(Archive, "replace_table", _noted_last)(patch)
    _in_place(Archive, "put_new", _held_back_of_erasures)(patch)


class _Forgetful:
    def __init__(self, head: Any) -> None:
        self.get = head.get

    def update(self, value: Any) -> None:
        """Nothing."""


def _with_forgetful_head(init: Any) -> Any:
    def began(self: Any, handle: Any) -> None:
        init(self, handle)
        self._head = _Forgetful(self._head)

    return began


MUTATIONS: dict[str, Plant] = {
    "an object is put without its condition": _instead(S3Objects, "put_new", _put_without_condition),
    "a repeat goes on with its own decisions, not with those that stand": _instead(
        Archive, "put_records_once", _keeps_its_own
    ),
    "alerts go out before their decisions are stored": _in_place(PartitionCommitter, "_keep", _alerts_first),
    "a resumed batch raises no alerts": _in_place(PartitionCommitter, "_hand_over", _unless_resumed),
    "a resumed batch keeps no labels": _in_place(PartitionCommitter, "_keep", _without_storing(ArchiveKind.LABELS)),
    "a resumed batch keeps no dead letters": _in_place(
        PartitionCommitter, "_keep", _without_storing(ArchiveKind.DEAD_LETTERS)
    ),
    "a resumed batch keeps no decisions": _in_place(
        PartitionCommitter, "_keep", _without_storing(ArchiveKind.DECISIONS)
    ),
    "a task believes its own pin": _in_place(Pins, "pin", _own_pin),
    "a task decides by the policy at hand": _instead(
        PartitionCommitter,
        "_pinned_policy",
        lambda self, pin, current: current,
    ),
    "nothing is pinned": _instead(Pins, "pin", lambda self, number, own, *rest: own),
    "what is stored already is decided again": _in_place(
        commit,
        "without",
        lambda _: lambda records, taken: records,
    ),
    "the token of a local copy is not compared": _instead(
        LocalCopy,
        "holds",
        lambda self, token: (self._folder / "token").exists(),
    ),
    "every version of a state has the same token": lambda patch: patch.setattr(
        "embedded.simulation.job._Folding.new_token", _one_token
    ),
    "a rebuild begins with what is there": _instead(LocalCopy, "reset", LocalCopy.begin),
    "a rebuild leaves out the last entry": _in_place(
        group, "replay", lambda replay: lambda entries, *rest: replay(list(entries)[:-1], *rest)
    ),
    "the log's head is not kept": _in_place(EntityProcessor, "init", _with_forgetful_head),
    "offsets are noted a batch early": _in_place(OffsetNotes, "leave", _one_behind),
    "offsets of one shard are noted": _in_place(OffsetNotes, "leave", _of_one_shard),
    "a producer ignores what was refused of a call": _in_place(
        KinesisWriter, "_attempt", lambda attempt: lambda self, records: (attempt(self, records), ([], ""))[1]
    ),
    "an alert's key is its transaction's id": _in_place(commit, "alert_item", _with_alert_id("transaction_id")),
    "an alert's key is its card": _in_place(commit, "alert_item", _with_alert_id("card_token")),
    "an alert has a time of its own": _in_place(commit, "alert_item", _decided_later),
    "labels are taken for transactions": _in_place(
        Intake, "of", lambda of: lambda settings, *rest: replace(of(settings, *rest), labels_stream="none")
    ),
    "any time is accepted": _in_place(
        Intake,
        "of",
        lambda of: lambda settings, *rest: replace(of(settings, *rest), max_age_ms=None, max_ahead_ms=None),
    ),
    "a duplicate vanishes": _in_place(
        columns,
        "with_features",
        lambda given: lambda *rest: (lambda kept, _, *more: (kept, None, *more))(*given(*rest)),
    ),
    "what is refused vanishes": _in_place(
        Intake, "read", lambda read: lambda self, records: read(self, records)._replace(dead_letters=None)
    ),
    "records are folded in reverse": _in_place(
        columns, "in_arrival_order", lambda order: lambda batch: order(batch).take(range(batch.num_rows - 1, -1, -1))
    ),
    "a part of a batch is read twice": _in_place(
        KinesisStreamReader, "partitions", lambda parts: lambda self, *ends: [*parts(self, *ends), *parts(self, *ends)]
    ),
    "the last part of a batch is left out": _in_place(
        KinesisStreamReader, "partitions", lambda parts: lambda self, *ends: parts(self, *ends)[:-1]
    ),
    "the first alert of a batch is left out": _in_place(PartitionCommitter, "_hand_over", _but_the_first),
    "a resumed batch goes by the limits of the start at hand": _instead(
        Run, "settings_of", lambda self, batch_id: self.settings
    ),
    "what the driver does not hold is left out": _in_place(
        KinesisStreamReader,
        "partitions",
        lambda parts: lambda self, *ends: [part for part in parts(self, *ends) if isinstance(part, HeldRows)],
    ),
    "alerts that were throttled are not put again": _in_place(AlertTable, "_insert", _taken_for_put),
    "an alert is changed whatever its version": _in_place(AlertTable, "_update", _whatever_its_version),
    "a label's mark is taken before the label is written": _instead(AlertDesk, "_deliver", _marked_before_written),
    "a dead letter is marked before it is put": _in_place(DeadLetterStore, "replay", _marked_first),
    "a shard is read beside its parents": _in_place(reader, "follow_shards", _orphans),
    "a rebuilt state has labels wait for their place again": _in_place(WaitingLabels, "apply", _places_again),
    "a policy is pinned and not kept": _in_place(
        pins, "policy_key", lambda key: lambda version: f"elsewhere/{key(version)}"
    ),
    "an answer is given before it is durable": _in_place(Journal, "append", _before_it_is_durable),
    "the journal is written and not synced": _instead(journal._Segment, "write", _written_alone),
    "the journal's place on the stream is noted before it is put": _in_place(Shipper, "_ship", _noted_first),
    "a snapshot is taken over before the index is durable": _instead(service._Keeper, "sync", lambda self: None),
    "the job decides again what was answered": _in_place(
        commit, "decide_unanswered", lambda _: lambda batch, decide: answers_of_batch._with_nulls(decide(batch))
    ),
}
"""By what is wrong."""

UPKEEP: dict[str, Plant] = {
    "maintenance does not look which objects a table holds": _instead(Lake, "_held", lambda self, table, hour: set()),
    "maintenance expires a day too many": _in_place(
        Lake, "_oldest_date", lambda oldest: lambda self, days: oldest(self, days - 1)
    ),
    "a repeated batch decides again what was erased": _instead(
        StoredRecords, "erased", lambda self, records: pa.array([], pa.string())
    ),
    "an object is rewritten before its erasure is noted": _noting_last,
    "an erasure leaves the tables' logs as they are": _instead(Lake, "forget", lambda self, kind, card_token: None),
}
"""Those of maintenance and erasure, which some schedules have."""

MUTATIONS |= UPKEEP


def finding_seed(name: str, seeds: int, records: int = 100) -> int | None:
    """The first seed whose schedule finds a planted fault; None where none of so many does.

    Args:
        name: of the fault.
        seeds: how many of those that have what it is planted into.
        records: of each schedule.
    """
    having = (seed for seed in count(1) if name not in UPKEEP or has_upkeep(seed))
    for seed in islice(having, seeds):
        with pytest.MonkeyPatch.context() as patch:
            MUTATIONS[name](patch)
            if problems_of(run_schedule(Plan(seed, records))):
                return seed
    return None


def _timed(name: str) -> tuple[str, int | None, float]:
    began = time.monotonic()
    return name, finding_seed(name, 60), time.monotonic() - began


def main() -> None:
    """Plants all faults."""
    began, missed = time.monotonic(), 0
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), silence) as pool:
        for name, seed, seconds in pool.map(_timed, MUTATIONS):
            missed += seed is None
            print(f"{'not found' if seed is None else f'seed {seed}':>10} {seconds:6.1f} s  {name}", flush=True)
    print(f"{len(MUTATIONS)} planted, {missed} not found, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
