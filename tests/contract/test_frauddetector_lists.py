"""Lists through the API of Amazon Fraud Detector: read, changed, and in force in the next prediction; through boto3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operations.lists import ListDesk
from tests.contract.test_frauddetector_api import conforms, event, refused, served
from tests.support.frauddetector import Running, answering

PLAIN = {"order_price": "20.01", "ip": "192.0.2.8", "billing_country": "DE", "email": "ann@mail.example", "logins": "5"}


def rules(running: Running, client: Any, event_id: str, card_bin: str) -> list[str]:
    """The rules that match once the lists are looked at again."""
    running.service.engine.policy = running.policies.refresh_lists()
    one = event(1, eventId=event_id, variables=PLAIN | {"card_bin": card_bin})
    return [result["ruleId"] for result in client.get_event_prediction(**one)["ruleResults"]]


def test_lists_are_read_changed_and_in_force(tmp_path: Path) -> None:
    world, out = served(tmp_path)
    with answering(world, out) as running:
        client = running.client(parameter_validation=False)
        client.meta.events.register("after-call.frauddetector", conforms)
        bins = {"name": "bad_bins"}
        assert client.get_list_elements(**bins)["elements"] == ["444444", "555555"]
        assert rules(running, client, "before", "422222") == ["low_score"]

        client.update_list(**bins, elements=["422222"], updateMode="APPEND")
        assert client.get_list_elements(**bins)["elements"] == ["422222", "444444", "555555"]
        assert rules(running, client, "listed", "422222") == ["bad_bin"]

        client.update_list(**bins, elements=["422222", "499999"], updateMode="REMOVE")
        client.update_list(**bins, elements=["499999"], updateMode="REMOVE")
        assert rules(running, client, "removed", "422222") == ["low_score"]
        client.update_list(**bins, elements=["411111"], updateMode="REPLACE")
        assert client.get_list_elements(**bins)["elements"] == ["411111"]
        assert rules(running, client, "replaced", "444444") == ["low_score"]

        assert running.policies.lists is not None
        desk = ListDesk(running.policies.lists, lambda: running.service.engine.policy)
        assert {change.by for change in desk.changes("bad-bins", 9)} == {"test"}
        assert refused(client.update_list, **bins, elements=["x y"], updateMode="APPEND")[0] == "ValidationException"
        assert refused(client.update_list, **bins, elements=[], updateMode="ELSE")[0] == "ValidationException"
        assert refused(client.update_list, name="absent", elements=["1"])[0] == "ResourceNotFoundException"
        assert refused(client.delete_list, **bins)[0] == "ConflictException"  # a rule asks it, and the policy has it


def test_lists_are_made_and_deleted(tmp_path: Path) -> None:
    world, out = served(tmp_path)
    with answering(world, out) as running:
        client = running.client(parameter_validation=False)
        client.create_list(name="new_ips", elements=["192.0.2.9"], variableType="IP_ADDRESS")
        running.service.engine.policy = running.policies.refresh_lists()

        assert client.get_list_elements(name="new_ips")["elements"] == ["192.0.2.9"]
        assert [each["name"] for each in client.get_lists_metadata()["lists"]] == [
            "bad_bins",
            "trusted_ips",
            "bad_mails",
            "new_ips",
        ]
        assert refused(client.create_list, name="new_ips", variableType="IP_ADDRESS")[0] == "ValidationException"
        client.create_list(name="mails", elements=["a@mail.example"], variableType="EMAIL_ADDRESS")
        assert running.policies.refresh_lists().bundle.lists.by_name["mails"].of == "text"
        code, message = refused(client.create_list, name="phones", variableType="PHONE_NUMBER")
        assert (code, message.split(":")[0]) == ("ValidationException", "variableType")
        client.delete_list(name="new_ips")
        running.service.engine.policy = running.policies.refresh_lists()
        assert refused(client.get_list_elements, name="new_ips")[0] == "ResourceNotFoundException"
        assert refused(client.delete_list, name="new_ips")[0] == "ResourceNotFoundException"
        assert refused(running.client("predict").create_list, name="x")[0] == "AccessDeniedException"
