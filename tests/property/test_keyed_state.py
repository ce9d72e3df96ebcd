"""A key group through every fault: whatever happens to its local copy or to an attempt, the values stay the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.features.catalogue import DAY_MS, Entity
from fraud.features.fold import EntityFold
from fraud.features.offline import FeaturePath
from fraud.features.stage import with_transaction_values
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

    def __init__(self, folder: Path, entity: Entity) -> None:
        self.folder = folder
        self.before = folder.with_name(f"{entity}-before")
        self.fold = EntityFold(entity, 1_024, 400 * DAY_MS)
        self.head: Head = EMPTY
        self.log: list[bytes] = []

    def attempt(self, transactions: pa.RecordBatch | None, labels: pa.RecordBatch | None) -> Change:
        head, log = self.head, list(self.log)
        if self.folder.exists():
            shutil.rmtree(self.before, ignore_errors=True)
            shutil.copytree(self.folder, self.before)
        return advance_group(self.folder, self.fold, head, lambda: log, transactions, labels, SMALL)

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
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from(FAULTS), st.sampled_from(FAULTS)), min_size=1),
)
def test_faults_change_no_value(stream: Stream, plan: list[tuple[int, str, str]]) -> None:
    path = FeaturePath(merchant_events=1_024)
    with TemporaryDirectory() as folder:
        new_process()
        cards, merchants = (Group(Path(folder) / entity, entity) for entity in (Entity.CARD, Entity.MERCHANT))
        rest, step = stream, 0
        while rest:
            size, card_fault, merchant_fault = plan[step % len(plan)]
            part, rest, step = rest[:size], rest[size:], step + 1
            transactions = batch((row for kind, row in part if kind == "transaction"), TRANSACTIONS)
            labels = batch((row for kind, row in part if kind == "label"), LABELS)
            if transactions is None:
                merchants.suffer(merchant_fault, None, labels)
                merchants.commit(merchants.attempt(None, labels))
                wanted = path.run(pa.RecordBatch.from_pylist([], schema=TRANSACTIONS), labels)
                assert wanted.num_rows == 0
                continue
            with_values = with_transaction_values(transactions)
            cards.suffer(card_fault, with_values, None)
            change = cards.attempt(with_values, None)
            cards.commit(change)
            carded = change.staged.transactions
            merchants.suffer(merchant_fault, carded, labels)
            change = merchants.attempt(carded, labels)
            merchants.commit(change)
            assert change.staged.transactions is not None
            assert change.staged.transactions.equals(path.run(transactions, labels))
