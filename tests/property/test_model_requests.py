"""Whatever is sent to the model server is scored or refused as the sender's fault, and never ends it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.model.invocation import ARROW_STREAM, rows_to_stream
from ml_model.negotiation import CSV, JSON
from ml_model.predict import InProcessScorer
from ml_model.server import build_app

CHAMPION = Path(__file__).parents[2] / "config" / "model" / "champion"
FEATURES: list[str] = json.loads((CHAMPION / "model.json").read_text())["features"]
ROWS = pa.RecordBatch.from_pydict({name: np.arange(3.0) for name in FEATURES})
ANSWERS = {200, 400, 406, 413, 415}

many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(build_app(InProcessScorer.load(CHAMPION)), raise_server_exceptions=False)


def compressed() -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ROWS.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(ROWS)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


BODIES = {
    JSON: [json.dumps({"instances": ROWS.to_pylist()[:2]}).encode()],
    CSV: [(",".join(["1.5"] * len(FEATURES)) + "\n").encode() * 2],
    ARROW_STREAM: [rows_to_stream(ROWS, FEATURES), compressed()],
}
pieces = st.one_of(
    st.binary(max_size=12),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: number.to_bytes(8, "little", signed=True)),
    st.sampled_from(
        [b"[", b"{", b'"', b"\\ud800", b"1e999", b"NaN", b"-0", b"\x00", b"\n", b",", b"null", b"\xff" * 8]
    ),
)


@st.composite
def spoilt(draw: st.DrawFn, body: bytes) -> bytes:
    """A body with pieces cut out and put in."""
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(body)))
        put = draw(pieces)
        end = start + draw(st.sampled_from([0, len(put), len(put), 64]))
        body = body[:start] + put + body[end:]
    return body[: draw(st.sampled_from([len(body), len(body), len(body) // 2]))]


@many
@given(data=st.data(), kind=st.sampled_from(sorted(BODIES)))
def test_a_spoilt_body_is_the_senders_fault(client: TestClient, data: st.DataObject, kind: str) -> None:
    body = data.draw(spoilt(data.draw(st.sampled_from(BODIES[kind]))))
    answer = client.post("/invocations", content=body, headers={"content-type": kind})
    assert answer.status_code in ANSWERS
    if answer.status_code != 200:
        assert "Traceback" not in answer.json()["detail"]


header = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    st.lists(
        st.sampled_from(["*/*", "*", "text/csv", JSON, "a/b", ";q=", "0", ".5", "2", ";", ",", '"', "/", " ", "q=1"]),
        max_size=8,
    ).map("".join),
)


@many
@given(accept=header, content_type=st.one_of(st.just(JSON), header))
def test_any_headers_are_answered(client: TestClient, accept: str, content_type: str) -> None:
    headers = {"content-type": content_type, "accept": accept}
    answer = client.post("/invocations", content=BODIES[JSON][0], headers=headers)
    assert answer.status_code in ANSWERS


@settings(many, max_examples=30)
@given(st.lists(st.sampled_from(["halffloat", "float", "double", "int8", "uint64"]), min_size=1, max_size=6))
def test_columns_of_any_mixture_of_number_types_are_scored_alike(client: TestClient, kinds: list[str]) -> None:
    types = [pa.type_for_alias(kinds[place % len(kinds)]) for place in range(len(FEATURES))]
    sent = pa.RecordBatch.from_arrays(
        [column.cast(kind) for column, kind in zip(ROWS.columns, types, strict=True)], names=FEATURES
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, sent.schema) as writer:
        writer.write_batch(sent)
    bodies = (sink.getvalue().to_pybytes(), rows_to_stream(ROWS, FEATURES))
    mixed, plain = (
        client.post("/invocations", content=body, headers={"content-type": ARROW_STREAM}) for body in bodies
    )
    assert (mixed.status_code, mixed.content) == (200, plain.content)
