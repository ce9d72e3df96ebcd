"""The alert table in DynamoDB: the first decision on a transaction wins."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from adapters.alert_pages import Page, Span, page_of
from adapters.aws import Retries, aws_client
from adapters.dynamodb_items import from_dynamodb, to_dynamodb
from fraud.alert import LABEL_PENDING, STATUS_OPEN, WRITE_SHARDS, AlertUpdate, Item, shard_of
from fraud.errors import FatalError, MisconfiguredError, RetryableError
from fraud.settings import Settings

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
_RETRYABLE = {
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "InternalServerError",
    "TransactionConflict",
}
"""Codes of one statement's error (BatchStatementError) that pass by themselves."""

ALL_TIME = Span()


class AlertTable:
    """Alerts as items; see `fraud.alert.alert_item`.

    Args:
        settings: which table, and where.
        attempts: most attempts of a call; see `adapters.archive.Archive`.
        pause: waits so many seconds before items are put again.

    Attributes:
        retries: calls and items tried again.
    """

    def __init__(self, settings: Settings, attempts: int = 5, pause: Callable[[float], object] = time.sleep) -> None:
        self._table = settings.alerts.table
        self._client = aws_client("dynamodb", settings.aws, max_connections=_CONCURRENT_CALLS, max_attempts=attempts)
        self._pause = pause
        self.retries = Retries(self._client)
        self._pool = ThreadPoolExecutor(_CONCURRENT_CALLS, thread_name_prefix="alerts")

    def require(self) -> None:
        """Stops a start without a table.

        Raises:
            MisconfiguredError: naming the table.
        """
        try:
            self._client.describe_table(TableName=self._table)
        except (BotoCoreError, ClientError) as error:
            raise MisconfiguredError("alerts.table", f"{self._table} cannot be used: {error}") from None

    def require_writable(self) -> None:
        """Stops a start without the right to put alerts: tries to put one without its key, which is never stored.

        Raises:
            MisconfiguredError: naming the table.
            RetryableError: the table was too busy to tell.
        """
        self.require()
        for attempt in range(_ATTEMPTS):
            try:
                code, message = self._insert([{"probe": True}])[0] or ("", "")
            except (BotoCoreError, ClientError) as error:
                code, message = "", str(error)
            if code == "ValidationError":
                return
            if code not in _RETRYABLE:
                raise MisconfiguredError("alerts.table", f"alerts cannot be put into {self._table}: {message or code}")
            self._back_off(attempt)
        raise RetryableError(f"{self._table} refused to be tried {_ATTEMPTS} times: {message}")

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
        first_of: dict[str, int] = {}
        for number, item in enumerate(items):
            first_of.setdefault(item["alert_id"], number)
        waiting = list(first_of.values())
        for attempt in range(_ATTEMPTS):
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
            self.retries.add(len(waiting))
            log.warning("alerts_put_again", attempt=attempt + 1, **failed)
            self._back_off(attempt)
        raise RetryableError(f"{len(waiting)} alerts could not be put into {self._table} in {_ATTEMPTS} attempts")

    def _back_off(self, attempt: int) -> None:
        """Waits before what was refused is tried again, longer each time."""
        self._pause(random.uniform(0.0, min(_LONGEST_BACKOFF_S, _BACKOFF_S * 2**attempt)))

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
        """One alert as it stands now; None where there is none."""
        answer = self._client.get_item(TableName=self._table, Key={"alert_id": {"S": alert_id}}, ConsistentRead=True)
        return from_dynamodb(answer["Item"]) if "Item" in answer else None

    def newest(
        self, status: str = STATUS_OPEN, limit: int = 50, cursor: str | None = None, span: Span = ALL_TIME
    ) -> Page:
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

    def of_card(self, card_token: str, limit: int = 50, cursor: str | None = None) -> Page:
        """Alerts of a card, newest event first; see `newest`."""
        return self._page("by_card", "card_token", [card_token], "event_ms", ALL_TIME, limit, cursor)

    def of_merchant(self, merchant_id: str, limit: int = 50, cursor: str | None = None) -> Page:
        """Alerts of a merchant, newest event first; see `newest`."""
        return self._page("by_merchant", "merchant_id", [merchant_id], "event_ms", ALL_TIME, limit, cursor)

    def of_day(self, day: dt.date, status: str | None = None, limit: int = 50, cursor: str | None = None) -> Page:
        """Alerts decided on a UTC day, all or those of a status, newest decision first; see `newest`."""
        if status is not None:
            begin_ms = int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp() * 1000)
            return self.newest(status, limit, cursor, Span(begin_ms, begin_ms + 86_400_000 - 1))
        keys = [f"{day.isoformat()}#{shard}" for shard in range(WRITE_SHARDS)]
        return self._page("by_day", "day_shard", keys, "decided_ms", ALL_TIME, limit, cursor)

    def _page(
        self, index: str, attribute: str, keys: Sequence[str], sort: str, span: Span, limit: int, cursor: str | None
    ) -> Page:
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
        pages = self._client.get_paginator("query").paginate(
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
            for attempt in range(_ATTEMPTS):
                answer = self._client.batch_get_item(RequestItems=wanted)
                found += [from_dynamodb(item) for item in answer["Responses"].get(self._table, [])]
                wanted = answer.get("UnprocessedKeys") or {}
                if not wanted:
                    break
                self._back_off(attempt)
            else:
                raise RetryableError(f"alerts could not be read from {self._table} in {_ATTEMPTS} attempts")
        return found

    def update(self, alert_id: str, version: int, update: AlertUpdate) -> bool:
        """Changes an alert, unless someone else changed it since it was read.

        Args:
            alert_id: the alert.
            version: as it was read.
            update: what becomes of it.

        Returns:
            Whether it was changed; False where the alert has another version by now, or is gone.
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
        for name, value in (("assignee", update.assignee), (LABEL_PENDING, update.label)):
            if value is not None:
                values[f":{name}"] = value
                sets.append(f"{name} = :{name}")
        remove = " REMOVE assignee" if update.assignee is None else ""
        return self._update(alert_id, "SET " + ", ".join(sets) + remove, "#version = :seen", values)

    def label_written(self, alert_id: str, status: str) -> bool:
        """Takes the label's mark from a closed alert; whether it was still there."""
        values = {":shard": f"{status}#{shard_of(alert_id)}", ":status": status}
        change = f"SET status_shard = :shard REMOVE {LABEL_PENDING}"
        return self._update(alert_id, change, f"attribute_exists({LABEL_PENDING}) AND #status = :status", values)

    def _update(self, alert_id: str, change: str, condition: str, values: Item) -> bool:
        names = {"#status": "status", "#version": "version"}
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"alert_id": {"S": alert_id}},
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeNames={key: name for key, name in names.items() if key in change + condition},
                ExpressionAttributeValues=to_dynamodb(values),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def delete(self, alert_id: str) -> None:
        """Removes an alert, if it is there: for the erasure of a cardholder alone."""
        self._client.delete_item(TableName=self._table, Key={"alert_id": {"S": alert_id}})

    def all(self) -> Iterator[Item]:
        """Every alert, in no order: for checks and exports."""
        for page in self._client.get_paginator("scan").paginate(TableName=self._table):
            yield from (from_dynamodb(item) for item in page["Items"])


def _projection(attributes: Sequence[str]) -> dict[str, Any]:
    names = {f"#{place}": name for place, name in enumerate(attributes)}
    return {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names} if names else {}


def _require_retryable(item: Item, code: str, message: str) -> None:
    if code not in _RETRYABLE:
        raise FatalError(f"the alert of transaction {item['transaction_id']} was refused: {code}: {message}")
