"""One key group in one batch: bring the local copy to the checkpoint's version, fold, log what changed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from fraud.features.events import Events
from fraud.features.fold import EntityFold, last_event_ms
from fraud.features.stage import Staged, run_stage
from processor.keyed_state.local_copy import LocalCopy, open_copy
from processor.keyed_state.log import EMPTY, Head, events_entry, replay, snapshot_entry

_COMPACT_BYTES = 4 << 20
_COMPACT_FACTOR = 2
_COMPACT_ENTRIES = 2_000


class Change(NamedTuple):
    """What a batch did to a key group.

    Attributes:
        staged: its transactions with features, and duplicates.
        head: the log's new head.
        entry: what to append to the log; or, compacted, what replaces it.
        compacted: whether `entry` replaces the whole log.
        rebuilt: whether the local copy had to be rebuilt first.
    """

    staged: Staged
    head: Head
    entry: bytes
    compacted: bool
    rebuilt: bool


def advance_group(
    folder: Path,
    fold: EntityFold,
    head: Head,
    log: Callable[[], Iterable[bytes]],
    transactions: pa.RecordBatch | None,
    labels: pa.RecordBatch | None,
    expiry_ms: int,
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
        expiry_ms: entities without events for longer are dropped when the log is compacted.
    """
    folded: list[Events] = []
    with open_copy(folder) as copy:
        rebuilt = copy.token != head.token
        if rebuilt:
            _rebuild(copy, fold, log() if head is not EMPTY else ())
        staged = run_stage(fold, transactions, labels, copy.read, copy.write, folded.append)
        token = secrets.token_bytes(16)
        copy.mark(token)
        entry = events_entry(folded[0])
        log_bytes = head.log_bytes + len(entry)
        if log_bytes - head.snapshot_bytes > max(_COMPACT_BYTES, _COMPACT_FACTOR * head.snapshot_bytes) or (
            head.entries >= _COMPACT_ENTRIES
        ):
            entry = snapshot_entry(_living(copy, expiry_ms))
            return Change(staged, Head(token, 1, len(entry), len(entry)), entry, True, rebuilt)
    return Change(staged, Head(token, head.entries + 1, log_bytes, head.snapshot_bytes), entry, False, rebuilt)


def _rebuild(copy: LocalCopy, fold: EntityFold, log: Iterable[bytes]) -> None:
    copy.reset()
    for entry in replay(log):
        if isinstance(entry, Events):
            copy.write(entry.ids, fold.run(copy.read(entry.ids), entry).states)
        else:
            copy.reset(entry)


def _living(copy: LocalCopy, expiry_ms: int) -> Sequence[tuple[bytes, bytes]]:
    """All states but those of entities that would begin anew anyway; these are dropped."""
    items = list(copy.items())
    latest = {known: last_event_ms(state) for known, state in items}
    oldest = max(latest.values(), default=0) - expiry_ms
    for known, at in latest.items():
        if at < oldest:
            copy.forget(known)
    return [(known, state) for known, state in items if latest[known] >= oldest]
