"""Batch jobs: predictions for the rows of a CSV file, or these rows sent as events, with the results beside it.

A job works through its file in parts. The results of a part are an object of their own, written before the part counts
as done; a job that was killed goes on behind its last part, and what it does a second time changes nothing: an event
that was predicted gets the same answer, one that was sent is known. At the end the parts are joined.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import structlog
from msgspec import Meta

from adapters.objects.store import ObjectStore
from decision_service.afd.describe import Page, paged
from decision_service.afd.detector import Served
from decision_service.afd.errors import ApiError, denied, invalid, not_found
from decision_service.afd.events import written
from decision_service.afd.jobs import RUNNING, Job, Jobs, Kind
from decision_service.afd.refusals import reader_of
from decision_service.afd.requests import GetEventPrediction, Id, SendEvent
from fraud.errors import FraudError, RetryableError
from fraud.migration.recording import ENTITY_ID, EVENT_ID, EVENT_LABEL, EVENT_TIME
from fraud.records.schema import time_of

log = structlog.get_logger()

SETTING = "frauddetector.batches"
MOST_BYTES = 1 << 30
"""Of an input file: as there."""

PART = 500
"""Rows whose results are one object until the job ends."""

_AT_ONCE = 4
_AGAIN_S = 1.0
_ENTITY_TYPE, _LABEL_TIME = "ENTITY_TYPE", "LABEL_TIMESTAMP"
_OWN = (EVENT_ID, EVENT_TIME, ENTITY_ID, _ENTITY_TYPE, EVENT_LABEL, _LABEL_TIME)
_ADDED = {"prediction": ("MODEL_SCORES", "OUTCOMES", "STATUS", "RULE_RESULTS"), "import": ("STATUS",)}
_SUCCESS = "SUCCESS"
_encode = msgspec.json.Encoder().encode
_ARN = Annotated[str, Meta(min_length=1, max_length=256)]
_Path = Annotated[str, Meta(min_length=1, max_length=512)]


class CreateJob(msgspec.Struct, rename="camel"):
    """A job that is to run."""

    job_id: Id
    input_path: _Path
    output_path: _Path
    event_type_name: Id
    iam_role_arn: _ARN
    detector_name: str | None = None
    detector_version: str | None = None


class OfJobs(Page, rename="camel", kw_only=True):
    """Which jobs are looked for."""

    job_id: Id | None = None


class OfJob(msgspec.Struct, rename="camel"):
    """One job."""

    job_id: Id


_read_asked = msgspec.json.Decoder(CreateJob).decode
Done = Callable[[Any], Awaitable[dict[str, Any]]]
Predict = Callable[[GetEventPrediction], Awaitable[dict[str, Any]]]
Send = Callable[[SendEvent], Awaitable[dict[str, Any]]]


class _UnusableError(Exception):
    """The job cannot be done; its text says why."""


class Batches:
    """Answers the calls on batch jobs, and runs them, one after the other.

    Args:
        served: the detector.
        jobs: how they stand.
        objects: where files lie; None refuses every job.
        predict: answers GetEventPrediction.
        send: answers SendEvent.
        now_ms: UTC milliseconds.
        part: rows of a part.

    Attributes:
        calls: by operation, the right that it needs, the type of its request and what answers it.
    """

    def __init__(
        self,
        served: Served,
        jobs: Jobs,
        objects: ObjectStore | None,
        predict: Predict,
        send: Send,
        now_ms: Callable[[], int],
        part: int = PART,
    ) -> None:
        self._served = served
        self._jobs = jobs
        self._objects = objects
        self._predict, self._send = predict, send
        self._now_ms = now_ms
        self._part = part
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.calls: dict[str, tuple[Kind, type[Any], Done]] = {}
        kinds: tuple[tuple[Kind, str], ...] = (("import", "Import"), ("prediction", "Prediction"))
        for kind, name in kinds:
            self.calls |= {
                f"CreateBatch{name}Job": (kind, CreateJob, self._of_kind(kind, self._create)),
                f"GetBatch{name}Jobs": (kind, OfJobs, self._of_kind(kind, self._get)),
                f"CancelBatch{name}Job": (kind, OfJob, self._of_kind(kind, self._cancel)),
                f"DeleteBatch{name}Job": (kind, OfJob, self._of_kind(kind, self._delete)),
            }

    def resume(self) -> None:
        """Goes on with the jobs that a former process left; called in the loop."""
        if self._objects is not None:
            for job in self._jobs.find():
                if job.status in RUNNING:
                    self._start(job)

    async def settled(self) -> None:
        """Returns once no job runs."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    # Calls

    @staticmethod
    def _of_kind(kind: Kind, work: Callable[[Kind, Any], Awaitable[dict[str, Any]]]) -> Done:
        return lambda asked: work(kind, asked)

    async def _create(self, kind: Kind, asked: CreateJob) -> dict[str, Any]:
        self._key("inputPath", asked.input_path)
        self._key("outputPath", asked.output_path)
        reader_of(self._served, asked.event_type_name)
        ours = self._served.detector.version
        if kind == "prediction" and asked.detector_name != ours.detector_id:
            raise not_found(f"detectorName: {ours.detector_id} is the detector that was imported")
        if asked.detector_version is not None and asked.detector_version != ours.version:
            raise not_found(f"detectorVersion: version {ours.version} was imported")
        job = Job(kind, asked.job_id, _encode(asked), self._now_ms())
        if not await asyncio.to_thread(self._jobs.add, job):
            raise invalid("jobId: there is a job of this name already")
        self._start(job)
        return {}

    async def _get(self, kind: Kind, asked: OfJobs) -> dict[str, Any]:
        found = await asyncio.to_thread(self._jobs.find, kind, asked.job_id)
        if asked.job_id is not None and not found:
            raise _no_job()
        key = "batchImports" if kind == "import" else "batchPredictions"
        return paged([self._described(job) for job in found], asked, key)

    async def _cancel(self, kind: Kind, asked: OfJob) -> dict[str, Any]:
        if not await asyncio.to_thread(self._jobs.find, kind, asked.job_id):
            raise _no_job()
        if not await asyncio.to_thread(self._jobs.cancel, kind, asked.job_id):
            raise invalid("jobId: the job has ended")
        return {}

    async def _delete(self, kind: Kind, asked: OfJob) -> dict[str, Any]:
        if not await asyncio.to_thread(self._jobs.remove, kind, asked.job_id):
            raise invalid("jobId: the job runs; cancel it first")
        return {}

    def _key(self, name: str, path: str) -> str:
        """The key of a path below the place of batches."""
        if self._objects is None:
            raise denied(f"batch jobs read and write below {SETTING}, which is not set")
        place = self._objects.address.rstrip("/") + "/"
        key = path.removeprefix(place)
        if key == path or not key.strip("/") or any(part in ("", ".", "..") for part in key.rstrip("/").split("/")):
            raise invalid(f"{name}: must lie below {place} ({SETTING})")
        return key.rstrip("/")

    def _described(self, job: Job) -> dict[str, Any]:
        asked = _read_asked(job.asked)
        prediction = job.kind == "prediction"
        arn = ":".join(str(self._served.exported["version"].get("arn", "")).split(":")[:5])
        said = {
            "jobId": job.job_id,
            "status": job.status,
            "failureReason": job.failure,
            "startTime": written(time_of(job.started_ms)),
            "completionTime": None if job.ended_ms is None else written(time_of(job.ended_ms)),
            "lastHeartbeatTime": None if job.beat_ms is None or not prediction else written(time_of(job.beat_ms)),
            "inputPath": asked.input_path,
            "outputPath": asked.output_path,
            "eventTypeName": asked.event_type_name,
            "detectorName": asked.detector_name if prediction else None,
            "detectorVersion": f"{self._served.detector.version.version}.0" if prediction else None,
            "iamRoleArn": asked.iam_role_arn,
            "arn": f"{arn}:batch-{job.kind}/{job.job_id}" if arn else None,
            "processedRecordsCount": job.done,
            "failedRecordsCount": None if prediction else job.failed,
            "totalRecordsCount": job.total,
        }
        return {name: value for name, value in said.items() if value is not None}

    # Jobs

    def _start(self, job: Job) -> None:
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: Job) -> None:
        async with self._turn:
            try:
                ended = await self._done(job)
            except _UnusableError as problem:
                ended = self._latest(job)._replace(status="FAILED", failure=str(problem))
            except Exception:
                log.exception("batch_job_failed", job=job.job_id)
                ended = self._latest(job)._replace(status="FAILED", failure="a fault of the service, in its log")
            await asyncio.to_thread(self._jobs.keep, ended._replace(ended_ms=self._now_ms()))
            await self._tidy(ended)
            log.info("batch job ended", job=job.job_id, status=ended.status, rows=ended.done, failed=ended.failed)

    def _latest(self, job: Job) -> Job:
        return self._jobs.find(job.kind, job.job_id)[0]

    async def _done(self, job: Job) -> Job:
        """Works through the file of a job; how it ended."""
        asked = _read_asked(job.asked)
        names, rows = await self._rows(asked)
        if job.total not in (None, len(rows)):
            raise _UnusableError(
                f"{asked.input_path}: had {job.total:,} rows when the job began, and has {len(rows):,}"
            )
        job = self._latest(job)._replace(status="IN_PROGRESS", total=len(rows), beat_ms=self._now_ms())
        while await asyncio.to_thread(self._jobs.keep, job):
            if job.done >= len(rows):
                await self._join(job, asked, names)
                return job._replace(status="COMPLETE")
            part = rows[job.done : job.done + self._part]
            results: list[dict[str, str]] = []
            for start in range(0, len(part), _AT_ONCE):
                group = part[start : start + _AT_ONCE]
                results += await asyncio.gather(*(self._result(job, asked, row) for row in group))
            failed = [found for found in results if found["STATUS"] != _SUCCESS]
            kept = failed if job.kind == "import" else results
            text = _csv([*names, *_ADDED[job.kind]], kept, header=False)
            await self._call("put", self._part_key(job, asked, job.done), text.encode())
            job = job._replace(done=job.done + len(part), failed=job.failed + len(failed), beat_ms=self._now_ms())
        return self._latest(job)._replace(status="CANCELED", done=job.done, failed=job.failed)

    async def _rows(self, asked: CreateJob) -> tuple[list[str], list[dict[str, str]]]:
        stored = await self._call("get", self._key("inputPath", asked.input_path))
        if stored is None:
            raise _UnusableError(f"{asked.input_path}: there is no such object")
        if len(stored.data) > MOST_BYTES:
            raise _UnusableError(f"{asked.input_path}: has {len(stored.data):,} bytes, allowed are {MOST_BYTES:,}")
        try:
            read = csv.DictReader(io.StringIO(stored.data.decode("utf-8-sig"), newline=""), strict=True)
            names, rows = list(read.fieldnames or []), list(read)
        except (UnicodeDecodeError, csv.Error) as error:
            raise _UnusableError(f"{asked.input_path}: is no CSV in UTF-8: {error}") from None
        variables = self._served.readers[asked.event_type_name].event_type.variables
        if unknown := sorted(set(names) - {*_OWN, *variables}):
            raise _UnusableError(f"line 1: the event type has no variable {', '.join(unknown)[:200]}")
        if missing := [name for name in (EVENT_ID, EVENT_TIME) if name not in names]:
            raise _UnusableError(f"line 1: has no column {', '.join(missing)}")
        return names, rows

    async def _result(self, job: Job, asked: CreateJob, row: Mapping[Any, Any]) -> dict[str, str]:
        """A row with what became of it; waits where the service cannot answer now."""
        plain = {name: value for name, value in row.items() if isinstance(name, str) and isinstance(value, str)}
        while True:
            try:
                return plain | await self._answered(job, asked, row)
            except ApiError as error:
                if error.status < 500:
                    return plain | {"STATUS": f"{error.code}: {error.message}"}
                await asyncio.sleep(_AGAIN_S)

    async def _answered(self, job: Job, asked: CreateJob, row: Mapping[Any, Any]) -> dict[str, str]:
        if None in row or None in row.values():
            raise invalid("the line has more or fewer values than the first one names")
        event = self._event(asked, row)
        try:
            if job.kind == "import":
                await self._send(msgspec.convert(event | _labelled(row), SendEvent))
                return {"STATUS": _SUCCESS}
            whole = event | {"detectorId": self._served.detector.version.detector_id}
            answer = await self._predict(msgspec.convert(whole, GetEventPrediction))
        except msgspec.ValidationError as error:
            raise invalid(str(error)) from None
        outcomes = [name for result in answer["ruleResults"] for name in result["outcomes"]]
        return {
            "MODEL_SCORES": _encode([each["scores"] for each in answer["modelScores"]]).decode(),
            "OUTCOMES": _encode(outcomes).decode(),
            "STATUS": _SUCCESS,
            "RULE_RESULTS": _encode([result["ruleId"] for result in answer["ruleResults"]]).decode(),
        }

    def _event(self, asked: CreateJob, row: Mapping[str, str]) -> dict[str, Any]:
        event_type = self._served.readers[asked.event_type_name].event_type
        entity_type = row.get(_ENTITY_TYPE) or next(iter(event_type.entity_types), "")
        return {
            "eventId": row[EVENT_ID],
            "eventTypeName": asked.event_type_name,
            "eventTimestamp": row[EVENT_TIME],
            "entities": [{"entityType": entity_type, "entityId": row.get(ENTITY_ID) or "unknown"}],
            "eventVariables": {name: value for name, value in row.items() if name not in _OWN and value},
        }

    async def _join(self, job: Job, asked: CreateJob, names: Sequence[str]) -> None:
        """Writes the results as one object."""
        output = self._key("outputPath", asked.output_path)
        parts = [await self._call("get", key) for key in self._part_keys(job, asked)]
        whole = _csv([*names, *_ADDED[job.kind]], [], header=True).encode()
        await self._call("put", f"{output}/{job.job_id}-output.csv", whole + b"".join(p.data for p in parts if p))

    async def _tidy(self, job: Job) -> None:
        """Removes the parts of a job that has ended: its end is kept, so nothing asks for them any more."""
        try:
            for key in self._part_keys(job, _read_asked(job.asked)):
                await self._call("delete", key)
        except _UnusableError as problem:
            log.warning("batch_parts_left", job=job.job_id, problem=str(problem))

    def _part_keys(self, job: Job, asked: CreateJob) -> list[str]:
        return [self._part_key(job, asked, done) for done in range(0, job.done, self._part)]

    def _part_key(self, job: Job, asked: CreateJob, done: int) -> str:
        return f"{self._key('outputPath', asked.output_path)}/{job.job_id}.parts/{done:012d}.csv"

    async def _call(self, name: str, *arguments: Any) -> Any:
        """Asks the store of objects, until it can be reached."""
        while True:
            try:
                return await asyncio.to_thread(getattr(self._objects, name), *arguments)
            except RetryableError:
                await asyncio.sleep(_AGAIN_S)
            except FraudError as error:
                raise _UnusableError(str(error)) from None


def _labelled(row: Mapping[str, str]) -> dict[str, str]:
    given = {"assignedLabel": row.get(EVENT_LABEL), "labelTimestamp": row.get(_LABEL_TIME)}
    return {name: value for name, value in given.items() if value}


def _csv(names: Sequence[str], rows: Sequence[Mapping[str, str]], header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _no_job() -> ApiError:
    return not_found("jobId: there is no such job")
