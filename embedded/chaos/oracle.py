"""What must be stored: one process decodes, folds and decides what is on the streams, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.aws import aws_client
from adapters.policy_source import open_policy
from fraud import decode
from fraud.arrival import ARRIVAL_COLUMNS, RECORD_SCHEMA
from fraud.dead_letter import Reason, Reject
from fraud.decide import decide
from fraud.features import FEATURE_FIELDS
from fraud.features.offline import FeaturePath
from fraud.rules.fields import fields_of
from fraud.settings import Settings
from processor.decode_stage import dead_letters as dead_letters_of
from processor.decode_stage import decode_records, refuse_by_time
from processor.scoring import open_model

Place = tuple[str, str, str, int]
"""Stream, shard, sequence number, sub-sequence: the identity of a record."""


class Stored(NamedTuple):
    """What a job stores, or must store.

    Attributes:
        decisions: columns of the stored decision (the oracle's lack the commit's).
        labels: arrival, label, raw.
        dead_letters: `fraud.dead_letter.DEAD_LETTER_SCHEMA`.
    """

    decisions: pa.Table
    labels: pa.Table
    dead_letters: pa.Table


def places(table: pa.Table | pa.RecordBatch) -> list[Place]:
    """The identity of each row."""
    names = ("stream", "shard", "sequence_number", "sub_sequence")
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def read_stream(settings: Settings, stream: str) -> pa.Table:
    """Every record of a stream, read with plain AWS calls and nothing of the job's source."""
    kinesis = aws_client("kinesis", settings.aws)
    rows = []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        where = {"StreamName": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        position = kinesis.get_shard_iterator(**where)["ShardIterator"]
        while position is not None:
            answer = kinesis.get_records(ShardIterator=position, Limit=10_000)
            for record in answer["Records"]:
                arrival_ms = round(record["ApproximateArrivalTimestamp"].timestamp() * 1000)
                rows.append((stream, shard["ShardId"], record["SequenceNumber"], 0, arrival_ms, record["Data"]))
            at_tip = not answer["Records"] and not answer["MillisBehindLatest"]
            position = None if at_tip else answer.get("NextShardIterator")
    columns = zip(*rows, strict=True) if rows else [[] for _ in RECORD_SCHEMA]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, RECORD_SCHEMA, strict=True)],
        schema=RECORD_SCHEMA,
    )


def expected(settings: Settings, records: pa.Table, batch_of: Mapping[Place, int]) -> Stored:
    """Computes what a job that was never interrupted stores.

    Args:
        settings: of the job.
        records: everything on the streams: `fraud.arrival.RECORD_SCHEMA`.
        batch_of: the batch that each record was stored by; those without one are folded last.
    """
    last = max(batch_of.values(), default=0) + 1
    batch_ids = np.array([batch_of.get(place, last) for place in places(records)], np.int64)
    path = FeaturePath.of(settings.job)
    policy = open_policy(settings, fields_of(FEATURE_FIELDS)).current
    scorer = open_model(settings)
    decisions, labels, letters = [], [], []
    for batch in _batches(records, batch_ids):
        is_label = pc.equal(batch["stream"], settings.streams.labels)
        found, refused = decode_records(decode.TRANSACTIONS, batch.filter(pc.invert(is_label)))
        limits = [None if s is None else s * 1000 for s in (settings.job.max_age_s, settings.job.max_ahead_s)]
        found, out_of_time = refuse_by_time(found, *limits)
        label_batch, refused_labels = decode_records(decode.LABELS, batch.filter(is_label))
        letters += [refused, out_of_time, refused_labels]
        labels.append(label_batch)
        if not found.num_rows:
            path.fold_labels(label_batch)
            continue
        featured = path.run(found, label_batch)
        letters.append(_duplicates(found, featured))
        if featured.num_rows:
            verdicts = decide(featured, scorer, policy)
            decisions.append(
                pa.Table.from_arrays(
                    [*featured.columns, *verdicts.columns], names=[*featured.schema.names, *verdicts.schema.names]
                )
            )
    return Stored(pa.concat_tables(decisions), pa.Table.from_batches(labels), pa.Table.from_batches(letters))


def _batches(records: pa.Table, batch_ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[pa.RecordBatch]:
    for batch_id in np.unique(batch_ids):
        part = records.filter(pa.array(batch_ids == batch_id)).combine_chunks()
        yield part.to_batches()[0]


def _duplicates(found: pa.RecordBatch, featured: pa.RecordBatch) -> pa.RecordBatch:
    kept = set(places(featured))
    rows = pa.array([row for row, place in enumerate(places(found)) if place not in kept], pa.int64())
    records = found.take(rows).select([*ARRIVAL_COLUMNS, "raw"]).rename_columns([*ARRIVAL_COLUMNS, "data"])
    rejects = [Reject(row, Reason.DUPLICATE, None, "") for row in range(len(rows))]
    return dead_letters_of(records, rejects)
