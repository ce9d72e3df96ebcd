"""AWS clients of the simulated world: a service's double, with what may go wrong on the way to it and back.

A client tries again what boto3's standard mode tries again, on the virtual clock; the product's own loops see the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.utils import formatdate
from functools import partial
from typing import Any

from adapters.aws.errors import service_error
from embedded.simulation.world import Process, World
from fraud.errors import UnavailableError

FAULTS: dict[str, tuple[str, ...]] = {
    "s3.put_object": ("SlowDown", "InternalError", "unreachable", "unanswered"),
    "s3.put_object if": ("SlowDown", "InternalError", "unreachable", "unanswered", "ConditionalRequestConflict"),
    "s3.get_object": ("SlowDown", "InternalError", "unreachable", "unanswered"),
    "s3.list_objects_v2": ("SlowDown", "InternalError", "unreachable"),
    "dynamodb.batch_execute_statement": ("ThrottlingException", "InternalServerError", "unanswered", "partial"),
    "dynamodb.batch_get_item": ("ProvisionedThroughputExceededException", "InternalServerError", "partial"),
    "dynamodb.update_item": ("ProvisionedThroughputExceededException", "InternalServerError", "unanswered"),
    "dynamodb.delete_item": ("ProvisionedThroughputExceededException", "InternalServerError", "unanswered"),
    "dynamodb.query": ("ProvisionedThroughputExceededException", "InternalServerError"),
    "dynamodb.get_item": ("ProvisionedThroughputExceededException", "InternalServerError"),
    "kinesis.list_shards": ("LimitExceededException", "InternalFailure", "unanswered"),
    "kinesis.get_shard_iterator": ("ProvisionedThroughputExceededException", "InternalFailure", "unanswered"),
    "kinesis.get_records": (
        "ProvisionedThroughputExceededException",
        "InternalFailure",
        "ExpiredIteratorException",
        "unanswered",
        "partial",
        "repeat",
    ),
    "kinesis.put_records": ("ProvisionedThroughputExceededException", "InternalFailure", "unanswered", "partial"),
}
"""What may go wrong with a call: `unanswered` is done and not answered, `partial` is done in part, `repeat` gives
records again; everything else is an error, and nothing is done."""

_SHOWN_BY_THE_SERVICE = {"partial", "repeat"}
_TRIED_AGAIN = {
    "SlowDown", "InternalError", "EndpointConnectionError", "ReadTimeoutError", "ThrottlingException",
    "InternalServerError", "ProvisionedThroughputExceededException", "LimitExceededException", "InternalFailure",
}  # fmt: skip
"""What boto3's standard mode tries again (boto3 guide, retries); 409 is not among it."""


class Client:
    """A client as `adapters.aws.clients.aws_client` makes one.

    Args:
        world: where it is.
        process: whose it is.
        service: as boto3 names it.
        double: the service.
        attempts: most attempts of a call.
    """

    def __init__(self, world: World, process: Process, service: str, double: Any, attempts: int = 5) -> None:
        self.meta = self
        self.events = self
        self._world = world
        self._process = process
        self._service = service
        self._double = double
        self._attempts = attempts

    def register(self, *_: Any) -> None:
        """Nothing listens: what a client tries again is a call of its own here."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self._call, name)

    def pages(self, operation: str, **named: Any) -> Iterator[Any]:
        """The answers of an operation that come in pages."""
        named.pop("PaginationConfig", None)
        while True:
            page = self._call(operation, **named)
            yield page
            if "NextContinuationToken" not in page:
                return
            named["ContinuationToken"] = page["NextContinuationToken"]

    def _call(self, operation: str, **named: Any) -> Any:
        backoff = self._world.backoff(0.5, 20.0, attempts=self._attempts)
        while True:
            try:
                return self._attempt(operation, named)
            except UnavailableError as error:
                if error.code not in _TRIED_AGAIN or not backoff.pause():
                    raise

    def _attempt(self, operation: str, named: dict[str, Any]) -> Any:
        name = f"{self._service}.{operation}"
        conditional = " if" if "IfNoneMatch" in named or "IfMatch" in named else ""
        double = partial(getattr(self._double, operation), **named)

        def effect() -> Any:
            # The head of an answer has the time by the service's clock.
            return double() | {
                "ResponseMetadata": {"HTTPHeaders": {"date": formatdate(self._world.now_ms // 1000, usegmt=True)}}
            }

        return self._world.call(
            self._process,
            name,
            effect,
            FAULTS.get(name + conditional, ()),
            partial(self._fail, operation),
            about=_about(named),
            shown=_outcome,
        )

    def _fail(self, operation: str, fault: str) -> tuple[Exception | None, bool]:
        if fault in _SHOWN_BY_THE_SERVICE:
            self._double.faults.append(fault)
            return None, True
        code = {"unreachable": "EndpointConnectionError", "unanswered": "ReadTimeoutError"}.get(fault, fault)
        called = "".join(word.capitalize() for word in operation.split("_"))
        return service_error(self._service, called, code, "simulated"), fault == "unanswered"


def _about(named: dict[str, Any]) -> str:
    """What a call is about, in a few words."""
    for name in ("Key", "Prefix", "ShardIterator", "ShardId", "StreamName"):
        if name in named:
            return str(named[name])
    if "Statements" in named:
        return f"{len(named['Statements'])} alerts"
    return ""


def _outcome(answer: Any) -> str:
    if "Records" in answer:
        return f"{len(answer['Records'])} records"
    if "Responses" in answer and isinstance(answer["Responses"], list):
        return f"{sum('Error' not in one for one in answer['Responses'])} done"
    return ""
