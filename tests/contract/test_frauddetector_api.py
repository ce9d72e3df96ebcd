"""The API of Amazon Fraud Detector as clients see it: unmodified boto3 over loopback, its own model as contract."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from benchmarks.afd_detector import DETECTOR, EVENT_TYPE, SCORE, VERSION, events, write_export
from benchmarks.afd_rules import Interpreter
from decision_service.afd.door import ELSEWHERE
from fraud.decision.record import Outcome
from tests.support.decision_services import World
from tests.support.frauddetector import AmountScorer, Running, amount_score, answering, client_of, imported
from tests.support.records import NOON

ONCE: dict[str, Any] = {"retries": {"total_max_attempts": 1}}
MEANS = {"allow": Outcome.APPROVE, "verify": Outcome.REVIEW, "block": Outcome.DECLINE}


def served(folder: Path, mode: str = "FIRST_MATCHED", **mapping: Any) -> tuple[World, Path]:
    write_export(folder / "exported", mode)
    out = imported(folder / "exported", folder / "imported", **mapping)
    return World(folder, (out / "policy.yaml").read_text(), AmountScorer(), budget_ms=60_000), out


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    world, out = served(tmp_path_factory.mktemp("afd"))
    with answering(world, out) as found:
        yield found


@pytest.fixture(scope="module")
def client(running: Running) -> Any:
    checked = running.client()
    checked.meta.events.register("after-call.frauddetector", conforms)
    return checked


def conforms(http_response: Any, model: Any, **_: Any) -> None:
    """The answer's body has nothing that the model lacks, and every value is as the model says."""
    if http_response.status_code == 200:
        body = json.loads(http_response.content)
        report = ParamValidator().validate(body, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        assert list(faults(body, model.output_shape)) == []


def faults(value: Any, shape: Any) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, inner in value.items():
            yield from faults(inner, shape.members[name])
    elif shape.type_name in ("list", "map"):
        inside = shape.member if shape.type_name == "list" else shape.value
        for inner in value if shape.type_name == "list" else value.values():
            yield from faults(inner, inside)
    elif shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield f"{shape.name}: {value} is none of {shape.enum}"
        if (pattern := shape.metadata.get("pattern")) and not re.search(pattern.replace("\\:", ":"), value):
            yield f"{shape.name}: {value} does not match {pattern}"


def event(number: int = 0, **changed: Any) -> dict[str, Any]:
    (made,) = events(number + 1, NOON - dt.timedelta(hours=1))[number:]
    variables = {**made["eventVariables"], **changed.pop("variables", {})}
    return made | {"eventVariables": {name: value for name, value in variables.items() if value is not None}} | changed


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    said = caught.value.response["Error"]
    return said["Code"], said["Message"]


@pytest.mark.parametrize("mode", ["FIRST_MATCHED", "ALL_MATCHED"])
def test_answers_are_those_of_an_interpreter_of_the_exported_rules(tmp_path: Path, mode: str) -> None:
    world, out = served(tmp_path, mode)
    exported = json.loads((out / "detector.json").read_text())
    interpreter = Interpreter(exported)
    seen = set()
    with answering(world, out) as running:
        client = running.client()
        for one in events(150, NOON - dt.timedelta(hours=1)):
            answer = client.get_event_prediction(**one)
            (scores,) = (scored["scores"] for scored in answer["modelScores"])
            price = one["eventVariables"]["order_price"]
            assert scores == {SCORE: pytest.approx(1000 * amount_score(round(float(price) * 100)))}
            assert answer["ruleResults"] == interpreter.results(one["eventVariables"], scores), one
            running.service.answers_kept()
            kept = running.service.find_all(one["eventVariables"]["card_id"], one["eventId"])
            strictest = max(MEANS[name] for result in answer["ruleResults"] for name in result["outcomes"])
            assert json.loads(kept[0])["outcome"] == strictest.label
            seen |= {result["ruleId"] for result in answer["ruleResults"]}
    assert seen == {rule["ruleId"] for rule in exported["rules"]}


def test_every_answer_is_as_the_model_has_it(client: Any) -> None:
    answer = client.get_event_prediction(**event(1, eventId="shape-1"))
    assert answer["modelScores"][0]["modelVersion"]["modelVersionNumber"] == "1.0"
    assert answer["externalModelOutputs"] == []
    (detector,) = client.get_detectors()["detectors"]
    assert (detector["detectorId"], detector["arn"]) == (
        DETECTOR,
        f"arn:aws:frauddetector:eu-central-1:111122223333:detector/{DETECTOR}",
    )
    described = client.describe_detector(detectorId=DETECTOR)
    assert [version["detectorVersionId"] for version in described["detectorVersionSummaries"]] == [VERSION]
    version = client.get_detector_version(detectorId=DETECTOR, detectorVersionId=VERSION)
    assert version["rules"][0]["ruleId"] == "very_high_score"
    assert [each["name"] for each in client.get_event_types()["eventTypes"]] == [EVENT_TYPE, "sign_up"]
    assert client.get_event_types(name=EVENT_TYPE)["eventTypes"][0]["entityTypes"] == ["customer"]
    (rule,) = client.get_rules(detectorId=DETECTOR, ruleId="bad_bin")["ruleDetails"]
    assert rule["expression"] == "$card_bin in @bad_bins"
    assert [each["name"] for each in client.get_outcomes()["outcomes"]] == ["allow", "verify", "block"]
    assert [each["name"] for each in client.get_labels()["labels"]] == ["fraud", "legit"]
    assert [each["name"] for each in client.get_entity_types()["entityTypes"]] == ["customer"]
    assert [each["name"] for each in client.get_lists_metadata()["lists"]] == ["bad_bins", "trusted_ips", "bad_mails"]
    assert client.get_models()["models"][0]["modelId"] == "checkout_model"
    asked = {"modelId": "checkout_model", "modelType": "TRANSACTION_FRAUD_INSIGHTS", "modelVersionNumber": "1.0"}
    assert client.get_model_version(**asked)["modelId"] == "checkout_model"
    assert client.describe_model_versions(modelId="checkout_model")["modelVersionDetails"][0]["arn"]
    assert client.get_external_models()["externalModels"] == []
    found = client.batch_get_variable(names=["ip", "none"])
    assert ([each["name"] for each in found["variables"]], found["errors"][0]["name"]) == (["ip"], "none")


def test_lists_come_in_pages(running: Running) -> None:
    client = running.client(parameter_validation=False)
    whole = client.get_variables(maxResults=100)["variables"]
    first = client.get_variables(maxResults=6)
    rest = client.get_variables(maxResults=6, nextToken=first["nextToken"])

    assert first["variables"] + rest["variables"] == whole
    assert "nextToken" not in rest
    assert refused(client.get_variables, nextToken="else")[0] == "ValidationException"


def test_the_same_event_gets_the_same_answer_and_another_of_its_id_conflicts(client: Any) -> None:
    one = event(2, eventId="again")
    first = client.get_event_prediction(**one)
    again = client.get_event_prediction(**one)

    assert {name: first[name] for name in ("modelScores", "ruleResults")} == {
        name: again[name] for name in ("modelScores", "ruleResults")
    }
    code, message = refused(client.get_event_prediction, **event(2, eventId="again", variables={"order_price": "1"}))
    assert (code, message.split(":")[0]) == ("ConflictException", "eventId")


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"eventTypeName": "sign_up"}, "ValidationException", "sign_up is no type of card payments here"),
        ({"eventTypeName": "else"}, "ResourceNotFoundException", "there is no such event type"),
        ({"detectorId": "else"}, "ResourceNotFoundException", "checkout is the detector that was imported"),
        ({"detectorVersionId": "7"}, "ResourceNotFoundException", "version 2 was imported"),
        ({"eventTimestamp": "yesterday at 5"}, "ValidationException", "eventTimestamp: is no ISO 8601 time"),
        ({"eventTimestamp": "2020-01-01T00:00:00Z"}, "ValidationException", "allowed are 604800000 (job.max_age_s)"),
        ({"variables": {"order_price": "12,50"}}, "ValidationException", "eventVariables.order_price: is no amount"),
        ({"variables": {"card_bin": "4111"}}, "ValidationException", "eventVariables.card_bin: "),
        ({"variables": {"card_id": None}}, "ValidationException", "eventVariables.card_id: "),
        ({"variables": {"card_id": "4111111111111111"}}, "ValidationException", "card_number"),
        ({"variables": {"else": "1"}}, "ValidationException", "card_payment has no variable else"),
        ({"entities": [{"entityType": "else", "entityId": "1"}]}, "ValidationException", "events of card_payment are"),
        ({"entities": [{"entityType": "customer", "entityId": "a b"}]}, "ValidationException", "entities[0].entityId"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_is_refused_in_the_words_of_the_event(
    client: Any, changed: dict[str, Any], code: str, said: str
) -> None:
    found, message = refused(client.get_event_prediction, **event(3, eventId="refused", **changed))

    assert (found, said in message) == (code, True), message
    assert "4111111111111111" not in message


def test_calls_that_would_change_the_detector_say_where_that_is_done(running: Running) -> None:
    client = running.client(parameter_validation=False)
    operations = set(client.meta.service_model.operation_names)
    assert set(ELSEWHERE) <= operations
    for operation in sorted(ELSEWHERE):
        shape = client.meta.service_model.operation_model(operation)
        call = getattr(client, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).lower().replace("kmsencr", "kms_encr"))
        code, message = refused(call)
        assert (shape.name, code) == (operation, "AccessDeniedException")
        assert "docs/" in message


def test_every_call_that_boto3_has_is_answered_or_refused_by_name(running: Running) -> None:
    model = running.client().meta.service_model
    assert set(model.operation_names) == set(running.door._calls) | set(ELSEWHERE)


def test_a_key_does_what_it_has_rights_to_as_often_as_it_may(tmp_path: Path) -> None:
    world, out = served(tmp_path)
    with answering(world, out, lambda: 0.0, describe_per_second=2) as running:
        assert refused(running.client("describe").get_event_prediction, **event())[0] == "AccessDeniedException"
        assert refused(running.client("predict").get_labels)[0] == "AccessDeniedException"
        client = running.client(**ONCE)
        assert [len(client.get_labels()["labels"]) for _ in range(2)] == [2, 2]
        code, message = refused(client.get_labels)
        assert running.client().get_labels()["labels"]  # another key has its own
    assert (code, "frauddetector.describe_per_second" in message) == ("ThrottlingException", True)


def test_who_is_not_known_is_refused(running: Running) -> None:
    one = event(4, eventId="who")
    strangers = client_of(running.address, "FDAKAAAAAAAAAAAAAAAA", "secret")
    assert refused(strangers.get_event_prediction, **one)[0] == "UnrecognizedClientException"
    identity = next(iter(running.door.keys._holders))
    guessing = client_of(running.address, identity, "another secret")
    assert refused(guessing.get_event_prediction, **one)[0] == "InvalidSignatureException"

    request = urllib.request.Request(running.address, b"{}", {"X-Amz-Target": "AWSHawksNestServiceFacade.GetLabels"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as answer:
        assert (answer.status, json.loads(answer.read())["__type"]) == (400, "MissingAuthenticationTokenException")


def test_a_service_that_has_not_caught_up_asks_to_come_again(tmp_path: Path) -> None:
    world, out = served(tmp_path)
    with answering(world, out) as running:
        running.service.lag_ms = None
        client = running.client(**ONCE)
        with pytest.raises(ClientError) as caught:
            client.get_event_prediction(**event())
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert caught.value.response["Error"]["Code"] == "InternalServerException"


def test_what_was_added_here_stands_in_the_answer_with_an_outcome_of_the_detector(tmp_path: Path) -> None:
    world, out = served(tmp_path)
    policy = yaml.safe_load((out / "policy.yaml").read_text())
    policy["rules"].append(
        {"id": "many", "description": "many", "when": "card_count_10m >= 2", "outcome": "decline", "reason": "MANY",
         "text": "many"}
    )  # fmt: skip
    world = World(tmp_path, yaml.safe_dump(policy), AmountScorer(), budget_ms=60_000)
    with answering(world, out) as running:
        client = running.client()
        plain = {"order_price": "20.01", "card_bin": "411111", "ip": "192.0.2.8", "billing_country": "DE"}
        found = [
            client.get_event_prediction(**event(number, variables={**plain, "card_id": "card-x"}))["ruleResults"]
            for number in range(3)
        ]
    assert found[0] == [{"ruleId": "low_score", "outcomes": ["allow"]}]
    assert found[2] == [{"ruleId": "many", "outcomes": ["block"]}]


def test_a_variable_of_the_policy_is_typed_and_used_by_its_rule(client: Any) -> None:
    plain = {"order_price": "120.01", "ip": "192.0.2.8", "email": "ann@mail.example", "card_bin": "411111"}

    ids = (f"own-{number}" for number in itertools.count())

    def rules(**variables: str | None) -> list[str]:
        answer = client.get_event_prediction(**event(1, eventId=next(ids), variables={**plain, **variables}))
        return [result["ruleId"] for result in answer["ruleResults"]]

    assert rules(logins="3") == ["new_account"]
    assert rules(logins=None) == ["new_account"]  # its default is 0
    assert rules(logins="4.0") == ["low_score"]
    assert rules(email=None, logins="3") == ["low_score"]
    assert rules(email="eve@mail.example", logins="4") == ["bad_mail"]
    with pytest.raises(ClientError, match=r"ValidationException.*eventVariables\.logins: is no number"):
        rules(logins="three")
