"""The OpenAPI document, derived from the types that are read and answered."""

from __future__ import annotations

from typing import Any

import msgspec

from decision_service.engine import Answer
from fraud.records.transaction import TRANSACTION_JSON_SCHEMA

_REF = "#/components/schemas/{name}"


class Decision(Answer, frozen=True, kw_only=True):
    """A decision as it is answered.

    Attributes:
        repeated: whether it had been given before.
        lag_ms: how far the service is behind what others write on the streams.
        took_ms: from the head of the request to this answer.
    """

    repeated: bool
    lag_ms: int
    took_ms: float


class Problem(msgspec.Struct):
    """A problem document (RFC 9457); `reason` and `field` where a transaction was refused."""

    type: str
    title: str
    status: int
    detail: str
    reason: str | None = None
    field: str | None = None


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    _, schemas = msgspec.json.schema_components([Answer, Decision, Problem], ref_template=_REF)
    transaction = {name: value for name, value in TRANSACTION_JSON_SCHEMA.items() if not name.startswith("$")}
    one = {"$ref": "#/components/schemas/Transaction"}
    many = {"type": "array", "items": one, "maxItems": 500}
    asked = {
        "type": "object",
        "properties": {"card_token": {"type": "string"}, "transaction_id": {"type": "string"}},
        "required": ["card_token", "transaction_id"],
        "additionalProperties": False,
    }
    answers = {
        "type": "object",
        "properties": {"decisions": {"type": "array", "items": {"$ref": "#/components/schemas/Answer"}}},
    }
    results = {"type": "object", "properties": {"results": {"type": "array", "items": {"type": "object"}}}}
    form = {"type": "string", "pattern": "^[a-p]{40}$"}
    key = {
        "name": "decision_key",
        "in": "path",
        "required": True,
        "schema": form,
    }
    refused = ("401", "403", "413", "429", "503")
    return {
        "openapi": "3.1.0",
        "info": {"title": "Decisions on card transactions", "version": "1"},
        "security": [{"key": []}],
        "paths": {
            "/v1/decisions": {
                "post": _operation("Decide a transaction", "Decision", body=one, problems=("409", "422", *refused))
            },
            "/v1/decisions:batch": {
                "post": _operation("Decide up to 500 transactions", results, body=many, problems=("400", *refused))
            },
            "/v1/decisions:lookup": {
                "post": _operation(
                    "Decisions on a card's transactions of an id",
                    answers,
                    body=asked,
                    problems=("400", "401", "403", "413"),
                )
            },
            "/v1/decisions/{decision_key}": {
                "get": _operation("One decision", "Answer", problems=("401", "403", "404")) | {"parameters": [key]}
            },
        },
        "components": {
            "schemas": {"Transaction": transaction} | schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    summary: str, answer: str | dict[str, Any], problems: tuple[str, ...], body: dict[str, Any] | None = None
) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{answer}"} if isinstance(answer, str) else answer
    said = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "answered", "content": {"application/json": {"schema": schema}}},
            **{status: {"description": "refused", "content": said} for status in problems},
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation
