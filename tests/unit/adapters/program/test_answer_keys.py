"""Keys of answers: read from a file or the environment, refused in one line that never repeats them."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.program.answer_keys import open_answer_keys, signing_key
from adapters.program.configuration import load_settings
from fraud.errors import MisconfiguredError
from fraud.settings import Answers

SECRET = "0123456789abcdef0123456789abcdef"


def test_secrets_come_from_a_file_and_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "old").write_text(SECRET + "\n")
    answers = Answers(keys={"old": f"file:{tmp_path / 'old'}", "new": "env:NEW_KEY"}, sign_with="new")
    keys = open_answer_keys(answers, {"NEW_KEY": SECRET[::-1]})
    assert {name: key.secret for name, key in keys.items()} == {"old": SECRET.encode(), "new": SECRET[::-1].encode()}
    assert signing_key(answers, keys) is keys["new"]
    assert signing_key(Answers(keys={"old": "env:X"}), {"old": keys["old"]}) is keys["old"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("env:NONE", "the environment has no variable NONE"),
        ("env:SHORT", "is 5 bytes long, needed are 32"),
        ("file:/no/such/file", "cannot read /no/such/file: No such file"),
        ("file:/", "cannot read /: Is a directory"),
        ("file:a\0b", "cannot read a\0b"),
    ],
)
def test_a_secret_that_is_none_is_refused(source: str, message: str) -> None:
    with pytest.raises(MisconfiguredError, match=r"^answers\.keys\.k1: ") as refused:
        open_answer_keys(Answers(keys={"k1": source}), {"SHORT": "short"})
    assert message in str(refused.value)
    assert "short\n" not in str(refused.value)


def test_a_service_signs_with_the_key_that_is_named() -> None:
    answers = Answers(keys={"a": "env:A", "b": "env:A"})
    keys = open_answer_keys(answers, {"A": SECRET})
    with pytest.raises(MisconfiguredError, match=r"^answers\.sign_with: must say which of a, b signs"):
        signing_key(answers, keys)
    with pytest.raises(MisconfiguredError, match=r"^answers\.keys: has no key"):
        signing_key(Answers(), {})


@pytest.mark.parametrize(
    "value",
    [{"k1": SECRET}, {"k1": 123456789012345}, {"k 1": "env:X"}, {"k1": [SECRET]}, SECRET, [SECRET], {"": "env:X"}],
)
def test_a_secret_that_stands_in_the_settings_by_mistake_is_not_repeated(value: object) -> None:
    with pytest.raises(MisconfiguredError, match=r"^answers\.keys") as refused:
        load_settings(None, {}, {"answers.keys": value})
    assert SECRET not in str(refused.value)
    assert "123456789012345" not in str(refused.value)


def test_the_signing_key_must_be_one_of_the_keys() -> None:
    with pytest.raises(MisconfiguredError, match=r"sign_with is k2, which answers\.keys does not have"):
        load_settings(None, {}, {"answers.keys": {"k1": "env:X"}, "answers.sign_with": "k2"})
