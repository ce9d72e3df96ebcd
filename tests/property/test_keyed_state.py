"""A key group through every fault: whatever happens to its local copy or to an attempt, the values stay the same."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.features.catalogue import DAY_MS, KEYED_ENTITIES, Entity
from fraud.features.fold import EntityFold
from fraud.features.offline import EXPIRY_MS, FeaturePath
from fraud.features.stage import with_every_feature, with_transaction_values
from processor.keyed_state import local_copy
from processor.keyed_state.group import Change, Limits, advance_group
from processor.keyed_state.log import EMPTY, Head
from tests.support.feature_streams import LABELS, TRANSACTIONS, Stream, batch, streams

SMALL = Limits(bytes=4 << 20, factor=2, entries=4)
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

    def __init__(self, folder: Path, entity: Entity, expiry_ms: int = EXPIRY_MS) -> None:
        self.folder = folder
        self.before = folder.with_name(f"{entity}-before")
        self.fold = EntityFold(entity, 1_024, expiry_ms)
        self.head: Head = EMPTY
        self.log: list[bytes] = []

    def attempt(
        self, transactions: pa.RecordBatch | None, labels: pa.RecordBatch | None, limits: Limits = SMALL
    ) -> Change:
        head, log = self.head, list(self.log)
        if self.folder.exists():
            shutil.rmtree(self.before, ignore_errors=True)
            shutil.copytree(self.folder, self.before)
        return advance_group(self.folder, self.fold, head, lambda: log, transactions, labels, limits)

    def commit(self, change: Change) -> None:
        self.head = change.head
        self.log = list(change.entries) if change.compacted else [*self.log, *change.entries]

    def suffer(self, fault: str, transactions: pa.RecordBatch | None, labels: pa.RecordBatch | None) -> None:
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
            self.attempt(transactions, labels)
        elif fault == "zombie" and self.log:
            old_head, old_log = EMPTY, list[bytes]()
            advance_group(self.folder, self.fold, old_head, lambda: old_log, transactions, labels, SMALL)
        elif fault == "killed while folding" and self.folder.exists():
            new_process()
            (self.folder / "token").unlink()
            slab.write_bytes(os.urandom(slab.stat().st_size))


def new_process() -> None:
    """What a restarted worker knows of open files: nothing."""
    local_copy._opened.clear()


@settings(max_examples=60, deadline=None)
@given(
    streams(most=60),
    st.lists(st.tuples(st.integers(1, 12), st.lists(st.sampled_from(FAULTS), min_size=4, max_size=4)), min_size=1),
)
def test_faults_change_no_value(stream: Stream, plan: list[tuple[int, list[str]]]) -> None:
    path = FeaturePath(dict.fromkeys(KEYED_ENTITIES, 1_024))
    with TemporaryDirectory() as folder:
        new_process()
        groups = [Group(Path(folder) / entity, entity) for entity in KEYED_ENTITIES]
        rest, step = stream, 0
        while rest:
            size, faults = plan[step % len(plan)]
            part, rest, step = rest[:size], rest[size:], step + 1
            transactions = batch((row for kind, row in part if kind == "transaction"), TRANSACTIONS)
            labels = batch((row for kind, row in part if kind == "label"), LABELS)
            wanted = path.run(transactions or pa.RecordBatch.from_pylist([], schema=TRANSACTIONS), labels)
            passed_on = None if transactions is None else with_transaction_values(transactions)
            for group, fault in zip(groups, faults, strict=True):
                judged = labels if group.fold.uses_labels else None
                if passed_on is not None or judged is not None:
                    group.suffer(fault, passed_on, judged)
                    change = group.attempt(passed_on, judged)
                    group.commit(change)
                    passed_on = change.staged.transactions
            assert (passed_on is None) == (transactions is None)
            if passed_on is not None:
                assert with_every_feature(passed_on).equals(wanted)


@settings(max_examples=30, deadline=None)
@given(streams(), streams(), st.sampled_from(["none", "deleted"]))
def test_keys_that_expired_leave_log_and_copy_and_change_no_value(before: Stream, after: Stream, fault: str) -> None:
    """A hundred days of silence with an expiry of sixty, and a compaction in every batch."""
    always = Limits(bytes=0, factor=0, entries=0)
    path = FeaturePath({Entity.CARD: 1_024}, 60 * DAY_MS)
    first, second = (transactions_of(before, 0), transactions_of(after, 100 + 60 * 7))
    with TemporaryDirectory() as folder:
        new_process()
        cards = Group(Path(folder) / "card", Entity.CARD, 60 * DAY_MS)
        for transactions in (first, second):
            if transactions is not None:
                wanted = path.run(transactions)
                cards.suffer(fault, None, None)
                change = cards.attempt(with_transaction_values(transactions), None, always)
                cards.commit(change)
                assert change.staged.transactions is not None
                assert with_every_feature(change.staged.transactions).equals(wanted)
        if second is not None:
            with local_copy.open_copy(cards.folder) as copy:
                assert copy.state.keys <= len(set(second["card_token"].to_pylist()))


def transactions_of(stream: Stream, later_days: int) -> pa.RecordBatch | None:
    """The transactions of a stream, moved into the future, under ids of their own."""
    moved = (
        row
        | {
            "event_time": row["event_time"] + dt.timedelta(days=later_days),
            "transaction_id": f"{row['transaction_id']}-{later_days}",
        }
        for kind, row in stream
        if kind == "transaction"
    )
    return batch(moved, TRANSACTIONS)
