"""Delta tables over the archive: each row once, whoever maintains them how often, and readable by everyone."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from deltalake import DeltaTable

from adapters.archive.archive import Archive, open_archive
from adapters.archive.delta import storage_options
from adapters.archive.layout import ArchiveKind
from adapters.archive.offset_notes import OffsetNotes, read_notes
from adapters.aws.clients import aws_client
from embedded.chaos.fault_proxy import Moment, fault_proxy
from fraud.records.dead_letter import Reason, Reject, dead_letters
from fraud.settings import Archive as ArchiveSettings
from fraud.settings import Aws, Settings
from operations.lake import Lake
from tests.support.emulators import provisioned
from tests.support.records import NOON, stream_records

FRAUD = Path(sys.executable).with_name("fraud")
NOON_MS = 1_768_478_400_000


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as located:
        yield located


@pytest.fixture
def bucket(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Settings with a prefix of the test's own."""
    return settings.model_copy(update={"archive": ArchiveSettings(prefix=f"{request.node.name}/")})


def labels(first: int, count: int) -> pa.Table:
    records = stream_records([b"x"] * (first + count)).slice(first)
    return pa.Table.from_batches([records])


def lake(settings: Settings, now: dt.datetime = NOON + dt.timedelta(hours=2)) -> Lake:
    return Lake(settings.archive, settings.aws, now, dt.timedelta(minutes=30))


def test_closed_hours_are_folded_once_late_objects_too_and_readers_see_every_row(bucket: Settings) -> None:
    archive = open_archive(bucket.archive, bucket.aws)
    archive.put_table_once(ArchiveKind.LABELS.key("fraud", 1, 0, NOON_MS), labels(0, 5))
    archive.put_table_once(ArchiveKind.LABELS.key("fraud", 9, 0, NOON_MS + 7_200_000), labels(20, 4))
    first = lake(bucket).maintain(ArchiveKind.LABELS)
    assert (first.objects, first.rows, first.archived, first.sound) == (1, 5, 5, True)  # the hour of 14:00 is open
    assert lake(bucket).maintain(ArchiveKind.LABELS).rows == 0
    archive.put_table_once(ArchiveKind.LABELS.key("fraud", 2, 0, NOON_MS), labels(5, 3))
    late = lake(bucket).maintain(ArchiveKind.LABELS)
    assert (late.objects, late.rows, late.archived, late.sound) == (1, 3, 8, True)
    url = f"s3://{bucket.archive.bucket}/{bucket.archive.prefix}tables/labels"
    table = DeltaTable(url, storage_options=storage_options(bucket.archive, bucket.aws))
    held = table.to_pyarrow_table(columns=["sequence_number"])
    assert held.num_rows == len(set(held["sequence_number"].to_pylist())) == 8


def test_a_settled_date_is_not_looked_at_again_and_an_hour_only_where_it_has_more(
    bucket: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, day_ms = open_archive(bucket.archive, bucket.aws), 86_400_000
    read: list[str] = []
    count = Archive.row_count

    def counted(self: Archive, key: str) -> int:
        read.append(key)
        return count(self, key)

    monkeypatch.setattr(Archive, "row_count", counted)
    old, young = (ArchiveKind.LABELS.key("fraud", 1 + day, 0, NOON_MS + day * day_ms) for day in (0, 9))
    for number, key in enumerate((old, young)):
        archive.put_table_once(key, labels(10 * number, 5))
    now = NOON + dt.timedelta(days=10)
    assert lake(bucket, now).settled(ArchiveKind.LABELS) == ""
    assert (lake(bucket, now).maintain(ArchiveKind.LABELS).rows, read) == (10, [old, young])
    assert lake(bucket, now).settled(ArchiveKind.LABELS) == "2026-01-17"

    read.clear()
    found = lake(bucket, now).maintain(ArchiveKind.LABELS)
    assert (found.archived, found.sound, read) == (5, True, [])
    late = ArchiveKind.LABELS.key("fraud", 11, 0, NOON_MS + 9 * day_ms)
    archive.put_table_once(late, labels(30, 3))
    never = ArchiveKind.LABELS.key("fraud", 2, 0, NOON_MS)  # as no job writes
    archive.put_table_once(never, labels(40, 2))
    found = lake(bucket, now).maintain(ArchiveKind.LABELS)
    assert (found.rows, found.archived, read) == (3, 8, [young, late])
    whole = Lake(bucket.archive, bucket.aws, now, dt.timedelta(minutes=30), everything=True)
    assert (whole.maintain(ArchiveKind.LABELS).rows, read[2:]) == (2, [old, never, young, late])


def test_two_maintainers_at_once_fold_each_object_once(bucket: Settings) -> None:
    archive = open_archive(bucket.archive, bucket.aws)
    for batch in range(6):
        archive.put_table_once(ArchiveKind.LABELS.key("fraud", batch, 0, NOON_MS), labels(10 * batch, 10))
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: lake(bucket).maintain(ArchiveKind.LABELS), range(2)))
    assert sum(found.rows for found in done) == 60
    assert lake(bucket).maintain(ArchiveKind.LABELS).sound


def test_maintainers_at_once_compact_and_expire_the_same_table(bucket: Settings) -> None:
    archive = open_archive(bucket.archive, bucket.aws)
    for day in range(3):
        for batch in range(4):
            number = 4 * day + batch
            key = ArchiveKind.LABELS.key("fraud", number, 0, NOON_MS + 86_400_000 * day)
            archive.put_table_once(key, labels(10 * number, 10))
        lake(bucket, NOON + dt.timedelta(days=day, hours=2)).maintain(ArchiveKind.LABELS)
    kept = bucket.model_copy(update={"archive": bucket.archive.model_copy(update={"retention_days": 2})})
    archive.put_table_once(ArchiveKind.LABELS.key("late", 1, 0, NOON_MS + 86_400_000), labels(900, 10))
    later = NOON + dt.timedelta(days=3)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: lake(kept, later).maintain(ArchiveKind.LABELS), range(4)))
    assert (sum(found.rows for found in done), sum(found.expired for found in done)) == (10, 40)
    assert all(found.sound for found in done)
    assert lake(kept, later).maintain(ArchiveKind.LABELS).archived == 90


def test_verification_notices_a_duplicated_row(bucket: Settings) -> None:
    archive = open_archive(bucket.archive, bucket.aws)
    archive.put_table_once(ArchiveKind.LABELS.key("fraud", 1, 0, NOON_MS), labels(0, 5))
    archive.put_table_once(ArchiveKind.LABELS.key("other", 1, 0, NOON_MS), labels(4, 1))
    found = lake(bucket).maintain(ArchiveKind.LABELS)
    assert (found.duplicated, found.missing, found.sound) == (1, 0, False)


def test_rows_beyond_the_retention_are_removed(bucket: Settings) -> None:
    archive = open_archive(bucket.archive, bucket.aws)
    archive.put_table_once(ArchiveKind.LABELS.key("fraud", 1, 0, NOON_MS), labels(0, 5))
    assert lake(bucket).maintain(ArchiveKind.LABELS).rows == 5
    kept = bucket.model_copy(update={"archive": bucket.archive.model_copy(update={"retention_days": 7})})
    later = lake(kept, NOON + dt.timedelta(days=8)).maintain(ArchiveKind.LABELS)
    assert (later.expired, later.rows, later.sound) == (5, 0, True)
    again = lake(kept, NOON + dt.timedelta(days=8)).maintain(ArchiveKind.LABELS)
    assert (again.expired, again.rows) == (0, 0)


def archive_batches(settings: Settings, count: int, rows: int = 5) -> None:
    """Labels of so many batches that arrived at noon, and the notes of what was read."""
    archive = open_archive(settings.archive, settings.aws)
    OffsetNotes(archive, "fraud", lambda: NOON_MS).leave(0, {})
    for batch in range(count):
        archive.put_table_once(ArchiveKind.LABELS.key("fraud", batch, 0, NOON_MS), labels(rows * batch, rows))
    OffsetNotes(archive, "fraud", lambda: NOON_MS + 1).leave(count, {"tx/shard-0": rows * count})


def test_counts_are_verified_against_the_stream_s_offsets(bucket: Settings) -> None:
    archive_batches(bucket, 2)
    first = lake(bucket)
    first.maintain(ArchiveKind.LABELS)
    (counted,) = first.verify_offsets()
    assert (counted.first, counted.last, counted.read, counted.stored) == (0, 1, 10, 10)
    notes = OffsetNotes(open_archive(bucket.archive, bucket.aws), "fraud", lambda: NOON_MS + 2)
    notes.leave(3, {"tx/shard-0": 14})
    later = lake(bucket)
    later.maintain(ArchiveKind.LABELS)
    (counted,) = later.verify_offsets()
    assert (counted.read, counted.stored, counted.missing) == (14, 10, 4)


def test_notes_from_before_settled_dates_are_not_read_and_later_ones_counted(bucket: Settings) -> None:
    archive, day_ms = open_archive(bucket.archive, bucket.aws), 86_400_000
    for day in (0, 12, 14):
        notes = OffsetNotes(archive, "fraud", lambda: NOON_MS + day * day_ms)  # noqa: B023 - called at once
        notes.leave(day, {"tx/shard-0": 5 * day})
        archive.put_table_once(ArchiveKind.LABELS.key("fraud", day, 0, NOON_MS + day * day_ms), labels(20 * day, 10))
    later = lake(bucket, NOON + dt.timedelta(days=15))
    later.maintain(ArchiveKind.LABELS)
    assert [note.batches for note in read_notes(archive, NOON_MS + 13 * day_ms)] == [14]
    assert [note.batches for note in read_notes(archive)] == [14, 12, 0]
    later = lake(bucket, NOON + dt.timedelta(days=15))
    later.maintain(ArchiveKind.LABELS)
    (counted,) = later.verify_offsets()
    assert (counted.first, counted.last, counted.read, counted.stored) == (12, 13, 10, 10)


def test_labels_that_ended_as_dead_letters_are_counted_with_the_batch_that_read_them(bucket: Settings) -> None:
    archive_batches(bucket, 2)
    rejects = [Reject(row, reason, None, "") for row, reason in enumerate([Reason.UNMATCHED_LABEL, Reason.INVALID])]
    refused = dead_letters(stream_records([b"x", b"y"]), rejects)
    key = ArchiveKind.DEAD_LETTERS.key("fraud", 1, 0, NOON_MS)
    open_archive(bucket.archive, bucket.aws).put_table_once(key, pa.Table.from_batches([refused]))
    first = lake(bucket)
    assert [first.maintain(kind).rows for kind in (ArchiveKind.LABELS, ArchiveKind.DEAD_LETTERS)] == [10, 2]
    (counted,) = first.verify_offsets()
    assert (counted.read, counted.stored, counted.surplus) == (10, 11, 1)  # the other dead letter is one too many


def test_objects_that_expired_still_count_while_the_table_has_them(bucket: Settings) -> None:
    archive_batches(bucket, 2)
    lake(bucket).maintain(ArchiveKind.LABELS)
    key = bucket.archive.prefix + ArchiveKind.LABELS.key("fraud", 0, 0, NOON_MS)
    aws_client("s3", bucket.aws).delete_object(Bucket=bucket.archive.bucket, Key=key)
    later = lake(bucket)
    assert later.maintain(ArchiveKind.LABELS).sound
    assert later.verify_offsets()[0].missing == 0


def maintain(settings: Settings, folder: Path) -> subprocess.Popen[str]:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump()))
    command = [str(FRAUD), "maintain", "--config", str(file), "--json", str(folder / "maintain.json")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


INSTANTS = [("_delta_log/", False), ("_delta_log/", True), (".parquet", False), (".parquet", True)]


def test_maintenance_killed_at_its_writes_goes_on_and_folds_each_object_once(bucket: Settings, tmp_path: Path) -> None:
    archive_batches(bucket, 4)
    with fault_proxy({"": str(bucket.aws.endpoint_url)}) as proxy:
        behind = bucket.model_copy(update={"aws": Aws(endpoint_url=proxy.url)})
        for written, done in INSTANTS:
            killed = maintain(behind, tmp_path)
            moment = Moment(written, done, killed.kill)
            proxy.await_moment(moment)
            said, _ = killed.communicate(timeout=300)
            assert moment.passed.is_set(), said
            assert killed.returncode == -9
        whole = maintain(behind, tmp_path)
        said, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, said
    figures = json.loads((tmp_path / "maintain.json").read_text())
    found = figures["labels"]
    assert (found["archived"], found["missing"], found["duplicated"], found["sound"]) == (20, 0, 0, True)
    assert [(c["read"], c["stored"]) for c in figures["offsets"]] == [(20, 20)]
    assert "query fraud, batches 0 to 3: 20 records read by its offsets, 20 stored" in said


def test_tables_are_encrypted_and_tagged_as_objects_are(bucket: Settings) -> None:
    with_key = bucket.archive.model_copy(update={"kms_key": "alias/fraud", "tags": {"team": "fraud ops"}})
    archive_batches(bucket, 1)
    lake(bucket.model_copy(update={"archive": with_key})).maintain(ArchiveKind.LABELS)
    s3 = aws_client("s3", bucket.aws)
    found = s3.list_objects_v2(Bucket="fraud-archive", Prefix=f"{bucket.archive.prefix}tables/")["Contents"]
    assert {key["Key"].rsplit(".", 1)[1] for key in found} == {"json", "parquet"}
    for key in found:
        held = s3.head_object(Bucket="fraud-archive", Key=key["Key"])
        assert (held["ServerSideEncryption"], held["SSEKMSKeyId"]) == ("aws:kms", "alias/fraud")
        tags = s3.get_object_tagging(Bucket="fraud-archive", Key=key["Key"])["TagSet"]
        assert tags == [{"Key": "team", "Value": "fraud ops"}]


def test_rows_are_counted_from_the_end_of_an_object_however_long_that_is(bucket: Settings) -> None:
    wide = pa.table({f"a_rather_long_name_of_a_column_{n}": pa.array(range(7)) for n in range(2_000)})
    archive = open_archive(bucket.archive, bucket.aws)
    archive.put_table_once("wide.parquet", wide)
    archive.put_table_once("small.parquet", wide.select([0]))
    assert archive.row_count("wide.parquet") == archive.row_count("small.parquet") == 7
