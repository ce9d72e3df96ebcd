"""The console's API of rules and models, over a real policy, archive and model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.consoles import Console
from tests.support.rule_consoles import DAYS, DRAFT, PER_DAY, rule_console

OF_ITS_OWN = "own-refusals"
"""The one rule that is put into the policy here: other tests, before or after, ask about the id of `DRAFT`."""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with rule_console(tmp_path_factory.mktemp("rules")) as made:
        yield made


def ended(client: TestClient, path: str, **parameters: Any) -> dict[str, Any]:
    """The job behind a path, when it has ended."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(path, params=parameters).json()
        if job["ended_ms"] is not None:
            return job
        time.sleep(0.05)
    raise AssertionError(f"{path} is not done")


def version(client: TestClient) -> str:
    return str(client.get("/api/rules").json()["version"])


def state_of(client: TestClient, rule_id: str) -> str:
    return str(next(rule["state"] for rule in client.get("/api/rules").json()["rules"] if rule["id"] == rule_id))


def test_pack_shows_every_rule_and_what_it_did(console: Console) -> None:
    client = console.client("viewer")
    pack = client.get("/api/rules").json()
    assert len(pack["rules"]) >= 30
    assert {"segment": "default", "when": "everything else", "review": 0.113, "decline": 0.5} in pack["thresholds"]
    rates = client.get("/api/rules/rates", params={"days": 400}).json()
    assert rates["complete"]
    assert rates["decisions"] == DAYS * PER_DAY
    matured = [day for day in range(DAYS) if DAYS - 1 - day >= 30]
    assert rates["mature"] == pytest.approx(len(matured) * PER_DAY, abs=PER_DAY * 3)


def test_faults_of_a_draft_are_reported_with_their_place(console: Console) -> None:
    client = console.client("analyst")

    def faults(text: str) -> list[str]:
        answer = client.post("/api/rules/check", json={"text": text})
        assert answer.status_code == 200
        found: list[str] = answer.json()["faults"]
        return found

    assert faults(DRAFT) == []
    (fault,) = faults(DRAFT.replace("card_declines_24h >=", "card_declined_24h >="))
    assert "few-refusals" in fault
    assert "card_declines_24h" in fault
    assert "state: draft" in faults(DRAFT.replace("draft", "live"))[0]
    assert faults("a: [")[0].startswith("not YAML")
    assert faults("rules:\n  - {id: x, state: [1]}") != []


def test_backtest_measures_a_draft_and_gives_its_report(console: Console) -> None:
    client = console.client("analyst")
    answer = client.post("/api/rules/backtests", json={"text": DRAFT, "days": 400, "reviews_per_day": 2})
    assert answer.status_code == 202
    path = f"/api/rules/backtests/{answer.json()['job_id']}"
    job = ended(client, path)
    assert (job["state"], job["error"], job["done"]) == ("done", None, DAYS * PER_DAY)
    (rule,) = [rule for rule in job["result"]["rules"] if rule["rule"] == "few-refusals"]
    assert rule["fired"] == DAYS
    assert rule["precision"] == pytest.approx(0.5, abs=0.05)
    assert job["result"]["budget"]["reviews_per_day"] <= 2
    report = client.get(f"{path}/report")
    assert report.headers["content-disposition"].startswith("attachment")
    assert "few-refusals" in report.text
    assert console.client("viewer").get(path).status_code == 403


def test_a_run_is_kept_with_its_title_and_progress(console: Console) -> None:
    client = console.client("analyst")
    edit = {"kind": "state", "rule": "card-declines-24h", "state": "shadow"}
    begun = client.post("/api/rules/backtests", json={"edit": edit, "days": 400}).json()
    assert (begun["title"], begun["owner"], begun["kind"]) == ("card-declines-24h: shadow", "analyst", "backtest")
    ended(client, f"/api/rules/backtests/{begun['job_id']}")
    newest = client.get("/api/rules/backtests").json()["runs"][0]
    assert (newest["job_id"], newest["state"]) == (begun["job_id"], "done")
    assert (newest["done"], newest["total"]) == (DAYS * PER_DAY, DAYS * PER_DAY)
    assert client.post(f"/api/rules/backtests/{begun['job_id']}/cancel").status_code == 409
    assert client.post("/api/rules/backtests", json={"edit": {"kind": "state"}}).status_code == 422
    odd = {"kind": "state", "rule": "no-such-rule", "state": "shadow"}
    assert client.post("/api/rules/backtests", json={"edit": odd}).status_code == 422
    assert client.post("/api/rules/backtests", json={"days": 400, "proposal": "nothing"}).status_code == 404


def test_figures_suggest_what_to_change_and_only_what_still_fits(console: Console) -> None:
    client = console.client("analyst")
    assert client.get("/api/rules/suggestions").json() == {"under_way": None, "looked": None, "suggestions": []}
    begun = client.post("/api/rules/suggestions", json={"days": 400}).json()
    assert client.get("/api/rules/suggestions").json()["under_way"]["job_id"] == begun["job_id"]
    ended(client, f"/api/rules/backtests/{begun['job_id']}")
    found = client.get("/api/rules/suggestions").json()
    assert found["looked"]["decisions"] == DAYS * PER_DAY
    (moved,) = [each for each in found["suggestions"] if each["kind"] == "thresholds"]
    assert moved["edit"]["thresholds"]["default"]["review"] == pytest.approx(0.04)
    body = {"edit": moved["edit"], "days": 400}
    tried = ended(client, f"/api/rules/backtests/{client.post('/api/rules/backtests', json=body).json()['job_id']}")
    assert tried["error"] is None
    assert tried["result"]["variants"]["candidate"]["alerts"] > 0


def test_failure_of_a_run_is_reported(console: Console) -> None:
    client = console.client("analyst")
    job = ended(client, "/api/models/worth", maturity_days=400)
    assert job["state"] == "failed"
    assert "400 days old" in job["error"]


def test_drift_is_measured_against_the_days_before(console: Console) -> None:
    drift = ended(console.client("viewer"), "/api/models/drift", reference_days=30)["result"]
    assert drift["live"]["transactions"] + drift["reference"]["transactions"] <= DAYS * PER_DAY
    assert drift["shifted"] == []


def test_draft_goes_through_shadow_to_live_and_nobody_overwrites_anybody(console: Console) -> None:
    lead = console.client("lead")
    draft = DRAFT.replace("few-refusals", OF_ITS_OWN)
    first = version(lead)
    assert lead.post("/api/rules/drafts", json={"version": first, "text": draft}).status_code == 200
    assert state_of(lead, OF_ITS_OWN) == "draft"
    assert lead.get(f"/api/rules/{OF_ITS_OWN}/text").json()["text"].startswith(f"rules:\n  - id: {OF_ITS_OWN}")
    assert lead.post("/api/rules/drafts", json={"version": first, "text": draft}).status_code == 409

    def move(state: str) -> int:
        body = {"version": version(lead), "state": state}
        return lead.post(f"/api/rules/{OF_ITS_OWN}/state", json=body).status_code

    assert move("live") == 422
    assert [move("shadow"), move("live")] == [200, 200]
    assert state_of(lead, OF_ITS_OWN) == "live"
    assert console.audit[-3:] == [("lead", change, OF_ITS_OWN) for change in ("draft", "shadow", "live")]


@pytest.mark.parametrize(("role", "code"), [("viewer", 403), ("analyst", 403), ("lead", 409), ("admin", 409)])
def test_only_leads_change_the_policy(console: Console, role: str, code: int) -> None:
    client = console.client(role)
    old = {"version": "an older one"}
    assert client.post("/api/rules/drafts", json=old | {"text": DRAFT}).status_code == code
    assert client.post("/api/rules/card-declines-1h/state", json=old | {"state": "shadow"}).status_code == code


def test_models_are_shown_with_their_worth(console: Console) -> None:
    client = console.client("viewer")
    (champion,) = client.get("/api/models").json()["models"]
    assert champion["role"] == "champion"
    assert champion["importance"][0]["share"] > 0
    assert "Limits" in champion["card"]
    worth = ended(client, "/api/models/worth", days=400, maturity_days=0)["result"]
    assert worth["decisions"] == DAYS * PER_DAY
    assert sum(week["frauds"] for week in worth["weeks"]) == DAYS / 2
    assert sum(part["cases"] for part in worth["reliability"]) == DAYS * PER_DAY
    high = max(worth["reliability"], key=lambda part: part["mean_score"])
    assert (high["mean_score"], high["fraud_rate"]) == (pytest.approx(0.04), pytest.approx(0.5))


@pytest.fixture(scope="module")
def approving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with rule_console(tmp_path_factory.mktemp("approving"), approval=True) as made:
        yield made


def changes(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/rules/changes").json()
    return found


def default_limits(client: TestClient) -> tuple[float, float]:
    (found,) = [one for one in client.get("/api/rules").json()["thresholds"] if one["segment"] == "default"]
    return found["review"], found["decline"]


def test_thresholds_take_effect_when_another_lead_approves_them(approving: Console) -> None:
    lead, other = approving.client("lead"), approving.client("admin")
    body = {"version": version(lead), "thresholds": {"default": {"review": 0.06}}}
    name = lead.post("/api/rules/thresholds", json=body).json()["proposal"]
    assert default_limits(lead) == (0.113, 0.5)
    (shown,) = [one for one in changes(other)["proposals"] if one["name"] == name]
    assert (shown["by"], shown["state"]) == ("lead", "proposed")
    assert "+" in shown["diff"]
    assert "0.06" in shown["diff"]
    begun = other.post("/api/rules/backtests", json={"proposal": name, "days": 400}).json()
    tried = ended(other, f"/api/rules/backtests/{begun['job_id']}")
    assert tried["error"] is None

    def decide(client: TestClient, seen: str, *, approve: bool) -> int:
        said = {"version": seen, "approve": approve}
        return client.post(f"/api/rules/proposals/{name}", json=said).status_code

    assert decide(other, version(other), approve=True) == 409  # not before it was in shadow
    begun = lead.post(f"/api/rules/proposals/{name}/shadow", json={"version": version(lead)}).json()
    assert begun == {"version": version(lead)}
    assert default_limits(lead) == (0.113, 0.5)
    in_shadow = {"segment": "default", "when": "in shadow", "review": 0.06, "decline": 0.5}
    assert lead.get("/api/rules").json()["shadow_thresholds"] == [in_shadow]
    rates = {row["rule"] for row in lead.get("/api/rules/rates").json()["rules"]}
    assert {"thresholds:review", "thresholds:decline", "thresholds:approve"} <= rates
    assert decide(approving.client("analyst"), version(lead), approve=True) == 403
    assert decide(lead, version(lead), approve=True) == 403
    assert decide(other, "an older one", approve=True) == 409
    assert decide(other, version(other), approve=True) == 200
    assert default_limits(lead) == (0.06, 0.5)
    assert lead.get("/api/rules").json()["shadow_thresholds"] == []
    assert decide(other, version(other), approve=False) == 409
    assert approving.audit[-1][:2] == ("admin", "approved")
    assert "proposed by lead" in approving.audit[-1][2]


def test_a_rule_decides_only_after_approval_and_one_click_proposes_the_way_back(approving: Console) -> None:
    lead, other = approving.client("lead"), approving.client("admin")
    draft = DRAFT.replace("few-refusals", "approved-refusals")
    assert lead.post("/api/rules/drafts", json={"version": version(lead), "text": draft}).status_code == 200

    def move(state: str) -> dict[str, str]:
        body = {"version": version(lead), "state": state}
        found: dict[str, str] = lead.post("/api/rules/approved-refusals/state", json=body).json()
        return found

    assert "version" in move("shadow")
    name = move("live")["proposal"]
    assert state_of(lead, "approved-refusals") == "shadow"
    said = {"version": version(other), "approve": True}
    assert other.post(f"/api/rules/proposals/{name}", json=said).status_code == 200
    assert state_of(lead, "approved-refusals") == "live"
    latest = changes(lead)["history"][0]
    assert (latest["act"], latest["by"]) == ("approved", "admin")
    assert "+    state: live" in latest["diff"]
    back = {"version": version(lead), "number": latest["number"]}
    name = lead.post("/api/rules/rollbacks", json=back).json()["proposal"]
    assert (
        other.post(f"/api/rules/proposals/{name}", json={"version": version(other), "approve": True}).status_code == 200
    )
    assert state_of(lead, "approved-refusals") == "shadow"
    assert (
        lead.post("/api/rules/rollbacks", json={**back, "version": version(lead), "number": 10**6}).status_code == 404
    )


def test_a_list_goes_from_draft_through_shadow_to_live_as_rules_do(approving: Console) -> None:
    lead, other = approving.client("lead"), approving.client("admin")

    def shown() -> dict[str, Any]:
        (found,) = [one for one in lead.get("/api/rules").json()["lists"] if one["name"] == "trial-devices"]
        return dict(found)

    def move(state: str) -> Any:
        return lead.post("/api/rules/lists/trial-devices/state", json={"version": version(lead), "state": state})

    wanted = {"version": version(lead), "name": "trial-devices", "kind": "block", "of": "device", "state": "draft"}
    assert move("shadow").status_code == 422  # there is none
    assert lead.post("/api/rules/lists", json=wanted | {"kind": "named"}).status_code == 422
    assert lead.post("/api/rules/lists", json=wanted | {"state": "live"}).status_code == 422
    assert lead.post("/api/rules/lists", json=wanted).status_code == 201
    assert (shown()["state"], shown()["may_become"]) == ("draft", ["shadow", "retired"])
    assert move("live").status_code == 422
    assert move("shadow").json() == {"version": version(lead)}
    assert "list:trial-devices" in {row["rule"] for row in lead.get("/api/rules/rates").json()["rules"]}
    edit = {"kind": "list", "list": "trial-devices", "state": "live"}
    begun = lead.post("/api/rules/backtests", json={"edit": edit, "days": 400}).json()
    assert ended(lead, f"/api/rules/backtests/{begun['job_id']}")["error"] is None
    name = move("live").json()["proposal"]
    assert shown()["state"] == "shadow"
    said = {"version": version(other), "approve": True}
    assert other.post(f"/api/rules/proposals/{name}", json=said).status_code == 200
    assert shown()["state"] == "live"


def test_an_author_withdraws_and_another_rejects_without_any_effect(approving: Console) -> None:
    lead, other = approving.client("lead"), approving.client("admin")
    seen = version(lead)
    for client, state in ((lead, "withdrawn"), (other, "rejected")):
        body = {"version": seen, "thresholds": {"default": {"decline": 0.44}}}
        name = lead.post("/api/rules/thresholds", json=body).json()["proposal"]
        assert client.post(f"/api/rules/proposals/{name}", json={"version": seen, "approve": False}).status_code == 200
        (shown,) = [one for one in changes(lead)["proposals"] if one["name"] == name]
        assert shown["state"] == state
    assert version(lead) == seen
    name = lead.post("/api/rules/thresholds", json=body).json()["proposal"]
    assert lead.post(f"/api/rules/proposals/{name}/shadow", json={"version": seen}).status_code == 200
    said = {"version": version(other), "approve": False}
    assert other.post(f"/api/rules/proposals/{name}", json=said).json() == {"version": version(lead)}
    assert lead.get("/api/rules").json()["shadow_thresholds"] == []
    seen = version(lead)
    odd = {"version": seen, "thresholds": {"default": {"decline": 1.5}}}
    assert lead.post("/api/rules/thresholds", json=odd).status_code == 422
    unknown = {"version": seen, "thresholds": {"nowhere": {"decline": 0.5}}}
    assert lead.post("/api/rules/thresholds", json=unknown).status_code == 422


def test_without_approval_a_rollback_is_one_click(console: Console) -> None:
    lead = console.client("lead")
    draft = DRAFT.replace("few-refusals", "short-lived")
    before = version(lead)
    assert lead.post("/api/rules/drafts", json={"version": before, "text": draft}).status_code == 200
    number = changes(lead)["history"][0]["number"]
    back = lead.post("/api/rules/rollbacks", json={"version": version(lead), "number": number})
    assert back.json() == {"version": before}
    assert all(rule["id"] != "short-lived" for rule in lead.get("/api/rules").json()["rules"])
    assert changes(lead)["history"][0]["act"] == "rollback"
