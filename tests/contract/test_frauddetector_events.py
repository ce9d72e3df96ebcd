"""Events and predictions of the API of Amazon Fraud Detector: sent, labelled, given back, deleted; through boto3."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.afd_detector import DETECTOR, EVENT_TYPE, SCORE, VERSION
from decision_service.afd.store import KeptPrediction, Store
from fraud.records.label import parse_label
from tests.contract.test_frauddetector_api import conforms, event, refused, served
from tests.support.frauddetector import Running, answering
from tests.support.records import NOON

LATER = "2026-01-20T09:00:00Z"
OF_DETECTOR = ("detectorId", "detectorVersionId")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    world, out = served(tmp_path_factory.mktemp("afd"))
    with answering(world, out) as found:
        yield found


@pytest.fixture(scope="module")
def client(running: Running) -> Any:
    checked = running.client(parameter_validation=False)
    checked.meta.events.register("after-call.frauddetector", conforms)
    return checked


def sent(number: int = 0, **changed: Any) -> dict[str, Any]:
    return {name: value for name, value in event(number, **changed).items() if name not in OF_DETECTOR}


def test_a_sent_event_is_on_the_stream_once_and_comes_back(running: Running, client: Any) -> None:
    one = sent(eventId="sent-1")
    before = len(running.world.stream)
    client.send_event(**one)
    client.send_event(**one)

    (record,) = running.world.stream[before:]
    transaction = json.loads(record.data)
    assert (record.key, transaction["transaction_id"]) == (one["eventVariables"]["card_id"], "sent-1")
    back = client.get_event(eventId="sent-1", eventTypeName=EVENT_TYPE)["event"]
    assert back == one | {"eventTimestamp": "2026-01-15T11:00:00.000Z"}
    code, _ = refused(client.send_event, **sent(eventId="sent-1", variables={"order_price": "1.00"}))
    assert code == "ConflictException"


def test_a_predicted_event_comes_back_and_sending_it_puts_it_on_the_stream_no_second_time(
    running: Running, client: Any
) -> None:
    one = event(1, eventId="predicted-1")
    client.get_event_prediction(**one)
    client.send_event(**sent(1, eventId="predicted-1"))

    plain = [record for record in running.world.stream if record.data.startswith(b'{"schema_version":1,')]
    assert not any(b"predicted-1" in record.data for record in plain)
    back = client.get_event(eventId="predicted-1", eventTypeName=EVENT_TYPE)["event"]
    assert back["eventVariables"] == one["eventVariables"]


def test_the_label_of_an_event_becomes_a_label_of_its_transaction(running: Running, client: Any) -> None:
    one = event(2, eventId="labelled-1")
    client.get_event_prediction(**one)
    named = {"eventId": "labelled-1", "eventTypeName": EVENT_TYPE}
    client.update_event_label(**named, assignedLabel="fraud", labelTimestamp=LATER)

    (record,) = [record for record in running.labels if b"labelled-1" in record.data]
    label = parse_label(record.data)
    assert (label.verdict, label.source, label.card_token) == ("fraud", "chargeback", record.key)
    assert label.transaction_time == NOON - dt.timedelta(hours=1) + dt.timedelta(seconds=2)
    assert label.billing_amount_minor == round(float(one["eventVariables"]["order_price"]) * 100)
    back = client.get_event(**named)["event"]
    assert (back["currentLabel"], back["labelTimestamp"]) == ("fraud", "2026-01-20T09:00:00.000Z")
    assert refused(client.update_event_label, **named, assignedLabel="else", labelTimestamp=LATER) == (
        "ValidationException",
        "assignedLabel: labels of card_payment are fraud, legit",
    )
    absent = {"eventId": "absent", "eventTypeName": EVENT_TYPE}
    code, _ = refused(client.update_event_label, **absent, assignedLabel="fraud", labelTimestamp=LATER)
    assert code == "ResourceNotFoundException"


def test_an_event_can_be_sent_with_its_label(running: Running, client: Any) -> None:
    client.send_event(**sent(3, eventId="sent-fraud"), assignedLabel="legit", labelTimestamp=LATER)

    (record,) = [record for record in running.labels if b"sent-fraud" in record.data]
    assert parse_label(record.data).verdict == "legitimate"
    code, _ = refused(client.send_event, **sent(3, eventId="sent-too"), assignedLabel="legit")
    assert code == "ValidationException"
    assert not any(b"sent-too" in record.data for record in running.world.stream)


def test_what_the_stream_would_refuse_is_refused(running: Running, client: Any) -> None:
    old = sent(4, eventId="old", eventTimestamp="2020-01-01T00:00:00Z")
    code, message = refused(client.send_event, **old)
    assert (code, "job.max_age_s" in message) == ("ValidationException", True)
    assert refused(client.get_event, eventId="old", eventTypeName=EVENT_TYPE)[0] == "ResourceNotFoundException"


def test_predictions_are_listed_and_explained_as_they_were_made(client: Any) -> None:
    one = event(5, eventId="listed-1", variables={"card_bin": "444444", "order_price": "10.01"})
    answer = client.get_event_prediction(**one)
    (listed,) = client.list_event_predictions(eventId={"value": "listed-1"})["eventPredictionSummaries"]
    assert (listed["detectorId"], listed["detectorVersionId"], listed["eventTypeName"]) == (
        DETECTOR,
        VERSION,
        EVENT_TYPE,
    )
    found = client.get_event_prediction_metadata(
        **{name: listed[name] for name in ("eventId", "eventTypeName", *OF_DETECTOR, "predictionTimestamp")}
    )
    rules = {rule["ruleId"]: rule for rule in found["rules"]}
    assert answer["ruleResults"] == [{"ruleId": "bad_bin", "outcomes": ["block"]}]
    assert [name for name, rule in rules.items() if rule["matched"]] == ["bad_bin"]
    assert [name for name, rule in rules.items() if rule["evaluated"]] == ["very_high_score", "bad_bin"]
    assert rules["bad_bin"]["expressionWithValues"] == "444444 in @bad_bins"
    assert found["outcomes"] == ["block"]
    assert {each["name"]: each["value"] for each in found["eventVariables"]} == one["eventVariables"]
    (model,) = found["evaluatedModelVersions"]
    ((scored,),) = [model["evaluations"]]
    assert float(scored["evaluationScore"]) == pytest.approx(answer["modelScores"][0]["scores"][SCORE])
    other = {name: listed[name] for name in ("eventId", "eventTypeName", *OF_DETECTOR)}
    code, _ = refused(client.get_event_prediction_metadata, **other, predictionTimestamp="2026-01-01T00:00:00Z")
    assert code == "ResourceNotFoundException"


def test_predictions_come_in_pages_by_time(client: Any) -> None:
    for number in range(3):
        client.get_event_prediction(**event(6 + number, eventId=f"paged-{number}"))
    first = client.list_event_predictions(maxResults=2, eventType={"value": EVENT_TYPE})
    rest = client.list_event_predictions(maxResults=100, nextToken=first["nextToken"])
    made = [each["eventId"] for each in first["eventPredictionSummaries"] + rest["eventPredictionSummaries"]]

    assert len(made) == len(set(made)) >= 3
    nothing = {"startTime": "2020-01-01T00:00:00Z", "endTime": "2020-01-02T00:00:00Z"}
    assert client.list_event_predictions(predictionTimeRange=nothing)["eventPredictionSummaries"] == []
    assert client.list_event_predictions(detectorId={"value": "else"})["eventPredictionSummaries"] == []
    assert refused(client.list_event_predictions, nextToken="x")[0] == "ValidationException"


def test_deleted_events_do_not_come_back(client: Any) -> None:
    named = {"eventId": "deleted-1", "eventTypeName": EVENT_TYPE}
    client.get_event_prediction(**event(9, eventId="deleted-1"))
    client.delete_event(**named)
    assert refused(client.get_event, **named)[0] == "ResourceNotFoundException"
    assert len(client.list_event_predictions(eventId={"value": "deleted-1"})["eventPredictionSummaries"]) == 1
    client.delete_event(**named, deleteAuditHistory=True)
    assert client.list_event_predictions(eventId={"value": "deleted-1"})["eventPredictionSummaries"] == []


def test_the_events_of_a_type_are_deleted_together(tmp_path: Any) -> None:
    world, out = served(tmp_path)
    with answering(world, out) as running:
        client = running.client()
        client.send_event(**sent(10, eventId="gone-1"))
        of_type = {"eventTypeName": EVENT_TYPE}
        assert refused(client.get_delete_events_by_event_type_status, **of_type)[0] == "ResourceNotFoundException"
        assert client.delete_events_by_event_type(**of_type)["eventsDeletionStatus"] == "COMPLETE"
        assert client.get_delete_events_by_event_type_status(**of_type)["eventsDeletionStatus"] == "COMPLETE"
        assert refused(client.get_event, eventId="gone-1", **of_type)[0] == "ResourceNotFoundException"


def test_events_outlive_a_restart_and_expire(tmp_path: Any) -> None:
    store = Store(tmp_path / "events.db", keep_ms=1_000)
    store.keep_predictions([KeptPrediction("t", "e", 5_000, b"{}", b"{}")], 5_000)
    store.close()
    store = Store(tmp_path / "events.db", keep_ms=1_000)
    assert store.event("t", "e") is not None
    store.keep_event("t", "later", b"{}", 6_500)  # the first of a start removes what has expired
    assert store.event("t", "e") is None
    assert store.predictions("t", "e", (0, 9_000), 0, 9) == []
    assert store.event("t", "later") is not None
    store.close()
