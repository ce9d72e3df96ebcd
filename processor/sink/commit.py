"""Commits one partition of one batch: decisions to S3 first, alerts from what stands there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from adapters.alerts.alert import alert_item
from adapters.alerts.receiver import AlertReceiver
from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind, kind_of_key, partition_of_key
from adapters.archive.pins import Pin, Pins
from adapters.archive.policies import stored_policy
from adapters.archive.tables import decision_table
from adapters.policy.source import PolicySource
from adapters.program.metrics import EVENT_TO_ALERT_S
from fraud.decision.answers import decide_unanswered
from fraud.decision.decide import decide
from fraud.decision.policy.bundle import files_version, lists_version
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.record import Outcome
from fraud.errors import MisconfiguredError
from fraud.features import catalogue_of
from fraud.pinned import pinned_settings
from fraud.records import Records
from fraud.records.fate import places, without
from fraud.records.notes import totals
from fraud.records.schema import TIMESTAMP_MS
from processor.run import Run
from processor.scoring import Scoring
from processor.sink.accounting import Times, account, waited_ms
from processor.sink.report import Committed, EndpointCounts, GroupSize, Latencies

_POLICY_REFRESH_S = 5.0

log = structlog.get_logger()


class PartitionCommitter:
    """Commits partitions; kept by a worker over many batches.

    Args:
        run: what batches are decided by; its query's name is part of every key.
        archive: takes decisions, labels and dead letters, and holds the pins.
        receivers: get the alerts, in this order.
        scoring: what scores transactions.
        policies: the policy in force.
        clock: monotonic seconds, between two looks for a new policy.
        now_ms: UTC milliseconds.
    """

    def __init__(
        self,
        run: Run,
        archive: Archive,
        receivers: Sequence[AlertReceiver],
        scoring: Scoring,
        policies: PolicySource,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._run = run
        self._query = run.settings.job.query
        self.catalogue = catalogue_of(run.settings)
        self._archive = archive
        self._receivers = receivers
        self._scoring = scoring
        self._policies = policies
        self._retention_days = run.settings.alerts.retention_days
        self._clock = clock
        self._now_ms = now_ms
        self._pins = Pins(archive, self._query, policies.lists)
        self._refreshed_at = clock()

    def commit(self, batch_id: int, partition: int, assembled: Records) -> Committed:
        """Decides and stores; repeated after a failure it finds what it stored and goes on from there.

        What was answered in the call stays as it was answered.

        Args:
            batch_id: Spark's number of the batch.
            partition: the sink partition.
            assembled: its records, each kind in arrival order.

        Raises:
            FatalError: another run is at this batch, or another attempt stored other records in place of these.
        """
        committed = Committed()
        if any(True for _ in assembled.stored.kinds()):
            committed = self._commit(batch_id, partition, assembled.stored)
        if assembled.notes is not None:
            committed.notes = totals(assembled.notes)
        if assembled.sizes is not None:
            committed.sizes = [GroupSize(**row) for row in assembled.sizes.to_pylist()]
        committed.retries = {"s3": self._archive.take_retries()} | {
            receiver.name: receiver.take_retries() for receiver in self._receivers
        }
        return committed

    def _commit(self, batch_id: int, partition: int, assembled: Records) -> Committed:
        featured_ms = self._now_ms()
        stored: dict[ArchiveKind, pa.Table] = {}
        taken: list[pa.Array] = []
        if self._run.repeats(batch_id):
            earlier = self._run.stored(self._archive, batch_id)
            stored = earlier.among(assembled)
            taken = [*(places(table) for table in stored.values()), earlier.erased(assembled)]
        fresh = without(assembled, taken)
        policy = self._policy_in_force()
        pin = self._pin(batch_id, policy, assembled)
        decisions = [stored[ArchiveKind.DECISIONS]] if ArchiveKind.DECISIONS in stored else []
        decided_ms = featured_ms
        if fresh.transactions is not None:
            decided = self._decide(self._run.number_of(batch_id), fresh.transactions, self._pinned_policy(pin, policy))
            decided_ms = self._now_ms()
            decisions.append(self._keep(ArchiveKind.DECISIONS, batch_id, partition, pin, decided))
        stored_ms = self._now_ms()
        committed = Committed()
        if decisions:
            committed = self._alert(pa.concat_tables(decisions), featured_ms, decided_ms, stored_ms)
        for kind, part in ((ArchiveKind.LABELS, fresh.labels), (ArchiveKind.DEAD_LETTERS, fresh.dead_letters)):
            if part is not None:
                self._keep(kind, batch_id, partition, pin, pa.Table.from_batches([part]))
        if fresh.dead_letters is not None:
            committed.dead_letters = Counter(fresh.dead_letters["reason"].to_pylist())
        return committed

    def _alert(self, decisions: pa.Table, featured_ms: int, decided_ms: int, stored_ms: int) -> Committed:
        """Hands alerts over as they follow from stored decisions, and counts both."""
        alerted = decisions.filter(pc.not_equal(decisions["outcome"], Outcome.APPROVE.label))
        new = self._hand_over(alerted)
        alerted_ms = self._now_ms()
        committed = account(decisions, Times(featured_ms, decided_ms, stored_ms, alerted_ms))
        committed.alerts_put = {name: int(taken.sum()) for name, taken in new.items()}
        anywhere = np.logical_or.reduce(list(new.values())) if new else np.zeros(alerted.num_rows, bool)
        committed.alert = Latencies.of(EVENT_TO_ALERT_S, waited_ms(alerted, alerted_ms)[anywhere])
        committed.endpoint = EndpointCounts.of(self._scoring.usage.take())
        return committed

    def _decide(self, number: int, transactions: pa.RecordBatch, policy: CompiledPolicy) -> pa.Table:
        by = partial(decide, scorer=self._scoring.scorer, policy=policy, challenger=self._scoring.challenger)
        verdicts = decide_unanswered(transactions, by)
        decided_at = pa.scalar(self._now_ms(), pa.int64()).cast(TIMESTAMP_MS)
        at = verdicts["decided_at"].fill_null(decided_at)
        return decision_table(transactions, verdicts, number, at, self.catalogue)

    def _hand_over(self, alerted: pa.Table) -> dict[str, npt.NDArray[np.bool_]]:
        """Gives alerts to every receiver; which of them were new to each, by its name."""
        names = self.catalogue.names
        items = [
            alert_item(row, {name: row[name] for name in names}, self._retention_days) for row in alerted.to_pylist()
        ]
        return {receiver.name: np.array(receiver.put_new(items), bool) for receiver in self._receivers}

    def _policy_in_force(self) -> CompiledPolicy:
        if self._clock() - self._refreshed_at > _POLICY_REFRESH_S:
            self._policies.refresh()
            self._refreshed_at = self._clock()
        return self._policies.refresh_lists()

    def _pin(self, batch_id: int, policy: CompiledPolicy, assembled: Records) -> Pin:
        number, model_version = self._run.number_of(batch_id), self._scoring.scorer.model_version
        first_ms = next(part["arrival_ms"][0].as_py() for _, part in assembled.kinds())
        own = Pin(
            policy.version,
            model_version,
            pinned_settings(self._run.settings_of(batch_id)),
            self._run.id,
            self._run.program,
            first_ms,
        )
        pin = self._pins.pin(number, own, policy.bundle, self._run.runs_of(batch_id))
        if pin.model_version not in (None, model_version):
            # Only a batch that was begun before another model was deployed; each decision names what scored it.
            log.error("model_is_not_the_pinned", batch=number, pinned=pin.model_version, scoring=model_version)
        return pin

    def _pinned_policy(self, pin: Pin, current: CompiledPolicy) -> CompiledPolicy:
        if pin.policy_version == current.version:
            return current
        try:
            return self._compile_stored(pin.policy_version)
        except MisconfiguredError as error:
            # Only a batch that another version of the program began; each decision names the policy that made it.
            log.error(
                "policy_is_not_the_pinned", pinned=pin.policy_version, deciding=current.version, problem=str(error)
            )
            return current

    @lru_cache(maxsize=4)  # noqa: B019 - a worker keeps one committer for its whole life
    def _compile_stored(self, version: str) -> CompiledPolicy:
        current, lists = self._policies.current, self._policies.lists
        if lists is not None and files_version(version) == current.bundle.files_version:
            return current.with_lists(lists.at(lists_version(version)))
        return self._policies.compile(stored_policy(self._archive, version, self._policies.lists))

    def _keep(self, kind: ArchiveKind, batch_id: int, partition: int, pin: Pin, table: pa.Table) -> pa.Table:
        """Stores records of a partition; gives back what stands."""
        arrival_ms = table["arrival_ms"][0].as_py() if pin.arrival_ms is None else pin.arrival_ms
        left = [
            key
            for key in self._run.objects_of(batch_id)
            if kind_of_key(key) is kind and partition_of_key(key) == partition
        ]
        key = kind.key(self._query, self._run.number_of(batch_id), partition, arrival_ms, len(left))
        return self._archive.put_records_once(key, table, self._run.program)
