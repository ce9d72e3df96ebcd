"""The audit log: whatever is done to its lines in a store is found, and any number of writers keep one chain."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.audit import chain as module
from adapters.audit.chain import AuditChain
from adapters.objects.folder import FolderObjects
from fraud.audit import START, AuditLine, Entry, Head, chained, check

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
entries = st.lists(st.builds(Entry, st.integers(0, 4_000_000_000_000), texts, texts, texts), min_size=3, max_size=12)


def whole(lines: list[str]) -> list[tuple[str, str]]:
    return [("here", line) for line in lines]


@given(entries)
def test_a_chain_is_sound_and_its_lines_are_read_back(given_entries: list[Entry]) -> None:
    lines = chained(START, given_entries)
    assert [AuditLine.parse(line.text) for line in lines] == lines
    assert check(whole([line.text for line in lines])) == (Head(len(lines), lines[-1].hash), None)


@given(entries, st.data())
def test_any_edit_deletion_swap_or_gap_is_found_at_its_line(given_entries: list[Entry], data: st.DataObject) -> None:
    lines = [line.text for line in chained(START, given_entries)]
    place = data.draw(st.integers(0, len(lines) - 2), label="place")
    other = data.draw(st.integers(place + 1, len(lines) - 1), label="other")
    kind = data.draw(st.sampled_from(["edit", "cut", "insert", "delete", "swap", "gap", "repeat"]), label="kind")
    changed = list(lines)
    if kind == "edit":
        at = data.draw(st.integers(0, len(lines[place]) - 1), label="character")
        character = data.draw(st.characters(codec="ascii").filter(lambda one: one != lines[place][at]), label="new")
        changed[place] = lines[place][:at] + character + lines[place][at + 1 :]
    elif kind == "cut":
        changed[place] = lines[place][: data.draw(st.integers(0, len(lines[place]) - 1), label="left")]
    elif kind == "insert":
        changed.insert(place, chained(START, given_entries)[place].text.replace('"by"', ' "by"'))
    elif kind == "delete":
        del changed[place]
    elif kind == "swap":
        changed[place], changed[other] = changed[other], changed[place]
    elif kind == "gap":
        del changed[place:other]
    else:
        changed.insert(place, lines[other])
    fault = check(whole(changed)).fault
    assert fault is not None
    assert fault.number == place + 1


@given(entries, st.data())
def test_an_entry_that_is_forged_with_a_right_hash_breaks_the_line_after(
    given_entries: list[Entry], data: st.DataObject
) -> None:
    lines = chained(START, given_entries)
    place = data.draw(st.integers(0, len(lines) - 2), label="place")
    forged = lines[place].entry._replace(by=lines[place].entry.by + "!")
    texts = [line.text for line in lines]
    texts[place] = AuditLine(lines[place].number, forged, lines[place].before).text
    fault = check(whole(texts)).fault
    assert fault is not None
    assert (fault.number, fault.reason) == (place + 2, "it does not follow the line before")


@given(entries, st.data())
def test_an_end_that_is_cut_off_or_written_again_is_found_by_a_head_that_was_noted(
    given_entries: list[Entry], data: st.DataObject
) -> None:
    lines = chained(START, given_entries)
    noted = Head(len(lines), lines[-1].hash)
    left = data.draw(st.integers(0, len(lines) - 1), label="left")
    kept = [line.text for line in lines[:left]]
    assert check(whole(kept)).fault is None
    cut = check(whole(kept), noted).fault
    assert cut is not None
    assert cut.number == left + 1
    head = START if left == 0 else Head(left, lines[left - 1].hash)
    again = [line.text for line in chained(head, [Entry(1, "somebody", "else", "")] * (len(lines) - left))]
    changed = check(whole(kept + again), noted).fault
    assert changed is not None
    assert changed.number == len(lines)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_a_store_keeps_one_chain_over_its_objects_and_a_lost_object_is_found(
    sizes: list[int], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SEGMENT", 3)
        objects = FolderObjects(Path(folder))
        writers = [AuditChain(objects), AuditChain(objects)]
        written: list[AuditLine] = []
        for turn, size in enumerate(sizes):
            written += writers[turn % 2].append([Entry(turn, "ann", "note", str(n)) for n in range(size)])
        chain = AuditChain(objects)
        assert chain.check() == (Head(len(written), written[-1].hash), None)
        assert list(chain.newest()) == written[::-1]
        before = data.draw(st.integers(1, len(written) + 1), label="before")
        assert list(chain.newest(before)) == written[: before - 1][::-1]
        keys = list(objects.keys("audit/"))
        lost = data.draw(st.sampled_from(keys), label="lost")
        objects.delete(lost)
        fault = AuditChain(objects).check(Head(len(written), written[-1].hash)).fault
        assert fault is not None
        assert fault.number == int(Path(lost).stem)


def test_lines_go_on_after_one_that_was_damaged_and_the_damage_stays_the_first_fault(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    chain = AuditChain(objects)
    chain.append([Entry(1, "ann", "note", "a"), Entry(2, "ann", "note", "b")])
    file = tmp_path / "audit" / "000000000001.jsonl"
    file.write_text(file.read_text().replace('"what":"b"', '"what":"c"').removesuffix("\n"))
    chain.append([Entry(3, "bob", "note", "d")])
    assert [line.entry.what for line in chain.newest()] == ["d", "a"]
    fault = chain.check().fault
    assert fault is not None
    assert (fault.number, fault.place) == (2, "audit/000000000001.jsonl")


_WRITER = """
import sys
from pathlib import Path
from adapters.audit.chain import AuditChain
from adapters.objects.folder import FolderObjects
from fraud.audit import Entry
chain = AuditChain(FolderObjects(Path(sys.argv[1])))
for n in range(40):
    chain.append([Entry(n, sys.argv[2], "note", str(n))])
"""


def test_processes_that_write_at_once_keep_one_chain_without_losing_a_line(tmp_path: Path) -> None:
    names = ["ann", "bob", "cid"]
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), name]) for name in names]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    chain = AuditChain(FolderObjects(tmp_path))
    assert chain.check().fault is None
    lines = list(chain.newest())[::-1]
    for name in names:
        assert [line.entry.what for line in lines if line.entry.by == name] == [str(n) for n in range(40)]


def test_a_writer_whose_answer_was_lost_adds_its_line_once(tmp_path: Path) -> None:
    class Forgetful(FolderObjects):
        """Answers a writer that its first replacement did not hold, though it did."""

        answered = False

        def replace(self, key: str, data: bytes, tag: str) -> bool:
            done = super().replace(key, data, tag)
            was, self.answered = self.answered, True
            return done and was

    chain = AuditChain(Forgetful(tmp_path))
    for n in range(3):
        chain.append([Entry(n, "ann", "note", str(n))])
    assert [json.loads(line.text)["what"] for line in chain.newest()] == ["2", "1", "0"]
