"""Bytes from anywhere: none of them stops what reads them. A little in every run, half an hour in the long form."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from adapters.model.invocation import scores_from_stream, scores_to_stream
from fraud.entities import CARD
from fraud.errors import FatalError
from fraud.features.state import SHAPES, EntityState
from fraud.path import Step
from fraud.records.intake import Intake
from fraud.settings import Settings
from processor.keyed_state import local_copy
from processor.keyed_state.group import advance_group
from processor.keyed_state.log import EMPTY, Head, replay, snapshot_entries
from processor.kinesis_source.aggregation import MAGIC
from tests.property.test_poison import RAW, mutated
from tests.support.fuzzing import Target, fuzz, fuzz_for
from tests.support.odd_records import accepted
from tests.support.records import label, transaction, wire
from tests.support.whole_path import WholePath, arrived

LONG_S = 1_800.0
STEP, INTAKE = Step(CARD, Settings()), Intake("labels")


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of which some places were overwritten, repeated, left out or filled in."""
    data = draw(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 9))
        middle = draw(st.one_of(st.binary(max_size=9), st.just(data[at : at + length] * 2), st.just(b"\x80" * 300)))
        data = data[:at] + middle + data[at + draw(st.sampled_from([0, length])) :]
    return data


def sealed(body: bytes) -> bytes:
    return MAGIC + body + hashlib.md5(body, usedforsecurity=False).digest()


def _field(number: int, value: bytes) -> bytes:
    length, rest = bytearray(), len(value)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([number << 3 | 2]) + bytes(length) + bytes([rest]) + value


GOOD = wire(transaction())
TRANSACTIONS = st.just(GOOD) | mutated(transaction()) | RAW | damaged(st.just(GOOD))
LABELS = mutated(label()) | RAW | damaged(st.just(wire(label())))
AGGREGATES = st.builds(
    lambda inside, key: _field(1, key) + b"".join(_field(3, b"\x08\x00" + _field(3, data)) for data in inside),
    st.lists(TRANSACTIONS, max_size=4),
    st.sampled_from([b"key", b"", b"k" * 256, b"\xff"]),
)
RECORDS = st.lists(
    st.tuples(st.just("transactions"), TRANSACTIONS | AGGREGATES.map(sealed) | damaged(AGGREGATES).map(sealed))
    | st.tuples(st.just("labels"), LABELS),
    min_size=1,
    max_size=6,
)


def every_record_is_decided_or_a_dead_letter(records: list[tuple[str, bytes]]) -> None:
    path = WholePath()
    rows = arrived(records).num_rows
    path.take(records)
    path.take([("transactions", GOOD)])
    kept = sum(count for kind, count in path.made.items() if kind != "notes")
    assert kept == rows + 1


def an_answer_is_refused_or_holds_probabilities(answer: bytes) -> None:
    try:
        scores = scores_from_stream(answer, 3)
    except ValueError:
        return
    assert len(scores) == 3
    assert all(0 <= score <= 1 for score in scores.to_pylist())


ANSWERS = st.one_of(
    st.binary(max_size=200),
    damaged(st.just(scores_to_stream(pa.array([0.25, 0.5, 0.75])))),
    st.lists(st.floats() | st.none(), min_size=3, max_size=3).map(
        lambda scores: scores_to_stream(pa.array(scores, pa.float64()))
    ),
)


class SavedState:
    """A key group with a sound local copy, of which each case gets one of its own."""

    def __init__(self, folder: Path) -> None:
        local_copy._opened.clear()
        first = [("transactions", wire(transaction(transaction_id=f"t-{n}"))) for n in range(9)]
        self.folder = folder
        change = advance_group(folder, STEP, EMPTY, tuple, INTAKE.read(arrived(first)))
        self.head: Head = change.head
        self.log = list(change.entries)
        state = EntityState()
        replay(self.log, STEP.fold, state)
        self.snapshot = snapshot_entries(state)
        self.next = INTAKE.read(arrived([("transactions", wire(transaction(transaction_id="later")))]))
        self.wanted = advance_group(folder.with_name("wanted"), STEP, self.head, lambda: self.log, self.next).records


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target[Any]]:
    saved = SavedState(tmp_path_factory.mktemp("state") / "sound")

    def a_damaged_copy_changes_no_value(case: tuple[str, bytes]) -> None:
        name, content = case
        local_copy._opened.clear()
        with TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            shutil.copytree(saved.folder, copy)
            (copy / name).write_bytes(content)
            change = advance_group(copy, STEP, saved.head, lambda: saved.log, saved.next)
        assert change.records == saved.wanted

    def a_damaged_log_is_refused_or_read_as_it_was(entry: bytes) -> None:
        state = EntityState()
        try:
            replay([entry], STEP.fold, state)
        except FatalError:
            return
        assert state.is_sound()
        assert state.keys <= 1

    copies = st.sampled_from([*SHAPES, "token"]).flatmap(
        lambda name: st.tuples(st.just(name), damaged(st.just((saved.folder / name).read_bytes())))
    )
    entries = damaged(st.sampled_from([*saved.log, *saved.snapshot])) | st.binary(max_size=60)
    return {
        "records": Target(RECORDS, every_record_is_decided_or_a_dead_letter, 30),
        "accepted records": Target(accepted(), every_record_is_decided_or_a_dead_letter, 10),
        "endpoint answers": Target(ANSWERS, an_answer_is_refused_or_holds_probabilities, 300),
        "local copies": Target(copies, a_damaged_copy_changes_no_value, 60),
        "logs of state": Target(entries, a_damaged_log_is_refused_or_read_as_it_was, 200),
    }


NAMES = ("records", "accepted records", "endpoint answers", "local copies", "logs of state")


@pytest.mark.parametrize("name", NAMES)
def test_a_few_cases(
    name: str, targets: dict[str, Target[Any]], record_property: Callable[[str, object], None]
) -> None:
    tried = fuzz(targets[name], targets[name].quick)
    record_property("cases", tried)
    assert tried >= targets[name].quick / 2


@pytest.mark.long
@pytest.mark.timeout(LONG_S)
@pytest.mark.parametrize("name", NAMES)
def test_half_an_hour_of_cases(
    name: str, targets: dict[str, Target[Any]], record_property: Callable[[str, object], None]
) -> None:
    record_property("cases", fuzz_for(targets[name], LONG_S / len(NAMES)))
