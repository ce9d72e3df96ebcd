"""Predictions that come while others are written are written together; each caller learns what became of its own."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from decision_service.afd.event_calls import PredictionKeeper
from decision_service.afd.store import KeptPrediction, Store

ALL_MS = (0, 1 << 62)


def made(number: int, record: bytes | None = b"{}") -> KeptPrediction:
    return KeptPrediction("t", f"e-{number}", number, record, b"{}")  # type: ignore[arg-type]


def test_those_that_come_meanwhile_are_written_together() -> None:
    groups: list[int] = []
    may_end, began = threading.Event(), threading.Event()

    def write(given: Sequence[KeptPrediction]) -> None:
        groups.append(len(given))
        began.set()
        assert may_end.wait(10)

    async def ask() -> None:
        keeper = PredictionKeeper(write)
        calls = [asyncio.create_task(keeper.keep(made(0)))]
        await asyncio.to_thread(began.wait, 10)
        calls += [asyncio.create_task(keeper.keep(made(number))) for number in range(1, 4)]
        await asyncio.sleep(0)
        assert not any(call.done() for call in calls)
        may_end.set()
        await asyncio.gather(*calls)
        await keeper.keep(made(4))

    asyncio.run(ask())
    assert groups == [1, 3, 1]


def test_a_failed_write_fails_its_own_callers_and_no_later_one() -> None:
    faults = [sqlite3.OperationalError("disk full"), None]

    def write(_: Sequence[KeptPrediction]) -> None:
        if (fault := faults.pop(0)) is not None:
            raise fault

    async def ask() -> None:
        keeper = PredictionKeeper(write)
        with pytest.raises(sqlite3.OperationalError, match="disk full"):
            await keeper.keep(made(1))
        await keeper.keep(made(2))

    asyncio.run(ask())
    assert faults == []


def test_of_a_group_that_cannot_be_written_nothing_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "events.db", keep_ms=1_000)
    with pytest.raises(sqlite3.IntegrityError):
        store.keep_predictions([made(1), made(2, None)], 1)
    assert store.predictions("t", None, ALL_MS, 0, 9) == []
    store.keep_predictions([made(1), made(3)], 1)
    assert [each.event_id for each in store.predictions("t", None, ALL_MS, 0, 9)] == ["e-3", "e-1"]
    store.close()
