"""Opens the receivers that the settings name: one line for each kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.aws.clients import aws_client
from adapters.events.aws import EventBridgeReceiver, SnsReceiver, SqsReceiver
from adapters.events.file import FileReceiver
from adapters.events.receiver import EventReceiver
from adapters.events.slack import SlackReceiver
from adapters.events.webhook import WebhookReceiver
from adapters.program.stored_secret import stored_secret
from fraud.errors import MisconfiguredError
from fraud.events.signing import parse_secrets
from fraud.settings import Aws, is_http_address
from fraud.settings import EventReceiver as Place

_ATTEMPTS = 2
"""Of a call; the delivery tries again with pauses of its own."""

_OPEN: Mapping[str, Callable[[str, Place, Aws], EventReceiver]] = {
    "file": lambda setting, place, _: FileReceiver(f"{setting}.address", Path(place.address)),
    "webhook": lambda setting, place, aws: WebhookReceiver(place.address, _secrets(setting, place, aws), time.time),
    "slack": lambda setting, place, aws: SlackReceiver(_secret_address(setting, place, aws)),
    "eventbridge": lambda setting, place, aws: EventBridgeReceiver(setting, place.address, _client("events", aws)),
    "sns": lambda setting, place, aws: SnsReceiver(setting, place.address, _client("sns", aws)),
    "sqs": lambda setting, place, aws: SqsReceiver(setting, place.address, _client("sqs", aws)),
}


def open_receiver(name: str, place: Place, aws: Aws) -> EventReceiver:
    """A receiver, with its secrets read.

    Raises:
        MisconfiguredError: a secret cannot be read, or is none.
    """
    return _OPEN[place.kind](f"events.receivers.{name}", place, aws)


def shown_address(place: Place) -> str:
    """A receiver's address for people: of a URL no more than whose it is, as paths may be secrets.

    >>> shown_address(Place(kind="webhook", address="https://hooks.example.com/T0/s3cret", secret="env:S"))
    'https://hooks.example.com'
    """
    if place.kind != "webhook":
        return place.address
    parts = urlsplit(place.address)
    return f"{parts.scheme}://{parts.netloc}"


def _client(service: str, aws: Aws) -> Any:
    return aws_client(service, aws, max_attempts=_ATTEMPTS)


def _secret_address(setting: str, place: Place, aws: Aws) -> str:
    url = stored_secret(f"{setting}.address", place.address, aws=aws).decode("utf-8", "replace")
    if not is_http_address(url):
        raise MisconfiguredError(f"{setting}.address", f"{place.address} holds no http(s) URL")
    return url


def _secrets(setting: str, place: Place, aws: Aws) -> list[bytes]:
    assert place.secret is not None
    try:
        return parse_secrets(stored_secret(f"{setting}.secret", place.secret, aws=aws))
    except ValueError as error:
        raise MisconfiguredError(
            f"{setting}.secret", f"{error}; make one with: echo whsec_$(openssl rand -base64 32)"
        ) from None
