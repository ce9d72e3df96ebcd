"""Whatever happens in whatever order, and wherever programs die: the outbox refers to each thing once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.alerts.alert import Item, change_note
from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind, pin_key
from adapters.archive.pins import Pin
from adapters.events.outbox import OfAlert, OfDecisions, OfList, OfPolicy, Outbox, Reference
from adapters.objects.folder import FolderObjects
from adapters.policy.lists import ListStore
from fraud.decision.policy.document import ListKind
from fraud.decision.policy.living import Given, next_change
from fraud.events.event import Event, trial
from operations.events.collection import Collection
from operations.events.delivery import Delivery, Figures, Patience

NOON_MS = 1_768_478_400_000
HOUR_MS = 3_600_000
FIGURES = Figures(lambda *_: None, lambda *_: None)


class DiedError(BaseException):
    """The program was killed."""


class MortalObjects(FolderObjects):
    """Objects in a folder; whoever uses them dies at a call, before or after it was done."""

    left: int | None = None
    after = False

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("get", "put", "put_new", "replace"):
            return found

        def call(*arguments: Any) -> Any:
            if self.left is not None:
                self.left -= 1
            if self.left == 0 and not self.after:
                raise DiedError
            done = found(*arguments)
            if self.left == 0:
                raise DiedError
            return done

        return call


class Notes:
    """Notes of changed alerts, as the alert table keeps them."""

    def __init__(self) -> None:
        self.kept: dict[str, Item] = {}

    def changes(self) -> list[Item]:
        return list(self.kept.values())

    def delete(self, alert_id: str) -> None:
        self.kept.pop(alert_id, None)


def events_of(reference: Reference) -> list[Event]:
    """Two events for each reference, but none for tables of partition 0."""
    if isinstance(reference, OfDecisions) and reference.key.endswith("-0000.parquet"):
        return []
    name = "".join(f"{byte:x}" for byte in msgspec.json.encode(reference))
    return [trial(name, number, "bank") for number in range(2)]


class World:
    """What happens, and what was made of it."""

    def __init__(self, folder: Path) -> None:
        self.objects = MortalObjects(folder / "archive")
        self.archive = Archive(self.objects)
        self.lists = ListStore(FolderObjects(folder / "lists"))
        self.notes = Notes()
        self.batch = -1
        self.partition = 0
        self.changes = 0
        self.policy = "p0"
        self.happened: list[Reference] = []

    def next_batch(self, hour: int) -> None:
        """The job begins a batch, whose records arrived in any hour."""
        self.batch, self.partition, self.hour = self.batch + 1, 0, hour
        pin = Pin(self.policy, None, arrival_ms=NOON_MS + hour * HOUR_MS)
        self.archive.put_new(pin_key("fraud", self.batch), msgspec.json.encode(pin))

    def next_table(self) -> None:
        """A partition of the batch is stored."""
        if self.batch < 0:
            return
        key = ArchiveKind.DECISIONS.key("fraud", self.batch, self.partition, NOON_MS + self.hour * HOUR_MS)
        self.partition += 1
        self.archive.put_new(key, b"")
        if events_of(OfDecisions(key)):
            self.happened.append(OfDecisions(key))

    def next_change(self) -> None:
        """An alert is changed."""
        self.changes += 1
        note = change_note("a", self.changes, self.changes)
        self.notes.kept[note["alert_id"]] = note
        self.happened.append(OfAlert("a", self.changes))

    def change_list(self) -> None:
        """A list is changed."""
        after = self.lists.append(
            lambda lists: next_change(
                lists, "l", ListKind.WATCH, "card", by="lea", at_ms=1, why="", put=[Given(f"c{lists.number}")]
            )
        )
        self.happened.append(OfList(after.number))

    def change_policy(self) -> None:
        """Other files of the policy are published; the next batch is decided by them."""
        self.policy = f"p{int(self.policy[1:]) + 1}"

    def collection(self) -> Collection:
        """A program that has just been started."""
        return Collection(
            self.archive, "fraud", self.notes, self.lists, Outbox(self.archive), events_of, lambda: NOON_MS, False
        )


def mortal(world: World, lives: int | None, work: Callable[[], object]) -> bool:
    """Does some work, and dies at a call of the archive; whether it lived."""
    if lives is not None:
        world.objects.left, world.objects.after = (lives + 1) // 2, lives % 2 == 1
    try:
        work()
    except DiedError:
        return False
    finally:
        world.objects.left = None
    return True


Step = Literal["batch", "late", "table", "change", "list", "policy", "collect"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["batch", "late", "table", "table", "change", "list", "policy", "collect"]), st.integers(1, 12)
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=25, deadline=None)
def test_everything_that_happened_is_referred_to_once(steps: Sequence[tuple[Step, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        collection = world.collection()
        acts = {
            "batch": lambda: world.next_batch(0),
            "late": lambda: world.next_batch(-5),
            "table": world.next_table,
            "change": world.next_change,
            "list": world.change_list,
            "policy": world.change_policy,
        }
        for step, lives in steps:
            if step != "collect":
                acts[step]()
            elif not mortal(world, lives if lives < 24 else None, collection.turn):
                collection = world.collection()
        while world.collection().turn():
            pass
        outbox = Outbox(world.archive)
        outbox.last()
        found = [reference for entry in outbox.after(0) for reference in entry.references]
        policies = [each for each in found if isinstance(each, OfPolicy)]
        others = [each for each in found if not isinstance(each, OfPolicy)]
        assert sorted(map(str, others)) == sorted(map(str, world.happened))
        assert [(each.before, each.after) for each in policies] == changes_of_policy(world)
        assert world.notes.kept == {}


def changes_of_policy(world: World) -> list[tuple[str, str]]:
    pins = [world.archive.get(pin_key("fraud", batch)) or b"" for batch in range(world.batch + 1)]
    versions = [msgspec.json.decode(pin, type=Pin).policy_version for pin in pins]
    return [(before, after) for before, after in pairwise(versions) if before != after]


@given(st.integers(1, 6), st.lists(st.integers(1, 50), max_size=6), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_a_receiver_gets_every_event_in_order_however_often_the_program_dies(
    tables: int, deaths: Sequence[int], at_once: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        got: list[Event] = []

        class Receiver:
            def __init__(self) -> None:
                self.at_once = at_once

            def require(self) -> None:
                pass

            def send(self, events: Sequence[Event]) -> list[tuple[Event, str]]:
                got.extend(events)
                return []

        def delivery() -> Delivery:
            outbox = Outbox(world.archive)
            outbox.last()
            return Delivery(
                "x",
                Receiver(),
                lambda _: True,
                outbox,
                events_of,
                Patience(1, 1),
                FIGURES,
                lambda _: False,
                lambda: 0.0,
            )

        delivery().begin(True)
        world.next_batch(0)
        for _ in range(tables + 1):
            world.next_table()
            world.collection().turn()
        for lives in deaths:
            mortal(world, lives, lambda: delivery().turn())
        delivery().turn()
        wanted = [event for reference in world.happened for event in events_of(reference)]
        assert list(dict.fromkeys(got)) == wanted
        outbox = Outbox(world.archive)
        last, (standing, _) = outbox.last(), outbox.standing("x")
        assert last is not None
        assert (standing.entry, standing.after) == (last.number, "")
