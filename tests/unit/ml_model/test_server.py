"""The model server keeps SageMaker's contract, and says what is wrong with a request."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from fraud.invocation import ARROW_STREAM as ARROW
from fraud.invocation import ATTRIBUTES_HEADER, MAX_BODY_BYTES, ModelIdentity
from ml_model.predict import InProcessScorer
from ml_model.server import CSV, JSON, build_app

SHIPPED = Path(__file__).parents[3] / "config" / "model" / "champion"
FEATURES: list[str] = json.loads((SHIPPED / "model.json").read_text())["features"]


@pytest.fixture(scope="module")
def scorer() -> InProcessScorer:
    return InProcessScorer.load(SHIPPED)


@pytest.fixture(scope="module")
def client(scorer: InProcessScorer) -> TestClient:
    return TestClient(build_app(scorer))


def row(**values: float) -> dict[str, float | None]:
    return {name: values.get(name) for name in FEATURES}


ROWS = [row(tx_amount=12.5, card_count_24h=1.0), row(tx_amount=950.0, card_count_1h=6.0)]


def expected(scorer: InProcessScorer) -> list[float]:
    columns = {name: pa.array([r[name] for r in ROWS], pa.float64()) for name in FEATURES}
    return scorer.score(pa.RecordBatch.from_pydict(columns)).score.to_pylist()  # type: ignore[no-any-return]


def test_ping_answers_when_the_model_is_loaded(client: TestClient) -> None:
    assert client.get("/ping").status_code == 200


@pytest.mark.parametrize("path", ["/invocations", "/endpoints/fraud/invocations"])
def test_json_in_and_out(client: TestClient, scorer: InProcessScorer, path: str) -> None:
    answer = client.post(path, json={"instances": ROWS})
    assert answer.json()["predictions"] == pytest.approx(expected(scorer))
    assert ModelIdentity.from_attributes(answer.headers[ATTRIBUTES_HEADER]) == scorer.identity


def test_csv_has_no_header_and_the_models_order(client: TestClient, scorer: InProcessScorer) -> None:
    lines = [",".join("" if value is None else str(value) for value in r.values()) for r in ROWS]
    answer = client.post("/invocations", content="\n".join(lines), headers={"content-type": CSV})
    assert [float(line) for line in answer.text.split()] == pytest.approx(expected(scorer))


def test_arrow_stream_in_and_out(client: TestClient, scorer: InProcessScorer) -> None:
    batch = pa.RecordBatch.from_pylist(ROWS, schema=pa.schema([(name, pa.float64()) for name in FEATURES]))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    answer = client.post("/invocations", content=sink.getvalue().to_pybytes(), headers={"content-type": ARROW})
    assert pa.ipc.open_stream(answer.content).read_all()["score"].to_pylist() == pytest.approx(expected(scorer))


@pytest.mark.parametrize(
    ("content", "content_type", "status", "words"),
    [
        (b"{", JSON, 400, "not application/json"),
        (b"[]", JSON, 400, "expected"),
        (b'{"instances": [{"no_such": 1}]}', JSON, 400, "unknown features: no_such"),
        (b'{"instances": [{"tx_amount": "much"}]}', JSON, 400, "not application/json"),
        (b"1,2,3", CSV, 400, "not text/csv"),
        (b"junk", ARROW, 400, "not application/vnd.apache.arrow.stream"),
        (b"x", "application/pickle", 415, "send"),
        (b"x" * (MAX_BODY_BYTES + 1), JSON, 413, "more than"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(
    client: TestClient, content: bytes, content_type: str, status: int, words: str
) -> None:
    answer = client.post("/invocations", content=content, headers={"content-type": content_type})
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert "Traceback" not in answer.text


def test_an_unknown_answer_type_is_refused(client: TestClient) -> None:
    assert client.post("/invocations", json={"instances": []}, headers={"accept": "text/html"}).status_code == 406
