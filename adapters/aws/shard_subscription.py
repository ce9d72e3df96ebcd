"""Kinesis's enhanced fan-out: SubscribeToShard, which pushes a shard's records over HTTP/2.

boto3 has no HTTP/2. Its signing and its reading of event streams are used here; the frames are `h2`'s. One connection
carries one subscription, so that a shard that is not taken holds up no other: what is not taken is not acknowledged,
and the service stops sending.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.eventstream import EventStreamBuffer, ParserError
from botocore.httpsession import get_cert_path

from adapters.aws.clients import aws_client, aws_session
from adapters.aws.credentials import emulator_credentials
from adapters.aws.errors import service_error, translated
from fraud.errors import ServiceError, UnavailableError
from fraud.settings import Aws

_OPERATION = "SubscribeToShard"
_TARGET = f"Kinesis_20131202.{_OPERATION}"
_CONTENT = "application/x-amz-json-1.1"
_WINDOW_BYTES = 4 << 20
"""As much as may be on its way: two seconds of a subscription's 2 MiB a second."""
_CHUNK_BYTES = 64 << 10
_PING = b"still on"

AGAIN_AFTER_S = 5.0
"""A second subscription of a consumer to a shard is refused for so long (Kinesis API reference, SubscribeToShard)."""


class PushedRecord(msgspec.Struct, rename="pascal"):
    """A record as it came; `data` is decoded from base64."""

    sequence_number: str
    approximate_arrival_timestamp: float
    partition_key: str
    data: bytes


class _Event(msgspec.Struct, rename="pascal"):
    records: list[PushedRecord] = []
    millis_behind_latest: int = 0
    continuation_sequence_number: str | None = None
    child_shards: list[Any] | None = None


class Pushed(NamedTuple):
    """What the service has pushed at once.

    Attributes:
        records: in order; none, as a sign of life.
        continuation: sequence number to go on behind; None where the shard has ended.
        behind_ms: how far behind the shard's tip they are.
        ended: the shard has ended behind them.
        at_ms: when they came, by the service's clock.
    """

    records: list[PushedRecord]
    continuation: str | None
    behind_ms: int
    ended: bool
    at_ms: int


class Caller(NamedTuple):
    """Who calls Kinesis, and where.

    Attributes:
        address: of the service, such as `https://kinesis.eu-central-1.amazonaws.com`.
        region: that calls are signed for.
        credentials: gives those of this moment, as botocore has them.
        certificates: file of the certificate authorities to trust.
    """

    address: str
    region: str
    credentials: Callable[[], Any]
    certificates: str | None


def caller_of(settings: Aws) -> Caller:
    """Who subscribes to shards, where `aws_client` would read them."""
    client = aws_client("kinesis", settings)
    session = aws_session()
    certificates = session._session.get_config_variable("ca_bundle")
    access_key, secret_key = emulator_credentials(settings, "kinesis")

    def credentials() -> Any:
        if access_key is not None:
            return ReadOnlyCredentials(access_key, secret_key, None)
        found = session.get_credentials()
        return found and found.get_frozen_credentials()  # renewed where they soon expire

    return Caller(client.meta.endpoint_url, settings.region, credentials, certificates or get_cert_path(True))


class ShardSubscription:
    """A subscription, which lives for five minutes at most.

    Args:
        caller: who subscribes.
        consumer: ARN of a registered consumer.
        shard: its id.
        starting: where to begin, as the API has it: `Type`, and `SequenceNumber` or `Timestamp`.
        silence_s: after so long without a word the service is asked whether it is still there, and after as long again
            it is given up.

    Raises:
        ServiceError: it was not accepted.
    """

    def __init__(
        self, caller: Caller, consumer: str, shard: str, starting: dict[str, Any], silence_s: float = 10.0
    ) -> None:
        self._silence_s = silence_s
        self._messages: Any = EventStreamBuffer()
        self._waiting: deque[Pushed] = deque()
        self._last: Pushed | None = None
        self._asked = False
        self._over = False
        self._failure: ServiceError | None = None
        self._accepted = False
        self._refusal = bytearray()
        self._status = 0
        self._service_ms = self._since_s = 0.0
        body = json.dumps({"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": starting}).encode()
        with translated("kinesis", _OPERATION):
            headers = _signed(caller, body)
        with _reached():
            self._socket = _connected(caller, silence_s)
            try:
                self._begin(headers, body)
            except BaseException:
                self.close()
                raise

    def next(self) -> Pushed | None:
        """Waits for what comes next; None once the subscription has ended, as it does after five minutes.

        Raises:
            UnavailableError: the connection or the service failed; subscribing again goes on behind what had come.
            RefusedError: the service says that this consumer may not read on.
        """
        with _reached():
            while not self._waiting:
                if self._failure is not None:
                    raise self._failure
                if self._over:
                    return None
                self._receive()
        self._last = self._waiting.popleft()
        return self._last

    def close(self) -> None:
        """Ends it, also while another thread waits for what comes next, which then gets UnavailableError."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _begin(self, headers: list[tuple[str, str]], body: bytes) -> None:
        self._frames = h2.connection.H2Connection(h2.config.H2Configuration())
        self._frames.initiate_connection()
        # Data is acknowledged as it is taken; the windows only allow for what is on its way.
        self._frames.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES})
        self._frames.increment_flow_control_window(_WINDOW_BYTES - 65_535)
        self._frames.send_headers(1, headers)
        self._frames.send_data(1, body, end_stream=True)
        self._send()
        while not self._accepted:
            if self._failure is not None:
                raise self._failure
            self._receive()

    def _receive(self) -> None:
        """Takes what the connection has, or waits for it."""
        try:
            data = self._socket.recv(_CHUNK_BYTES)
        except TimeoutError:
            if self._asked:
                raise _unavailable("Silence", f"nothing came for {2 * self._silence_s:.0f} s") from None
            self._asked = True
            self._frames.ping(_PING)
            self._send()
            return
        if not data:
            when = "" if self._accepted else " without an answer, as of a server that does not speak HTTP/2"
            raise _unavailable("ConnectionClosed", f"the connection ended{when}")
        self._asked = False
        for event in self._frames.receive_data(data):
            self._take(event)
        self._send()

    def _take(self, event: Any) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            headers = dict(event.headers)
            self._status = int(headers[b":status"])
            date = headers.get(b"date")
            self._service_ms = parsedate_to_datetime(date.decode()).timestamp() * 1000 if date else time.time() * 1000
            self._since_s = time.monotonic()
            self._accepted = self._status == 200
        elif isinstance(event, h2.events.DataReceived):
            self._frames.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if self._accepted:
                self._messages.add_data(event.data)
                self._take_messages()
            else:
                self._refusal += event.data
        elif isinstance(event, h2.events.PingAckReceived):
            if self._last is not None:
                self._waiting.append(self._last._replace(records=[]))
        elif isinstance(event, h2.events.StreamEnded):
            self._over = True
            if not self._accepted:
                self._failure = _refused(self._status, bytes(self._refusal))
        elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)) and not self._over:
            self._failure = self._failure or _unavailable(type(event).__name__, f"error code {event.error_code}")

    def _take_messages(self) -> None:
        for message in self._messages:
            if message.headers.get(":message-type") != "event":
                self._failure = _failed(message)
            elif message.headers.get(":event-type") == "SubscribeToShardEvent":
                self._waiting.append(self._pushed(msgspec.json.decode(message.payload, type=_Event)))

    def _pushed(self, event: _Event) -> Pushed:
        continuation = event.continuation_sequence_number
        at_ms = round(self._service_ms + (time.monotonic() - self._since_s) * 1000)
        ended = continuation is None or bool(event.child_shards)
        return Pushed(event.records, continuation, event.millis_behind_latest, ended, at_ms)

    def _send(self) -> None:
        if data := self._frames.data_to_send():
            self._socket.sendall(data)


def _unavailable(code: str, detail: str) -> UnavailableError:
    return UnavailableError("kinesis", _OPERATION, code, detail)


def _refused(status: int, body: bytes) -> ServiceError:
    """What an answer that is no success says."""
    try:
        said = json.loads(body)
        code, detail = str(said["__type"]).rpartition("#")[2], str(said.get("message") or said.get("Message") or "")
    except (ValueError, KeyError, TypeError):
        code, detail = str(status), body[:200].decode(errors="replace")
    return service_error("kinesis", _OPERATION, code, detail, status)


def _failed(message: Any) -> ServiceError:
    """What an exception or error says that came in place of an event."""
    headers = message.headers
    code = str(headers.get(":exception-type") or headers.get(":error-code") or "Unknown")
    detail = headers.get(":error-message")
    if detail is None:
        with suppress(ValueError, AttributeError):
            detail = json.loads(message.payload).get("message")
    return service_error("kinesis", _OPERATION, code, str(detail or ""))


def _signed(caller: Caller, body: bytes) -> list[tuple[str, str]]:
    request = AWSRequest("POST", caller.address + "/", {"Content-Type": _CONTENT, "X-Amz-Target": _TARGET}, body)
    SigV4Auth(caller.credentials(), "kinesis", caller.region).add_auth(request)
    address = urlsplit(caller.address)
    pseudo = [(":method", "POST"), (":scheme", address.scheme), (":authority", address.netloc), (":path", "/")]
    length = ("content-length", str(len(body)))
    return [*pseudo, length, *((name.lower(), value) for name, value in request.headers.items())]


def _connected(caller: Caller, timeout_s: float) -> socket.socket:
    address = urlsplit(caller.address)
    secure = address.scheme == "https"
    host = address.hostname or ""
    connection = socket.create_connection((host, address.port or (443 if secure else 80)), timeout_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not secure:
        return connection  # HTTP/2 with prior knowledge, as to a server of a test
    context = ssl.create_default_context(cafile=caller.certificates)
    context.set_alpn_protocols(["h2"])
    try:
        wrapped = context.wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise
    if wrapped.selected_alpn_protocol() != "h2":
        wrapped.close()
        raise _unavailable("NoHttp2", f"{caller.address} does not speak HTTP/2")
    return wrapped


@contextmanager
def _reached() -> Iterator[None]:
    """Turns what sockets, frames and messages fail with into an error of ours."""
    try:
        yield
    except h2.exceptions.ProtocolError as error:
        raise _unavailable(type(error).__name__, f"not the HTTP/2 of Kinesis: {error}") from error
    except (OSError, ParserError, msgspec.DecodeError) as error:
        raise _unavailable(type(error).__name__, str(error)) from error
