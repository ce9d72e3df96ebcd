"""The HTTP/2 half of a Kinesis server: SubscribeToShard on a connection whose preface was seen."""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
from binascii import crc32
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from fraud.errors import ServiceError
from tests.support.fan_out_double import FanOutKinesis, Subscription

_LOOK_S = 0.005

Encode = Callable[[Any], str]


class _CutError(Exception):
    """The bytes that a test allows for have been sent."""


def message(headers: dict[str, str], payload: bytes) -> bytes:
    """A message of an event stream, as Amazon's services frame them."""
    encoded = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(encoded) + len(payload), len(encoded))
    body = prelude + struct.pack("!I", crc32(prelude)) + encoded + payload
    return body + struct.pack("!I", crc32(body))


class Http2Connection:
    """Answers one subscription on a connection.

    Args:
        connection: accepted.
        kinesis: what it subscribes to.
        encode: makes JSON of an answer.
    """

    def __init__(self, connection: socket.socket, kinesis: FanOutKinesis, encode: Encode) -> None:
        self._socket = connection
        self._kinesis = kinesis
        self._encode = encode
        self._frames = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._headers: dict[bytes, bytes] = {}
        self._body = b""
        self._asked: int | None = None
        self._left: int | None = None

    def run(self) -> None:
        """Until the subscription or the connection has ended."""
        self._frames.initiate_connection()
        try:
            self._send()
            while self._asked is None:
                self._look(None)
            stream = self._asked
            with self._kinesis.guard:
                self._left = self._kinesis.cuts.popleft() if self._kinesis.cuts else None
            self._answer(stream)
            self._frames.close_connection()
            self._send()
        except (OSError, _CutError, h2.exceptions.ProtocolError):
            return  # cut by the test, or gone

    def _answer(self, stream: int) -> None:
        key = self._kinesis.valid_key
        try:
            if key is not None and f"Credential={key}/".encode() not in self._headers[b"authorization"]:
                raise ServiceError("kinesis", "SubscribeToShard", "ExpiredTokenException", "expired", 400)
            subscription = self._kinesis.subscribe_to_shard(**json.loads(self._body))
        except ServiceError as error:
            body = json.dumps({"__type": error.code, "message": error.detail}).encode()
            self._begin(stream, str(error.status or 400), "application/x-amz-json-1.1")
            self._data(stream, body)
            self._frames.end_stream(stream)
            return
        self._begin(stream, "200", "application/vnd.amazon.eventstream")
        self._data(stream, message({":message-type": "event", ":event-type": "initial-response"}, b"{}"))
        self._push(stream, subscription)
        self._frames.end_stream(stream)

    def _push(self, stream: int, subscription: Subscription) -> None:
        with self._kinesis.guard:
            silent = self._kinesis.silent > 0
            self._kinesis.silent -= silent
        while silent:
            self._socket.recv(4096) or self._end()  # not even a ping is answered
        while not subscription.over:
            given = subscription.next()
            if isinstance(given, ServiceError):
                headers = {":message-type": "exception", ":exception-type": given.code}
                self._data(stream, message(headers, json.dumps({"message": given.detail}).encode()))
            elif given is not None:
                headers = {":message-type": "event", ":event-type": "SubscribeToShardEvent"}
                self._data(stream, message(headers, self._encode(given).encode()))
            else:
                self._look(_LOOK_S)

    def _begin(self, stream: int, status: str, content: str) -> None:
        date = formatdate(self._kinesis.now_s(), usegmt=True)
        self._frames.send_headers(stream, [(":status", status), ("content-type", content), ("date", date)])
        self._send()

    def _data(self, stream: int, data: bytes) -> None:
        while data:
            room = min(self._frames.local_flow_control_window(stream), self._frames.max_outbound_frame_size)
            if room <= 0:
                self._look(None)
                continue
            self._frames.send_data(stream, data[:room])
            data = data[room:]
            self._send()

    def _look(self, patience_s: float | None) -> None:
        """Takes what the client has sent, or waits for it."""
        pending = self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0
        if not pending and not select.select([self._socket], [], [], patience_s)[0]:
            return
        for event in self._frames.receive_data(self._socket.recv(65_536) or self._end()):
            if isinstance(event, h2.events.RequestReceived):
                self._headers = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self._body += event.data
                self._frames.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self._asked = event.stream_id
        self._send()

    def _end(self) -> bytes:
        raise ConnectionError("the client has gone")

    def _send(self) -> None:
        data = self._frames.data_to_send()
        if self._left is not None:
            self._socket.sendall(data[: self._left])
            self._left -= len(data)
            if self._left <= 0:
                raise _CutError
        elif data:
            self._socket.sendall(data)
