"""The alert table in DynamoDB: an item for each decision above approve, at the decision's key; the first one stays."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog

from adapters.alerts.alert import (
    CHANGED,
    LABEL_PENDING,
    LABEL_SENT,
    STATUS_OPEN,
    WRITE_SHARDS,
    AlertUpdate,
    Item,
    change_note,
    former_id,
    shard_of,
    subject_of,
)
from adapters.alerts.dynamodb_items import from_dynamodb, to_dynamodb
from adapters.alerts.pages import AlertPage, Span, page_of
from adapters.aws.backoff import Backoff
from adapters.aws.clients import Retries, aws_client
from adapters.aws.errors import may_pass
from fraud.decision.key import Subject
from fraud.errors import FatalError, MisconfiguredError, RetryableError, ServiceError
from fraud.settings import Alerts, Aws

log = structlog.get_logger()

BATCH = 25
"""Most statements of one BatchExecuteStatement (DynamoDB's quota)."""

GET_BATCH = 100
"""Most keys of one BatchGetItem (DynamoDB's quota)."""

_CONCURRENT_CALLS = 8
_ATTEMPTS = 10
_BACKOFF_S = 0.05
_LONGEST_BACKOFF_S = 2.0

_STANDING = "DuplicateItem"

_HANDOVER_MS = 300_000
"""Alerts decided before a program started, or this much later, may have been put by an earlier version of it, under
their former id; the clocks of the two may differ."""

_SUBJECT = Subject._fields

ALL_TIME = Span()


class AlertTable:
    """Alerts as items; see `adapters.alerts.alert.alert_item`. A receiver of alerts (`adapters.alerts.receiver`).

    Args:
        place: which table.
        aws: where DynamoDB is.
        attempts: most attempts of a call, with growing pauses; 5 give up after some 5 s, 10 after some 60 s.
        backoff: makes the pauses before items are put again.
        clock: seconds since the epoch.
        client: a DynamoDB client; None makes one.
        pool: makes calls at the same time; None makes one.
        announce: whether each change of an alert is noted in the same step, for `changes`.
    """

    name = "dynamodb"

    def __init__(
        self,
        place: Alerts,
        aws: Aws,
        attempts: int = 5,
        backoff: Callable[..., Backoff] = Backoff,
        clock: Callable[[], float] = time.time,
        client: Any = None,
        pool: Executor | None = None,
        announce: bool = False,
    ) -> None:
        self._table = place.table
        self._announce = announce
        self._handed_over_ms = clock() * 1000 + _HANDOVER_MS
        if client is None:
            client = aws_client("dynamodb", aws, max_connections=_CONCURRENT_CALLS, max_attempts=attempts)
        self._client = client
        self._make_backoff = backoff
        self._retries = Retries(self._client)
        self._pool = pool or ThreadPoolExecutor(_CONCURRENT_CALLS, thread_name_prefix="alerts")

    def require(self) -> None:
        """Stops a start without a table.

        Raises:
            MisconfiguredError: naming the table.
        """
        try:
            self._client.describe_table(TableName=self._table)
        except ServiceError as error:
            raise MisconfiguredError("alerts.table", f"{self._table} cannot be used: {error}") from None

    def require_writable(self) -> None:
        """Stops a start without the right to look for alerts or to put them: tries to put one without its key, which is
        never stored.

        Raises:
            MisconfiguredError: naming the table.
            RetryableError: the table was too busy to answer.
        """
        self.require()
        backoff = self._backoff()
        while True:
            try:
                self.get_many(["probe"], _SUBJECT)
                code, message = self._insert([{"probe": True}])[0] or ("", "")
            except ServiceError as error:
                code, message = error.code, str(error)
            if code == "ValidationError":
                return
            if not may_pass(code):
                raise MisconfiguredError("alerts.table", f"alerts cannot be put into {self._table}: {message or code}")
            if not backoff.pause():
                break
        raise RetryableError(f"{self._table} refused the trial {_ATTEMPTS} times: {message}")

    def take_retries(self) -> int:
        """How many calls and items were tried again since the last time this was asked."""
        return self._retries.take()

    def put_new(self, items: Sequence[Item]) -> list[bool]:
        """Puts alerts that are not there yet, in batches of which each item has an outcome of its own.

        Items that were throttled or met an error of the service are put again, with backoff and a bound; so are whole
        calls, by the client.

        Returns:
            For each item whether it was new; False where an earlier decision stands.

        Raises:
            RetryableError: some could not be put after all attempts; what was put stays, and counts as standing next
                time.
            FatalError: the table refused an item.
        """
        new = [False] * len(items)
        standing = self._put_by_an_earlier_version(items)
        first_of: dict[str, int] = {}
        for number, item in enumerate(items):
            if subject_of(item) not in standing:
                first_of.setdefault(item["alert_id"], number)
        waiting = list(first_of.values())
        backoff = self._backoff()
        while True:
            batches = [waiting[start : start + BATCH] for start in range(0, len(waiting), BATCH)]
            outcomes = self._pool.map(lambda batch: self._insert([items[number] for number in batch]), batches)
            failed: Counter[str] = Counter()
            waiting = []
            for batch, errors in zip(batches, outcomes, strict=True):
                for number, error in zip(batch, errors, strict=True):
                    new[number] = error is None
                    if error is not None and error[0] != _STANDING:
                        _require_retryable(items[number], *error)
                        failed[error[0]] += 1
                        waiting.append(number)
            if not waiting:
                return new
            self._retries.add(len(waiting))
            log.warning("alerts_put_again", attempt=backoff.retries + 1, **failed)
            if not backoff.pause():
                break
        raise RetryableError(f"{len(waiting)} alerts could not be put into {self._table} in {_ATTEMPTS} attempts")

    def _put_by_an_earlier_version(self, items: Sequence[Item]) -> set[Subject]:
        """Whose alerts stand under their former id: those of a batch that was begun before an upgrade."""
        maybe = {
            subject: former_id(subject)
            for subject, decided_ms in ((subject_of(item), item["decided_ms"]) for item in items)
            if decided_ms <= self._handed_over_ms
        }
        found = self.get_many(list(dict.fromkeys(maybe.values())), _SUBJECT)
        return {subject_of(item) for item in found} & maybe.keys()

    def _backoff(self) -> Backoff:
        """The pauses before what was refused is tried again."""
        return self._make_backoff(_BACKOFF_S, _LONGEST_BACKOFF_S, attempts=_ATTEMPTS)

    def _insert(self, items: Sequence[Item]) -> list[tuple[str, str] | None]:
        """Inserts items; for each None, or the code and message of its error. An insert never replaces an item."""
        statements = [
            {
                "Statement": f'INSERT INTO "{self._table}" VALUE {{{", ".join(f"{name!r}: ?" for name in item)}}}',
                "Parameters": list(to_dynamodb(item).values()),
            }
            for item in items
        ]
        answer = self._client.batch_execute_statement(Statements=statements)
        errors = (response.get("Error") for response in answer["Responses"])
        return [None if error is None else (error["Code"], error.get("Message", "")) for error in errors]

    def get(self, alert_id: str) -> Item | None:
        """One alert as it stands now; None where there is none. See `of_decisions` for those with a former id."""
        answer = self._client.get_item(TableName=self._table, Key={"alert_id": {"S": alert_id}}, ConsistentRead=True)
        return from_dynamodb(answer["Item"]) if "Item" in answer else None

    def newest(
        self, status: str = STATUS_OPEN, limit: int = 50, cursor: str | None = None, span: Span = ALL_TIME
    ) -> AlertPage:
        """Alerts of a status, newest decision first.

        Args:
            status: the status.
            limit: most alerts of the page.
            cursor: of the page before; None begins with the newest.
            span: only those decided in it.

        Raises:
            CursorError: the cursor is not one.
        """
        keys = [f"{status}#{shard}" for shard in range(WRITE_SHARDS)]
        return self._page("by_status", "status_shard", keys, "decided_ms", span, limit, cursor)

    def of_card(self, card_token: str, limit: int = 50, cursor: str | None = None) -> AlertPage:
        """Alerts of a card, newest event first; see `newest`."""
        return self._page("by_card", "card_token", [card_token], "event_ms", ALL_TIME, limit, cursor)

    def of_merchant(self, merchant_id: str, limit: int = 50, cursor: str | None = None) -> AlertPage:
        """Alerts of a merchant, newest event first; see `newest`."""
        return self._page("by_merchant", "merchant_id", [merchant_id], "event_ms", ALL_TIME, limit, cursor)

    def of_day(self, day: dt.date, status: str | None = None, limit: int = 50, cursor: str | None = None) -> AlertPage:
        """Alerts decided on a UTC day, all or those of a status, newest decision first; see `newest`."""
        if status is not None:
            begin_ms = int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp() * 1000)
            return self.newest(status, limit, cursor, Span(begin_ms, begin_ms + 86_400_000 - 1))
        keys = [f"{day.isoformat()}#{shard}" for shard in range(WRITE_SHARDS)]
        return self._page("by_day", "day_shard", keys, "decided_ms", ALL_TIME, limit, cursor)

    def _page(
        self, index: str, attribute: str, keys: Sequence[str], sort: str, span: Span, limit: int, cursor: str | None
    ) -> AlertPage:
        reads = [partial(self._read, index, attribute, key, sort) for key in keys]
        return page_of(reads, sort, span, limit, cursor, self._pool)

    def _read(
        self,
        index: str,
        attribute: str,
        key: str,
        sort: str,
        span: Span,
        at_a_time: int,
        attributes: Sequence[str] = (),
    ) -> Iterator[Item]:
        pages = self._client.pages(
            "query",
            TableName=self._table,
            IndexName=index,
            KeyConditionExpression=f"{attribute} = :key AND {sort} BETWEEN :since AND :until",
            ExpressionAttributeValues=to_dynamodb({":key": key, ":since": span.since_ms, ":until": span.until_ms}),
            ScanIndexForward=False,
            PaginationConfig={"PageSize": at_a_time},
            **_projection(attributes),
        )
        for page in pages:
            for item in page["Items"]:
                yield from_dynamodb(item)

    def each(self, status: str, span: Span = ALL_TIME, attributes: Sequence[str] = ()) -> Iterator[Item]:
        """Every alert of a status decided in a span, in no order; see `newest` for pages.

        Args:
            status: the status.
            span: only those decided in it.
            attributes: names of what is needed; empty gives whole items.
        """
        for shard in range(WRITE_SHARDS):
            yield from self._read(
                "by_status", "status_shard", f"{status}#{shard}", "decided_ms", span, 1_000, attributes
            )

    def get_many(self, alert_ids: Sequence[str], attributes: Sequence[str] = ()) -> list[Item]:
        """Those of the alerts that are there, as they stand now, in no order; whole, or some attributes of them."""
        found: list[Item] = []
        projection = _projection(attributes)
        for start in range(0, len(alert_ids), GET_BATCH):
            keys = [{"alert_id": {"S": identifier}} for identifier in alert_ids[start : start + GET_BATCH]]
            wanted = {self._table: {"Keys": keys, "ConsistentRead": True, **projection}}
            backoff = self._backoff()
            while wanted:
                answer = self._client.batch_get_item(RequestItems=wanted)
                found += [from_dynamodb(item) for item in answer["Responses"].get(self._table, [])]
                wanted = answer.get("UnprocessedKeys") or {}
                if wanted and not backoff.pause():
                    raise RetryableError(f"alerts could not be read from {self._table} in {_ATTEMPTS} attempts")
        return found

    def of_decisions(self, subjects: Iterable[Subject]) -> list[Item]:
        """The alerts on decisions, those that have any, in no order; also where they stand under their former id."""
        wanted = set(subjects)
        ids = dict.fromkeys(known for subject in wanted for known in (subject.key, former_id(subject)))
        return [item for item in self.get_many(list(ids)) if subject_of(item) in wanted]

    def update(self, alert_id: str, version: int, update: AlertUpdate) -> bool:
        """Changes an alert, unless someone else changed it since it was read.

        Args:
            alert_id: the alert.
            version: as it was read.
            update: what becomes of it.

        Returns:
            Whether it was changed; False where the alert has another version or another label due by now, or is gone.
        """
        index = LABEL_PENDING if update.label is not None else update.status
        values: Item = {
            ":seen": version,
            ":new": version + 1,
            ":status": update.status,
            ":shard": f"{index}#{shard_of(alert_id)}",
            ":entry": [update.entry],
            ":none": [],
        }
        sets = ["#status = :status", "#version = :new", "status_shard = :shard"]
        sets.append("history = list_append(if_not_exists(history, :none), :entry)")
        removes = []
        set_or_not = {"assignee": update.assignee, LABEL_PENDING: update.label, **update.attributes}
        for name, value in set_or_not.items():
            if value is None:
                removes.append(name)
            else:
                values[f":{name}"] = value
                sets.append(f"{name} = :{name}")
        condition = "#version = :seen AND "
        if update.due is None:
            condition += f"attribute_not_exists({LABEL_PENDING})"
        else:
            condition += f"{LABEL_PENDING} = :due"
            values[":due"] = update.due
        remove = f" REMOVE {', '.join(removes)}" if removes else ""
        note = change_note(alert_id, version + 1, update.entry["at_ms"]) if self._announce else None
        return self._update(alert_id, "SET " + ", ".join(sets) + remove, condition, values, note)

    def take_label(self, alert_id: str, due: Item, taken: Item) -> bool:
        """Replaces the label that is due, so that one program alone writes it; False where it is not due any more."""
        values = {":taken": taken, ":due": due}
        return self._update(alert_id, f"SET {LABEL_PENDING} = :taken", f"{LABEL_PENDING} = :due", values)

    def label_written(self, alert_id: str, status: str, taken: Item) -> bool:
        """Takes the mark of a written label from an alert of a status; False where another one is due by now."""
        values = {":shard": f"{status}#{shard_of(alert_id)}", ":taken": taken, ":verdict": taken["verdict"]}
        change = f"SET status_shard = :shard, {LABEL_SENT} = :verdict REMOVE {LABEL_PENDING}"
        return self._update(alert_id, change, f"{LABEL_PENDING} = :taken", values)

    def _update(self, alert_id: str, change: str, condition: str, values: Item, note: Item | None = None) -> bool:
        """Changes an item under a condition, and puts a note of it in the same step; False where it does not hold."""
        names = {"#status": "status", "#version": "version"}
        used = {key: name for key, name in names.items() if key in change + condition}
        call = {
            "TableName": self._table,
            "Key": {"alert_id": {"S": alert_id}},
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": to_dynamodb(values),
            **({"ExpressionAttributeNames": used} if used else {}),
        }
        try:
            if note is None:
                self._client.update_item(**call)
            else:
                put = {"TableName": self._table, "Item": to_dynamodb(note)}
                self._client.transact_write_items(TransactItems=[{"Update": call}, {"Put": put}])
        except ServiceError as error:
            # Of a transaction the words alone say which condition failed; one that met another is as if it had come
            # second.
            said = f"{error.code} {error.detail}"
            if "ConditionalCheckFailed" in said or "TransactionConflict" in said:
                return False
            raise
        return True

    def changes(self) -> list[Item]:
        """The notes of changes that nobody has taken yet (`adapters.alerts.alert.change_note`), oldest first."""
        noted = [item["alert_id"] for item in self.each(CHANGED, attributes=("alert_id",))]
        # The index lags behind: what it still lists may be taken.
        return sorted(self.get_many(noted), key=lambda item: (item["decided_ms"], item["changed_version"]))

    def delete(self, alert_id: str) -> None:
        """Removes an alert, if it is there, for the erasure of a cardholder; or the note of a change that was taken."""
        self._client.delete_item(TableName=self._table, Key={"alert_id": {"S": alert_id}})

    def all(self) -> Iterator[Item]:
        """Every alert, in no order: for checks and exports."""
        for page in self._client.pages("scan", TableName=self._table):
            yield from (from_dynamodb(item) for item in page["Items"] if "transaction_id" in item)  # else a note


def _projection(attributes: Sequence[str]) -> dict[str, Any]:
    names = {f"#{place}": name for place, name in enumerate(attributes)}
    return {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names} if names else {}


def _require_retryable(item: Item, code: str, message: str) -> None:
    if not may_pass(code):
        raise FatalError(
            f"the alert {item['alert_id']} on transaction {item['transaction_id']} was refused: {code}: {message}"
        )
