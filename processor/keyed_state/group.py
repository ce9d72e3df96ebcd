"""One key group in one batch: bring the local copy to the checkpoint's version, fold, log what changed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from fraud.features.catalogue import DAY_MS
from fraud.features.fold import EntityFold
from fraud.features.state import EntityState
from fraud.features.waiting import Change as LabelChange
from fraud.path import Step
from fraud.records import Records
from processor.keyed_state.local_copy import open_copy
from processor.keyed_state.log import Head, all_waiting_entry, events_entry, replay, snapshot_entry, waiting_entry

EXPIRY_GRACE_MS = 30 * DAY_MS
"""An expired key is forgotten this much later, so that late events still meet the state that they would have met."""


SLICE_BYTES = 256 << 10
"""After so many logged bytes a key group owes a piece of a snapshot. As a piece pays for no fewer bytes than it has, of
what is written to the checkpoint at most half are snapshots, and a log has at most four times the size of its state's
snapshot, and twice this more."""

_LEAST_ENTRY = 256
"""Bytes that an entry counts for at least: to read it again takes as long."""


class Size(NamedTuple):
    """What a local copy holds: keys, remembered events, and the bytes in use for both."""

    keys: int
    events: int
    bytes: int


class Change(NamedTuple):
    """What a batch did to a key group.

    Attributes:
        records: of the batch, with the entity's features.
        head: the log's new head.
        entries: what to append to the round that the head names.
        ended: whether all rounds before it are to be removed.
        rebuilt: whether the local copy had to be rebuilt first.
        size: of the local copy.
    """

    records: Records
    head: Head
    entries: list[bytes]
    ended: bool
    rebuilt: bool
    size: Size


def fresh_token() -> bytes:
    """A name that no version of any state has."""
    return secrets.token_bytes(16)


def advance_group(
    folder: Path,
    step: Step,
    head: Head,
    log: Callable[[], Iterable[bytes]],
    records: Records,
    slice_bytes: int = SLICE_BYTES,
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
        slice_bytes: see `SLICE_BYTES`.
        beginning: reads the entries that a new log begins with; called only for an empty head.
        new_token: draws the name of a version.
    """
    first = [] if head.round else list(beginning())
    with open_copy(folder) as copy:
        rebuilt = not copy.holds(head.token)
        if rebuilt:
            copy.reset()
            replay(log() if head.round else first, step.fold, copy.state)
        copy.begin()
        advanced = step.advance(copy.state, records)
        events = events_entry(advanced.events)
        owed = max(_LEAST_ENTRY, len(events))
        head = _indebted(head, new_token(), owed, slice_bytes)
        if head.round > 1 and not head.round_bytes:
            entries = [all_waiting_entry(copy.state.waiting), events]
        else:
            entries = [*first, events, *_waiting(advanced.waiting)]
        head = head.with_entries(entries)._replace(snapshot_bytes=head.snapshot_bytes + sum(map(len, first)))
        snapshots, head = _snapshots(copy.state, step.fold, head, slice_bytes, 1 + owed // slice_bytes)
        size = Size(copy.state.keys, copy.state.events, copy.state.used_bytes)
        copy.commit(head.token)
    ended = bool(snapshots) and head.whole
    return Change(advanced.records, head, [*entries, *snapshots], ended, rebuilt, size)


def _indebted(head: Head, token: bytes, owed: int, slice_bytes: int) -> Head:
    """The head of the next version, which owes more; of a new round where the last is through and a piece is due."""
    if not head.round:
        # Each group owes something else from the first on, or all would take their turn in the same batch.
        phase = int.from_bytes(token[-8:], "big") % slice_bytes
        return head._replace(token=token, round=1, owed=phase + owed)
    head = head._replace(token=token, owed=head.owed + owed)
    return head.next_round() if head.whole and head.owed >= slice_bytes else head


def _waiting(change: LabelChange) -> list[bytes]:
    return [waiting_entry(change)] if change else []


def _snapshots(
    state: EntityState, fold: EntityFold, head: Head, slice_bytes: int, most: int
) -> tuple[list[bytes], Head]:
    """The pieces of the round's snapshot that are owed, but no more than `most`; and the head with them."""
    oldest = state.clock_ms - fold.expiry_ms - EXPIRY_GRACE_MS
    entries: list[bytes] = []
    while not head.whole and head.owed >= slice_bytes and len(entries) < most:
        piece, is_last = state.next_slice(head.round, oldest)
        entries.append(snapshot_entry(piece))
        head = head.with_snapshot(entries[-1], is_last, slice_bytes)
    return entries, head
