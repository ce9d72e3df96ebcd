"""The decision service answers as its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from decision_service.access import Scope
from decision_service.openapi import document
from tests.support.decision_services import Client, Reply, World
from tests.support.records import transaction, wire

DOCUMENT = document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations()]  # type: ignore[union-attr]


def test_every_path_of_the_document_is_served() -> None:
    assert {operation.path for operation in OPERATIONS} == set(DOCUMENT["paths"])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_request_gets_an_answer_that_the_document_lacks(operation: Any) -> None:
    method = operation.method.upper()
    said = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"]
    with TemporaryDirectory() as place:
        world = World(Path(place))

        @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy() | st.none(), st.binary(max_size=60))
        def asked(case: Any, garbage: bytes) -> None:
            async def work(client: Client) -> Reply:
                path, body = operation.path, garbage
                if case is not None:
                    path = case.formatted_path
                    if isinstance(case.body, dict | list):
                        body = json.dumps(case.body, default=str).encode()
                scope: Scope = "read" if method == "GET" or "lookup" in path else "decide"
                return await client.ask(method, path, body, scope)

            reply = world.run(work)
            assert str(reply.status) in said
            (form,) = said[str(reply.status)]["content"].values()
            Draft202012Validator({**form["schema"], "components": DOCUMENT["components"]}).validate(reply.body)

        asked()


def test_a_decision_is_as_the_document_says(tmp_path: Path) -> None:
    async def work(client: Client) -> Reply:
        return await client.decide(wire(transaction()))

    schema = {"$ref": "#/components/schemas/Decision", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(World(tmp_path).run(work).body)
