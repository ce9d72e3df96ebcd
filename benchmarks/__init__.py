"""Throughput, latency, parity and cost: one command each, `python -m benchmarks.NAME --json FILE`."""
