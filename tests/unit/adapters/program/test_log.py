"""A log line is one JSON object that names no card, whoever wrote it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
import structlog

from adapters.program.log import configure_logging
from fraud.records.card_number import find_card_number
from fraud.settings import Log
from tests.support.card_numbers import PAN, SPELLINGS


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@contextmanager
def fresh_root() -> Iterator[None]:
    """Standard logging as in a program that has just started, without the test runner's handlers."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = before


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().err)
    return found


def test_card_tokens_are_shortened_and_card_numbers_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Log(), "tests")
    structlog.get_logger().info(
        "seen", card_token="tok_0123456789", alert_id="tok_0123456789:t-1", problem="got 4111111111111111"
    )
    found = line(capsys)
    assert (found["card_token"], found["alert_id"]) == ("…6789", "…6789:t-1")
    assert "4111111111111111" not in found["problem"]
    assert (found["program"], found["level"]) == ("tests", "info")


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_no_spelling_of_a_card_number_reaches_a_line(
    name: str, form: Literal["json", "text"], capsys: pytest.CaptureFixture[str]
) -> None:
    spelling = SPELLINGS[name]
    configure_logging(Log(format=form), "tests")
    log = structlog.get_logger()
    log.info(f"got {spelling}")
    log.info("value", note=spelling)
    log.info("nested", record={"cards": [{"pan": spelling}, (spelling, {1: spelling})], spelling: 1})
    log.info("object", error=ValueError(spelling), raw=spelling.encode())
    try:
        raise ValueError(spelling)
    except ValueError:
        log.exception("failed")
    written = capsys.readouterr().err
    assert written.count("[card:") >= 8
    assert find_card_number(written.encode()) is None
    for line in written.splitlines() if form == "json" else []:
        json.loads(line)


@pytest.mark.parametrize("form", ["json", "text"])
def test_numbers_and_pieces_in_lists_are_redacted_too(
    form: Literal["json", "text"], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(Log(format=form), "tests")
    structlog.get_logger().info(
        "seen", number=int(PAN), nested=[{"pan": int(PAN)}], dealt=["4111", "1111", "1111", "1111"]
    )
    written = capsys.readouterr().err
    assert written.count("[card:") == 3
    assert not re.search("4111|1111", written)


def test_tokens_are_shortened_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Log(), "tests")
    structlog.get_logger().info("seen", cases=[{"card_token": "tok_0123456789", "alert_id": ["tok_0123456789:t-1"]}])
    assert line(capsys)["cases"] == [{"card_token": "…6789", "alert_id": ["…6789:t-1"]}]


def test_lines_of_libraries_and_their_tracebacks_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_root():
        configure_logging(Log(), "tests")
        try:
            raise ValueError("card 4111111111111111")
        except ValueError:
            logging.getLogger("botocore.hooks").exception("could not %s", "call")
    found = line(capsys)
    assert (found["event"], found["logger"], found["program"]) == ("could not call", "botocore.hooks", "tests")
    assert "ValueError" in found["exception"]
    assert "4111111111111111" not in found["exception"]


def test_the_level_holds_for_our_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Log(level="error"), "tests")
    structlog.get_logger().warning("quiet")
    assert capsys.readouterr().err == ""
