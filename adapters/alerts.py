"""The alert table in DynamoDB: the first decision on a transaction wins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from adapters.aws import Retries, aws_client
from fraud.alert import STATUS_OPEN, WRITE_SHARDS, Item, shard_of
from fraud.errors import MisconfiguredError
from fraud.settings import Settings

_CONCURRENT_PUTS = 16

_serialise = TypeSerializer().serialize
_deserialise = TypeDeserializer().deserialize


class AlertTable:
    """Alerts as items; see `fraud.alert.alert_item`.

    Attributes:
        retries: calls tried again.
    """

    def __init__(self, settings: Settings) -> None:
        self._table = settings.alerts.table
        self._client = aws_client("dynamodb", settings.aws, max_connections=_CONCURRENT_PUTS)
        self.retries = Retries(self._client)
        self._pool = ThreadPoolExecutor(_CONCURRENT_PUTS, thread_name_prefix="alerts")

    def require(self) -> None:
        """Stops a start without a table or the right to use it.

        Raises:
            MisconfiguredError: naming the table.
        """
        try:
            self._client.describe_table(TableName=self._table)
        except (BotoCoreError, ClientError) as error:
            raise MisconfiguredError("alerts.table", f"{self._table} cannot be used: {error}") from None

    def put_new(self, items: Sequence[Item]) -> list[bool]:
        """Puts alerts that are not there yet, several at a time.

        Throttled and failed puts are retried with backoff by the client.

        Returns:
            For each item whether it was new; False where an earlier decision stands.

        Raises:
            ClientError, BotoCoreError: the table could not be written after all retries.
        """
        return list(self._pool.map(self._put_new, items))

    def _put_new(self, item: Item) -> bool:
        try:
            self._client.put_item(
                TableName=self._table, Item=_to_dynamodb(item), ConditionExpression="attribute_not_exists(alert_id)"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def get(self, alert_id: str) -> Item | None:
        """One alert as it stands now; None where there is none."""
        answer = self._client.get_item(TableName=self._table, Key={"alert_id": {"S": alert_id}}, ConsistentRead=True)
        return _from_dynamodb(answer["Item"]) if "Item" in answer else None

    def newest(self, status: str = STATUS_OPEN, limit: int = 50) -> list[Item]:
        """Alerts of a status, newest decision first."""
        found = [
            item
            for shard in range(WRITE_SHARDS)
            for item in self._query("by_status", "status_shard", f"{status}#{shard}", limit)
        ]
        return sorted(found, key=_newest_decision)[:limit]

    def _query(self, index: str, attribute: str, key: str, limit: int) -> Iterator[Item]:
        answer = self._client.query(
            TableName=self._table,
            IndexName=index,
            KeyConditionExpression=f"{attribute} = :key",
            ExpressionAttributeValues={":key": {"S": key}},
            ScanIndexForward=False,
            Limit=limit,
        )
        return (_from_dynamodb(item) for item in answer["Items"])

    def of_card(self, card_token: str, limit: int = 50) -> list[Item]:
        """Alerts of a card, newest event first."""
        return list(self._query("by_card", "card_token", card_token, limit))

    def of_merchant(self, merchant_id: str, limit: int = 50) -> list[Item]:
        """Alerts of a merchant, newest event first."""
        return list(self._query("by_merchant", "merchant_id", merchant_id, limit))

    def of_day(self, day: str, limit: int = 50) -> list[Item]:
        """Alerts decided on a UTC day (`2026-01-15`), newest decision first."""
        found = [
            item
            for shard in range(WRITE_SHARDS)
            for item in self._query("by_day", "day_shard", f"{day}#{shard}", limit)
        ]
        return sorted(found, key=_newest_decision)[:limit]

    def set_status(self, alert_id: str, version: int, status: str, assignee: str | None, note: str | None) -> bool:
        """Changes status, assignee and note, unless someone else changed the alert since it was read.

        Args:
            alert_id: the alert.
            version: as it was read.
            status: the new status.
            assignee: who works on it; None for nobody.
            note: added to its notes; None adds nothing.

        Returns:
            Whether it was changed; False where the alert has another version by now, or is gone.
        """
        names = {"#status": "status", "#version": "version"}
        values = {":seen": version, ":new": version + 1, ":status": status, ":shard": f"{status}#{shard_of(alert_id)}"}
        sets = ["#status = :status", "#version = :new", "status_shard = :shard"]
        if assignee is not None:
            values[":assignee"] = assignee
            sets.append("assignee = :assignee")
        if note is not None:
            values |= {":note": [note], ":none": []}
            sets.append("notes = list_append(if_not_exists(notes, :none), :note)")
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"alert_id": {"S": alert_id}},
                UpdateExpression="SET " + ", ".join(sets) + (" REMOVE assignee" if assignee is None else ""),
                ConditionExpression="#version = :seen",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=_to_dynamodb(values),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def all(self) -> Iterator[Item]:
        """Every alert, in no order: for checks and exports."""
        for page in self._client.get_paginator("scan").paginate(TableName=self._table):
            yield from (_from_dynamodb(item) for item in page["Items"])


def _newest_decision(item: Item) -> tuple[int, str]:
    return -item["decided_ms"], item["alert_id"]


def stored_form(item: Item) -> Item:
    """An item as reading it back gives it: numbers rounded to what is stored."""
    return _from_dynamodb(_to_dynamodb(item))


def _to_dynamodb(item: Item) -> dict[str, Any]:
    return {name: _serialise(_exact(value)) for name, value in item.items()}


def _exact(value: Any) -> Any:
    """Floats as decimals, which is what DynamoDB numbers are."""
    if isinstance(value, float):
        return Decimal(format(value, ".12g"))
    if isinstance(value, dict):
        return {name: _exact(inner) for name, inner in value.items()}
    return value


def _from_dynamodb(item: dict[str, Any]) -> Item:
    return {name: _plain(_deserialise(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
