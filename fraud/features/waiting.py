"""Labels that wait in the state of an entity that reads them: for their place in arrival order, and their transaction.

The stream of labels is short, so a job that catches up reads it far ahead of the transactions. A label still takes
effect where arrival order puts it: before the first transaction that arrived after it. One whose transaction has not
come by then waits for it, and takes effect right behind it. So it does not matter in which batch a label was read.

A label waits as long as its transaction could still lie in a window. Then it becomes a dead letter; of those that have
ended, each transaction of the key group lets one go, so that no batch has many at once.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from fraud.features.events import Events, Ints, label_events, merge
from fraud.features.kernel.layout import (
    EVENT_DELAY,
    EVENT_ID,
    EVENT_OTHER,
    EVENT_TIME,
    LABEL_AMBIGUOUS,
    LABEL_MATCHED,
    LABEL_PAST,
    LABEL_UNMATCHED,
)
from fraud.records.arrival import ARRIVAL_COLUMNS, Place
from fraud.records.dead_letter import Reason, Reject
from fraud.records.notes import Note

_NOTES = {
    LABEL_UNMATCHED: Note.LABEL_UNMATCHED,
    LABEL_MATCHED: Note.LABEL_MATCHED,
    LABEL_AMBIGUOUS: Note.LABEL_AMBIGUOUS,
    LABEL_PAST: Note.LABEL_PAST,
}
_NEVER_CAME = Reject(
    0,
    Reason.UNMATCHED_LABEL,
    "transaction_id",
    "no transaction of this id, card and merchant came within the precision of transaction_time; correct the label and "
    "send it again",
)
_SEVERAL = Reject(
    0,
    Reason.UNMATCHED_LABEL,
    "transaction_time",
    "several transactions of this id, card and merchant lie within its precision; send the label again with the "
    "transaction's event_time",
)
_TOO_MANY = Reject(
    0,
    Reason.UNMATCHED_LABEL,
    "transaction_id",
    "more labels wait for their transactions than job.waiting_labels allows; raise it, and replay this one",
)


class Stage(enum.IntEnum):
    """What a label waits for."""

    AHEAD = 0  # its place in arrival order
    DUE = 1  # its transaction
    ENDED = 2  # nothing more: to become a dead letter


class WaitingLabel(msgspec.Struct, array_like=True):
    """A label in the state.

    Attributes:
        stream: where it lies in its stream, with the next four: `fraud.records.arrival.ARRIVAL_COLUMNS`.
        arrived_ms: when it arrived by the clock that horizons follow.
        key: hash of the entity's id.
        id: hash of the transaction's.
        other: hash of the entity's other side; 0 where a label does not name it.
        time_ms: of the transaction, which may lie less than `precision_ms` later.
        is_fraud: the verdict.
        data: its bytes; empty where a history keeps none.
        number: counts the labels that have come to wait.
        stage: what it waits for.
        ambiguous: whether several transactions were found.
    """

    stream: str
    shard: str
    sequence_number: str
    sub_sequence: int
    arrival_ms: int
    arrived_ms: int
    key: int
    id: int
    other: int
    time_ms: int
    precision_ms: int
    is_fraud: bool
    data: bytes
    number: int = 0
    stage: Stage = Stage.AHEAD
    ambiguous: bool = False

    @property
    def place(self) -> Place:
        """Its place in arrival order."""
        digits = self.sequence_number
        return self.arrival_ms, self.stream, self.shard, len(digits), digits, self.sub_sequence

    @property
    def arrival(self) -> dict[str, str | int]:
        """The columns of its arrival."""
        return {name: getattr(self, name) for name in ARRIVAL_COLUMNS}

    @property
    def since_ms(self) -> int:
        """From when it counts how long it has waited: so long after, its transaction is forgotten as it arrives."""
        return min(self.time_ms, self.arrived_ms)


class Change(msgspec.Struct, array_like=True):
    """How the waiting labels of a key group changed.

    Attributes:
        gone: numbers of those that wait no more.
        moved: number, stage and ambiguity of those that wait for something else.
        added: new ones.
    """

    gone: list[int] = []
    moved: list[tuple[int, Stage, bool]] = []
    added: list[WaitingLabel] = []

    def __bool__(self) -> bool:
        return bool(self.gone or self.moved or self.added)


class Turn(NamedTuple):
    """A batch with the labels whose turn it is.

    Attributes:
        events: of transactions and labels, in the order in which they are folded.
        places: of each transaction among the events (n).
        tried: the labels among the events; label number k has the ticket k + 1.
        due: numbers of those that have reached their place in this batch.
        ends: by number, the transaction with which a label's time has run out.
    """

    events: Events
    places: Ints
    tried: Sequence[WaitingLabel] = ()
    due: frozenset[int] = frozenset()
    ends: Mapping[int, int] = MappingProxyType({})


class Settled(NamedTuple):
    """What became of labels.

    Attributes:
        notes: how many found their transaction, have to wait for it, found several, or came too late to matter.
        refused: those that end as dead letters.
    """

    notes: dict[Note, int]
    refused: list[tuple[WaitingLabel, Reject]]


_NEVER = 1 << 62
_ALONE = np.zeros(1, np.int64)
_ALONE.setflags(write=False)
_NOTHING, _NO_CHANGE = Settled({}, []), Change()


class WaitingLabels:
    """The waiting labels of a set of keys, such as a key group."""

    def __init__(self) -> None:
        self._labels: dict[int, WaitingLabel] = {}  # by number, that is in the order in which they were read
        self._ahead: list[tuple[Place, int]] = []  # in arrival order
        self._due: dict[int, dict[int, WaitingLabel]] = {}  # by the transaction's id and by number
        self._ended: dict[int, WaitingLabel] = {}
        self._since_ms = _NEVER  # no label in `_due` counts from an earlier time
        self._next = self._known = 0
        self._touched: set[int] = set()

    def __len__(self) -> int:
        return len(self._labels)

    def turn(
        self,
        added: Sequence[WaitingLabel],
        events: Events,
        places: Callable[[], Sequence[Place]],
        before_ms: int,
        retention_ms: int,
    ) -> Turn:
        """Finds the labels whose turn it is in a batch, and puts them among its transactions.

        Args:
            added: labels of the batch.
            events: of its transactions, in arrival order (n).
            places: gives the places of the transactions (n); asked only where labels wait for theirs.
            before_ms: arrival of the transaction before them.
            retention_ms: how long a transaction can lie in a window.
        """
        if added:
            for label in sorted((label for label in added if label.key), key=lambda label: label.place):
                self._add(label)
        count = len(events.key)
        own = _ALONE if count == 1 else np.arange(count)
        if not self._labels or not count:
            return Turn(events, own)
        began = self._reach(places) if self._ahead else {}
        if not self._due:
            return Turn(events, own)
        ends = self._ends(events, began, before_ms, retention_ms)
        tries = [(at, 1, label.place, label) for label, at in ((self._labels[n], at) for n, at in began.items())]
        for at, transaction_id in enumerate(events.words[:, EVENT_ID].tolist()):
            for number, label in self._due.get(transaction_id, {}).items():
                if began.get(number, 0) <= at < ends.get(number, count) and _is_about(label, events, at):
                    tries.append((at + 1, 0, label.place, label))
        if not tries:
            return Turn(events, own, ends=ends)
        tries.sort(key=lambda one: one[:3])
        tickets = {label.number: ticket for ticket, label in enumerate({t[3].number: t[3] for t in tries}.values(), 1)}
        tried = [label for *_, label in tries]
        # A transaction lies between the two places around it.
        order = np.argsort(np.concatenate([2 * own + 1, [2 * at for at, *_ in tries]]), kind="stable")
        place_of = np.empty(len(order), np.int64)
        place_of[order] = np.arange(len(order))
        return Turn(
            merge(events, _events(tried, [tickets[label.number] for label in tried]), order),
            place_of[:count],
            [self._labels[number] for number in tickets],
            frozenset(began),
            ends,
        )

    def settle(self, turn: Turn, labelled: Ints, added: int, most: int) -> Settled:
        """Takes what folding the events of a turn gave.

        Args:
            turn: as it was found.
            labelled: what became of each label tried, by its ticket less 1.
            added: how many labels the batch had.
            most: so many may wait; beyond it, the first that were read go.
        """
        if not (turn.tried or turn.ends or added or self._ended):
            return _NOTHING
        counts: Counter[Note] = Counter()
        for label, outcome in zip(turn.tried, labelled.tolist(), strict=False):
            if outcome in (LABEL_MATCHED, LABEL_PAST):
                self._remove(label)
            elif outcome == LABEL_AMBIGUOUS and not label.ambiguous:
                label.ambiguous = True
                self._touched.add(label.number)
            elif label.number not in turn.due:
                continue
            counts[_NOTES[outcome]] += 1
        refused = self._let_go(turn)
        for _ in range(added):
            if len(self._labels) > most:
                first = next(iter(self._labels.values()))
                self._remove(first)
                refused.append((first, _TOO_MANY))
        return Settled(dict(counts), refused)

    def take_change(self) -> Change:
        """How they changed since this was last asked."""
        if not self._touched:
            return _NO_CHANGE
        touched = sorted(self._touched)
        here = [self._labels[number] for number in touched if number in self._labels]
        change = Change(
            [number for number in touched if number < self._known and number not in self._labels],
            [(label.number, label.stage, label.ambiguous) for label in here if label.number < self._known],
            [label for label in here if label.number >= self._known],
        )
        self._touched.clear()
        self._known = self._next
        return change

    def whole(self) -> Change:
        """The change that leads from none to these."""
        return Change(added=list(self._labels.values()))

    def apply(self, change: Change) -> None:
        """Makes a change that was taken elsewhere."""
        for number in change.gone:
            self._remove(self._labels[number])
        for number, stage, ambiguous in change.moved:
            label = self._labels[number]
            label.ambiguous = ambiguous
            self._move(label, stage)
        for label in change.added:
            self._labels[label.number] = label
            self._enter(label)
            self._next = max(self._next, label.number + 1)
        self._touched.clear()
        self._known = self._next

    def _add(self, label: WaitingLabel) -> None:
        label.number, self._next = self._next, self._next + 1
        self._labels[label.number] = label
        self._touched.add(label.number)
        self._enter(label)

    def _enter(self, label: WaitingLabel) -> None:
        if label.stage is Stage.AHEAD:
            insort(self._ahead, (label.place, label.number))
        elif label.stage is Stage.DUE:
            self._due.setdefault(label.id, {})[label.number] = label
            self._since_ms = min(self._since_ms, label.since_ms)
        else:
            self._ended[label.number] = label

    def _leave(self, label: WaitingLabel) -> None:
        if label.stage is Stage.AHEAD:
            del self._ahead[bisect_left(self._ahead, (label.place, label.number))]
        elif label.stage is Stage.DUE:
            of_id = self._due[label.id]
            del of_id[label.number]
            if not of_id:
                del self._due[label.id]
        else:
            del self._ended[label.number]

    def _move(self, label: WaitingLabel, stage: Stage) -> None:
        self._leave(label)
        self._go_on(label, stage)

    def _go_on(self, label: WaitingLabel, stage: Stage) -> None:
        label.stage = stage
        self._enter(label)
        self._touched.add(label.number)

    def _remove(self, label: WaitingLabel) -> None:
        self._leave(label)
        del self._labels[label.number]
        self._touched.add(label.number)

    def _reach(self, places: Callable[[], Sequence[Place]]) -> dict[int, int]:
        """The labels that have reached their place by the last transaction: by number, the first transaction after."""
        at = places()
        reached = bisect_left(self._ahead, (at[-1],))  # a place alone comes before those with a number
        began = {}
        passed, self._ahead = self._ahead[:reached], self._ahead[reached:]
        for place, number in passed:
            began[number] = bisect_left(at, place)
            self._go_on(self._labels[number], Stage.DUE)
        return began

    def _ends(self, events: Events, began: dict[int, int], before_ms: int, retention_ms: int) -> dict[int, int]:
        """By number, the transaction with which a label's time has run out: two in turn arrived that late."""
        arrivals = events.words[:, EVENT_TIME] + events.words[:, EVENT_DELAY]
        clock = np.minimum(arrivals, np.concatenate([[before_ms], arrivals[:-1]]))
        latest = int(clock.max())
        ends: dict[int, int] = {}
        if latest < self._since_ms + retention_ms:
            return ends
        self._since_ms = _NEVER
        for of_id in self._due.values():
            for number, label in of_id.items():
                self._since_ms = min(self._since_ms, label.since_ms)
                end_ms = label.since_ms + retention_ms
                if end_ms <= latest:
                    first = began.get(number, 0)
                    over = np.flatnonzero(clock[first:] >= end_ms)
                    if len(over):
                        ends[number] = first + int(over[0])
        return ends

    def _let_go(self, turn: Turn) -> list[tuple[WaitingLabel, Reject]]:
        """Lets labels go whose time has run out: one with each transaction."""
        queue = [(0, label.place, label) for label in self._ended.values()]
        for number, end in turn.ends.items():
            if number in self._labels:
                label = self._labels[number]
                self._move(label, Stage.ENDED)
                queue.append((end, label.place, label))
        gone, free = [], 0
        for end, _, label in sorted(queue, key=lambda one: one[:2]):
            at = max(end, free)
            if at >= len(turn.places):
                break
            self._remove(label)
            gone.append((label, _SEVERAL if label.ambiguous else _NEVER_CAME))
            free = at + 1
        return gone


def _is_about(label: WaitingLabel, events: Events, at: int) -> bool:
    """Whether a transaction may be the one that a label is about."""
    words = events.words[at]
    time_ms = int(words[EVENT_TIME])
    of_other = label.other in (0, int(words[EVENT_OTHER]))
    in_time = label.time_ms <= time_ms < label.time_ms + label.precision_ms
    return of_other and in_time and int(events.key[at]) == label.key


def _events(labels: Sequence[WaitingLabel], tickets: Sequence[int]) -> Events:
    def column(name: str) -> npt.NDArray[np.int64]:
        return np.array([getattr(label, name) for label in labels], np.int64)

    time_ms = column("time_ms")
    return label_events(
        column("key"),
        column("id"),
        column("other"),
        time_ms,
        column("precision_ms"),
        column("arrived_ms") - time_ms,
        column("is_fraud"),
        tickets,
    )
