"""The health address: live while the query gives signs of life, ready after its first."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from contextlib import ExitStack

import pytest

from adapters.program.telemetry import Telemetry
from fraud.errors import MisconfiguredError
from fraud.settings import Health
from processor.health import MAX_CALLERS, HealthServer, Pulse, answer


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_silent_query_is_neither_live_nor_ready() -> None:
    clock, telemetry = Clock(), Telemetry()
    pulse = Pulse(10.0, clock)
    assert answer("/live", pulse, telemetry)[0] == 200
    assert answer("/ready", pulse, telemetry)[0] == 503
    pulse.ready = True
    assert answer("/ready", pulse, telemetry)[0] == 200
    clock.seconds = 10.1
    assert answer("/live", pulse, telemetry)[0] == answer("/ready", pulse, telemetry)[0] == 503
    pulse.beat()
    assert answer("/live", pulse, telemetry)[0] == 200


def test_lag_and_metrics_are_served_and_other_paths_are_not() -> None:
    pulse = Pulse(10.0)
    pulse.lag_ms = {"fraud-transactions/shard-0": 120}
    with HealthServer(Health(port=0), pulse, Telemetry()) as server:
        address = f"http://127.0.0.1:{server.port}"
        assert json.load(urllib.request.urlopen(f"{address}/lag"))["lag_ms"] == {"fraud-transactions/shard-0": 120}
        assert b"fraud_alerts_put_total" in urllib.request.urlopen(f"{address}/metrics").read()
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"{address}/secrets")
        refused.value.close()


def test_a_taken_port_names_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(MisconfiguredError, match=r"health\.port"):
            HealthServer(Health(port=taken.getsockname()[1]), Pulse(1.0), Telemetry())


def test_a_half_open_request_is_hung_up_on_and_the_next_one_answered() -> None:
    with HealthServer(Health(port=0), Pulse(180.0), Telemetry(), limit_s=0.2) as server:
        for sent in (b"", b"GET /live HTT", b"GET /live HTTP/1.1\r\nHost: x\r\nX: "):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as caller:
                caller.sendall(sent)
                assert caller.recv(100) == b""
        assert json.load(urllib.request.urlopen(f"http://127.0.0.1:{server.port}/live", timeout=30))["live"]


def test_more_callers_than_there_can_be_are_hung_up_on_at_once() -> None:
    with HealthServer(Health(port=0), Pulse(180.0), Telemetry()) as server, ExitStack() as callers:

        def call() -> socket.socket:
            return callers.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))

        waiting = [call() for _ in range(MAX_CALLERS)]
        assert call().recv(100) == b""
        waiting[0].sendall(b"GET /live HTTP/1.0\r\n\r\n")
        assert waiting[0].recv(100).startswith(b"HTTP/1.0 200 ")
