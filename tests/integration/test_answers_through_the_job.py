"""What the decision service answered, over a crash and beside others, is in the job's archive as it was given."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from embedded.chaos.answers import compare_answers
from embedded.chaos.asking import stated
from embedded.chaos.decide_run import archived
from fraud.features import SHIPPED
from fraud.records.answered import answer_of
from fraud.records.arrival import RECORD_SCHEMA
from fraud.settings import Answers, Job, Settings
from operations.answered_parity import compare_archive
from tests.support.answers import KEY, NOON_MS
from tests.support.attempts import LocalJob
from tests.support.decision_services import Client, World
from tests.support.records import NOON, transaction, wire

SETTINGS = Settings(job=Job(key_groups=4, partitions=2), answers=Answers(keys={KEY.id: "env:TEST_ANSWER_KEY"}))


def payment(number: int) -> bytes:
    """One of three cards, a minute after the one before; each fourth is large."""
    return wire(
        transaction(
            transaction_id=f"t-{number}",
            card_token=f"card-{number % 3}",
            event_time=NOON + dt.timedelta(minutes=number),
            amount_minor=200_000 if number % 4 == 0 else 900 + number,
        )
    )


def on_the_stream(records: list[tuple[int, bytes]]) -> pa.Table:
    """Records of (arrival, bytes) in order."""
    rows = [
        {
            "stream": "fraud-transactions",
            "shard": "shard-0",
            "sequence_number": str(10**20 + number),
            "sub_sequence": 0,
            "arrival_ms": arrival_ms,
            "data": data,
        }
        for number, (arrival_ms, data) in enumerate(records)
    ]
    return pa.Table.from_pylist(rows, schema=RECORD_SCHEMA)


def test_every_answer_is_in_the_archive_once_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_ANSWER_KEY", KEY.secret.decode())
    world, given = World(tmp_path / "service"), dict[str, dict[str, Any]]()

    def ask(numbers: range, stop: bool) -> None:
        async def work(client: Client) -> None:
            for number in numbers:
                world.now_ms = NOON_MS + 60_000 * number + 20
                reply = await client.decide(payment(number))
                assert reply.status == 200
                shown = stated(reply.body)
                assert given.setdefault(shown["decision_key"], shown) == shown

        world.run(work, stop)

    ask(range(8), stop=False)
    ask(range(5, 14), stop=True)  # after a crash, the last ones are asked about again
    unasked_first = payment(9).replace(b'"sent_at": "2026-01-15', b'"sent_at": "2026-01-14')
    answered = [(answer_of(record.data).received_ms + 40, record.data) for record in world.stream]
    sent = [(NOON_MS - 1_000, unasked_first), *answered, (NOON_MS + 3_600_000, payment(3))]

    job = LocalJob(tmp_path / "job", on_the_stream(sent))
    job.start(SETTINGS, 10**9).finish([4, 1, 7])
    decisions, dead_letters = archived(job.archive)
    found = compare_answers(given, (), decisions, dead_letters)
    assert (found.expected, found.lost, found.duplicated, found.different) == (14, 0, 0, 0), found.examples
    reasons = dead_letters["reason"].to_pylist()
    assert reasons.count("conflicting_answer") == 1
    assert set(reasons) == {"conflicting_answer", "duplicate"}
    assert sorted(decisions.filter(decisions["answered_by"].is_valid())["outcome"].to_pylist()).count("review") >= 3

    outcomes = lambda rows, _: rows["outcome"]  # noqa: E731
    parity, second = compare_archive(job.archive, "fraud", 5_000, outcomes, SHIPPED)
    # t-9 came unasked before the first answer on its card, which t-0, t-3, t-6 and t-12 are on as well
    assert (parity.answers, parity.card_different, parity.crossed) == (13, 0, 4)
    assert parity.sound
    assert second.conflicting == 1
