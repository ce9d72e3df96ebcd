"""Commits one partition of one batch: decisions to S3 first, alerts from what stands there."""

from __future__ import annotations

import time
from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from adapters.alerts import AlertTable
from adapters.archive import Archive
from adapters.endpoint_usage import EndpointUsage
from adapters.policy_source import PolicySource, open_policy
from fraud.alert import alert_item
from fraud.archive_layout import ArchiveKind
from fraud.decide import decide
from fraud.decision import Outcome, decision_schema
from fraud.features import EXACT_FIELDS, FEATURE_FIELDS
from fraud.metrics import EVENT_TO_ALERT_S, EVENT_TO_DECISION_S
from fraud.policy.compiled import CompiledPolicy
from fraud.policy.compiler import compile_policy
from fraud.rules.fields import Fields, fields_of
from fraud.schema import TIMESTAMP_MS
from fraud.settings import Settings
from processor.scoring import open_challenger, open_scorer
from processor.sink.assemble import Assembled
from processor.sink.pin import Pins, stored_policy
from processor.sink.report import Committed, EndpointCounts, Latencies, Moments

DECISION_SCHEMA = decision_schema([*FEATURE_FIELDS, *EXACT_FIELDS])
_POLICY_REFRESH_S = 5.0
_ATTEMPTS = 10
"""Of a call, so that a store which is away for a minute delays the job and does not end it."""

_RULE_COLUMNS = {
    "fired": "rules",
    "shadow": "shadow_rules",
    "silenced": "silenced_rules",
    "undefined": "undefined_rules",
}

log = structlog.get_logger()


class PartitionCommitter:
    """Commits partitions; kept by a worker over many batches.

    Args:
        settings: all settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._archive = Archive(settings, _ATTEMPTS)
        self._pins = Pins(self._archive, settings.job.query)
        self._alerts = AlertTable(settings, _ATTEMPTS)
        self._endpoint_usage = EndpointUsage()
        self._scorer = open_scorer(settings, self._endpoint_usage)
        self._challenger = open_challenger(settings)
        self._fields: Fields = fields_of(FEATURE_FIELDS)
        self._policies: PolicySource = open_policy(settings, self._fields)
        self._refreshed_at = time.monotonic()

    def commit(self, batch_id: int, partition: int, assembled: Assembled) -> Committed:
        """Decides and stores; repeated after a failure it finds what it stored and goes on from there."""
        committed = Committed()
        if assembled.transactions is not None:
            self._commit_decisions(batch_id, partition, assembled.transactions, committed)
        if assembled.labels is not None:
            self._keep(ArchiveKind.LABELS, batch_id, partition, assembled.labels)
        if assembled.dead_letters is not None:
            self._keep(ArchiveKind.DEAD_LETTERS, batch_id, partition, assembled.dead_letters)
            committed.dead_letters = Counter(assembled.dead_letters["reason"].to_pylist())
        committed.retries = {"s3": self._archive.retries.take(), "dynamodb": self._alerts.retries.take()}
        return committed

    def _commit_decisions(
        self, batch_id: int, partition: int, transactions: pa.RecordBatch, committed: Committed
    ) -> None:
        featured_ms = _now_ms()
        key = self._key(ArchiveKind.DECISIONS, batch_id, partition, transactions)
        policy = self._pinned_policy(batch_id)
        decided = self._decide(batch_id, transactions, policy)
        decided_ms = _now_ms()
        decisions = self._archive.put_table_once(key, decided)
        stored_ms = _now_ms()
        sent_ms = _milliseconds(decisions["sent_at"])
        committed.decision = Latencies.of(EVENT_TO_DECISION_S, stored_ms - sent_ms)
        committed.outcomes = Counter(decisions["outcome"].to_pylist())
        committed.scored_by = Counter(decisions["scored_by"].to_pylist())
        committed.endpoint = EndpointCounts.of(self._endpoint_usage.take())
        committed.rules = {
            result: Counter(pc.list_flatten(decisions[column]).to_pylist()) for result, column in _RULE_COLUMNS.items()
        }
        committed.inexact = {
            field.name.removeprefix("exact_"): pc.sum(pc.invert(decisions[field.name]), min_count=0).as_py()
            for field in EXACT_FIELDS
        }
        self._put_alerts(decisions.filter(pc.not_equal(decisions["outcome"], Outcome.APPROVE.label)), committed)
        count = decisions.num_rows
        committed.moments = Moments(
            transactions=count,
            sent=int(sent_ms.sum()),
            arrived=pc.sum(decisions["arrival_ms"]).as_py(),
            featured=featured_ms * count,
            decided=decided_ms * count,
            stored=stored_ms * count,
            alerted=_now_ms() * count,
        )

    def _decide(self, batch_id: int, transactions: pa.RecordBatch, policy: CompiledPolicy) -> pa.Table:
        verdicts = decide(transactions, self._scorer, policy, self._challenger)
        decided_at = pa.scalar(_now_ms(), pa.int64()).cast(TIMESTAMP_MS)
        columns: dict[str, Any] = {name: transactions[name] for name in transactions.schema.names}
        columns |= {name: verdicts[name] for name in verdicts.schema.names}
        columns["batch_id"] = pa.repeat(pa.scalar(batch_id, pa.int64()), transactions.num_rows)
        columns["decided_at"] = pa.repeat(decided_at, transactions.num_rows)
        return pa.Table.from_arrays([columns[name] for name in DECISION_SCHEMA.names], schema=DECISION_SCHEMA)

    def _put_alerts(self, alerted: pa.Table, committed: Committed) -> None:
        names = [field.name for field in FEATURE_FIELDS]
        items = [
            alert_item(row, {name: row[name] for name in names}, self._settings.alerts.retention_days)
            for row in alerted.to_pylist()
        ]
        new = np.array(self._alerts.put_new(items), bool)
        readable_ms = _now_ms()
        committed.alerts_put = int(new.sum())
        committed.alert = Latencies.of(EVENT_TO_ALERT_S, (readable_ms - _milliseconds(alerted["sent_at"]))[new])

    def _pinned_policy(self, batch_id: int) -> CompiledPolicy:
        if time.monotonic() - self._refreshed_at > _POLICY_REFRESH_S:
            self._policies.refresh()
            self._refreshed_at = time.monotonic()
        current = self._policies.current
        model_version = self._scorer.model_version
        pin = self._pins.pin(batch_id, current.bundle, model_version)
        if pin.model_version not in (None, model_version):
            # Only a batch that was begun before another model was deployed; each decision names what scored it.
            log.error("model_is_not_the_pinned", batch=batch_id, pinned=pin.model_version, scoring=model_version)
        if pin.policy_version == current.version:
            return current
        return self._compile_stored(pin.policy_version)

    @lru_cache(maxsize=4)  # noqa: B019 - a worker keeps one committer for its whole life
    def _compile_stored(self, version: str) -> CompiledPolicy:
        bundle = stored_policy(self._archive, version)
        return compile_policy(bundle, self._fields, self._settings.money.base_currency)

    def _keep(self, kind: ArchiveKind, batch_id: int, partition: int, records: pa.RecordBatch) -> None:
        key = self._key(kind, batch_id, partition, records)
        self._archive.put_table_once(key, pa.Table.from_batches([records]))

    def _key(self, kind: ArchiveKind, batch_id: int, partition: int, records: pa.RecordBatch) -> str:
        first_arrival_ms = records["arrival_ms"][0].as_py()
        return kind.key(self._settings.job.query, batch_id, partition, first_arrival_ms)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _milliseconds(times: pa.ChunkedArray) -> Any:
    return times.cast(pa.int64()).to_numpy()
