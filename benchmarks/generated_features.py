"""Features of generated transactions, as the job would hand them to the model."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

from fraud.features import FEATURE_NAMES
from fraud.path import FeaturePath
from fraud.records.arrival import with_arrival
from producer.campaigns.plan import load_plan
from producer.data_generator import generate, in_batches
from producer.economy import draw_economy

_FIRST_DAY = (dt.date(2026, 1, 1) - dt.date(1970, 1, 1)).days
_HISTORY = 10_000
_CARDS, _MERCHANTS = 1_000, 500


def generated_features(rows: int) -> pa.RecordBatch:
    """The features of so many transactions, after others that give cards and merchants a history."""
    stream = in_batches(generate(draw_economy(7, _CARDS, _MERCHANTS), load_plan("default"), _FIRST_DAY), _HISTORY)
    path, parts, count = FeaturePath(), [], 0
    for number, part in enumerate(stream):
        arrived = with_arrival(part.transactions, "event_time", number), with_arrival(part.labels, "label_time", number)
        featured = path.featured(*arrived)
        if number:
            parts.append(featured.select(FEATURE_NAMES))
            count += featured.num_rows
        if count >= rows:
            break
    (batch,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
    return batch.slice(0, rows)
