"""What the console answers to a mistake holds no card number, even if the mistake was to send one."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict

from console.api import answer_errors
from console.errors import NotFoundError
from tests.support.card_numbers import SPELLINGS


@pytest.mark.parametrize("name", SPELLINGS)
def test_an_error_names_no_card_number(name: str) -> None:
    app = FastAPI()

    @app.get("/missing")
    def missing() -> None:
        raise NotFoundError(f"no alert {SPELLINGS[name]}")

    answer_errors(app)
    answer = TestClient(app).get("/missing")
    assert answer.status_code == 404
    assert "[card:" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [rb'{"name":"\ud800"}', rb'{"name":"a","\ud800":1}', rb'{"\udfff":NaN}', rb'{"name":"\udc80"}']
)
def test_half_of_a_sign_in_a_request_is_the_senders_fault(body: bytes) -> None:
    class Named(BaseModel):
        model_config = ConfigDict(extra="forbid")
        name: str

    app = FastAPI()

    @app.post("/named")
    def named(given: Named) -> None:
        """Takes a name."""

    answer_errors(app)
    client = TestClient(app, raise_server_exceptions=False)
    assert client.post("/named", content=body, headers={"content-type": "application/json"}).status_code == 422


def test_an_error_may_name_half_of_a_sign() -> None:
    app = FastAPI()

    @app.get("/missing")
    def missing() -> None:
        raise NotFoundError("no alert \ud800")

    answer_errors(app)
    answer = TestClient(app, raise_server_exceptions=False).get("/missing")
    assert (answer.status_code, answer.json()["detail"]) == (404, "no alert \\ud800")
