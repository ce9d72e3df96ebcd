"""An HTTP proxy before the AWS emulators: routes by service, injects faults, and reports the instant of a write."""

from __future__ import annotations

import http.client
import json
import random
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_SIGNED_FOR = re.compile(r"Credential=[^/]+/\d+/[^/]+/([a-z0-9-]+)/aws4_request")
_KINESIS_WRITES = "PutRecords"
_DYNAMODB_WRITES = ("BatchExecuteStatement", "UpdateItem")

Headers = list[tuple[str, str]]


class Answer(NamedTuple):
    """What a request is answered with."""

    status: int
    headers: Headers
    content: bytes


_XML: Headers = [("Content-Type", "application/xml")]
_JSON: Headers = [("Content-Type", "application/x-amz-json-1.0")]
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
_INTERNAL = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
_THROTTLED = b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Rate exceeded"}'

_FAILED = b'{"__type":"InternalFailureException","message":"Internal service failure."}'
_EXCEEDED = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded for shard"}

REFUSALS = {
    "s3 throttled": Answer(503, _XML, _SLOW_DOWN),
    "s3 failed": Answer(500, _XML, _INTERNAL),
    "s3 read failed": Answer(500, _XML, _INTERNAL),
    "dynamodb throttled": Answer(400, _JSON, _THROTTLED),
    "kinesis failed": Answer(500, _JSON, _FAILED),
}
"""Faults that refuse a request before it does anything."""

UNANSWERED = ("s3 unanswered", "dynamodb unanswered", "kinesis unanswered")
"""Faults that do what is asked and break the connection instead of answering."""

PARTLY, PUT_PARTLY = "dynamodb partly throttled", "kinesis partly throttled"
"""The faults that refuse some statements of a batch, or some records of a call, and do the others."""

FAULTS = {
    "s3 write": ("s3 throttled", "s3 failed", "s3 unanswered"),
    "s3 read": ("s3 read failed",),
    "dynamodb write": ("dynamodb throttled", PARTLY, "dynamodb unanswered"),
    "kinesis write": ("kinesis failed", PUT_PARTLY, "kinesis unanswered"),
}
"""Which faults a kind of request may meet."""

_APART = 4
"""So many requests of a kind lie between its first faults, so that no call meets two of them when it is tried again."""


@dataclass
class Moment:
    """An instant in the handling of a write, at which something is done once.

    Attributes:
        of: part of the path or target of the request that is waited for.
        done: whether the instant is after the write was done and before it is answered; otherwise it is before, and the
            write is not done any more.
        action: what to do.
        passed: set afterwards.
    """

    of: str
    done: bool
    action: Callable[[], object]
    passed: threading.Event = field(default_factory=threading.Event)


class Request(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def service(self) -> str:
        """The service that it was signed for."""
        found = _SIGNED_FOR.search(self.headers.get("Authorization", ""))
        return found[1] if found else ""

    @property
    def kind(self) -> str | None:
        """A key of the faults that it may meet; None for none."""
        if self.service == "s3":
            return {"PUT": "s3 write", "GET": "s3 read"}.get(self.method)
        target = self.headers.get("X-Amz-Target", "")
        if self.service == "kinesis" and target.endswith(_KINESIS_WRITES):
            return "kinesis write"
        return "dynamodb write" if self.service == "dynamodb" and target.endswith(_DYNAMODB_WRITES) else None


class FaultProxy(ThreadingHTTPServer):
    """Forwards to endpoints.

    Args:
        targets: the address of each service; of all others under the empty name.
        shares: share of the requests of a kind (`FAULTS`) that meet a fault; those of other kinds meet none. The first
            request of a kind always does, and each further fault of the kind is due a few requests later, so that what
            a run proves does not depend on chance.
        seed: of the choice.

    Attributes:
        faults: injected faults by name.
        away: kinds of requests whose service is away: all of them are refused.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, targets: Mapping[str, str], shares: Mapping[str, float], seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._targets = {service: urlsplit(url).netloc for service, url in targets.items()}
        self.faults: Counter[str] = Counter()
        self.away: frozenset[str] = frozenset()
        self._shares = shares
        self._rng = random.Random(seed)
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._moment: Moment | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """A client or an emulator that is killed breaks its connections; anything else is reported as usual."""
        if not isinstance(sys.exc_info()[1], (OSError, http.client.HTTPException)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def await_moment(self, moment: Moment) -> None:
        """Does something at the next such instant, instead of what was waited for until now."""
        with self._lock:
            self._moment = moment

    def answer(self, request: Request) -> Answer | None:
        """What a request is answered with; None breaks the connection."""
        fault = self._draw(request.kind)
        if fault in REFUSALS:
            return REFUSALS[fault]
        moment = self._reached(request)
        if moment is not None and not moment.done:
            _pass(moment)
            return None
        forward = {PARTLY: self._forward_partly, PUT_PARTLY: self._put_partly}.get(fault or "", self._forward)
        answer = forward(request)
        if moment is not None and moment.done:
            _pass(moment)
        return None if fault in UNANSWERED else answer

    def _draw(self, kind: str | None) -> str | None:
        if kind in self.away:
            self.faults[f"{kind} away"] += 1
            return FAULTS[kind][0]
        if kind is None or not self._shares.get(kind):
            return None
        with self._lock:
            due, since = divmod(self._seen[kind], _APART)
            self._seen[kind] += 1
            if since == 0 and due < len(FAULTS[kind]):
                fault = FAULTS[kind][due]
            elif self._rng.random() < self._shares[kind]:
                fault = self._rng.choice(FAULTS[kind])
            else:
                return None
            self.faults[fault] += 1
            return fault

    def _reached(self, request: Request) -> Moment | None:
        if request.kind is None or request.method == "GET":
            return None
        with self._lock:
            moment = self._moment
            if moment is None or moment.of not in request.path + request.headers.get("X-Amz-Target", ""):
                return None
            self._moment = None
            return moment

    def _forward(self, request: Request) -> Answer:
        target = self._targets.get(request.service) or self._targets[""]
        upstream = http.client.HTTPConnection(target, timeout=60)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
            upstream.request(request.method, request.path, request.body, headers)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        passed_on = [pair for pair in answer.getheaders() if pair[0].lower() not in _HOP_BY_HOP]
        length = answer.getheader("Content-Length") if request.method == "HEAD" else str(len(content))
        return Answer(answer.status, [*passed_on, ("Content-Length", length or "0")], content)

    def _forward_partly(self, request: Request) -> Answer:
        """Does every second statement of a batch and answers that the others were throttled."""
        batch = json.loads(request.body)
        if "Statements" not in batch:
            return REFUSALS["dynamodb throttled"]
        batch["Statements"], refused = batch["Statements"][1::2], len(batch["Statements"][::2])
        error = {"Error": {"Code": "ThrottlingError", "Message": "Rate exceeded"}}
        done = []
        if batch["Statements"]:
            answer = self._forward(request._replace(body=json.dumps(batch).encode()))
            if answer.status != 200:
                return answer
            done = json.loads(answer.content)["Responses"]
        responses = [error] * (refused + len(done))
        responses[1::2] = done
        return Answer(200, _JSON, json.dumps({"Responses": responses}).encode())

    def _put_partly(self, request: Request) -> Answer:
        """Puts every second record of a call and answers that the shard's limit was exceeded by the others."""
        call = json.loads(request.body)
        if "Records" not in call:
            return REFUSALS["kinesis failed"]
        call["Records"], refused = call["Records"][1::2], len(call["Records"][::2])
        results = [_EXCEEDED] * (refused + len(call["Records"]))
        if call["Records"]:
            answer = self._forward(request._replace(body=json.dumps(call).encode()))
            if answer.status != 200:
                return answer
            results[1::2] = json.loads(answer.content)["Records"]
        return Answer(200, _JSON, json.dumps({"FailedRecordCount": refused, "Records": results}).encode())


def _pass(moment: Moment) -> None:
    moment.action()
    moment.passed.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultProxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.server.answer(Request(self.command, self.path, self.headers, body))
        if answer is None:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        names = {name for name, _ in answer.headers}
        for name, value in answer.headers:
            self.send_header(name, value)
        if "Content-Length" not in names:
            self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not worth a line."""


@contextmanager
def fault_proxy(
    targets: Mapping[str, str], shares: Mapping[str, float] = MappingProxyType({}), seed: int = 0
) -> Iterator[FaultProxy]:
    """Runs a proxy for as long as the context lasts."""
    with FaultProxy(targets, shares, seed) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, name="fault-proxy", daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
