"""The model server on loopback through `sagemaker-runtime`: rows a second in batches of 500, and time of single rows.

The same batches scored in process on one core are the yardstick.
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer

from adapters.aws.clients import aws_client
from adapters.model.invocation import ARROW_STREAM, rows_to_stream, scores_from_stream
from adapters.program.program import JsonOption, write_json
from benchmarks.generated_features import generated_features
from benchmarks.machine import describe_machine
from embedded.model_endpoint import ModelEndpoint
from fraud.settings import Aws
from ml_model.predict import InProcessScorer

GOAL_ROWS_PER_S = 20_000
GOAL_P99_MS = 20.0
_BATCH = 500
_ROWS = 20_000
_SINGLES = 1_000
_MODEL = Path(__file__).parent.parent / "config" / "model" / "champion"
_LIBRARIES = ("xgboost-cpu", "pyarrow", "fastapi", "uvicorn", "boto3")


class Caller:
    """Calls the endpoint as the job does, rows to scores, and nothing else around it."""

    def __init__(self, url: str, features: tuple[str, ...]) -> None:
        self._client: Any = aws_client("sagemaker-runtime", Aws(endpoint_url=url), max_attempts=1)
        self._features = features

    def score(self, rows: pa.RecordBatch) -> pa.Array:
        """The scores of the rows."""
        body = rows_to_stream(rows, self._features)
        answer = self._client.invoke_endpoint(
            EndpointName="fraud", Body=body, ContentType=ARROW_STREAM, Accept=ARROW_STREAM
        )
        return scores_from_stream(answer["Body"].read(), rows.num_rows)


def throughput(caller: Caller, batches: list[pa.RecordBatch], callers: int, seconds: float) -> float:
    """Rows a second with so many calls at once."""
    rows, started = 0, time.perf_counter()
    with ThreadPoolExecutor(callers) as threads:
        while time.perf_counter() - started < seconds:
            rows += sum(len(scores) for scores in threads.map(caller.score, batches))
    return rows / (time.perf_counter() - started)


def latencies_ms(caller: Caller, rows: pa.RecordBatch, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The time of each call of a single row, one after another."""
    taken = []
    for number in range(count):
        row = rows.slice(number % rows.num_rows, 1)
        started = time.perf_counter()
        caller.score(row)
        taken.append((time.perf_counter() - started) * 1000)
    return np.array(taken)


def command(
    callers: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 4,
    seconds: Annotated[float, typer.Option(help="Of the throughput.")] = 5.0,
    json: JsonOption = None,
) -> None:
    machine = describe_machine(_LIBRARIES)
    print(machine)
    features = generated_features(_ROWS)
    batches = [features.slice(start, _BATCH) for start in range(0, _ROWS, _BATCH)]
    model = InProcessScorer.load(_MODEL)
    started = time.process_time()
    wanted = [model.score(batch).score for batch in batches]
    in_process = _ROWS / (time.process_time() - started)
    with tempfile.TemporaryDirectory() as folder:
        endpoint = ModelEndpoint(str(_MODEL), Path(folder))
        try:
            endpoint.await_ready()
            caller = Caller(endpoint.url, model.description.features)
            equal = all(caller.score(batch).equals(scores) for batch, scores in zip(batches, wanted, strict=True))
            rows_per_s = throughput(caller, batches, callers, seconds)
            singles = latencies_ms(caller, features, _SINGLES)
        finally:
            endpoint.stop()
    p50, p99 = (float(np.quantile(singles, quantile)) for quantile in (0.5, 0.99))
    figures: dict[str, Any] = {
        "rows_per_s": rows_per_s,
        "in_process_rows_per_s": in_process,
        "ratio": rows_per_s / in_process,
        "single_row_p50_ms": p50,
        "single_row_p99_ms": p99,
        "scores_equal": equal,
        "reached": equal and rows_per_s >= GOAL_ROWS_PER_S and p99 <= GOAL_P99_MS,
    }
    for name, value in figures.items():
        print(f"{name:24}{str(value) if isinstance(value, bool) else f'{value:,.2f}':>14}")
    write_json(json, {"machine": machine, "batch": _BATCH, "callers": callers, **figures})


if __name__ == "__main__":
    typer.run(command)
