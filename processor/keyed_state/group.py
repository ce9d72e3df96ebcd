"""One key group in one batch: bring the local copy to the checkpoint's version, fold, log what changed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from fraud.features.catalogue import DAY_MS
from fraud.features.fold import EntityFold
from fraud.features.stage import Staged, run_stage
from processor.keyed_state.local_copy import LocalCopy, open_copy
from processor.keyed_state.log import Head, events_entry, replay, snapshot_entries

_COMPACT_BYTES = 4 << 20
_COMPACT_FACTOR = 2
_COMPACT_ENTRIES = 2_000

EXPIRY_GRACE_MS = 30 * DAY_MS
"""An expired key is forgotten this much later, so that late events still meet the state that they would have met."""


class Change(NamedTuple):
    """What a batch did to a key group.

    Attributes:
        staged: its transactions with features, and duplicates.
        head: the log's new head.
        entries: what to append to the log; or, compacted, what replaces it.
        compacted: whether `entries` replace the whole log.
        rebuilt: whether the local copy had to be rebuilt first.
    """

    staged: Staged
    head: Head
    entries: list[bytes]
    compacted: bool
    rebuilt: bool


def advance_group(
    folder: Path,
    fold: EntityFold,
    head: Head,
    log: Callable[[], Iterable[bytes]],
    transactions: pa.RecordBatch | None,
    labels: pa.RecordBatch | None,
) -> Change:
    """Folds a batch into a key group.

    The local copy names the version it holds; where that is not the checkpoint's, whatever the cause (a retry, a
    restart, another executor, a rolled-back checkpoint), it is rebuilt from the log. So nothing that happens to the
    copy can change a value.

    Args:
        folder: of the group's local copy.
        fold: of the entity kind.
        head: of the checkpoint's log.
        log: reads the checkpoint's log; called only for a rebuild.
        transactions: of the batch; see `fraud.features.stage.run_stage`.
        labels: of the batch.
    """
    with open_copy(folder) as copy:
        rebuilt = not copy.holds(head.token)
        if rebuilt:
            copy.reset()
            replay(log() if head.entries else (), fold, copy.state)
        copy.begin()
        staged = run_stage(fold, copy.state, transactions, labels)
        entry = events_entry(staged.events)
        head = Head(secrets.token_bytes(16), head.entries + 1, head.log_bytes + len(entry), head.snapshot_bytes)
        entries = [entry]
        compacted = _is_long(head)
        if compacted:
            entries = _compact(copy, fold)
            size = sum(map(len, entries))
            head = Head(head.token, len(entries), size, size)
        copy.commit(head.token)
    return Change(staged, head, entries, compacted, rebuilt)


def _is_long(head: Head) -> bool:
    added = head.log_bytes - head.snapshot_bytes
    return added > max(_COMPACT_BYTES, _COMPACT_FACTOR * head.snapshot_bytes) or head.entries > _COMPACT_ENTRIES


def _compact(copy: LocalCopy, fold: EntityFold) -> list[bytes]:
    """The snapshot that replaces the log; keys that would begin anew anyway leave the local copy too."""
    oldest = copy.state.clock_ms - fold.expiry_ms - EXPIRY_GRACE_MS
    entries = snapshot_entries(copy.state, oldest)
    if copy.state.keys_since(oldest) < copy.state.keys:
        copy.reset()
        replay(entries, fold, copy.state)
    return entries
