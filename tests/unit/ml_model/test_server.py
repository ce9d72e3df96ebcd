"""The model server keeps SageMaker's contract, and says what is wrong with a request."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from adapters.model.invocation import ARROW_STREAM as ARROW
from adapters.model.invocation import ATTRIBUTES_HEADER, MAX_BODY_BYTES, MAX_ROWS, ModelIdentity
from ml_model.negotiation import CSV, JSON
from ml_model.predict import InProcessScorer
from ml_model.server import build_app

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
        (b'{"instances": ' + b"[" * 100_000, JSON, 400, "not application/json"),
        (b'{"a": ' + b"[" * 100_000, JSON, 400, "not application/json"),
        (b'{"instances": [' + b'{"a":' * 5_000, JSON, 400, "not application/json"),
        (b'{"instances": [{"tx_amount": ' + b"9" * 5_000 + b"}", JSON, 400, "not application/json"),
        (b'{"instances": [{"tx_amount": true}]}', JSON, 400, "expected"),
        (b'{"instances": [{"tx_amount": "\xff"}]}', JSON, 400, "not application/json"),
        (b"null", JSON, 400, "expected"),
        (b"", JSON, 400, "not application/json"),
        (b"", CSV, 400, "not text/csv"),
        (b"\xff\xfe", CSV, 400, "not text/csv"),
        (b'{"instances": [' + b",".join([b"{}"] * (MAX_ROWS + 1)) + b"]}", JSON, 413, "more than 10,000 rows"),
        (b"{" * MAX_BODY_BYTES, JSON, 413, "more than 10,000 rows"),
        (b"\n" * (MAX_ROWS + 2), CSV, 413, "more than 10,000 rows"),
        (b"\r" * (MAX_ROWS + 2), CSV, 413, "more than 10,000 rows"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(
    client: TestClient, content: bytes, content_type: str, status: int, words: str
) -> None:
    answer = client.post("/invocations", content=content, headers={"content-type": content_type})
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", 'Application/JSON;x="a;b"', "", " ;"])
def test_a_content_type_may_have_parameters(client: TestClient, content_type: str) -> None:
    answer = client.post("/invocations", content=b'{"instances": [{}]}', headers={"content-type": content_type})
    assert answer.status_code == 200


def test_a_content_encoding_is_refused(client: TestClient) -> None:
    headers = {"content-type": JSON, "content-encoding": "gzip"}
    assert client.post("/invocations", content=b'{"instances": [{}]}', headers=headers).status_code == 415


def test_as_many_rows_as_a_call_may_have_are_scored(client: TestClient) -> None:
    answer = client.post("/invocations", json={"instances": [{}] * MAX_ROWS})
    assert len(answer.json()["predictions"]) == MAX_ROWS
    lines = ("," * (len(FEATURES) - 1) + "\n") * MAX_ROWS
    assert client.post("/invocations", content=lines, headers={"content-type": CSV}).text.count("\n") == MAX_ROWS


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", JSON),
        ("", JSON),
        ("application/json, text/csv", JSON),
        ("text/csv, application/json", JSON),  # both alike to the caller: as it asked
        ("text/csv, application/json;q=0.5", CSV),
        ("application/json, */*;q=0.1", JSON),
        ("*/*;q=0.8", JSON),
        ("application/*", JSON),
        ("text/*", CSV),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JSON),  # java.net.HttpURLConnection's
        ("APPLICATION/JSON;charset=utf-8", JSON),
        ("application/json;q=0, text/*", CSV),
        ('text/html;level="1,2", text/csv', CSV),
    ],
)
def test_an_answer_has_the_type_that_its_caller_prefers(client: TestClient, accept: str, kind: str) -> None:
    answer = client.post("/invocations", json={"instances": [{}]}, headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, kind)


def test_several_accept_headers_are_one_list(client: TestClient) -> None:
    headers = [("content-type", JSON), ("accept", "text/html"), ("accept", "text/csv")]
    answer = client.post("/invocations", content=b'{"instances": [{}]}', headers=headers)
    assert answer.headers["content-type"].split(";")[0] == CSV


@pytest.mark.parametrize("accept", ["text/html", "text/html, image/*;q=0.5", "*/*;q=0", "application/json;q=0, a/b"])
def test_an_answer_that_nobody_takes_is_refused(client: TestClient, accept: str) -> None:
    assert client.post("/invocations", json={"instances": []}, headers={"accept": accept}).status_code == 406


def stream(rows: int, compression: str | None = None, **others: pa.Array) -> bytes:
    """Rows of zeros as an Arrow stream; `others` replace columns or add some."""
    batch = pa.RecordBatch.from_pydict({name: pa.array(np.zeros(rows)) for name in FEATURES} | others)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_arrow_rows_may_be_compressed(client: TestClient, compression: str | None) -> None:
    body = stream(5, compression, extra=pa.array(["not asked for"] * 5))
    answer = client.post("/invocations", content=body, headers={"content-type": ARROW})
    assert pa.ipc.open_stream(answer.content).read_all().num_rows == 5


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_small_body_of_many_rows_is_refused_unread(client: TestClient, compression: str) -> None:
    body = stream(MAX_ROWS + 1, compression)
    assert len(body) < MAX_BODY_BYTES / 10
    answer = client.post("/invocations", content=body, headers={"content-type": ARROW})
    assert (answer.status_code, answer.json()["detail"]) == (413, "more than 10,000 rows in one call")


@pytest.mark.parametrize("claimed", [1 << 33, 1 << 62])
def test_a_buffer_that_unpacks_to_gigabytes_is_refused_unread(client: TestClient, claimed: int) -> None:
    body = stream(1_000, "zstd")
    place = body.index(struct.pack("<q", 8_000))  # what the first column unpacks to: 1,000 times 8 bytes
    body = body[:place] + struct.pack("<q", claimed) + body[place + 8 :]
    answer = client.post("/invocations", content=body, headers={"content-type": ARROW})
    assert (answer.status_code, answer.json()["detail"]) == (413, "unpacks to more than 67,108,864 bytes")


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"tx_amount": pa.array(["12.5"])}, "no numbers: tx_amount"),
        ({"tx_amount": pa.array([[1.0]])}, "no numbers: tx_amount"),
        ({"tx_amount": pa.array([1.0]).dictionary_encode()}, "dictionary"),
        ({"tx_amount": pa.RunEndEncodedArray.from_arrays([1], [1.0])}, "no numbers: tx_amount"),
    ],
)
def test_columns_that_are_no_plain_numbers_are_refused(
    client: TestClient, others: dict[str, pa.Array], words: str
) -> None:
    answer = client.post("/invocations", content=stream(1, **others), headers={"content-type": ARROW})
    assert answer.status_code == 400
    assert words in answer.json()["detail"]


def test_a_feature_that_is_missing_is_named(client: TestClient) -> None:
    body = stream(1).replace(b"tx_amount", b"xx_amount")
    answer = client.post("/invocations", content=body, headers={"content-type": ARROW})
    assert answer.status_code == 400
    assert "features missing or given twice: tx_amount" in answer.json()["detail"]
