"""Creates what the system needs on an endpoint: streams, the alert table, the bucket. Safe to repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapters.aws.clients import aws_client
from fraud.errors import MisconfiguredError, ServiceError
from fraud.settings import Settings

_EXISTS = {"ResourceInUseException", "BucketAlreadyOwnedByYou", "BucketAlreadyExists"}

ALERT_INDEXES = {
    "by_status": ("status_shard", "decided_ms"),
    "by_card": ("card_token", "event_ms"),
    "by_merchant": ("merchant_id", "event_ms"),
    "by_day": ("day_shard", "decided_ms"),
}
"""Indexes of the alert table with partition key (string) and sort key (number)."""


def provision(settings: Settings) -> list[str]:
    """Creates what is missing and waits until it can be used.

    Returns:
        A line for each resource, saying whether it was created or there.

    Raises:
        MisconfiguredError: the endpoint does not answer or refuses; the message names the resource.
    """
    kinesis, dynamodb, s3 = (aws_client(service, settings.aws) for service in ("kinesis", "dynamodb", "s3"))
    lines = [_create_stream(kinesis, name, settings.streams.shards) for name in _streams(settings)]
    table = settings.alerts.table
    lines.append(
        _create(
            f"table {table}",
            lambda: dynamodb.create_table(**_table(table)),
            lambda: dynamodb.get_waiter("table_exists").wait(
                TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 180}
            ),
        )
    )
    _expire(dynamodb, table)
    bucket = settings.archive.bucket
    location = {} if settings.aws.region == "us-east-1" else {"LocationConstraint": settings.aws.region}
    configuration = {"CreateBucketConfiguration": location} if location else {}
    lines.append(_create(f"bucket {bucket}", lambda: s3.create_bucket(Bucket=bucket, **configuration), lambda: None))
    return lines


def _streams(settings: Settings) -> tuple[str, str]:
    return settings.streams.transactions, settings.streams.labels


def _create_stream(kinesis: Any, name: str, shards: int) -> str:
    return _create(
        f"stream {name}",
        lambda: kinesis.create_stream(StreamName=name, ShardCount=shards),
        lambda: kinesis.get_waiter("stream_exists").wait(
            StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 180}
        ),
    )


def _create(what: str, create: Callable[[], object], wait: Callable[[], object]) -> str:
    try:
        try:
            create()
            made = "created"
        except ServiceError as error:
            if error.code not in _EXISTS:
                raise
            made = "was there"
        wait()
    except ServiceError as error:
        raise MisconfiguredError(what, f"cannot be created: {error}") from None
    return f"{what}: {made}"


def _expire(dynamodb: Any, table: str) -> None:
    state = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"]
    if state == "DISABLED":
        dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        )


def _table(name: str) -> dict[str, Any]:
    attributes = {"alert_id": "S"}
    for partition, sort in ALERT_INDEXES.values():
        attributes |= {partition: "S", sort: "N"}
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind} for key, kind in attributes.items()],
        "KeySchema": [{"AttributeName": "alert_id", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index,
                "KeySchema": [
                    {"AttributeName": partition, "KeyType": "HASH"},
                    {"AttributeName": sort, "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, (partition, sort) in ALERT_INDEXES.items()
        ],
    }
