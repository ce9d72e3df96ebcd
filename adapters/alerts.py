"""The alert table in DynamoDB: the first decision on a transaction wins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from adapters.aws import aws_client
from fraud.alert import STATUS_OPEN, WRITE_SHARDS, Item
from fraud.settings import Settings

_CONCURRENT_PUTS = 16

_serialise = TypeSerializer().serialize
_deserialise = TypeDeserializer().deserialize


class AlertTable:
    """Alerts as items; see `fraud.alert.alert_item`."""

    def __init__(self, settings: Settings) -> None:
        self._table = settings.alerts.table
        self._client = aws_client("dynamodb", settings.aws, max_connections=_CONCURRENT_PUTS)
        self._pool = ThreadPoolExecutor(_CONCURRENT_PUTS, thread_name_prefix="alerts")

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

    def newest(self, status: str = STATUS_OPEN, limit: int = 50) -> list[Item]:
        """Alerts of a status, newest decision first."""
        found = [item for shard in range(WRITE_SHARDS) for item in self._by_status(f"{status}#{shard}", limit)]
        return sorted(found, key=lambda item: (-item["decided_ms"], item["alert_id"]))[:limit]

    def _by_status(self, key: str, limit: int) -> Iterator[Item]:
        answer = self._client.query(
            TableName=self._table,
            IndexName="by_status",
            KeyConditionExpression="status_shard = :key",
            ExpressionAttributeValues={":key": {"S": key}},
            ScanIndexForward=False,
            Limit=limit,
        )
        return (_from_dynamodb(item) for item in answer["Items"])

    def all(self) -> Iterator[Item]:
        """Every alert, in no order: for checks and exports."""
        for page in self._client.get_paginator("scan").paginate(TableName=self._table):
            yield from (_from_dynamodb(item) for item in page["Items"])


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
