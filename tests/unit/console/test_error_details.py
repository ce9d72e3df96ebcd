"""What the console answers to a mistake holds no card number, even if the mistake was to send one."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

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
