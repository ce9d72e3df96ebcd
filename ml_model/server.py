"""The model behind HTTP, as SageMaker calls a container: `GET /ping` and `POST /invocations`.

It also answers the path of SageMaker's runtime API, `POST /endpoints/{name}/invocations`, so that a client of that API
works against it with nothing but another endpoint address.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from fastapi import FastAPI, Header, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from adapters.model.invocation import (
    ARROW_STREAM,
    ATTRIBUTES_HEADER,
    MAX_BODY_BYTES,
    TooLargeError,
    require_rows,
    rows_from_stream,
    scores_to_stream,
)
from ml_model.negotiation import CSV, JSON, acceptable, media_type
from ml_model.predict import InProcessScorer


def build_app(scorer: InProcessScorer) -> FastAPI:
    """The web application of one model."""
    app = FastAPI(title="Card fraud model", version=scorer.description.version, docs_url=None, redoc_url=None)
    _answer(scorer, b'{"instances":[{}]}', JSON, JSON)  # what is imported at first use does not delay the first call

    @app.get("/ping")
    def ping() -> Response:
        """Says that the model is loaded."""
        return Response(status_code=200)

    @app.post("/endpoints/{name}/invocations")
    @app.post("/invocations")
    async def invocations(
        request: Request,
        content_type: Annotated[str, Header()] = JSON,
        content_encoding: Annotated[str, Header()] = "identity",
    ) -> Response:
        """Scores a batch: rows of features in, probabilities of fraud out, in their order."""
        kind = media_type(content_type) or JSON
        if kind not in _READERS:
            raise HTTPException(415, f"send {', '.join(_READERS)}")
        if content_encoding.strip().lower() not in ("identity", ""):
            raise HTTPException(415, "send the body without a content encoding")
        # As it was asked, where the caller does not mind.
        wanted = acceptable(",".join(request.headers.getlist("accept")), [kind, *_WRITERS])
        if wanted is None:
            raise HTTPException(406, f"accept {', '.join(_WRITERS)}")
        body = await _body(request)
        # The trees release the interpreter's lock, so that calls share the cores.
        answer = await run_in_threadpool(_answer, scorer, body, kind, wanted)
        return Response(answer, media_type=wanted, headers={ATTRIBUTES_HEADER: scorer.identity.to_attributes()})

    return app


async def _body(request: Request) -> bytes:
    """The body, read no further than the limit."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body has more than {MAX_BODY_BYTES} bytes")
    return b"".join(parts)


def _answer(scorer: InProcessScorer, body: bytes, kind: str, wanted: str) -> bytes:
    try:
        rows = _READERS[kind](body, scorer.description.features)
    except TooLargeError as error:
        raise HTTPException(413, str(error)) from None
    except Exception as error:  # whatever a parser ends in, the fault is the body's
        detail = " ".join(str(error).split())[:_LONGEST_DETAIL]
        raise HTTPException(400, f"not {kind} with the model's features: {detail}") from None
    return _WRITERS[wanted](scorer.score(rows).score)


class _Instances(msgspec.Struct):
    """A body of JSON; anything that is no number is refused where it stands, before more is read."""

    instances: list[dict[str, float | None]]


_read_instances = msgspec.json.Decoder(_Instances).decode
_LONGEST_DETAIL = 300


def _from_json(body: bytes, names: tuple[str, ...]) -> pa.RecordBatch:
    """`{"instances": [{feature: value or null, ...}, ...]}`; features that are left out are null."""
    require_rows(body.count(b"{") - 1)  # each row is an object; so many are known before one is made
    try:
        instances = _read_instances(body).instances
    except msgspec.ValidationError as error:
        raise ValueError(f'expected {{"instances": [{{"feature": value, ...}}, ...]}}; {error}') from None
    unknown = sorted({name for row in instances for name in row} - set(names))
    if unknown:
        raise ValueError(f"unknown features: {', '.join(unknown[:5])}")
    return _batch({name: pa.array([row.get(name) for row in instances], pa.float64()) for name in names})


def _from_csv(body: bytes, names: tuple[str, ...]) -> pa.RecordBatch:
    """No header, one column a feature in the model's order, empty for null."""
    require_rows(body.count(b"\n") + body.count(b"\r") - body.count(b"\r\n") + (body[-1:] not in (b"\n", b"\r")))
    table = pa_csv.read_csv(
        io.BytesIO(body),
        read_options=pa_csv.ReadOptions(column_names=list(names)),
        convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64()), null_values=[""]),
    )
    return _batch({name: table[name].combine_chunks() for name in names})


def _batch(columns: dict[str, pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def _to_json(scores: pa.Array) -> bytes:
    return json.dumps({"predictions": scores.to_pylist()}).encode()


def _to_csv(scores: pa.Array) -> bytes:
    return b"".join(b"%.9g\n" % score for score in np.asarray(scores))


_READERS: dict[str, Callable[[bytes, tuple[str, ...]], pa.RecordBatch]] = {
    JSON: _from_json,
    CSV: _from_csv,
    ARROW_STREAM: rows_from_stream,
}
_WRITERS: dict[str, Callable[[pa.Array], bytes]] = {JSON: _to_json, CSV: _to_csv, ARROW_STREAM: scores_to_stream}
