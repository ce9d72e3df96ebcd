"""A key group through every fault: whatever happens to its local copy or to an attempt, the values stay the same."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.entities import CARD, ENTITIES, Entity
from fraud.features import SHIPPED, state
from fraud.path import FeaturePath, Step, with_every_feature
from fraud.records import Records
from fraud.settings import Settings
from processor.keyed_state import local_copy
from processor.keyed_state.group import Change, advance_group
from processor.keyed_state.log import EMPTY, Head
from tests.support.feature_streams import LABELS, TRANSACTIONS, Stream, batch, postponed, streams
from tests.support.paths import settings_keeping

EVERY = settings_keeping(dict.fromkeys(ENTITIES, 1_024))
SMALL = 700
"""Bytes after which a piece of a snapshot is due: after two or three batches."""
FAULTS = [
    "none",
    "none",
    "deleted",
    "truncated",
    "overwritten",
    "stale",
    "failed before commit",
    "zombie",
    "killed while folding",
]


class Group:
    """A key group with its checkpoint: the log and its head as Spark would have kept them."""

    def __init__(self, folder: Path, entity: Entity, settings: Settings = EVERY) -> None:
        self.folder = folder
        self.before = folder.with_name(f"{entity}-before")
        self.step = Step(entity, settings)
        self.head: Head = EMPTY
        self.lists: tuple[list[bytes], list[bytes]] = ([], [])

    @property
    def log(self) -> list[bytes]:
        return [entry for number in self.head.lists for entry in self.lists[number]]

    def attempt(self, records: Records, slice_bytes: int = SMALL) -> Change:
        head, log = self.head, self.log
        if self.folder.exists():
            shutil.rmtree(self.before, ignore_errors=True)
            shutil.copytree(self.folder, self.before)
        return advance_group(self.folder, self.step, head, lambda: log, records, slice_bytes)

    def commit(self, change: Change, owing: int = 0) -> None:
        self.head = change.head._replace(owed=change.head.owed + owing)
        self.lists[change.head.round % 2].extend(change.entries)
        if change.ended:
            self.lists[1 - change.head.round % 2].clear()

    def suffer(self, fault: str, records: Records) -> None:
        slab = self.folder / "slab"
        if fault == "deleted":
            shutil.rmtree(self.folder, ignore_errors=True)
        elif fault == "truncated" and slab.exists():
            new_process()
            os.truncate(slab, slab.stat().st_size // 2)
        elif fault == "overwritten" and slab.exists():
            new_process()
            slab.write_bytes(os.urandom(slab.stat().st_size))
        elif fault == "stale" and self.before.exists():
            new_process()
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.copytree(self.before, self.folder)
        elif fault == "failed before commit":
            self.attempt(records)
        elif fault == "zombie" and self.log:
            old_head, old_log = EMPTY, list[bytes]()
            advance_group(self.folder, self.step, old_head, lambda: old_log, records, SMALL)
        elif fault == "killed while folding" and self.folder.exists():
            new_process()
            (self.folder / "token").unlink()
            slab.write_bytes(os.urandom(slab.stat().st_size))


def new_process() -> None:
    """What a restarted worker knows of open files: nothing."""
    local_copy._opened.clear()


PLANS = st.lists(
    st.tuples(st.integers(1, 12), st.lists(st.sampled_from(FAULTS), min_size=len(ENTITIES), max_size=len(ENTITIES))),
    min_size=1,
)


@settings(max_examples=60, deadline=None)
@given(streams(most=60), PLANS)
def test_faults_change_no_value(stream: Stream, plan: list[tuple[int, tuple[str, ...]]]) -> None:
    go_through(stream, plan)


@settings(max_examples=25, deadline=None)
@given(streams(most=60), PLANS)
def test_faults_between_the_pieces_of_a_snapshot_change_no_value(
    stream: Stream, plan: list[tuple[int, tuple[str, ...]]]
) -> None:
    """A piece holds one key or two, and each batch owes one piece or two: faults fall between any two of them."""
    with mock.patch.object(state, "EVENTS_A_PIECE", 12):
        groups = go_through(stream, plan, owing=1 << 20)
    for group in groups:
        assert group.head.whole or group.head.earlier_bytes > 0


def go_through(stream: Stream, plan: list[tuple[int, tuple[str, ...]]], owing: int = 0) -> list[Group]:
    """Compares every value with a fold that nothing happens to; in the end also after all copies were lost.

    Args:
        stream: in arrival order.
        plan: size of each batch, and what happens to each entity's group before it.
        owing: more bytes that each group owes a snapshot of after each batch.
    """
    path = FeaturePath(EVERY)
    with TemporaryDirectory() as folder:
        new_process()
        groups = [Group(Path(folder) / entity.name, entity) for entity in ENTITIES]
        rest, step = stream, 0
        while rest:
            size, faults = plan[step % len(plan)]
            part, rest, step = rest[:size], rest[size:], step + 1
            transactions = batch((row for kind, row in part if kind == "transaction"), TRANSACTIONS)
            labels = batch((row for kind, row in part if kind == "label"), LABELS)
            records = Records(transactions, labels)
            wanted = path.advance(records)
            for group, fault in zip(groups, faults if rest else ["deleted"] * len(groups), strict=True):
                if group.step.concerns(records):
                    group.suffer(fault, records)
                    change = group.attempt(records)
                    group.commit(change, owing)
                    records = change.records
            assert_same(records._replace(transactions=completed(records)), wanted)
    return groups


def assert_same(found: Records, wanted: Records) -> None:
    for part, other in zip(found, wanted, strict=True):
        assert (part is None) == (other is None)
        assert part is None or part.equals(other)


@settings(max_examples=30, deadline=None)
@given(streams(), streams(), st.sampled_from(["none", "deleted"]))
def test_keys_that_expired_leave_log_and_copy_and_change_no_value(before: Stream, after: Stream, fault: str) -> None:
    """A hundred days of silence with an expiry of sixty, and a compaction in every batch."""
    job = settings_keeping({CARD: 1_024}, state_expiry_days=60)
    path = FeaturePath(job)
    first, second = (transactions_of(before, 0), transactions_of(after, 100 + 60 * 7))
    with TemporaryDirectory() as folder:
        new_process()
        cards = Group(Path(folder) / "card", CARD, job)
        for transactions in (first, second):
            if transactions is not None:
                wanted = path.featured(transactions)
                cards.suffer(fault, Records())
                change = cards.attempt(Records(transactions), 1)
                cards.commit(change)
                assert_same(Records(completed(change.records)), Records(wanted))
        if second is not None and second.num_rows > 1:
            with local_copy.open_copy(cards.folder) as copy:
                assert copy.state.keys <= len(set(second["card_token"].to_pylist()))


def completed(records: Records) -> pa.RecordBatch | None:
    return None if records.transactions is None else with_every_feature(records.transactions, SHIPPED)


def transactions_of(stream: Stream, later_days: int) -> pa.RecordBatch | None:
    """The transactions of a stream, moved into the future, under ids of their own."""
    moved = (
        postponed(row, dt.timedelta(days=later_days)) | {"transaction_id": f"{row['transaction_id']}-{later_days}"}
        for kind, row in stream
        if kind == "transaction"
    )
    return batch(moved, TRANSACTIONS)
