"""A new optional field of a transaction is one line: tried on a copy of the code that has one more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.archive.layout import ArchiveKind
from adapters.archive.tables import TRANSACTION_COLUMNS, parse_columns
from fraud.records.decode import TRANSACTIONS
from fraud.settings import Settings
from processor.checkpoint import fixed_settings
from tests.support.records import stream_records

ROOT = Path(__file__).parents[2]
PACKAGES = ("adapters", "benchmarks", "config", "fraud", "ml_model", "processor", "producer")
LAST = "    home_lon: Longitude | None = None\n"
NEW = '    wallet: Literal["apple", "google"] | None = None\n'
KEY = ArchiveKind.DECISIONS.key("fraud", 7, 0, 0)

READ = """
import json, sys
from pathlib import Path
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from adapters.archive.tables import TRANSACTION_COLUMNS, parse_columns
from adapters.recordings.mapping import load_mapping
from adapters.recordings.reading import RecordingReader
from benchmarks.synthetic_archive import synthetic_decisions
from fraud.decision.rules.expression import parse_condition
from fraud.decision.rules.fields import fields_of
from fraud.features import CATALOGUE
from fraud.records.decode import TRANSACTIONS
from fraud.settings import Settings
from ml_model.dataset import build_dataset
from processor.checkpoint import fixed_settings
from producer.realism import CATEGORIES
from producer.source import recorded_stream

folder, key = Path(sys.argv[1]), sys.argv[2]
old = parse_columns((folder / "old.parquet").read_bytes(), key, TRANSACTION_COLUMNS)
decoded = TRANSACTIONS.decode((folder / "replayed" / "transactions.jsonl").read_bytes().splitlines())
arrival = [name for name in old.schema.names if name not in decoded.batch.schema.names]
new = pa.table({name: old[name] for name in arrival} | {n: decoded.batch[n] for n in decoded.batch.schema.names})
pq.write_table(new, folder / "new.parquet")
condition = parse_condition("wallet = 'apple'", fields_of(CATALOGUE))
parts = recorded_stream(RecordingReader(folder / "marked.jsonl", load_mapping("generated"), "EUR"))
json.dump({
    "rejects": len(decoded.rejects),
    "wallets": decoded.batch["wallet"].to_pylist(),
    "wallets_of_the_old_archive": old["wallet"].to_pylist(),
    "by_rule": pl.DataFrame(decoded.batch).select(condition.polars).to_series().to_list(),
    "featured": len(build_dataset(((part.transactions, part.labels) for part in parts), "EUR")),
    "choices": sorted(set(synthetic_decisions(99, [], np.random.default_rng(1), 0)["wallet"].to_pylist())),
    "measured": "wallet" in CATEGORIES,
    "fixed": fixed_settings(Settings()),
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code with a field more; nothing but the one line differs."""
    folder = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package)
    file = folder / "fraud" / "records" / "transaction.py"
    text = file.read_text()
    assert text.count(LAST) == 1
    file.write_text(text.replace(LAST, LAST + NEW))
    return folder


def run(tree: Path, *arguments: str) -> str:
    """Runs Python on the copy; gives what it wrote."""
    environment = os.environ | {"PYTHONPATH": str(tree), "NUMBA_DISABLE_JIT": "1"}  # no compiler for 60 transactions
    done = subprocess.run([sys.executable, *arguments], cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def test_one_line_takes_a_field_from_the_producer_to_features_rules_and_archive(tree: Path, tmp_path: Path) -> None:
    produced, replayed = tmp_path / "produced", tmp_path / "replayed"
    run(tree, "-m", "producer.main", "--to", "jsonl", "--output", str(produced), "--num-transactions", "60")
    sent = lines_of(produced / "transactions.jsonl")
    assert not any("wallet" in row for row in sent)  # the producer has no values for it, and does not fail

    marked = [row | ({} if n % 3 else {"wallet": "apple"}) for n, row in enumerate(sent)]
    (tmp_path / "marked.jsonl").write_text("\n".join(map(json.dumps, marked)))
    replay = ("--replay", str(tmp_path / "marked.jsonl"), "--mapping", "generated")
    run(tree, "-m", "producer.main", "--to", "jsonl", "--output", str(replayed), *replay)
    again = lines_of(replayed / "transactions.jsonl")  # by event time: what was dated ahead comes later
    wallets = {row["transaction_id"]: row.get("wallet") for row in marked}
    wanted = [wallets[row["transaction_id"]] for row in again]
    assert [row.get("wallet") for row in again] == wanted
    assert wanted.count("apple") == 20

    # This program is the one from before the field: it ignores the field, and its archive lacks the column.
    before = TRANSACTIONS.decode((replayed / "transactions.jsonl").read_bytes().splitlines())
    assert (before.batch.num_rows, before.rejects) == (60, [])
    arrival = stream_records([b""] * 60).drop_columns(["data"])
    stored = pa.table({n: part[n] for part in (arrival, before.batch) for n in part.schema.names})
    pq.write_table(stored, tmp_path / "old.parquet")
    found = json.loads(run(tree, "-c", READ, str(tmp_path), KEY))
    assert found == {
        "rejects": 0,
        "wallets": wanted,
        "wallets_of_the_old_archive": [None] * 60,
        "by_rule": [True if wallet else None for wallet in wanted],
        "featured": 60,
        "choices": ["apple", "google"],
        "measured": True,
        "fixed": json.loads(json.dumps(fixed_settings(Settings()))),  # so a checkpoint goes on
    }
    newer = parse_columns((tmp_path / "new.parquet").read_bytes(), KEY, TRANSACTION_COLUMNS)
    assert newer.to_pylist() == stored.to_pylist()
