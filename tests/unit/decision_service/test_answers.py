"""The index of answers: what is kept is found, what is old goes, and a file that cannot be used is begun again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from decision_service.answers import Answers, Kept, payment_of


def kept(number: int, received_ms: int = 0) -> Kept:
    return Kept(f"key-{number}", payment_of("card-1", f"t-{number}"), b"content", received_ms, b"{}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.db"


def test_an_answer_is_found_by_key_and_by_payment_and_the_first_stays(file: Path) -> None:
    answers = Answers(file)
    answers.keep([kept(1), kept(2), kept(1)._replace(answer=b"other")])
    assert answers.by_key("key-1") == kept(1)
    assert answers.of_payment("card-1", "t-2") == [kept(2)]
    assert answers.by_key("key-3") is None


def test_answers_on_what_was_received_earlier_expire(file: Path) -> None:
    answers = Answers(file)
    answers.keep([kept(number, received_ms=1_000 * number) for number in range(5)])
    assert answers.expire(3_000) == 3
    assert [number for number in range(5) if answers.by_key(f"key-{number}")] == [3, 4]


@pytest.mark.parametrize("version", ["garbage", "another version"])
def test_a_file_that_cannot_be_used_is_moved_away(file: Path, version: str) -> None:
    if version == "garbage":
        file.write_bytes(b"no database" * 1_000)
    else:
        with sqlite3.connect(file) as other:
            other.execute("create table answers (key blob primary key)")
    answers = Answers(file)
    answers.keep([kept(1)])
    assert answers.by_key("key-1") == kept(1)
    assert file.with_name("answers.db.damaged").exists()
