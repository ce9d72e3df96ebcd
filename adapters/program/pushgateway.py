"""Pushes the figures of a program that ends to a Prometheus Pushgateway, where Prometheus finds them later."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

from adapters.program.metrics import Metric
from fraud.errors import RetryableError


def push_gauges(address: str, program: str, gauges: Mapping[Metric, Mapping[str, float]]) -> None:
    """Replaces what the program pushed last time.

    Args:
        address: `http://host:port`.
        program: the value of the label `job`.
        gauges: values by the value of the metric's one label.

    Raises:
        RetryableError: the gateway does not take them.
    """
    registry = CollectorRegistry()
    for metric, values in gauges.items():
        gauge = Gauge(metric.name, metric.meaning, metric.labels, registry=registry)
        for label, value in values.items():
            gauge.labels(label).set(value)
    try:
        push_to_gateway(address, program, registry, timeout=10)
    except OSError as error:
        raise RetryableError(f"metrics not pushed to {address}: {error}") from None
