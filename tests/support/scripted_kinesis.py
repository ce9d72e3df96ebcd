"""A Kinesis endpoint on loopback whose refusals a test scripts: what the real service does under load, at will."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, NamedTuple

from tests.support.servers import LoopbackServer

Refusals = dict[int, str]
"""Place in a call to error code."""

SHARD = "shardId-000000000003"
"""Where every record goes."""


class Taken(NamedTuple):
    """A record that was accepted."""

    stream: str
    key: str
    data: bytes


class ScriptedKinesis:
    """A context: answers PutRecords, taking every record but those that the script refuses.

    Args:
        script: one entry for each call to come: refusals by place in the call, or an error code for the whole call;
            when it is used up, everything is taken.

    Attributes:
        taken: accepted records in order.
        calls: number of records in each PutRecords call.
    """

    def __init__(self, script: Iterable[Refusals | str] = ()) -> None:
        self.taken: list[Taken] = []
        self.calls: list[int] = []
        self.script = deque(script)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = owner.answer(self.headers["X-Amz-Target"].rsplit(".", 1)[1], request)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = LoopbackServer(Handler)

    @property
    def url(self) -> str:
        """Its address."""
        return self._server.url

    def __enter__(self) -> ScriptedKinesis:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    def answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer."""
        if operation != "PutRecords":
            return 200, {"StreamDescriptionSummary": {"StreamName": request["StreamName"], "StreamStatus": "ACTIVE"}}
        records = request["Records"]
        self.calls.append(len(records))
        step = self.script.popleft() if self.script else {}
        if isinstance(step, str):
            return 400, {"__type": step, "message": "scripted"}
        results = []
        for place, record in enumerate(records):
            if place in step:
                message = (
                    f"Rate exceeded for shard {SHARD} in stream {request['StreamName']} under account 111111111111."
                )
                message = message if "Throughput" in step[place] else "Internal service failure."
                results.append({"ErrorCode": step[place], "ErrorMessage": message})
                continue
            self.taken.append(Taken(request["StreamName"], record["PartitionKey"], base64.b64decode(record["Data"])))
            results.append({"SequenceNumber": str(len(self.taken)), "ShardId": SHARD})
        return 200, {"FailedRecordCount": sum("ErrorCode" in result for result in results), "Records": results}
