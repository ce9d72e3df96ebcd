"""What an archived object's bytes hold beside its rows."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.archive.archive import to_parquet


def test_bounds_are_kept_of_what_rows_are_chosen_by_and_not_of_features() -> None:
    table = pa.table({"arrival_ms": [3, 5], "stream": ["a", "b"], "card_count_1h": [1.0, None], "rules": [["r"], []]})
    written = to_parquet(table)
    group = pq.read_metadata(io.BytesIO(written)).row_group(0)
    bounded = {
        group.column(place).path_in_schema for place in range(group.num_columns) if group.column(place).statistics
    }
    assert {"arrival_ms", "stream"} <= bounded
    assert "card_count_1h" not in bounded
    assert pq.read_table(io.BytesIO(written)).equals(table)
    assert to_parquet(table) == written
