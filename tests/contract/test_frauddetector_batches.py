"""Batch jobs of the API of Amazon Fraud Detector: files on S3, through boto3; jobs outlive the service."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.aws.clients import aws_client
from benchmarks.afd_detector import DETECTOR, EVENT_TYPE, VERSION
from fraud.settings import Settings
from tests.contract.test_frauddetector_api import conforms, event, refused, served
from tests.support.emulators import provisioned
from tests.support.frauddetector import Running, answering

ROLE = "arn:aws:iam::111122223333:role/batches"


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as found:
        yield found


@pytest.fixture(scope="module")
def place(settings: Settings) -> str:
    return f"s3://{settings.archive.bucket}/batches"


def store(settings: Settings, path: str) -> tuple[Any, dict[str, str]]:
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return aws_client("s3", settings.aws), {"Bucket": bucket, "Key": key}


def written(settings: Settings, path: str, rows: list[Mapping[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), restval="")
    writer.writeheader()
    writer.writerows(rows)
    client, where = store(settings, path)
    client.put_object(**where, Body=text.getvalue().encode())


def rows_of(settings: Settings, path: str) -> list[dict[str, str]]:
    client, where = store(settings, path)
    return list(csv.DictReader(io.StringIO(client.get_object(**where)["Body"].read().decode())))


def row(number: int, name: str, **more: str) -> dict[str, str]:
    one = event(number, eventId=f"{name}-{number}")
    own = {"EVENT_ID": one["eventId"], "EVENT_TIMESTAMP": one["eventTimestamp"]}
    return {**own, "ENTITY_ID": one["entities"][0]["entityId"], **one["eventVariables"], **more}


def ended(client: Any, kind: str, job: str) -> dict[str, Any]:
    """The job, once it has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = getattr(client, f"get_batch_{kind}_jobs")(jobId=job)
        (found,) = answer["batchPredictions" if kind == "prediction" else "batchImports"]
        if "completionTime" in found:
            return dict(found)
        time.sleep(0.02)
    raise AssertionError("the job does not end")


def checked(running: Running) -> Any:
    client = running.client(parameter_validation=False)
    client.meta.events.register("after-call.frauddetector", conforms)
    return client


def test_predictions_of_a_file_are_those_of_single_calls(tmp_path: Path, settings: Settings, place: str) -> None:
    world, out = served(tmp_path)
    written(settings, f"{place}/in.csv", [*(row(number, "b") for number in range(12)), row(1, "b", order_price="no")])
    asked = {"jobId": "job-1", "inputPath": f"{place}/in.csv", "outputPath": f"{place}/out", "iamRoleArn": ROLE}
    prediction = asked | {"eventTypeName": EVENT_TYPE, "detectorName": DETECTOR, "detectorVersion": VERSION}
    with answering(world, out, aws=settings.aws, batches=place) as running:
        client = checked(running)
        client.create_batch_prediction_job(**prediction)
        found = ended(client, "prediction", "job-1")
        assert (found["status"], found["processedRecordsCount"], found["totalRecordsCount"]) == ("COMPLETE", 13, 13)
        results = rows_of(settings, f"{place}/out/job-1-output.csv")
        for number, result in enumerate(results[:12]):
            answer = client.get_event_prediction(**event(number, eventId=f"b-{number}"))
            rules = [each["ruleId"] for each in answer["ruleResults"]]
            assert (result["STATUS"], result["RULE_RESULTS"]) == ("SUCCESS", str(rules).replace("'", '"'))
        assert results[12]["STATUS"].startswith("ValidationException: eventVariables.order_price")
        assert refused(client.create_batch_prediction_job, **prediction)[0] == "ValidationException"
        assert refused(client.get_batch_prediction_jobs, jobId="other")[0] == "ResourceNotFoundException"
        client.delete_batch_prediction_job(jobId="job-1")
        assert client.get_batch_prediction_jobs()["batchPredictions"] == []
        assert refused(running.client("events").create_batch_prediction_job, **prediction)[0] == "AccessDeniedException"


def test_events_of_a_file_are_sent_with_their_labels(tmp_path: Path, settings: Settings, place: str) -> None:
    world, out = served(tmp_path)
    label = {"EVENT_LABEL": "fraud", "LABEL_TIMESTAMP": "2026-01-20T09:00:00Z"}
    written(settings, f"{place}/events.csv", [row(0, "i", **label), row(1, "i"), row(2, "i", card_id="")])
    asked = {"jobId": "job-2", "inputPath": f"{place}/events.csv", "outputPath": f"{place}/out", "iamRoleArn": ROLE}
    with answering(world, out, aws=settings.aws, batches=place) as running:
        client = checked(running)
        client.create_batch_import_job(**asked, eventTypeName=EVENT_TYPE)
        found = ended(client, "import", "job-2")
        assert (found["status"], found["processedRecordsCount"], found["failedRecordsCount"]) == ("COMPLETE", 3, 1)
        assert client.get_event(eventId="i-0", eventTypeName=EVENT_TYPE)["event"]["currentLabel"] == "fraud"
        assert len([record for record in world.stream if b'"i-1"' in record.data]) == 1
        (failed,) = rows_of(settings, f"{place}/out/job-2-output.csv")
        assert failed["EVENT_ID"] == "i-2"


def test_a_job_that_the_end_of_the_service_interrupts_goes_on(tmp_path: Path, settings: Settings, place: str) -> None:
    world, out = served(tmp_path)
    written(settings, f"{place}/long.csv", [row(0, f"r{number}") for number in range(3)])
    asked = {"jobId": "job-3", "inputPath": f"{place}/long.csv", "outputPath": f"{place}/out", "iamRoleArn": ROLE}
    with answering(world, out, aws=settings.aws, batches=place) as running:
        running.service.lag_ms = None  # so that the job waits
        running.client().create_batch_prediction_job(**asked, eventTypeName=EVENT_TYPE, detectorName=DETECTOR)
    with answering(world, out, aws=settings.aws, batches=place) as running:
        found = ended(checked(running), "prediction", "job-3")
        assert (found["status"], found["processedRecordsCount"]) == ("COMPLETE", 3)
        assert [each["STATUS"] for each in rows_of(settings, f"{place}/out/job-3-output.csv")] == ["SUCCESS"] * 3
