"""Batch jobs: whatever call a process is killed at, the next one ends the job as if nothing had happened."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.objects.folder import FolderObjects
from decision_service.afd.batches import Batches, CreateJob, OfJob, OfJobs
from decision_service.afd.errors import ApiError, invalid, unavailable
from decision_service.afd.jobs import Jobs
from decision_service.afd.requests import GetEventPrediction, SendEvent
from fraud.migration.shapes import EventType

ROLE = "arn:aws:iam::111122223333:role/none"
EVENT_TYPE = EventType(
    name="payment", eventVariables=("price", "ip"), entityTypes=("customer",), labels=("fraud", "legit")
)
HEADER = "EVENT_ID,EVENT_TIMESTAMP,ENTITY_ID,price,ip\n"
CSV = HEADER + "".join(f"e-{n},2026-01-15T12:00:0{n}Z,c-{n},{n}.50,\n" for n in range(7)) + "e-9,soon\n"


class KilledError(BaseException):
    """Ends a process where it stands."""


class Mortal(FolderObjects):
    """Objects in a folder; the process dies at a call, after it was done or before."""

    def __init__(self, folder: Path, dies_at: int | None = None, after: bool = False) -> None:
        super().__init__(folder)
        self._left = dies_at
        self._after = after

    def _count(self, done: bool) -> None:
        if self._left is not None and done == self._after:
            self._left -= 1
            if self._left == 0:
                raise KilledError

    def get(self, key: str) -> Any:
        self._count(False)
        found = super().get(key)
        self._count(True)
        return found

    def put(self, key: str, data: bytes) -> None:
        self._count(False)
        super().put(key, data)
        self._count(True)

    def delete(self, key: str) -> None:
        self._count(False)
        super().delete(key)
        self._count(True)


class Process:
    """A process that runs batch jobs of a folder."""

    def __init__(self, folder: Path, objects: FolderObjects | None) -> None:
        self.asked: list[str] = []
        self.sent: list[SendEvent] = []
        version = SimpleNamespace(detector_id="d", version="1")
        served: Any = SimpleNamespace(
            detector=SimpleNamespace(version=version),
            readers={"payment": SimpleNamespace(event_type=EVENT_TYPE)},
            exported={"version": {}},
        )
        self.jobs = Jobs(folder / "jobs.db")
        self.busy = 0
        self.batches = Batches(served, self.jobs, objects, self._predict, self._send, lambda: 1_000, part=3)

    async def _predict(self, asked: GetEventPrediction) -> dict[str, Any]:
        self.asked.append(asked.event_id)
        if self.busy:
            self.busy -= 1
            raise unavailable("busy")
        if asked.event_id == "e-4":
            raise invalid("no price")
        return {"modelScores": [{"scores": {"s": 7.0}}], "ruleResults": [{"ruleId": "r", "outcomes": ["block"]}]}

    async def _send(self, asked: SendEvent) -> dict[str, Any]:
        self.sent.append(asked)
        return {}

    def job(self, name: str = "j", **changed: Any) -> CreateJob:
        place = self.batches._objects.address if self.batches._objects else "nowhere"
        given = {"input_path": f"{place}/in.csv", "output_path": f"{place}/out", "detector_name": "d"} | changed
        return CreateJob(job_id=name, event_type_name="payment", iam_role_arn=ROLE, **given)

    async def call(self, operation: str, asked: Any) -> dict[str, Any]:
        return await self.batches.calls[operation][2](asked)

    def run(self, operation: str | None = None, asked: Any = None) -> None:
        async def work() -> None:
            if operation is None:
                self.batches.resume()
            else:
                await self.call(operation, asked)
            await self.batches.settled()

        try:
            with contextlib.suppress(KilledError):
                asyncio.run(work())
        finally:
            self.jobs.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "in.csv").write_text(CSV)
    return tmp_path


def output(place: Path, name: str = "j") -> str:
    return (place / "objects" / "out" / f"{name}-output.csv").read_text()


def status(place: Path) -> dict[str, Any]:
    process = Process(place, FolderObjects(place / "objects"))
    answer = asyncio.run(process.call("GetBatchPredictionJobs", OfJobs(job_id="j")))
    process.jobs.close()
    (found,) = answer["batchPredictions"]
    return dict(found)


def files(place: Path) -> Iterator[str]:
    return (str(file.relative_to(place / "objects")) for file in (place / "objects").rglob("*.csv"))


def test_rows_come_back_with_scores_outcomes_rules_and_their_state(place: Path) -> None:
    Process(place, FolderObjects(place / "objects")).run(
        "CreateBatchPredictionJob", Process(place, FolderObjects(place / "objects")).job()
    )
    rows = list(csv.DictReader(io.StringIO(output(place))))

    assert [row["EVENT_ID"] for row in rows] == [*(f"e-{n}" for n in range(7)), "e-9"]
    assert rows[0] == {
        "EVENT_ID": "e-0", "EVENT_TIMESTAMP": "2026-01-15T12:00:00Z", "ENTITY_ID": "c-0", "price": "0.50", "ip": "",
        "MODEL_SCORES": '[{"s":7.0}]', "OUTCOMES": '["block"]', "STATUS": "SUCCESS", "RULE_RESULTS": '["r"]',
    }  # fmt: skip
    assert (rows[4]["STATUS"], rows[4]["OUTCOMES"]) == ("ValidationException: no price", "")
    assert rows[7]["STATUS"].startswith("ValidationException: the line has more or fewer values")
    found = status(place)
    assert (found["status"], found["processedRecordsCount"], found["totalRecordsCount"]) == ("COMPLETE", 8, 8)
    assert sorted(files(place)) == ["in.csv", "out/j-output.csv"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, 12))
def test_killed_at_any_call_the_next_process_ends_the_job_alike(place: Path, call: int, after: bool) -> None:
    whole = Process(place, FolderObjects(place / "objects"))
    whole.run("CreateBatchPredictionJob", whole.job("whole"))
    first = Process(place, Mortal(place / "objects", call, after))
    first.run("CreateBatchPredictionJob", first.job())
    second = Process(place, FolderObjects(place / "objects"))
    second.run()

    assert output(place) == output(place, "whole")
    found = status(place)
    assert (found["status"], found["processedRecordsCount"]) == ("COMPLETE", 8)
    assert len(second.asked) < 7 or call <= 2  # the file was not read, or no part counted yet


def test_rows_are_sent_as_events_with_their_labels_and_those_that_fail_are_written(place: Path) -> None:
    labelled = "EVENT_ID,EVENT_TIMESTAMP,ENTITY_ID,price,EVENT_LABEL,LABEL_TIMESTAMP\n"
    lines = "e-1,2026-01-15T12:00:00Z,c-1,1.50,fraud,2026-01-20T12:00:00Z\nE 2,2026-01-15T12:00:00Z,c-1,1,,\n"
    (place / "objects" / "in.csv").write_text(labelled + lines)
    process = Process(place, FolderObjects(place / "objects"))
    process.run("CreateBatchImportJob", process.job())

    (event,) = process.sent
    assert (event.event_id, event.assigned_label, event.event_variables) == ("e-1", "fraud", {"price": "1.50"})
    (failed,) = csv.DictReader(io.StringIO(output(place)))
    assert (failed["EVENT_ID"], failed["STATUS"].split(":")[0]) == ("E 2", "ValidationException")


def test_a_busy_service_is_asked_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decision_service.afd.batches._AGAIN_S", 0.0)
    process = Process(place, FolderObjects(place / "objects"))
    process.busy = 3
    process.run("CreateBatchPredictionJob", process.job())
    assert len(process.asked) == 7 + 3
    assert status(place)["status"] == "COMPLETE"


def test_a_job_is_cancelled_between_parts_and_forgotten(place: Path) -> None:
    process = Process(place, FolderObjects(place / "objects"))

    async def work() -> dict[str, Any]:
        await process.call("CreateBatchPredictionJob", process.job())
        await process.call("CancelBatchPredictionJob", OfJob("j"))
        await process.batches.settled()
        (found,) = (await process.call("GetBatchPredictionJobs", OfJobs()))["batchPredictions"]
        with pytest.raises(ApiError, match="has ended"):
            await process.call("CancelBatchPredictionJob", OfJob("j"))
        await process.call("DeleteBatchPredictionJob", OfJob("j"))
        assert (await process.call("GetBatchPredictionJobs", OfJobs()))["batchPredictions"] == []
        return dict(found)

    found = asyncio.run(work())
    process.jobs.close()
    assert found["status"] == "CANCELED"
    assert found["processedRecordsCount"] < 8
    assert sorted(files(place)) == ["in.csv"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no such object"),
        (b"\xff\xfe", "is no CSV in UTF-8"),
        (b"EVENT_ID,price\n", "line 1: has no column EVENT_TIMESTAMP"),
        (b"EVENT_ID,EVENT_TIMESTAMP,colour\n", "line 1: the event type has no variable colour"),
    ],
    ids=range(4),
)
def test_a_file_that_cannot_be_used_fails_the_job_with_the_reason(
    place: Path, content: bytes | None, reason: str
) -> None:
    file = place / "objects" / "in.csv"
    file.unlink() if content is None else file.write_bytes(content)
    process = Process(place, FolderObjects(place / "objects"))
    process.run("CreateBatchPredictionJob", process.job())
    found = status(place)
    assert found["status"] == "FAILED"
    assert reason in found["failureReason"]


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"input_path": "s3://other/in.csv"}, "ValidationException", "inputPath: must lie below"),
        ({"output_path": "{place}/../policy"}, "ValidationException", "outputPath: must lie below"),
        ({"output_path": "{place}/"}, "ValidationException", "outputPath: must lie below"),
        ({"detector_name": "other"}, "ResourceNotFoundException", "detectorName"),
        ({"detector_version": "9"}, "ResourceNotFoundException", "detectorVersion"),
    ],
)
def test_what_may_not_be_done_is_refused_at_once(place: Path, changed: dict[str, str], code: str, said: str) -> None:
    process = Process(place, FolderObjects(place / "objects"))
    given = {name: text.format(place=place / "objects") for name, text in changed.items()}
    with pytest.raises(ApiError) as caught:
        asyncio.run(process.call("CreateBatchPredictionJob", process.job(**given)))
    process.jobs.close()
    assert caught.value.code == code
    assert said in caught.value.message


def test_without_a_place_for_files_jobs_are_refused_by_the_name_of_the_setting(tmp_path: Path) -> None:
    process = Process(tmp_path, None)
    with pytest.raises(ApiError, match=r"AccessDeniedException.*frauddetector\.batches"):
        asyncio.run(process.call("CreateBatchImportJob", process.job()))
    process.jobs.close()
