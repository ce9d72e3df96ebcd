"""The one place that makes boto3 clients."""

from __future__ import annotations

import datetime as dt
import re
import threading
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.utils import parse_timestamp

from adapters.aws.credentials import emulator_credentials
from adapters.aws.errors import ServiceClient
from fraud.settings import Aws


def aws_client(service: str, settings: Aws, *, max_connections: int = 32, max_attempts: int = 5, **config: Any) -> Any:
    """A boto3 client for the configured region and endpoint, whose failures are `fraud.errors.ServiceError`."""
    access_key, secret_key = emulator_credentials(settings, service)
    client = aws_session().client(  # type: ignore[call-overload]
        service,
        region_name=settings.region,
        endpoint_url=settings.endpoint_of(service),
        config=Config(
            max_pool_connections=max_connections,
            retries={"mode": "standard", "total_max_attempts": max_attempts},
            connect_timeout=config.pop("connect_timeout", 5),
            read_timeout=config.pop("read_timeout", 30),
            **config,
        ),
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )
    return ServiceClient(service, client)


@cache
def aws_session() -> boto3.Session:
    """The session that all clients are made by."""
    session = botocore.session.get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    return boto3.Session(botocore_session=session)


def _timestamp(value: Any) -> dt.datetime:
    """What boto3 makes of a time, in UTC: its own way takes 7 µs, and each record read from Kinesis carries one."""
    return dt.datetime.fromtimestamp(value, dt.UTC) if isinstance(value, float) else parse_timestamp(value)


class Retries:
    """Counts the calls that a client tries again, and what its user does.

    Args:
        client: made by `aws_client`.
    """

    def __init__(self, client: Any) -> None:
        self._count = 0
        self._lock = threading.Lock()
        client.meta.events.register("before-send", self._note)

    def add(self, count: int) -> None:
        """Counts what was tried again without the client's knowing."""
        with self._lock:
            self._count += count

    def take(self) -> int:
        """How many since the last call."""
        with self._lock:
            count, self._count = self._count, 0
        return count

    def _note(self, request: Any, **_: Any) -> None:
        # boto3 numbers the attempts of a call in this header: "ttl=...; attempt=2; max=5".
        attempt = re.search(rb"attempt=(\d+)", request.headers.get("amz-sdk-request", b""))
        if attempt is not None and int(attempt[1]) > 1:
            with self._lock:
                self._count += 1
