"""The HTTP interface: ASGI without a framework, which would cost more than the decision."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

import msgspec
import structlog

from decision_service.access import Access, Caller, Scope
from decision_service.engine import Refusal
from decision_service.openapi import document
from decision_service.service import Given, Service
from fraud.decision.key import is_key
from fraud.errors import FatalError
from fraud.records.decode import MAX_RECORD_BYTES

log = structlog.get_logger()

MOST = 500
"""Transactions of a batch."""

_BATCH_BYTES = MOST * MAX_RECORD_BYTES // 8
_AT_ONCE = 10
_JSON, _PROBLEM = b"application/json", b"application/problem+json"
_encode = msgspec.json.Encoder().encode
_raw_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class Answered(NamedTuple):
    """An answer."""

    status: int
    body: bytes
    content_type: bytes = _JSON
    headers: Sequence[tuple[bytes, bytes]] = ()


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """What a lookup asks for."""

    card_token: str
    transaction_id: str


class Call(NamedTuple):
    """A request whose caller is known."""

    caller: Caller
    path: str
    body: Callable[[int], Awaitable[bytes]]
    began: float


class TooLargeError(Exception):
    """The body is larger than it may be."""


class _GoneError(Exception):
    """The caller hung up."""


class Root(Protocol):
    """What answers requests to `/`."""

    async def answer(self, headers: Sequence[tuple[bytes, bytes]], body: Callable[[int], Awaitable[bytes]]) -> Answered:
        """Answers a request; `body` reads its body, up to so many bytes."""


def problem(status: int, title: str, detail: str, **more: Any) -> Answered:
    """A problem document (RFC 9457)."""
    said = {"type": "about:blank", "title": title, "status": status, "detail": detail} | more
    headers = [(b"retry-after", b"1")] if status in (429, 503) else []
    return Answered(status, _encode(said), _PROBLEM, headers)


_NO_KEY = problem(401, "Unauthorized", "send an API key as bearer token")
_NO_KEY = _NO_KEY._replace(headers=[(b"www-authenticate", b"Bearer")])
_BUSY = problem(503, "Overloaded", "more is waiting than can be answered soon; nothing was decided, try again")
_NOT_READY = problem(503, "Not ready", "the state has not caught up with the streams, or the service ends; see its log")


class Api:
    """The application.

    Args:
        service: decides.
        access: knows the callers.
        on_start: is called in the loop once the service runs.
        clock: seconds that never go back.
        root: answers what is posted to `/`; None where nothing does.
    """

    def __init__(
        self,
        service: Service,
        access: Access,
        on_start: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.perf_counter,
        root: Root | None = None,
    ) -> None:
        self._service = service
        self._access = access
        self._on_start = on_start
        self._clock = clock
        self._root = root
        self._document = _encode(document())
        self._routes: dict[str, dict[str, tuple[Scope, Callable[[Call], Awaitable[Answered]]]]] = {
            "/v1/decisions": {"POST": ("decide", self._decide)},
            "/v1/decisions:batch": {"POST": ("decide", self._decide_many)},
            "/v1/decisions:lookup": {"POST": ("read", self._look_up)},
            "/v1/decisions/": {"GET": ("read", self._get)},
            "/openapi.json": {"GET": ("read", self._openapi)},
            "/metrics": {"GET": ("metrics", self._metrics)},
        }

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serves one request, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        began = self._clock()
        try:
            answered = await self._answer(scope, receive, began)
        except _GoneError:
            return
        except TooLargeError:
            detail = "a transaction has at most 16,384 bytes, a batch 500 of them"
            answered = problem(413, "Too large", detail)
            answered = answered._replace(headers=[(b"connection", b"close")])
        except Exception:
            log.exception("request_failed", path=_shown(scope["path"]))
            answered = problem(500, "Internal error", "a fault of the service, which is in its log")
        headers = [
            (b"content-type", answered.content_type),
            (b"content-length", str(len(answered.body)).encode()),
            (b"cache-control", b"no-store"),
            *answered.headers,
        ]
        await send({"type": "http.response.start", "status": answered.status, "headers": headers})
        await send({"type": "http.response.body", "body": answered.body})
        self._service.count(answered.status, self._clock() - began)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._service.start()
            self._on_start()
        except Exception as error:
            log.exception("not_started")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._service.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, began: float) -> Answered:
        path, method = scope["path"], scope["method"]
        if path in ("/live", "/ready"):
            fine = path == "/live" or self._service.ready
            return Answered(200, b"{}") if fine else _NOT_READY
        if path == "/" and method == "POST" and self._root is not None:
            return await self._root.answer(scope["headers"], _reader(scope, receive))
        caller = self._caller(scope["headers"])
        if caller is None:
            return _NO_KEY
        known = "/v1/decisions/" if path.startswith("/v1/decisions/") else path
        methods = self._routes.get(known)
        if methods is None:
            return problem(404, "Not found", "there is no such resource; /openapi.json lists all")
        if method not in methods:
            allowed = ", ".join(methods)
            answered = problem(405, "Method not allowed", f"this resource takes {allowed}")
            return answered._replace(headers=[(b"allow", allowed.encode())])
        needed, handler = methods[method]
        if needed not in caller.key.scopes:
            return problem(403, "Forbidden", f"the key has no scope {needed}")
        return await handler(Call(caller, path, _reader(scope, receive), began))

    def _caller(self, headers: Sequence[tuple[bytes, bytes]]) -> Caller | None:
        for name, value in headers:
            if name == b"authorization":
                return self._access.caller(value)
        return None

    def _refused(self, caller: Caller, count: int) -> Answered | None:
        """Why decisions are not begun; None where they are."""
        if not self._service.ready:
            return _NOT_READY
        if self._service.overloaded:
            return _BUSY
        if not caller.may_take(count, time.monotonic()):
            return problem(429, "Too many requests", f"the key may ask for {caller.key.per_second} decisions a second")
        return None

    async def _decide(self, call: Call) -> Answered:
        refused = self._refused(call.caller, 1)
        return refused or await self._decided(await call.body(MAX_RECORD_BYTES), call.began)

    async def _decided(self, record: bytes, began: float) -> Answered:
        try:
            given = await self._service.decide(record)
        except FatalError:
            return _NOT_READY
        if isinstance(given, Refusal):
            return _refusal(given)
        return Answered(200, self._shown(given, began))

    def _shown(self, given: Given, began: float) -> bytes:
        took_ms = (self._clock() - began) * 1000
        more = b',"repeated":%b,"lag_ms":%d,"took_ms":%.3f}'
        repeated = b"true" if given.repeated else b"false"
        return given.kept.answer[:-1] + more % (repeated, self._service.lag_ms or 0, took_ms)

    async def _decide_many(self, call: Call) -> Answered:
        body = await call.body(_BATCH_BYTES)
        try:
            parts = _raw_parts(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return problem(400, "Not a batch", "send a JSON array of transactions")
        if len(parts) > MOST:
            return problem(413, "Too large", f"a batch has at most {MOST} transactions, this one {len(parts)}")
        refused = self._refused(call.caller, len(parts))
        if refused is not None:
            return refused
        waiting: list[asyncio.Task[Answered]] = []
        for number, part in enumerate(parts):
            waiting.append(asyncio.create_task(self._decided(bytes(part), call.began)))
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)  # single transactions come in between
        answers = [await each for each in waiting]
        items = [
            b'{"status":%d,"%b":%b}' % (each.status, b"decision" if each.status == 200 else b"problem", each.body)
            for each in answers
        ]
        return Answered(200, b'{"results":[' + b",".join(items) + b"]}")

    async def _get(self, call: Call) -> Answered:
        key = unquote(call.path.removeprefix("/v1/decisions/"))
        kept = self._service.find(key) if is_key(key) else None
        if kept is None:
            return problem(404, "Not found", "no decision of this key is kept here")
        return Answered(200, kept.answer)

    async def _look_up(self, call: Call) -> Answered:
        try:
            query = msgspec.json.decode(await call.body(MAX_RECORD_BYTES), type=Query)
            found = self._service.find_all(query.card_token, query.transaction_id)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return problem(400, "Not a query", "send an object with card_token and transaction_id")
        return Answered(200, b'{"decisions":[' + b",".join(found) + b"]}")

    async def _openapi(self, call: Call) -> Answered:  # noqa: ARG002 - as all handlers
        return Answered(200, self._document)

    async def _metrics(self, call: Call) -> Answered:  # noqa: ARG002 - as all handlers
        return Answered(200, self._service.exposition(), b"text/plain; version=0.0.4; charset=utf-8")


def _refusal(refusal: Refusal) -> Answered:
    conflict = refusal.reason == "duplicate"
    status = HTTPStatus.CONFLICT if conflict else HTTPStatus.UNPROCESSABLE_ENTITY
    detail = (
        "the card's transaction id was seen within 24 hours, with other content or on the stream without being asked"
        if conflict
        else refusal.detail
    )
    return problem(int(status), "Refused", detail, reason=refusal.reason, field=refusal.field)


def _reader(scope: Mapping[str, Any], receive: Receive) -> Callable[[int], Awaitable[bytes]]:
    """Reads the body, up to so many bytes."""

    async def read(most: int) -> bytes:
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > most:
                raise TooLargeError
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
            if len(body) > most:
                raise TooLargeError
        if message["type"] == "http.disconnect":
            raise _GoneError
        if len(body) > most:
            raise TooLargeError
        return bytes(body)

    return read


def _shown(path: str) -> str:
    """A path for the log: nothing that a caller made up."""
    return path if path.startswith("/v1/decisions") and path.count("/") == 2 else "other"
