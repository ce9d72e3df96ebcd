"""What an entry of the outbox refers to, as events: made from what is kept, when it is needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import pyarrow.compute as pc

from adapters.alerts.alert import alert_item, subject_of
from adapters.alerts.dynamodb_items import stored_form
from adapters.alerts.table import AlertTable
from adapters.archive.archive import Archive
from adapters.archive.policies import stored_policy
from adapters.events.outbox import OfAlert, OfDecisions, OfList, OfPolicy, Reference
from adapters.policy.lists import ListStore
from fraud.decision.record import Outcome
from fraud.errors import MisconfiguredError
from fraud.events.event import (
    ChangedList,
    ChangedPolicy,
    Event,
    ListChanged,
    PolicyChanged,
    of_change,
    of_decision,
    rfc3339,
)

_COLUMNS = (
    "card_token", "transaction_id", "event_time", "customer_id", "merchant_id", "mcc", "merchant_country", "channel",
    "amount_minor", "currency", "billing_amount_minor", "device_id", "sent_at", "decided_at", "outcome", "severity",
    "score", "scored_by", "model_version", "policy_version", "rules", "reason_codes", "reasons",
)  # fmt: skip
_KEPT = 64
"""References whose events are kept in memory: every receiver asks for those that were collected last."""


class Rendering:
    """Makes events; safe to use from several threads.

    Args:
        archive: keeps decisions and policies.
        alerts: keep their history.
        lists: the store of living lists; None where there is none.
        source: the events' source.
    """

    def __init__(self, archive: Archive, alerts: AlertTable, lists: ListStore | None, source: str) -> None:
        self._archive = archive
        self._alerts = alerts
        self._lists = lists
        self._source = source
        self._known: OrderedDict[Reference, list[Event]] = OrderedDict()
        self._lock = threading.Lock()

    def events(self, reference: Reference) -> list[Event]:
        """The events of a reference, in their order; none of what was erased meanwhile.

        Raises:
            ServiceError: a store is out of reach.
            MisconfiguredError: what is kept cannot be read.
        """
        with self._lock:
            if reference in self._known:
                self._known.move_to_end(reference)
                return self._known[reference]
        found = self._made(reference)
        with self._lock:
            self._known[reference] = found
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found

    def _made(self, reference: Reference) -> list[Event]:
        match reference:
            case OfDecisions():
                return self._of_decisions(reference)
            case OfAlert():
                return self._of_alert(reference)
            case OfList():
                return self._of_list(reference)
            case OfPolicy():
                return [self._of_policy(reference)]

    def _of_decisions(self, reference: OfDecisions) -> list[Event]:
        try:
            table = self._archive.read_table(reference.key, _COLUMNS)
        except FileNotFoundError:  # the archive keeps it no longer
            return []
        alerted = table.filter(pc.not_equal(table["outcome"], Outcome.APPROVE.label))
        items = (stored_form(alert_item(row, {}, retention_days=1)) for row in alerted.to_pylist())
        return [event for item in items for event in of_decision(item, item["alert_id"], self._source)]

    def _of_alert(self, reference: OfAlert) -> list[Event]:
        item = self._alerts.get(reference.alert_id)
        return [] if item is None else of_change(item, reference.version, subject_of(item).key, self._source)

    def _of_list(self, reference: OfList) -> list[Event]:
        change = None if self._lists is None else self._lists.change(reference.number)
        if change is None or change.rewritten:
            return []
        data = ChangedList(
            list=change.name,
            kind=change.kind.value,
            of=change.of,
            version=change.version,
            put=len(change.put),
            removed=len(change.removed),
            deleted=change.gone,
            by=change.by,
            why=change.why,
        )
        at = rfc3339(change.at_ms)
        return [ListChanged(id=f"list-{change.version}", source=self._source, subject=change.name, time=at, data=data)]

    def _of_policy(self, reference: OfPolicy) -> Event:
        before, after = self._files(reference.before), self._files(reference.after)
        data = ChangedPolicy(
            before=reference.before,
            after=reference.after,
            query=reference.query,
            batch=reference.batch,
            files=sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)),
        )
        return PolicyChanged(
            id=f"policy-{reference.query}-{reference.batch}-{reference.after}",
            source=self._source,
            subject=reference.after,
            time=rfc3339(reference.at_ms),
            data=data,
        )

    def _files(self, version: str) -> dict[str, str]:
        """The files of a version; none of one that is not kept."""
        try:
            return dict(stored_policy(self._archive, version, None).files)
        except MisconfiguredError:
            return {}


Render = Callable[[Reference], list[Event]]
