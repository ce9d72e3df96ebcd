"""The model behind HTTP, as SageMaker calls a container: `GET /ping` and `POST /invocations`.

It also answers the path of SageMaker's runtime API, `POST /endpoints/{name}/invocations`, so that a client of that API
works against it with nothing but another endpoint address.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from fastapi import FastAPI, Header, HTTPException, Request, Response

from ml_model.predict import InProcessScorer

MAX_BODY_BYTES = 6 << 20
"""SageMaker's own limit of a real-time invocation."""

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"


def build_app(scorer: InProcessScorer) -> FastAPI:
    """The web application of one model."""
    app = FastAPI(title="Card fraud model", version=scorer.description.version, docs_url=None, redoc_url=None)
    names = scorer.description.features

    @app.get("/ping")
    def ping() -> Response:
        """Says that the model is loaded."""
        return Response(status_code=200)

    @app.post("/endpoints/{name}/invocations")
    @app.post("/invocations")
    async def invocations(
        request: Request,
        content_type: Annotated[str, Header()] = JSON,
        accept: Annotated[str, Header()] = "*/*",
    ) -> Response:
        """Scores a batch: rows of features in, probabilities of fraud out, in their order."""
        body = await request.body()
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body has {len(body)} bytes, allowed are {MAX_BODY_BYTES}")
        kind = content_type.split(";")[0].strip().lower()
        if kind not in _READERS:
            raise HTTPException(415, f"send {', '.join(_READERS)}")
        wanted = kind if accept in ("*/*", "") else accept.split(";")[0].strip().lower()
        if wanted not in _WRITERS:
            raise HTTPException(406, f"accept {', '.join(_WRITERS)}")
        try:
            rows = _READERS[kind](body, names)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError, KeyError) as error:
            raise HTTPException(400, f"not {kind} with the model's features: {' '.join(str(error).split())}") from None
        scores = scorer.score(rows).score
        headers = {"x-model-version": scorer.description.version}
        return Response(_WRITERS[wanted](scores), media_type=wanted, headers=headers)

    return app


def _from_json(body: bytes, names: tuple[str, ...]) -> pa.RecordBatch:
    """`{"instances": [{feature: value or null, ...}, ...]}`; features that are left out are null."""
    content = json.loads(body)
    instances = content.get("instances") if isinstance(content, dict) else None
    if not isinstance(instances, list) or not all(isinstance(row, dict) for row in instances):
        raise ValueError('expected {"instances": [{"feature": value, ...}, ...]}')
    unknown = sorted({name for row in instances for name in row} - set(names))
    if unknown:
        raise ValueError(f"unknown features: {', '.join(unknown[:5])}")
    return _batch({name: pa.array([row.get(name) for row in instances], pa.float64()) for name in names})


def _from_csv(body: bytes, names: tuple[str, ...]) -> pa.RecordBatch:
    """No header, one column a feature in the model's order, empty for null."""
    table = pa_csv.read_csv(
        io.BytesIO(body),
        read_options=pa_csv.ReadOptions(column_names=list(names)),
        convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64()), null_values=[""]),
    )
    return _batch({name: table[name].combine_chunks() for name in names})


def _from_arrow(body: bytes, names: tuple[str, ...]) -> pa.RecordBatch:
    """An Arrow IPC stream that has at least the model's features."""
    table = pa.ipc.open_stream(body).read_all()
    return _batch({name: table[name].combine_chunks().cast(pa.float64()) for name in names})


def _batch(columns: dict[str, pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def _to_json(scores: pa.Array) -> bytes:
    return json.dumps({"predictions": scores.to_pylist()}).encode()


def _to_csv(scores: pa.Array) -> bytes:
    return b"".join(b"%.9g\n" % score for score in np.asarray(scores))


def _to_arrow(scores: pa.Array) -> bytes:
    batch = pa.RecordBatch.from_arrays([scores], names=["score"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


_READERS: dict[str, Callable[[bytes, tuple[str, ...]], pa.RecordBatch]] = {
    JSON: _from_json,
    CSV: _from_csv,
    ARROW: _from_arrow,
}
_WRITERS: dict[str, Callable[[pa.Array], bytes]] = {JSON: _to_json, CSV: _to_csv, ARROW: _to_arrow}
