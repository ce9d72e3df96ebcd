"""The comparison after a chaos run notices everything that may be wrong, and the proxy injects what it counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.alerts import AlertTable
from adapters.archive import Archive
from adapters.aws import aws_client
from embedded.chaos.comparison import compare_alerts, compare_tables
from embedded.chaos.fault_proxy import FAULTS, FaultProxy, Moment, fault_proxy
from embedded.chaos.object_store import object_store
from fraud.alert import Item, alert_item
from fraud.settings import Aws, Settings
from tests.support.records import VERDICT, stream_records, transaction
from tests.support.stand_ins import provisioned

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
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with provisioned(tmp_path_factory.mktemp("stand-in")) as settings:
        yield settings


def behind(proxy: FaultProxy) -> Settings:
    return Settings(aws=Aws(endpoint_url=proxy.url))


def services(settings: Settings) -> dict[str, str]:
    return {"": str(settings.aws.endpoint_url)}


def alerts(first: int, count: int) -> list[Item]:
    return [alert_item(transaction(transaction_id=f"t-{n}") | VERDICT, {}, 30) for n in range(first, first + count)]


def test_all_kinds_of_faults_are_met_and_got_over(stand_in: Settings) -> None:
    with fault_proxy(services(stand_in), dict.fromkeys(FAULTS, 0.3), seed=1) as proxy:
        archive, table = Archive(behind(proxy)), AlertTable(behind(proxy), pause=lambda _: None)
        for number in range(40):
            archive.put_new(f"{number}", b"x")
            assert archive.get(f"{number}") == b"x"
            table.put_new(alerts(10 * number, 10))
        kinds = {name for kind in FAULTS.values() for name in kind}
        assert proxy.faults.keys() == kinds
        assert archive.retries.take() > 0
        assert table.retries.take() > 0
    assert sum(1 for _ in Archive(stand_in).keys("")) == 40
    assert sum(1 for _ in AlertTable(stand_in).all()) == 400


@pytest.mark.parametrize("done", [False, True])
def test_a_moment_is_met_once_before_or_after_its_write(stand_in: Settings, done: bool) -> None:
    seen: list[bytes | None] = []
    key = f"decisions/{done}"
    with fault_proxy(services(stand_in)) as proxy:
        archive = Archive(behind(proxy))
        moment = Moment("/decisions/", done, lambda: seen.append(Archive(stand_in).get(key)))
        proxy.await_moment(moment)
        archive.put_new("pins/1", b"x")
        assert not moment.passed.is_set()
        archive.put_new(key, b"x")
        archive.put_new(key, b"y")
        assert moment.passed.is_set()
    assert seen == [b"x" if done else None]
    assert Archive(stand_in).get(key) == b"x"


def test_a_killed_store_of_objects_still_has_what_it_answered_for(tmp_path: Path) -> None:
    with object_store(tmp_path / "store") as store:
        settings = Settings(aws=Aws(endpoint_url=store.url))
        aws_client("s3", settings.aws).create_bucket(
            Bucket=settings.archive.bucket, CreateBucketConfiguration={"LocationConstraint": settings.aws.region}
        )
        Archive(settings).put_new("a", b"first")
        store.kill()
        store.start()
        assert not Archive(settings).put_new("a", b"second")
        assert Archive(settings).get("a") == b"first"
