"""A decision service that begins with a job's archive has the job's state, answers and places in the streams."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.archive.archive import Archive
from adapters.objects.folder import FolderObjects
from decision_service.answers import Answers
from decision_service.engine import Engine, Refusal, content_of
from decision_service.history import Reached, fold_archive
from fraud.decision.scorer import RulesOnly
from fraud.errors import MisconfiguredError
from fraud.records.arrival import RECORD_SCHEMA
from fraud.records.intake import Intake
from fraud.settings import Answers as AnswerSettings
from fraud.settings import Job, Settings
from tests.support.answers import KEY, KEYS, NOON_MS, sealed
from tests.support.attempts import LocalJob
from tests.support.decision_services import compiled
from tests.support.records import NOON, label, transaction, wire

SETTINGS = Settings(job=Job(key_groups=4, partitions=2), answers=AnswerSettings(keys={KEY.id: "env:TEST_ANSWER_KEY"}))


def engine() -> Engine:
    intake = Intake.of(SETTINGS)
    return Engine(SETTINGS, intake, compiled(), RulesOnly(), KEYS, KEY, "i-1", lambda: 0)


def payment(number: int) -> dict[str, object]:
    used = NOON + dt.timedelta(seconds=number)
    return transaction(transaction_id=f"t-{number}", card_token=f"card-{number % 3}", event_time=used)


def arrived(number: int, data: bytes, stream: str = "fraud-transactions") -> dict[str, object]:
    place = {"stream": stream, "shard": f"shard-{number % 2}", "sequence_number": str(99 + number)}
    return place | {"sub_sequence": 0, "arrival_ms": NOON_MS + 1_000 * number + 90, "data": data}


def test_state_answers_and_places_are_those_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_ANSWER_KEY", KEY.secret.decode())
    answered = {3, 9}
    rows = [
        arrived(n, sealed(payment(n), received_ms=NOON_MS + 1_000 * n) if n in answered else wire(payment(n)))
        for n in range(11)
    ]
    known = label(transaction_id="t-1", card_token="card-1", transaction_time=NOON + dt.timedelta(seconds=1))
    rows.append(arrived(11, wire(known), "fraud-labels"))
    job = LocalJob(tmp_path / "job", pa.Table.from_pylist(rows, schema=RECORD_SCHEMA))
    job.start(SETTINGS, 10**9).finish([4, 3, 5])

    straight, begun, answers = engine(), engine(), Answers(tmp_path / "answers.db")
    for row in rows:
        straight.follow([row[name] for name in RECORD_SCHEMA.names[:5]], row["data"])  # type: ignore[arg-type]
    reached = fold_archive(job.archive, "fraud", begun, answers, NOON_MS + 5_000)

    assert reached == {
        ("fraud-transactions", "shard-0"): Reached("109", NOON_MS + 10_090),
        ("fraud-transactions", "shard-1"): Reached("108", NOON_MS + 9_090),
        ("fraud-labels", "shard-1"): Reached("110", NOON_MS + 11_090),
    }
    for number in (12, 13, 14):
        read = [each.read(wire(payment(number)), NOON_MS + 1_000 * number) for each in (straight, begun)]
        assert not any(isinstance(row, Refusal) for row in read)
        given = [
            each.decide(row, content_of(row), lambda: NOON_MS, True)  # type: ignore[arg-type]
            for each, row in zip((straight, begun), read, strict=True)
        ]
        assert given[0] == given[1]
    assert [bool(answers.of_payment(f"card-{n % 3}", f"t-{n}")) for n in (3, 9, 10)] == [False, True, False]


def test_an_archive_without_the_query_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"^decide\.begin_with: the archive has no batches of a query named x"):
        fold_archive(Archive(FolderObjects(tmp_path)), "x", engine(), Answers(tmp_path / "answers.db"), 0)
