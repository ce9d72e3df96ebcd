"""One key group in one batch: bring the local copy to the checkpoint's version, fold, log what changed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from fraud.features.catalogue import DAY_MS
from fraud.features.fold import EntityFold
from fraud.path import Step
from fraud.records import Records
from processor.keyed_state.local_copy import LocalCopy, open_copy
from processor.keyed_state.log import Head, events_entry, replay, snapshot_entries, waiting_entry

EXPIRY_GRACE_MS = 30 * DAY_MS
"""An expired key is forgotten this much later, so that late events still meet the state that they would have met."""


class Limits(NamedTuple):
    """When a log is replaced by a snapshot: a rebuild then costs a bounded multiple of what it restores.

    Attributes:
        bytes: never while less than this was added to the last snapshot.
        factor: once more than this multiple of the snapshot was added.
        entries: once the log has more entries, whatever their size.
    """

    bytes: int = 4 << 20
    factor: int = 2
    entries: int = 2_000

    def exceeded_by(self, head: Head) -> bool:
        """Whether a log is to be replaced."""
        added = head.log_bytes - head.snapshot_bytes
        return added > max(self.bytes, self.factor * head.snapshot_bytes) or head.entries > self.entries


DEFAULT_LIMITS = Limits()


class Change(NamedTuple):
    """What a batch did to a key group.

    Attributes:
        records: of the batch, with the entity's features.
        head: the log's new head.
        entries: what to append to the log; or, compacted, what replaces it.
        compacted: whether `entries` replace the whole log.
        rebuilt: whether the local copy had to be rebuilt first.
    """

    records: Records
    head: Head
    entries: list[bytes]
    compacted: bool
    rebuilt: bool


def fresh_token() -> bytes:
    """A name that no version of any state has."""
    return secrets.token_bytes(16)


def advance_group(
    folder: Path,
    step: Step,
    head: Head,
    log: Callable[[], Iterable[bytes]],
    records: Records,
    limits: Limits = DEFAULT_LIMITS,
    beginning: Callable[[], Iterable[bytes]] = tuple,
    new_token: Callable[[], bytes] = fresh_token,
) -> Change:
    """Folds a batch into a key group.

    The local copy names the version it holds; where that is not the checkpoint's, whatever the cause (a retry, a
    restart, another executor, a rolled-back checkpoint), it is rebuilt from the log. So nothing that happens to the
    copy can change a value.

    Args:
        folder: of the group's local copy.
        step: of the entity.
        head: of the checkpoint's log.
        log: reads the checkpoint's log; called only for a rebuild.
        records: of the batch, that concern the step.
        limits: when to compact.
        beginning: reads the entries that a new log begins with; called only for an empty head.
        new_token: draws the name of a version.
    """
    first = [] if head.entries else list(beginning())
    with open_copy(folder) as copy:
        rebuilt = not copy.holds(head.token)
        if rebuilt:
            copy.reset()
            replay(log() if head.entries else first, step.fold, copy.state)
        copy.begin()
        advanced = step.advance(copy.state, records)
        entries = [*first, events_entry(advanced.events)]
        if advanced.waiting:
            entries.append(waiting_entry(advanced.waiting))
        head = Head(
            new_token(),
            head.entries + len(entries),
            head.log_bytes + sum(map(len, entries)),
            head.snapshot_bytes + sum(map(len, first)),
        )
        compacted = limits.exceeded_by(head)
        if compacted:
            entries = _compact(copy, step.fold)
            size = sum(map(len, entries))
            head = Head(head.token, len(entries), size, size)
        copy.commit(head.token)
    return Change(advanced.records, head, entries, compacted, rebuilt)


def _compact(copy: LocalCopy, fold: EntityFold) -> list[bytes]:
    """The snapshot that replaces the log; keys that would begin again anyway leave the local copy too."""
    oldest = copy.state.clock_ms - fold.expiry_ms - EXPIRY_GRACE_MS
    entries = snapshot_entries(copy.state, oldest)
    if copy.state.keys_since(oldest) < copy.state.keys:
        copy.reset()
        replay(entries, fold, copy.state)
    return entries
