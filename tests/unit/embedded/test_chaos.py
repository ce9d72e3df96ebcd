"""The comparison after a chaos run notices everything that may be wrong, and the proxy injects what it counts."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pyarrow as pa
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from embedded.chaos.comparison import compare_alerts, compare_tables
from embedded.chaos.fault_proxy import FaultProxy, fault_proxy
from tests.support.records import stream_records

WANTED = pa.Table.from_batches([stream_records([b"a", b"b", b"c"])])


def test_equal_tables_in_another_order_do_not_differ() -> None:
    found = compare_tables(WANTED, WANTED.take([2, 0, 1]))
    assert (found.expected, found.lost, found.duplicated, found.different) == (3, 0, 0, 0)


def test_a_lost_a_doubled_and_a_changed_row_are_counted() -> None:
    changed = WANTED.set_column(5, "data", pa.array([b"a", b"x", b"c"]))
    found = compare_tables(WANTED, pa.concat_tables([changed.slice(0, 2), changed.slice(0, 1)]))
    assert (found.lost, found.duplicated, found.different) == (1, 1, 1)
    assert any("data: b'x', expected b'b'" in example for example in found.examples)


def test_a_row_that_was_not_expected_counts_as_different() -> None:
    assert compare_tables(WANTED.slice(0, 2), WANTED).different == 1


def test_undefined_features_are_equal_and_processing_columns_may_differ() -> None:
    nan = pa.array([float("nan")] * 3)
    one, other = (WANTED.append_column("f", nan).append_column("decided_at", pa.array([n] * 3)) for n in (1, 2))
    assert compare_tables(one, other).different == 0


def test_alerts_are_compared_by_value() -> None:
    found = compare_alerts({"a": {"score": 0.5, "decided_ms": 1}, "b": {}}, {"a": {"score": 0.6, "decided_ms": 2}})
    assert (found.lost, found.different) == (1, 1)


@pytest.fixture(scope="module")
def always_faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    with fault_proxy("http://127.0.0.1:9", share=1.0, seed=1) as proxy:
        yield proxy


def test_injected_faults_reach_the_client_and_are_counted(always_faulty: FaultProxy) -> None:
    s3 = boto3.client(
        "s3", endpoint_url=always_faulty.url, region_name="eu-central-1",
        aws_access_key_id="local", aws_secret_access_key="local",
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=2, read_timeout=2),
    )  # fmt: skip
    with pytest.raises((ClientError, BotoCoreError)):
        s3.put_object(Bucket="b", Key="k", Body=b"1")
    assert sum(always_faulty.faults.values()) == 1
