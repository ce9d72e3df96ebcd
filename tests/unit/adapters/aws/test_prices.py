"""The cost sheet: hand-computed lines."""

from __future__ import annotations

import pytest

from adapters.aws.prices import Load, cost_sheet

LOAD = Load(
    tps=1_000,
    alert_share=0.005,
    tps_per_core=2_000,
    batch_core_s=0.1,
    partition_core_s=0.05,
    trigger_s=1.0,
    partitions=2,
)


def test_lines_follow_from_the_load() -> None:
    lines = {item.name: item.dollars_per_month for item in cost_sheet(LOAD).items}
    assert lines["Kinesis shards"] == pytest.approx(2 * 0.018 * 730)  # 1,000 / 600 a shard, rounded up
    assert lines["Kinesis puts"] == pytest.approx(2_628 * 0.0175)  # 1,000 x 3,600 x 730 = 2,628 million
    assert lines["DynamoDB writes"] == pytest.approx(2_628 * 0.005 * 4 * 5 * 0.7625)
    assert lines["Pods"] == pytest.approx(3 * 0.0489 * 730)  # driver, and (0.5 + 0.1 + 2 x 0.05) / 0.6 rounded up
    assert lines["S3 requests"] == pytest.approx(2_628 * (13 * 0.0054 + 0.00043))  # 2,628 thousand batches


def test_dollars_per_million_divide_the_total() -> None:
    sheet = cost_sheet(LOAD)
    assert sheet.dollars_per_million == pytest.approx(sum(i.dollars_per_month for i in sheet.items) / 2_628)
