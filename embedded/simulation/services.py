"""The services of a simulated world, which outlive every process, and when each effect on them took place."""

from __future__ import annotations

from collections import Counter
from typing import Any

from embedded.simulation.dynamodb import InMemoryDynamoDB
from embedded.simulation.kinesis import InMemoryKinesis
from embedded.simulation.s3 import InMemoryS3
from embedded.simulation.spark import Files
from embedded.simulation.world import World
from fraud.settings import Settings


class Services:
    """What there is outside of the processes.

    Args:
        world: whose clock they have.
        settings: names of streams and tables.

    Attributes:
        since: the call at which an object, an alert (`alert ID`) or a file of the checkpoint first was there.
        noticed: what each batch reports that it noticed (`fraud.records.notes`), by its number.
    """

    def __init__(self, world: World, settings: Settings) -> None:
        self.since: dict[str, int] = {}
        self.noticed: dict[int, Counter[str]] = {}
        self.kinesis = InMemoryKinesis(lambda: world.now_ms / 1000)
        self.s3 = _S3(world, self.since)
        self.dynamodb = _DynamoDB(world, self.since, settings.alerts.table)
        self.checkpoint = Files(since=self.since)

    def double(self, service: str) -> Any:
        """A service by boto3's name of it."""
        return {"kinesis": self.kinesis, "s3": self.s3, "dynamodb": self.dynamodb}[service]


class _S3(InMemoryS3):
    def __init__(self, world: World, since: dict[str, int]) -> None:
        super().__init__()
        self._world = world
        self._since = since

    def put_object(
        self, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str | None = None, IfMatch: str | None = None
    ) -> dict[str, Any]:
        answer = super().put_object(Bucket, Key, Body, IfNoneMatch, IfMatch)
        self._since.setdefault(Key, self._world.calls)
        return answer


class _DynamoDB(InMemoryDynamoDB):
    def __init__(self, world: World, since: dict[str, int], table: str) -> None:
        super().__init__(table)
        self._world = world
        self._since = since

    def batch_execute_statement(self, Statements: list[dict[str, Any]]) -> dict[str, Any]:
        answer = super().batch_execute_statement(Statements)
        for key in self.items:
            self._since.setdefault(f"alert {key}", self._world.calls)
        return answer
