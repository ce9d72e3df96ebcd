"""The cost sheet: hand-computed lines."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.aws.prices import BATCH_CORE_S, PARTITION_CORE_S, TPS_PER_CORE, Load, cost_sheet, resources
from fraud.errors import MisconfiguredError

SIZING = Path(__file__).parents[4] / "docs" / "sizing-aws.md"

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
    assert lines["State volumes"] == pytest.approx(297.3024 * 0.0952)  # 1,000 x 86,400 x 31 x 37 B x 3 entities
    assert lines["Model endpoint"] == pytest.approx(2 * 0.233 * 730)
    assert lines["Decision service"] == 0
    lines = {i.name: i.dollars_per_month for i in cost_sheet(replace(LOAD, tps=30_000, answered_share=0.1)).items}
    assert lines["Model endpoint"] == pytest.approx(3 * 0.233 * 730)  # 30,000 / 12,000 an instance, rounded up
    # 3,000 answers/s: 3,000 / 192 a core, rounded up, and 518.4 million answers in two days
    assert lines["Decision service"] == pytest.approx(16 * 0.0604 * 730 + 518.4 * 1.3 * 0.0952)


def test_consumers_of_their_own_pay_by_shard_and_by_what_is_pushed() -> None:
    lines = {item.name: item.dollars_per_month for item in cost_sheet(replace(LOAD, fan_out=3)).items}
    # three of 2 shards, and 2,628 million records of 600 B to each
    assert lines["Kinesis fan-out"] == pytest.approx(6 * 0.018 * 730 + 3 * 1_576.8 * 0.0156)
    answered = {i.name: i.dollars_per_month for i in cost_sheet(replace(LOAD, fan_out=1, answered_share=0.5)).items}
    assert answered["Kinesis fan-out"] == pytest.approx(2 * 0.018 * 730 + 4_730.4 * 0.0156)  # half of 3,000 B


def test_maintenance_and_erasures_do_not_grow_with_the_archive_but_for_reading_one_column() -> None:
    lines = {item.name: item.dollars_per_month for item in cost_sheet(LOAD).items}
    # 172,800 objects a day: 1,382.4 requests list eight days, 730 times; 5.256 million objects are read twice
    assert lines["Maintenance"] == pytest.approx(730 * 1.3824 * 0.0054 + 10_512 * 0.00043)
    # 10 x: the same list; 2,200 objects read and written; 135,604.8 files of 0.1 GB, of which two parts are read
    assert lines["Erasures"] == pytest.approx(10 * (1.3824 * 0.0054 + 2.2 * 0.00583 + 271.2096 * 0.00043))
    assert {i.name: i.dollars_per_month for i in cost_sheet(replace(LOAD, erasures=0)).items}["Erasures"] == 0


def test_a_load_that_one_job_does_not_carry_is_refused_with_the_limit_and_the_jobs_that_carry_it() -> None:
    said = r"^--tps: is 100,000 a job, but fetching some 30,000 transactions a second fills .* --jobs 4 or more"
    with pytest.raises(MisconfiguredError, match=said):
        cost_sheet(replace(LOAD, tps=100_000))
    assert resources(replace(LOAD, tps=100_000, jobs=4)).job_tps == 25_000


PLAN = Load(
    tps=100_000,
    alert_share=0.005,
    tps_per_core=TPS_PER_CORE,
    batch_core_s=BATCH_CORE_S,
    partition_core_s=PARTITION_CORE_S,
    trigger_s=2,
    partitions=32,
    jobs=4,
)


def test_the_resources_of_a_load_beyond_one_driver() -> None:
    needs = resources(PLAN)
    assert needs.shards == 4 * 42  # 25,000 / 600 a shard, rounded up for each stream
    assert needs.busy_cores == pytest.approx(10 + 7.8)  # 100,000 / 10,000, and 4 x (0.06 + 32 x 0.12) / 2
    assert needs.cores == 4 + 30  # drivers, and 17.8 / 0.6 rounded up
    assert needs.puts_per_s == 326  # 4 x (32 x 5 + 3) / 2
    assert needs.state_gb == pytest.approx(29_730.24)  # 100,000 x 86,400 x 31 x 37 B x 3
    assert needs.endpoints == 9  # 100,000 / 12,000


def test_the_plan_in_the_documents_is_what_the_program_computes() -> None:
    text = SIZING.read_text()
    table = dict(
        re.findall(r"^\| ([^|]+?) \|[^|]+\| ([^|]+?) \|$", text.partition("## Beyond one driver")[2], re.MULTILINE)
    )
    needs, sheet = resources(PLAN), cost_sheet(PLAN)
    cost = {item.name: f"{item.dollars_per_month:,.0f} $/month" for item in sheet.items}
    assert table["jobs"] == f"{needs.jobs}"
    assert table["shards"] == f"{needs.shards}, {needs.shards // needs.jobs} a job"
    assert table["busy cores"] == f"{needs.busy_cores:.1f}"
    assert table["cores"] == f"{needs.cores}"
    assert table["objects a second"] == f"{needs.puts_per_s:.0f}"
    assert table["state on disk"] == f"{needs.state_gb / 1000:.1f} TB at most, {needs.state_gb / 4000:.1f} a job"
    assert table["S3 requests"] == cost["S3 requests"]
    assert table["the same on gp3"] == cost["State volumes"]
    assert table["endpoint"] == f"{needs.endpoints} instances, {cost['Model endpoint']}"
    assert table["all that `fraud cost` prices"] == f"{sheet.dollars_per_month:,.0f} $/month"
