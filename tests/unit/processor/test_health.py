"""The health address: live while the query gives signs of life, ready after its first."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import pytest

from adapters.telemetry import Telemetry
from fraud.errors import MisconfiguredError
from fraud.settings import Health
from processor.health import HealthServer, Pulse, answer


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
