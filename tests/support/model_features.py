"""Rows of the whole feature catalogue for tests of scoring."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fraud.features import FEATURE_FIELDS


def random_features(rows: int, seed: int = 7) -> pa.RecordBatch:
    """Wide-ranging values, a tenth of them null, in the catalogue's types."""
    rng = np.random.default_rng(seed)
    columns = [
        pa.array(rng.lognormal(0.0, 3.0, rows), pa.float64(), mask=rng.random(rows) < 0.1).cast(field.type, safe=False)
        for field in FEATURE_FIELDS
    ]
    return pa.RecordBatch.from_arrays(
        columns, schema=pa.schema([field.with_nullable(True) for field in FEATURE_FIELDS])
    )
