"""Count and sum of each card over exact windows by Flink SQL, from CSV to CSV; prints its figures as JSON.

Flink allows one window a SELECT, so each window is a query over the one before. `RANGE` includes its lower bound, so an
interval is a millisecond shorter than the window: `(t - w, t]`. The transaction itself is inside; the caller takes it
out.

Run: .venv-flink/bin/python benchmarks/flink/over_windows.py SOURCE SINK {hashmap,rocksdb} PARALLELISM
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

WINDOWS = {
    "1h": ("0 00:59:59.999", 1),
    "24h": ("0 23:59:59.999", 1),
    "7d": ("6 23:59:59.999", 1),
    "30d": ("29 23:59:59.999", 2),
}

_SOURCE = """
CREATE TABLE transactions (
  id BIGINT, card STRING, amount BIGINT, at_ms BIGINT,
  happened AS TO_TIMESTAMP_LTZ(at_ms, 3), WATERMARK FOR happened AS happened
) WITH ('connector' = 'filesystem', 'path' = 'file://{path}', 'format' = 'csv')
"""
_SINK = """
CREATE TABLE results (id BIGINT, {columns})
WITH ('connector' = 'filesystem', 'path' = 'file://{path}', 'format' = 'csv')
"""


def query() -> str:
    """The windows, each over the result of the one before."""
    inner = "SELECT id, card, amount, happened FROM transactions"
    for name, (interval, digits) in WINDOWS.items():
        inner = (
            f"SELECT *, COUNT(*) OVER w AS count_{name}, SUM(amount) OVER w AS sum_{name} FROM ({inner}) "
            f"WINDOW w AS (PARTITION BY card ORDER BY happened "
            f"RANGE BETWEEN INTERVAL '{interval}' DAY({digits}) TO SECOND(3) PRECEDING AND CURRENT ROW)"
        )
    return f"SELECT id, {', '.join(columns())} FROM ({inner})"


def columns() -> list[str]:
    """Names of the results."""
    return [f"{kind}_{name}" for name in WINDOWS for kind in ("count", "sum")]


def main() -> None:
    """Runs the query to its end."""
    source, sink, backend, parallelism = sys.argv[1:5]
    from pyflink.table import EnvironmentSettings, TableEnvironment

    environment = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    options = {
        "state.backend.type": backend,
        "parallelism.default": parallelism,
        "taskmanager.memory.managed.size": "1g",
        "table.local-time-zone": "UTC",
    }
    for name, value in options.items():
        environment.get_config().set(name, value)
    started = time.perf_counter()
    environment.execute_sql(_SOURCE.format(path=source))
    environment.execute_sql(_SINK.format(path=sink, columns=", ".join(f"{name} BIGINT" for name in columns())))
    environment.execute_sql(f"INSERT INTO results {query()}").wait()
    print(json.dumps({"running_s": time.perf_counter() - started, "version": version("apache-flink")}))


if __name__ == "__main__":
    main()
