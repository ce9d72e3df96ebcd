"""Encodes columns as wire records: the inverse of `fraud.records.decode`."""

from __future__ import annotations

import polars as pl
import pyarrow as pa


def encode(records: pa.RecordBatch) -> list[bytes]:
    """One JSON object a row; fields that are null in every row are left out, times are RFC 3339 with milliseconds."""
    if not records.num_rows:
        return []
    frame = pl.DataFrame(records)
    columns = [name for name in frame.columns if frame[name].null_count() < frame.height]
    times = [name for name in columns if isinstance(frame.schema[name], pl.Datetime)]
    written = frame.select(columns).with_columns(pl.col(times).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    texts = written.select(pl.struct(pl.all()).struct.json_encode().alias("json"))["json"]
    return texts.cast(pl.Binary).to_list()
