"""The API of Live, System and Lab on a real archive, real streams and a real health address."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from adapters.files.ground_truth import truth_file
from adapters.program import metrics
from cli.console import overview_of
from console.compose import open_ports, watching_part
from embedded.campaigns import CampaignLauncher
from embedded.chaos.oracle import read_stream
from fraud.errors import MisconfiguredError
from fraud.settings import Settings
from tests.support.emulators import provisioned
from tests.support.overviews import Overviewed, await_answer, sign_in
from tests.support.records import transaction, truth, wire


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as located:
        yield located


@pytest.fixture
def system(settings: Settings, request: pytest.FixtureRequest) -> Overviewed:
    return Overviewed(settings, request.node.name)


@pytest.mark.parametrize("path", ["/api/live", "/api/system", "/api/system/dead-letters", "/api/lab"])
def test_pages_need_a_session(settings: Settings, tmp_path: Path, path: str) -> None:
    with CampaignLauncher(settings) as launcher:
        client = TestClient(Overviewed(settings, "none", tmp_path, launcher).app())
        assert client.get(path).status_code == 401
        assert sign_in(client, "viewer").get(path).status_code == 200


def test_live_shows_what_is_archived_against_the_truth(settings: Settings, tmp_path: Path) -> None:
    system = Overviewed(settings, "live", tmp_path)
    fraud = truth(transaction_id="t-2", is_fraud=True, campaign="mule_ring", case_id="mule_ring-1")
    truth_file(tmp_path, "demo").write_bytes(wire(fraud) + b"\n")
    system.decide(
        {"transaction_id": "t-1"}, {"transaction_id": "t-2", "outcome": "decline", "billing_amount_minor": 700}
    )
    system.telemetry.set(metrics.SOURCE_LAG_MS, 42, "fraud-transactions", "shard-0")
    with system.job(), TestClient(system.app()) as client:
        sign_in(client, "viewer")
        await_answer(client, "/api/live", lambda live: live["lag_ms"] == 42)
        system.decide({"transaction_id": "t-3", "outcome": "review", "card_token": "token-of-card-1234"})
        live = await_answer(client, "/api/live", lambda live: len(live["alerts"]) == 2)
    assert live["outcomes"] == {"approve": 1, "review": 1, "decline": 1}
    assert [alert["transaction_id"] for alert in live["alerts"]] == ["t-3", "t-2"]
    assert live["alerts"][0]["card_token"] == "…1234"
    (campaign,) = live["campaigns"]
    assert (campaign["campaign"], campaign["alerted"], campaign["lost_minor"]) == ("mule_ring", 1, 700)
    assert {name: reach["works"] for name, reach in live["reach"].items()} == {"archive": True, "job": True}


def test_system_says_that_the_job_is_gone_and_that_it_is_back(system: Overviewed) -> None:
    system.telemetry.set(metrics.STATE_BYTES, 12, "card")
    with TestClient(system.app()) as client:
        sign_in(client, "viewer")
        shown = await_answer(client, "/api/system", lambda shown: shown["reach"]["job"]["works"] is False)
        assert (shown["read_ms"], shown["phases"]) == (None, [])
        with system.job():
            await_answer(client, "/api/system", lambda shown: shown["reach"]["job"]["works"] is True)
            system.telemetry.observe(metrics.TRIGGER_S, metrics.TRIGGER_S.count([0.4]), 0.4, "triggerExecution")
            system.telemetry.add(metrics.SCORED, 7, "in_process")
            shown = await_answer(client, "/api/system", lambda shown: shown["phases"])
        assert [phase["phase"] for phase in shown["phases"]] == ["triggerExecution"]
        assert shown["state"] == [{"operator": "card", "bytes": 12}]
        assert shown["scoring"]["lately"]["in_process"] == 7
        assert shown["scoring"]["expected"] == "in_process"
        gone = await_answer(client, "/api/system", lambda shown: shown["reach"]["job"]["works"] is False)
        assert gone["phases"] == shown["phases"]


def test_dead_letters_are_read_in_pages_newest_first(system: Overviewed) -> None:
    system.refuse(*({"sequence_number": str(place)} for place in range(3)))
    system.refuse({"sequence_number": "3", "reason": "duplicate", "field": None})
    with TestClient(system.app()) as client:
        sign_in(client, "viewer")
        place = "/api/system/dead-letters"
        first = await_answer(client, f"{place}?limit=3", lambda page: len(page["dead_letters"]) == 3)
        assert [dead_letter["id"][-3:] for dead_letter in first["dead_letters"]] == ["3/0", "2/0", "1/0"]
        system.refuse({"sequence_number": "4"})
        await_answer(client, place, lambda page: len(page["dead_letters"]) == 5)
        rest = client.get(place, params={"limit": 3, "before": first["next"]}).json()
        assert ([dead_letter["id"][-3:] for dead_letter in rest["dead_letters"]], rest["next"]) == (["0/0"], None)
        (only,) = client.get(place, params={"reason": "duplicate"}).json()["dead_letters"]
        assert (only["reason"], only["field"], only["standing"]) == ("duplicate", None, "waiting")
        counts = client.get("/api/system").json()["dead_letters"]
        assert counts["invalid"] == {"waiting": 4, "replayed": 0, "redacted": 0}
        assert client.get(place, params={"reason": "nonsense"}).status_code == 422


def test_a_viewer_does_not_see_the_details_of_an_error_and_who_reads_a_record_is_audited(system: Overviewed) -> None:
    system.refuse({"detail": "Invalid enum value 'tok_of_a_card'", "data": b'{"card_token":"tok_of_a_card"}'})
    with TestClient(system.app()) as client:
        for role in ("viewer", "analyst"):
            sign_in(client, role)
            page = await_answer(client, "/api/system/dead-letters", lambda page: len(page["dead_letters"]) == 1)
            (only,) = page["dead_letters"]
            assert (only["reason"], only["field"]) == ("invalid", "mcc")
            assert only["detail"] == (None if role == "viewer" else "Invalid enum value 'tok_of_a_card'")
        for view in ("one", "one", "two"):
            client.get("/api/system/dead-letters/record", params={"id": only["id"]}, headers={"x-view": view})
    assert system.audit == [("analyst", "read", only["id"])] * 2


def test_a_lead_replays_a_letter_once_and_a_redacted_one_never(system: Overviewed) -> None:
    record = wire(transaction(transaction_id="t-replay", merchant_id="<b>"))
    system.refuse({"sequence_number": "7", "data": record}, {"sequence_number": "8", "replayable": False})
    known = f"{system.settings.streams.transactions}/shard-0/7/0"
    with TestClient(system.app()) as client:
        sign_in(client, "lead")
        await_answer(client, "/api/system/dead-letters", lambda page: len(page["dead_letters"]) == 2)
        shown = client.get("/api/system/dead-letters/record", params={"id": known})
        assert json.loads(shown.json()["data"])["merchant_id"] == "<b>"
        done = client.post("/api/system/dead-letters/replays", json={"reason": "invalid"})
        assert done.json() == {"replayed": 1, "left_alone": 0, "waiting": 0}
        again = client.post("/api/system/dead-letters/replays", json={"ids": [known]})
        assert again.json() == {"replayed": 0, "left_alone": 1, "waiting": 0}
        dead_letters = client.get("/api/system/dead-letters").json()["dead_letters"]
    assert {each["id"].split("/")[2]: each["standing"] for each in dead_letters} == {"7": "replayed", "8": "redacted"}
    stream = read_stream(system.settings, system.settings.streams.transactions)["data"].to_pylist()
    assert [data for data in stream if b"t-replay" in data] == [record]
    assert ("lead", "replay", known) in system.audit


@pytest.mark.parametrize(
    ("role", "read", "replayed"), [("viewer", 403, 403), ("analyst", 200, 403), ("admin", 200, 200)]
)
def test_role_decides_on_a_record_s_bytes_and_on_replay(
    system: Overviewed, role: str, read: int, replayed: int
) -> None:
    system.refuse({"sequence_number": "9", "replayable": False})
    known = f"{system.settings.streams.transactions}/shard-0/9/0"
    with TestClient(system.app()) as client:
        sign_in(client, role)
        await_answer(client, "/api/system/dead-letters", lambda page: len(page["dead_letters"]) == 1)
        assert client.get("/api/system/dead-letters/record", params={"id": known}).status_code == read
        replays = "/api/system/dead-letters/replays"
        assert client.post(replays, json={"ids": [known]}).status_code == replayed
        if role == "admin":
            assert client.post(replays, json={"ids": ["none"]}).status_code == 404
            assert client.post(replays, json={}).status_code == 422
            assert client.post(replays, json={"ids": [known], "reason": "invalid"}).status_code == 422
        client.headers["x-csrf-token"] = "wrong"
        assert client.post(replays, json={"ids": [known]}).status_code == 403


def test_a_campaign_is_sent_by_the_real_producer_and_followed_by_its_truth(settings: Settings, tmp_path: Path) -> None:
    lab = settings.console.model_copy(update={"lab_cards": 60, "lab_merchants": 60, "ground_truth": str(tmp_path)})
    with CampaignLauncher(settings.model_copy(update={"console": lab})) as launcher:
        system = Overviewed(settings.model_copy(update={"console": lab}), "lab", tmp_path, launcher)
        with TestClient(system.app()) as client:
            wanted = {"campaign": "stolen_card", "cases": 2, "pace": "hour"}
            assert sign_in(client, "analyst").post("/api/lab/runs", json=wanted).status_code == 403
            sign_in(client, "lead")
            assert client.post("/api/lab/runs", json=wanted | {"cases": 1_000}).status_code == 422
            assert client.post("/api/lab/runs", json=wanted | {"campaign": "none"}).status_code == 404
            name = client.post("/api/lab/runs", json=wanted).json()["name"]
            await_answer(client, "/api/lab", lambda lab: lab["runs"][0]["state"] == "sent")
            sent = [json.loads(line) for line in truth_file(tmp_path, name).read_text().splitlines()]
            assert sent
            # The board reads the truth at its own pace, so the last lines may come after the producer's end.
            await_answer(client, "/api/lab", lambda lab: lab["runs"][0]["sent"] == len(sent))
            for one in sent[:2]:
                system.decide(
                    {name: one[name] for name in ("transaction_id", "card_token")}
                    | {"event_time": dt.datetime.fromisoformat(one["event_time"]), "outcome": "review"}
                )
            await_answer(client, "/api/lab", lambda lab: lab["runs"][0]["alerted"] == 2)
            assert client.post(f"/api/lab/runs/{name}/stop").status_code == 204
            assert client.post("/api/lab/runs/none/stop").status_code == 404
    stream = read_stream(settings, settings.streams.transactions)["data"].to_pylist()
    assert {one["transaction_id"] for one in sent} <= {json.loads(data)["transaction_id"] for data in stream}
    assert ("lead", "start stolen_card", name) in system.audit


def test_there_are_no_lab_routes_where_the_lab_is_off(system: Overviewed) -> None:
    with TestClient(system.app()) as client:
        pages = sign_in(client, "admin").get("/api/session").json()["pages"]
        assert [page["name"] for page in pages] == ["live", "system"]
        assert client.post("/api/lab/runs", json={"campaign": "mule_ring"}).status_code in {404, 405}


def test_a_lab_outside_of_this_machine_stops_the_start(settings: Settings, tmp_path: Path) -> None:
    console = settings.console.model_copy(update={"lab": True, "ground_truth": str(tmp_path)})
    away = settings.aws.model_copy(update={"kinesis_endpoint_url": "https://kinesis.eu-central-1.amazonaws.com"})
    stored = settings.model_copy(
        update={"console": console.model_copy(update={"folder": str(tmp_path), "store": str(tmp_path)})}
    )
    with CampaignLauncher(settings) as launcher:
        ports = open_ports(stored, overview_of(settings), lambda _: None, launcher)
        with pytest.raises(MisconfiguredError, match=r"console\.lab"):
            watching_part(settings.model_copy(update={"console": console, "aws": away}), ports)
    assert launcher.campaigns.keys() >= {"card_testing", "mule_ring"}
    assert all(launcher.campaigns.values())
