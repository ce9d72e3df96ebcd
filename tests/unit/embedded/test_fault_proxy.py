"""What the proxy injects is certain for the first requests of each kind, and chance only afterwards."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from embedded.chaos.fault_proxy import FAULTS, FaultProxy, fault_proxy

NEVER = 1e-12
"""A share by which chance injects nothing."""

REQUESTS = {
    "s3 write": ("PUT", "s3", {}),
    "s3 read": ("GET", "s3", {}),
    "kinesis write": ("POST", "kinesis", {"X-Amz-Target": "Kinesis_20131202.PutRecords"}),
    "dynamodb write": ("POST", "dynamodb", {"X-Amz-Target": "DynamoDB_20120810.UpdateItem"}),
}


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_POST = _answer  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def target() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def send(proxy: FaultProxy, kind: str) -> bool:
    """Whether a request of a kind was answered as it should."""
    method, service, headers = REQUESTS[kind]
    signed = f"AWS4-HMAC-SHA256 Credential=x/20260101/eu-central-1/{service}/aws4_request"
    connection = http.client.HTTPConnection("127.0.0.1", proxy.server_port, timeout=10)
    try:
        connection.request(method, "/bucket/key", b"{}", {**headers, "Authorization": signed})
        return connection.getresponse().status == 200
    except (http.client.HTTPException, OSError):
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("kind", FAULTS)
def test_the_first_request_of_a_kind_meets_a_fault_and_soon_each_fault_is_met(kind: str, target: str) -> None:
    with fault_proxy({"": target}, {kind: NEVER}) as proxy:
        answered = [send(proxy, kind) for _ in range(12)]
        faults = dict(proxy.faults)
    assert not answered[0]
    assert faults == dict.fromkeys(FAULTS[kind], 1)
    assert answered.count(False) == len(FAULTS[kind])
    assert not any(not one and not other for one, other in itertools.pairwise(answered))


def test_a_service_that_is_away_refuses_every_request_of_its_kind(target: str) -> None:
    with fault_proxy({"": target}) as proxy:
        proxy.away = frozenset({"kinesis write"})
        assert [send(proxy, kind) for kind in ("kinesis write", "s3 write", "kinesis write")] == [False, True, False]
        proxy.away = frozenset()
        assert send(proxy, "kinesis write")


def test_kinds_without_a_share_meet_none(target: str) -> None:
    with fault_proxy({"": target}, {"s3 read": NEVER}) as proxy:
        assert all(send(proxy, "s3 write") for _ in range(3))
        assert not proxy.faults
