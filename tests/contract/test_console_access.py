"""Every route of the console as `fraud console` serves it: who may call it, and what nonsense does to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from cli.console import overview_of
from console.access import Access
from console.compose import compose, open_ports
from console.guard import COOKIE
from console.lockout import FAILURES
from console.users import Account, Role, UserFile, add_user, key_hash
from embedded.campaigns import CampaignLauncher
from fraud.settings import Console, Lists, Settings
from tests.support.emulators import provisioned

ANYONE = None
LONG = ["/api/rules/backtests", "/api/models/worth", "/api/models/drift", "/api/rules/suggestions"]
"""Start work that takes seconds."""

MATRIX: dict[tuple[str, str], Role | None] = {
    ("POST", "/api/session"): ANYONE,
    ("GET", "/api/session/means"): ANYONE,
    ("GET", "/api/session/provider"): ANYONE,
    ("GET", "/api/session/provider/return"): ANYONE,
    ("GET", "/api/session"): Role.VIEWER,
    ("DELETE", "/api/session"): Role.VIEWER,
    ("POST", "/api/session/password"): Role.VIEWER,
    ("POST", "/api/session/shortcuts"): Role.VIEWER,
    ("GET", "/api/health"): Role.VIEWER,
    ("GET", "/api/alerts"): Role.VIEWER,
    ("GET", "/api/alerts/cases"): Role.VIEWER,
    ("GET", "/api/alerts/facets"): Role.VIEWER,
    ("GET", "/api/alerts/closed"): Role.VIEWER,
    ("GET", "/api/alerts/colleagues"): Role.ANALYST,
    ("GET", "/api/alerts/one"): Role.VIEWER,
    ("POST", "/api/alerts/change"): Role.ANALYST,
    ("POST", "/api/alerts/changes"): Role.ANALYST,
    ("GET", "/api/cases/find"): Role.VIEWER,
    ("GET", "/api/cases/one"): Role.VIEWER,
    ("GET", "/api/cases/alerts"): Role.VIEWER,
    ("GET", "/api/cases/card"): Role.VIEWER,
    ("GET", "/api/cases/merchant"): Role.VIEWER,
    ("GET", "/api/cases/linked"): Role.VIEWER,
    ("GET", "/api/cases/links"): Role.VIEWER,
    ("POST", "/api/cases/joins"): Role.ANALYST,
    ("GET", "/api/cases/contributions"): Role.VIEWER,
    ("GET", "/api/cases/counterfactual"): Role.VIEWER,
    ("POST", "/api/find"): Role.VIEWER,
    ("GET", "/api/find/payment"): Role.VIEWER,
    ("GET", "/api/find/about"): Role.VIEWER,
    ("GET", "/api/rules"): Role.VIEWER,
    ("GET", "/api/rules/vocabulary"): Role.VIEWER,
    ("GET", "/api/rules/rates"): Role.VIEWER,
    ("GET", "/api/rules/changes"): Role.VIEWER,
    ("POST", "/api/rules/thresholds"): Role.LEAD,
    ("POST", "/api/rules/proposals/{name}"): Role.LEAD,
    ("POST", "/api/rules/proposals/{name}/shadow"): Role.LEAD,
    ("POST", "/api/rules/lists"): Role.LEAD,
    ("POST", "/api/rules/lists/{name}/state"): Role.LEAD,
    ("POST", "/api/rules/rollbacks"): Role.LEAD,
    ("GET", "/api/rules/{rule_id}/text"): Role.VIEWER,
    ("POST", "/api/rules/check"): Role.ANALYST,
    ("POST", "/api/rules/drafts"): Role.LEAD,
    ("POST", "/api/rules/{rule_id}/state"): Role.LEAD,
    ("POST", "/api/rules/{rule_id}/rollout"): Role.LEAD,
    ("GET", "/api/rules/suggestions"): Role.ANALYST,
    ("POST", "/api/rules/suggestions"): Role.ANALYST,
    ("GET", "/api/rules/backtests"): Role.ANALYST,
    ("POST", "/api/rules/backtests"): Role.ANALYST,
    ("POST", "/api/rules/backtests/{job_id}/cancel"): Role.ANALYST,
    ("GET", "/api/rules/backtests/{job_id}"): Role.ANALYST,
    ("GET", "/api/rules/backtests/{job_id}/report"): Role.ANALYST,
    ("GET", "/api/acts"): Role.ANALYST,
    ("POST", "/api/acts"): Role.ANALYST,
    ("POST", "/api/acts/removals"): Role.ANALYST,
    ("GET", "/api/lists"): Role.VIEWER,
    ("POST", "/api/lists"): Role.LEAD,
    ("GET", "/api/lists/{name}"): Role.ANALYST,
    ("POST", "/api/lists/{name}/search"): Role.ANALYST,
    ("DELETE", "/api/lists/{name}"): Role.LEAD,
    ("POST", "/api/lists/{name}/entries"): Role.LEAD,
    ("POST", "/api/lists/{name}/removals"): Role.LEAD,
    ("POST", "/api/lists/{name}/imports"): Role.LEAD,
    ("GET", "/api/lists/{name}/export"): Role.ANALYST,
    ("GET", "/api/lists/{name}/history"): Role.ANALYST,
    ("GET", "/api/live"): Role.VIEWER,
    ("GET", "/api/system"): Role.VIEWER,
    ("GET", "/api/system/dead-letters"): Role.VIEWER,
    ("GET", "/api/system/dead-letters/record"): Role.ANALYST,
    ("POST", "/api/system/dead-letters/replays"): Role.LEAD,
    ("GET", "/api/lab"): Role.VIEWER,
    ("POST", "/api/lab/runs"): Role.LEAD,
    ("POST", "/api/lab/runs/{name}/stop"): Role.LEAD,
    ("GET", "/api/models"): Role.VIEWER,
    ("GET", "/api/models/worth"): Role.VIEWER,
    ("GET", "/api/models/drift"): Role.VIEWER,
    ("GET", "/api/team"): Role.LEAD,
    ("GET", "/api/team/export/{table}"): Role.LEAD,
    ("GET", "/api/second-looks"): Role.ANALYST,
    ("POST", "/api/second-looks"): Role.ANALYST,
    ("GET", "/api/audit"): Role.LEAD,
    ("GET", "/api/audit/export"): Role.LEAD,
    ("GET", "/api/audit/check"): Role.LEAD,
}
"""The lowest role that may call a route; the document and its scripts are for anyone."""


@dataclass
class Served:
    """The application, and for each role a signed-in client and its CSRF token."""

    app: FastAPI
    clients: dict[Role, TestClient]
    tokens: dict[Role, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("console")
    passwords = {role: add_user(folder / "users.json", role.name.lower(), role) for role in Role}
    console = Console(
        folder=str(folder / "index"),
        store=str(folder / "store"),
        second_look_share=0.5,
        lab=True,
        ground_truth=str(folder),
        allowed_hosts=["testserver"],
    )
    with (
        provisioned(Settings(console=console, lists=Lists(path=str(folder / "lists")))) as located,
        CampaignLauncher(located) as launcher,
    ):
        access = Access(UserFile(folder / "users.json"), lambda: 1000.0)
        ports = open_ports(located, overview_of(located), lambda _: None, launcher)
        app = compose(located, ports, access)
        made = Served(app, {}, {})
        for role, password in passwords.items():
            made.clients[role] = TestClient(made.app, raise_server_exceptions=False)
            given = {"name": role.name.lower(), "password": password}
            made.tokens[role] = made.clients[role].post("/api/session", json=given).json()["csrf"]
        yield made


def ask(client: TestClient, method: str, path: str, token: str = "") -> int:
    """Calls a route about things that do not exist."""
    place = path.format(rule_id="none", job_id="none", name="none", table="none")
    body: dict[str, str] | None = None if method == "GET" else {}
    return client.request(
        method, place, params={"transaction_id": "none"}, json=body, headers={"x-csrf-token": token}
    ).status_code


def test_every_route_is_in_the_matrix(served: Served) -> None:
    described = served.app.openapi()["paths"]
    routes = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert routes == set(MATRIX)
    hidden = {route.path for route in served.app.routes if isinstance(route, APIRoute) and not route.include_in_schema}
    assert {path for path in hidden if path.startswith("/api")} == {"/api/openapi.json"}


def test_description_of_the_api_is_for_those_who_signed_in(served: Served) -> None:
    assert TestClient(served.app).get("/api/openapi.json").status_code == 401
    described = served.clients[Role.VIEWER].get("/api/openapi.json").json()
    assert described["info"]["title"] == "Fraud console"


@pytest.mark.parametrize(
    ("method", "path"), [key for key, role in MATRIX.items() if role is not ANYONE and key[0] != "DELETE"]
)
def test_route_refuses_strangers_lower_roles_and_forged_changes(served: Served, method: str, path: str) -> None:
    assert ask(TestClient(served.app), method, path) == 401
    lowest = MATRIX[method, path]
    assert lowest is not None
    for role, client in served.clients.items():
        if method != "GET":
            assert ask(client, method, path, "forged") == 403
        answer = ask(client, method, path, served.tokens[role])
        assert (answer == 403) == (role < lowest), f"{role.name}: {answer}"
        assert answer != 401


def test_password_cannot_be_guessed_at_speed(served: Served) -> None:
    stranger = TestClient(served.app, client=("198.51.100.7", 1))
    tries = [
        stranger.post("/api/session", json={"name": "admin", "password": f"guess {n}"}) for n in range(FAILURES + 1)
    ]
    assert [answer.status_code for answer in tries] == [401] * FAILURES + [429]


def test_nonsense_is_refused_and_never_an_error_of_the_server(served: Served) -> None:
    session = served.clients[Role.ADMIN].cookies[COOKIE]
    headers = {"x-csrf-token": served.tokens[Role.ADMIN], "cookie": f"{COOKIE}={session}"}
    api = schemathesis.openapi.from_asgi("/api/openapi.json", served.app, headers=headers | {"host": "testserver"})
    # Signing in hashes for long, signing out would end the session that the others use.
    for operation in api.exclude(path=["/api/session", "/api/session/password", *LONG]).get_all_operations():
        assert isinstance(operation, Ok)

        @examples(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.ok().as_strategy())
        def never_fails(case: schemathesis.Case[Any]) -> None:
            answer = case.call(headers=headers | {"host": "testserver"})
            case.validate_response(
                answer, checks=[not_a_server_error, content_type_conformance, response_schema_conformance]
            )

        never_fails()


def test_a_machine_with_a_key_reads_and_changes_without_a_session(served: Served, tmp_path: Path) -> None:
    users = UserFile(tmp_path / "users.json")
    users.change(lambda known: known.update(robot=Account(Role.LEAD, key=key_hash("fck_right"))))
    served.app.state.access, before = Access(users, lambda: 1000.0), served.app.state.access
    try:
        machine = TestClient(served.app, headers={"authorization": "Bearer fck_right"})
        assert machine.get("/api/session").json()["role"] == "lead"
        assert machine.post("/api/lists", json={"name": "by-machine", "kind": "watch", "of": "ip"}).status_code == 201
        assert machine.post("/api/session", json={"name": "robot", "password": "fck_right"}).status_code == 401
        wrong = TestClient(served.app, headers={"authorization": "Bearer fck_wrong"})
        assert wrong.get("/api/session").status_code == 401
        users.change(lambda known: known.clear())
        assert machine.get("/api/session").status_code == 401
    finally:
        served.app.state.access = before
