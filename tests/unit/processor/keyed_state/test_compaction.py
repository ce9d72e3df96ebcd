"""Snapshots are taken piece by piece, in proportion to what changed, and a log stays within a multiple of its state."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from fraud.entities import CARD
from fraud.errors import FatalError, MisconfiguredError
from fraud.features import state
from fraud.path import Step
from fraud.records import Records
from fraud.settings import Settings
from processor.checkpoint import Claim, fixed_settings, refuse_changes
from processor.keyed_state import local_copy
from processor.keyed_state.group import Change, advance_group
from processor.keyed_state.log import EMPTY, Head, is_snapshot, replay, snapshot_entries
from tests.support.feature_streams import TRANSACTIONS, batch
from tests.support.keyed_state_jobs import arrival
from tests.support.records import NOON, transaction

STEP = Step(CARD, Settings())
SLICE = 3_000
CARDS = 40
SIZE = 10


def transactions(number: int) -> Records:
    """The batch of a number: ten payments, of ten cards in turn, a minute apart."""
    rows = []
    for place in range(number * SIZE, (number + 1) * SIZE):
        time = NOON + dt.timedelta(minutes=place)
        fields = {"transaction_id": f"t-{place}", "card_token": f"card-{place % CARDS}", "event_time": time}
        row = transaction(**fields)
        times = arrival(place) | {"arrival_ms": int(time.timestamp() * 1000)}
        rows.append({name: row.get(name) for name in TRANSACTIONS.names} | times)
    return Records(batch(rows, TRANSACTIONS))


class Group:
    """A key group with its log in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.head: Head = EMPTY
        self.lists: tuple[list[bytes], list[bytes]] = ([], [])

    def advance(self, records: Records) -> Change:
        change = advance_group(self.folder, STEP, self.head, self.log, records, SLICE)
        self.head = change.head
        self.lists[self.head.round % 2].extend(change.entries)
        if change.ended:
            self.lists[1 - self.head.round % 2].clear()
        return change

    def is_in_a_round(self) -> bool:
        return not self.head.whole

    def log(self) -> list[bytes]:
        return [entry for number in self.head.lists for entry in self.lists[number]]


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    monkeypatch.setattr(state, "EVENTS_A_PIECE", 120)
    local_copy._opened.clear()
    return Group(tmp_path / "copy")


def test_snapshots_take_no_more_bytes_than_what_was_folded(group: Group) -> None:
    folded = snapshots = 0
    for number in range(120):
        change = group.advance(transactions(number))
        pieces = [len(entry) for entry in change.entries if is_snapshot(entry)]
        assert len(pieces) <= 1
        folded += sum(map(len, change.entries)) - sum(pieces)
        snapshots += sum(pieces)
        assert group.head.log_bytes == sum(map(len, group.log()))
    assert group.head.round > 2
    assert 0 < snapshots <= folded + SLICE


def test_a_log_is_at_most_four_snapshots_and_what_two_pieces_wait_for(group: Group) -> None:
    for number in range(160):
        group.advance(transactions(number))
        with local_copy.open_copy(group.folder) as copy:
            whole = sum(map(len, snapshot_entries(copy.state)))
        assert group.head.log_bytes <= 4 * whole + 2 * SLICE


def test_a_lost_copy_in_the_middle_of_a_round_begins_the_round_again(group: Group, tmp_path: Path) -> None:
    number = 0
    while not group.is_in_a_round():
        group.advance(transactions(number))
        number += 1
    local_copy._opened.clear()
    group.folder = tmp_path / "other"
    assert group.advance(transactions(number)).rebuilt
    began = group.head.round
    while group.is_in_a_round():
        number += 1
        assert not group.advance(transactions(number)).rebuilt
    assert group.head.round == began
    assert group.head.earlier_bytes == 0


def test_a_snapshot_of_the_version_before_is_refused_with_the_way_out() -> None:
    entry = Path(__file__).with_name("snapshot-8.bin").read_bytes()
    with pytest.raises(FatalError, match=r"^the state has version 8, this program reads version 9: .*state backfill"):
        replay([entry], STEP.fold, state.EntityState())


def test_a_checkpoint_of_the_version_before_is_refused_with_the_way_out() -> None:
    now = Settings()
    claim = Claim("checkpoint", fixed_settings(now) | {"version of the state": 8})
    with pytest.raises(MisconfiguredError, match=r"^version of the state: is 9, .* created with 8; .*state backfill"):
        refuse_changes({now.job.query: claim}, "checkpoint", now)
