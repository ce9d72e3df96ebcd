"""The cost sheet: hand-computed lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.aws.prices import Load, cost_sheet
from fraud.errors import MisconfiguredError

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
    assert lines["Pods"] == pytest.approx(3 * 0.0604 * 730)  # driver, and (0.5 + 0.1 + 2 x 0.05) / 0.6 rounded up
    assert lines["S3 requests"] == pytest.approx(2_628 * (13 * 0.0054 + 0.00043))  # 2,628 thousand batches


def test_dollars_per_million_divide_the_total() -> None:
    sheet = cost_sheet(LOAD)
    assert sheet.dollars_per_million == pytest.approx(sum(i.dollars_per_month for i in sheet.items) / 2_628)


def test_state_endpoint_and_decision_service_follow_from_the_load() -> None:
    lines = {item.name: item.dollars_per_month for item in cost_sheet(LOAD).items}
    assert lines["State volumes"] == pytest.approx(883.872 * 0.0952)  # 1,000 x 86,400 x 31 x 110 B x 3 entities
    assert lines["Model endpoint"] == pytest.approx(2 * 0.233 * 730)
    assert lines["Decision service"] == 0
    lines = {i.name: i.dollars_per_month for i in cost_sheet(replace(LOAD, tps=30_000, answered_share=0.1)).items}
    assert lines["Model endpoint"] == pytest.approx(3 * 0.233 * 730)  # 30,000 / 12,000 an instance, rounded up
    # 3,000 answers/s: 3,000 / 192 a core, rounded up, and 518.4 million answers in two days
    assert lines["Decision service"] == pytest.approx(16 * 0.0604 * 730 + 518.4 * 1.3 * 0.0952)


def test_a_load_that_one_job_does_not_carry_is_refused_with_the_limit() -> None:
    with pytest.raises(MisconfiguredError, match=r"^--tps: is 100,000, but one driver's reader hands over some 30,000"):
        cost_sheet(replace(LOAD, tps=100_000))
