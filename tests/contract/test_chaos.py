"""The comparison after a chaos run notices everything that may be wrong, and the proxy injects what it counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.alerts.alert import Item, alert_item
from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind
from adapters.archive.pins import Pin, Pins
from adapters.aws.backoff import Backoff
from adapters.aws.clients import aws_client
from adapters.aws.stream_writer import KinesisWriter, StreamRecord
from adapters.policy.source import policy_files, read_bundle, write_bundle
from embedded.chaos.comparison import Difference, compare_alerts, compare_tables
from embedded.chaos.fault_proxy import FAULTS, FaultProxy, Moment, fault_proxy
from embedded.chaos.hostile import POLICIES, RECORDS
from embedded.chaos.intruder import Intruder
from embedded.chaos.object_store import object_store
from embedded.chaos.oracle import RecordId, expected, read_stream, record_ids
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.settings import Aws, Policy, Settings
from tests.support.emulators import provisioned
from tests.support.former_alerts import former
from tests.support.records import KEPT_DAYS, NOON, VERDICT, stream_records, transaction, wire

WANTED = pa.Table.from_batches([stream_records([b"a", b"b", b"c"])])


def test_equal_tables_in_another_order_do_not_differ() -> None:
    found = compare_tables(WANTED, WANTED.take([2, 0, 1]))
    assert (found.expected, found.lost, found.duplicated, found.different) == (3, 0, 0, 0)


def test_a_lost_a_duplicated_and_a_changed_row_are_counted() -> None:
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


def placed(*items: Item) -> dict[RecordId, Item]:
    return {("s", "0", str(number), 0): item for number, item in enumerate(items)}


def test_alerts_are_compared_by_value() -> None:
    one, other = alerts(0, 2)
    assert compare_alerts(placed(one, other), [other, one | {"decided_ms": 2}]) == Difference(expected=2)
    found = compare_alerts(placed(one, other), [one | {"score": 0.6}])
    assert (found.lost, found.duplicated, found.different) == (1, 0, 1)


def test_an_alert_lost_to_a_key_that_two_decisions_share_is_lost() -> None:
    one, other = (item | {"alert_id": "shared"} for item in alerts(0, 2))
    found = compare_alerts(placed(one, other), [one])
    assert (found.expected, found.lost, found.different) == (2, 1, 0)


def test_two_alerts_on_one_decision_and_one_on_none_are_counted() -> None:
    one, other = alerts(0, 2)
    found = compare_alerts(placed(one), [one, former(one), other])
    assert (found.lost, found.duplicated, found.different) == (0, 1, 1)


def test_one_record_decided_at_two_places_with_one_alert_has_lost_one() -> None:
    (one,) = alerts(0, 1)
    assert compare_alerts(placed(one, one), [one]).lost == 1


@pytest.fixture(scope="module")
def emulator() -> Iterator[Settings]:
    with provisioned() as settings:
        yield settings


def behind(proxy: FaultProxy) -> Settings:
    return Settings(aws=Aws(endpoint_url=proxy.url))


def services(settings: Settings) -> dict[str, str]:
    return {"": str(settings.aws.endpoint_url)}


def alerts(first: int, count: int) -> list[Item]:
    return [
        alert_item(transaction(transaction_id=f"t-{n}") | VERDICT, {}, KEPT_DAYS) for n in range(first, first + count)
    ]


def test_all_kinds_of_faults_are_met_and_got_over(emulator: Settings) -> None:
    with fault_proxy(services(emulator), dict.fromkeys(FAULTS, 0.3), seed=1) as proxy:
        archive, table = (
            open_archive(behind(proxy).archive, behind(proxy).aws),
            AlertTable(behind(proxy).alerts, behind(proxy).aws, backoff=partial(Backoff, sleep=lambda _: None)),
        )
        for number in range(40):
            archive.put_new(f"faults/{number}", b"x")
            assert archive.get(f"faults/{number}") == b"x"
            table.put_new(alerts(10 * number, 10))
        kinds = {name for kind, names in FAULTS.items() if not kind.startswith("kinesis") for name in names}
        assert proxy.faults.keys() == kinds
        assert archive.take_retries() > 0
        assert table.take_retries() > 0
    assert sum(1 for _ in open_archive(emulator.archive, emulator.aws).keys("faults/")) == 40
    assert sum(1 for _ in AlertTable(emulator.alerts, emulator.aws).all()) == 400


@pytest.mark.parametrize("done", [False, True])
def test_a_moment_is_met_once_before_or_after_its_write(emulator: Settings, done: bool) -> None:
    seen: list[bytes | None] = []
    key = f"decisions/{done}"
    with fault_proxy(services(emulator)) as proxy:
        archive = open_archive(behind(proxy).archive, behind(proxy).aws)
        moment = Moment("/decisions/", done, lambda: seen.append(open_archive(emulator.archive, emulator.aws).get(key)))
        proxy.await_moment(moment)
        archive.put_new("pins/1", b"x")
        assert not moment.passed.is_set()
        archive.put_new(key, b"x")
        archive.put_new(key, b"y")
        assert moment.passed.is_set()
    assert seen == [b"x" if done else None]
    assert open_archive(emulator.archive, emulator.aws).get(key) == b"x"


def test_a_killed_store_of_objects_still_has_what_it_answered_for(tmp_path: Path) -> None:
    with object_store(tmp_path / "store") as store:
        settings = Settings(aws=Aws(endpoint_url=store.url))
        aws_client("s3", settings.aws).create_bucket(
            Bucket=settings.archive.bucket, CreateBucketConfiguration={"LocationConstraint": settings.aws.region}
        )
        open_archive(settings.archive, settings.aws).put_new("a", b"first")
        store.kill()
        store.start()
        assert not open_archive(settings.archive, settings.aws).put_new("a", b"second")
        assert open_archive(settings.archive, settings.aws).get("a") == b"first"


def test_hostile_records_on_the_streams_are_expected_where_their_rows_say(emulator: Settings) -> None:
    replayed = emulator.model_copy(update={"job": emulator.job.model_copy(update={"recorded_arrival": True})})
    intruder = Intruder(emulator, lambda _: None)
    good = [wire(transaction(transaction_id=f"good-{number}", recorded_arrival=NOON)) for number in range(2)]
    KinesisWriter(emulator.streams.transactions, emulator.aws).write([StreamRecord("1", data) for data in good])
    intruder.send([*good, b"not json", wire(transaction(card_token="hostile-0"))])
    streams = (emulator.streams.transactions, emulator.streams.labels)
    records = pa.concat_tables([read_stream(emulator, name) for name in streams])
    batch, bundle = 3, read_bundle(policy_files(emulator.policy.path, emulator.aws))
    stricter = PolicyBundle({**bundle.files, ROOT: bundle.files[ROOT].replace("review: 0.113", "review: 0.11")})
    pins = Pins(open_archive(emulator.archive, emulator.aws), emulator.job.query)
    pins.pin(batch, Pin(stricter.version, None), stricter, frozenset({""}))

    wanted = expected(replayed, records, dict.fromkeys(record_ids(records), batch))

    assert set(wanted.decisions["policy_version"].to_pylist()) == {stricter.version} != {bundle.version}
    stored = dict(zip((ArchiveKind.DECISIONS, ArchiveKind.LABELS, ArchiveKind.DEAD_LETTERS), wanted, strict=True))
    found = intruder.compare(records, stored)
    assert (found.expected, found.lost) == (len(RECORDS), 0)
    assert found.examples == [f"policy {stricter.version} decided, and no edit made it"]
    assert sum(intruder.counts.values()) == len(RECORDS)


def test_the_policy_is_edited_for_as_long_as_asked_and_then_as_before(emulator: Settings, tmp_path: Path) -> None:
    copy = tmp_path / ROOT
    bundle = read_bundle(policy_files(emulator.policy.path, emulator.aws))
    write_bundle(policy_files(str(copy), emulator.aws), PolicyBundle({}), bundle)
    edited = emulator.model_copy(update={"policy": Policy(path=str(copy))})
    intruder = Intruder(edited, lambda _: None, stands_s=0.01)
    seen: set[bytes] = set()
    with intruder.editing():
        while not {f"policy: {row.name}" for row in POLICIES} <= intruder.counts.keys():
            with suppress(FileNotFoundError):  # an edit deletes it for a while
                seen.add(copy.read_bytes())
    assert len(seen) > 3
    assert read_bundle(policy_files(str(copy), emulator.aws)) == bundle
    assert bundle.version in intruder.policies
    assert len(intruder.policies) == 1 + sum(row.accepted for row in POLICIES)
