"""What must be stored: one process decodes, folds and decides what is on the streams, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from adapters.archive.archive import open_archive
from adapters.archive.pins import Pins
from adapters.aws.clients import aws_client
from adapters.policy.source import open_policy, policy_files
from adapters.program.answer_keys import open_answer_keys
from fraud.decision.answers import decide_unanswered
from fraud.decision.decide import decide
from fraud.decision.rules.fields import fields_of
from fraud.features import catalogue_of
from fraud.path import FeaturePath
from fraud.records import Records, joined
from fraud.records.arrival import ARRIVAL_FIELDS, RAW_FIELD, RECORD_SCHEMA
from fraud.records.dead_letter import DEAD_LETTER_SCHEMA
from fraud.records.intake import Intake
from fraud.records.label import LABEL_SCHEMA
from fraud.settings import Settings
from processor.keyed_state.grouped import GroupedStates
from processor.scoring import open_model

RecordId = tuple[str, str, str, int]
"""Stream, shard, sequence number, sub-sequence: the identity of a record."""

_LABELS = pa.schema([*ARRIVAL_FIELDS, *LABEL_SCHEMA, RAW_FIELD])


class Stored(NamedTuple):
    """What a job stores, or must store.

    Attributes:
        decisions: columns of the stored decision (the oracle's lack the commit's).
        labels: arrival, label, raw.
        dead_letters: `fraud.records.dead_letter.DEAD_LETTER_SCHEMA`.
    """

    decisions: pa.Table
    labels: pa.Table
    dead_letters: pa.Table


def record_ids(table: pa.Table | pa.RecordBatch) -> list[RecordId]:
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


def expected(settings: Settings, records: pa.Table, batch_of: Mapping[RecordId, int]) -> Stored:
    """Computes what a job that was never interrupted stores.

    Args:
        settings: of the job.
        records: everything on the streams: `fraud.records.arrival.RECORD_SCHEMA`.
        batch_of: the batch that each record was stored by; those without one are folded last.
    """
    last = max(batch_of.values(), default=0) + 1
    batch_ids = np.array([batch_of.get(record_id, last) for record_id in record_ids(records)], np.int64)
    intake = Intake.of(settings, open_answer_keys(settings.answers))
    path = FeaturePath(settings, GroupedStates(settings.job.key_groups).carry)
    files = policy_files(settings.policy.path, settings.aws)
    policies = open_policy(files, settings.money.base_currency, fields_of(catalogue_of(settings).features))
    pins = Pins(open_archive(settings.archive, settings.aws), settings.job.query)
    scorer = open_model(settings)
    decided: list[pa.Table] = []
    others: list[Records] = []
    for batch_id, batch in _batches(records, batch_ids):
        featured = path.advance(intake.read(batch))
        others.append(featured._replace(transactions=None))
        transactions = featured.transactions
        if transactions is not None and transactions.num_rows:
            pinned = pins.policy(batch_id)  # the one thing that is not in the streams
            policy = policies.current if pinned is None else policies.compile(pinned)
            verdicts = decide_unanswered(transactions, partial(decide, scorer=scorer, policy=policy))
            decided.append(
                pa.Table.from_arrays(
                    [*transactions.columns, *verdicts.columns],
                    names=[*transactions.schema.names, *verdicts.schema.names],
                )
            )
    together = joined(others)
    return Stored(
        pa.concat_tables(decided), _table(together.labels, _LABELS), _table(together.dead_letters, DEAD_LETTER_SCHEMA)
    )


def _table(batch: pa.RecordBatch | None, schema: pa.Schema) -> pa.Table:
    return schema.empty_table() if batch is None else pa.Table.from_batches([batch])


def _batches(
    records: pa.Table, batch_ids: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    for batch_id in np.unique(batch_ids).tolist():
        part = records.filter(pa.array(batch_ids == batch_id)).combine_chunks()
        yield batch_id, part.to_batches()[0]
