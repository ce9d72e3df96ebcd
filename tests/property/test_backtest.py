from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud.backtest.recorded import RecordedScorer
from fraud.decision.decide import decide
from tests.property.test_decisions import batches, documents
from tests.support.decisions import FixedScorer, featured, policy

FROM_THE_MODEL = ("MODEL_SCORE", "COUNT_10M")
"""Reasons that need the model's contributions, which are not archived."""


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents(), batches, st.integers(1, 12))
def test_backtest_repeats_what_the_stream_decided(
    tmp_path: Path, document: dict[str, Any], drawn: list[tuple[dict[str, Any], float | None]], size: int
) -> None:
    compiled = policy(**document)
    for start in range(0, len(drawn), size):
        part = drawn[start : start + size]
        batch = featured(*(row for row, _ in part))
        verdicts = decide(batch, FixedScorer([score for _, score in part]), compiled)
        archived = {name: batch[name] for name in batch.schema.names} | {n: verdicts[n] for n in verdicts.schema.names}
        pq.write_table(pa.table(archived), tmp_path / f"{start:03d}.parquet")
    archive = pa.concat_tables(pq.read_table(file) for file in sorted(tmp_path.glob("*.parquet")))
    for file in tmp_path.glob("*.parquet"):
        file.unlink()

    (whole,) = archive.combine_chunks().to_batches()
    again = decide(whole, RecordedScorer(), compiled)

    for name in again.schema.names:
        if name not in ("reasons", "reason_codes"):
            assert again[name].to_pylist() == archive[name].to_pylist(), name
    recorded = [[c for c in codes if c not in FROM_THE_MODEL] for codes in archive["reason_codes"].to_pylist()]
    assert [[c for c in codes if c not in FROM_THE_MODEL] for codes in again["reason_codes"].to_pylist()] == recorded
