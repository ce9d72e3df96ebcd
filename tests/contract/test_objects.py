"""Stores of objects behave alike in a folder and on S3, also for writers in several processes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind
from adapters.objects.folder import FolderObjects
from adapters.objects.opening import open_objects
from adapters.objects.s3 import S3Objects
from adapters.objects.store import ObjectStore
from embedded.simulation.clients import Client
from embedded.simulation.plan import Plan
from embedded.simulation.s3 import InMemoryS3
from embedded.simulation.world import Process, World
from fraud.errors import RefusedError, UnavailableError
from fraud.settings import Aws, Settings
from tests.support.emulators import provisioned
from tests.support.scripted_s3 import ScriptedS3


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as located:
        yield located


@pytest.fixture(params=["folder", "s3", "simulated"])
def objects(request: pytest.FixtureRequest) -> ObjectStore:
    """A store of the test's own; the simulator's has its own double of S3 behind the same adapter."""
    if request.param == "simulated":
        world = World(Plan(0, events={}))
        client = Client(world, Process("test"), "s3", InMemoryS3())
        return S3Objects("s3://bucket/below/", Aws(), client=client)
    return open_objects(*request.getfixturevalue(request.param))


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Aws]:
    """An address of the test's own, for writers in several processes."""
    found: tuple[str, Aws] = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> tuple[str, Aws]:
    return str(tmp_path / "objects"), Aws()


@pytest.fixture
def s3(settings: Settings, request: pytest.FixtureRequest) -> tuple[str, Aws]:
    return f"s3://{settings.archive.bucket}/{re.sub('[^a-z0-9]+', '-', request.node.name)}", settings.aws


def held(objects: ObjectStore, key: str) -> bytes | None:
    found = objects.get(key)
    return None if found is None else found.data


def tag_of(objects: ObjectStore, key: str) -> str:
    found = objects.get(key)
    assert found is not None
    return found.tag


def test_an_empty_store_can_be_asked(objects: ObjectStore) -> None:
    objects.require()
    assert objects.get("a") is None
    assert objects.tail("a", 5) is None
    assert list(objects.keys()) == []
    objects.delete("a")


def test_what_is_put_is_read_back_until_it_is_deleted(objects: ObjectStore) -> None:
    objects.put("folder/a", b"first")
    objects.put("folder/a", b"second")
    assert held(objects, "folder/a") == b"second"
    assert held(objects, "folder") is None
    objects.delete("folder/a")
    assert held(objects, "folder/a") is None


def test_the_first_object_at_a_key_stays(objects: ObjectStore) -> None:
    assert objects.put_new("a", b"first")
    assert not objects.put_new("a", b"second")
    assert held(objects, "a") == b"first"


def test_only_what_was_read_is_replaced(objects: ObjectStore) -> None:
    objects.put("a", b"1")
    seen = tag_of(objects, "a")
    assert objects.replace("a", b"2", seen)
    assert not objects.replace("a", b"3", seen)
    assert held(objects, "a") == b"2"


def test_what_is_gone_is_not_replaced(objects: ObjectStore) -> None:
    objects.put("a", b"1")
    seen = tag_of(objects, "a")
    objects.delete("a")
    assert not objects.replace("a", b"2", seen)
    assert held(objects, "a") is None


@pytest.mark.parametrize(("size", "tail"), [(3, b"789"), (10, b"0123456789"), (99, b"0123456789")])
def test_the_end_of_an_object_is_read_alone(objects: ObjectStore, size: int, tail: bytes) -> None:
    objects.put("a", b"0123456789")
    assert objects.tail("a", size) == tail


def test_keys_come_in_the_order_of_their_bytes_from_a_prefix_on(objects: ObjectStore) -> None:
    for key in ("b/2", "b/1", "b-1", "b", "a/x/y", "ä"):
        objects.put(key if key != "b" else "b0", b"x")
    assert list(objects.keys()) == ["a/x/y", "b-1", "b/1", "b/2", "b0", "ä"]
    assert list(objects.keys("b/")) == ["b/1", "b/2"]
    assert list(objects.keys("b")) == ["b-1", "b/1", "b/2", "b0"]
    assert list(objects.keys("b/", after="b/1")) == ["b/2"]


def test_stores_at_addresses_that_begin_alike_do_not_meet(place: tuple[str, Aws]) -> None:
    address, aws = place
    open_objects(f"{address}/one", aws).put("a", b"1")
    assert list(open_objects(f"{address}/one", aws).keys()) == ["a"]
    assert list(open_objects(f"{address}/on", aws).keys()) == []


def test_an_archive_lies_on_either(objects: ObjectStore) -> None:
    archive = Archive(objects)
    archive.require_writable()
    first, second = pa.table({"sequence_number": ["1", "2"]}), pa.table({"sequence_number": ["3"]})
    key = ArchiveKind.LABELS.key("fraud", 1, 0, 1_768_478_400_000)
    assert archive.put_table_once(key, first).equals(first)
    assert archive.put_table_once(key, second).equals(first), "the first one stays"
    assert (archive.row_count(key), list(archive.keys(ArchiveKind.LABELS.prefix))) == (2, [key])
    archive.replace_table(key, second)
    assert [table.to_pydict() for table in archive.tables(ArchiveKind.LABELS)] == [second.to_pydict()]


ADD_ONES = """
import sys
from adapters.objects.opening import open_objects
from fraud.settings import Aws
objects = open_objects(sys.argv[1], Aws(endpoint_url=sys.argv[2] or None))
print("new" if objects.put_new("first", sys.argv[3].encode()) else "stood")
added = 0
while added < 5:
    found = objects.get("sum")
    if found is None:
        added += objects.put_new("sum", b"1")
    else:
        added += objects.replace("sum", str(int(found.data) + 1).encode(), found.tag)
"""


def test_of_writers_in_several_processes_each_condition_holds_for_one(place: tuple[str, Aws]) -> None:
    address, aws = place

    def run(name: str) -> str:
        command = [sys.executable, "-c", ADD_ONES, address, aws.endpoint_url or "", name]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.strip()

    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(run, "abc"))
    objects = open_objects(address, aws)
    assert sorted(said) == ["new", "stood", "stood"]
    assert held(objects, "first") == "abc"[said.index("new")].encode()
    assert held(objects, "sum") == b"15"  # three processes added five each


def test_a_bucket_or_folder_that_cannot_be_used_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="s3 ListObjectsV2: NoSuchBucket"):
        S3Objects("s3://no-such-bucket/", settings.aws).require()
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match=r"folder put: (ENOTDIR|EEXIST): .*file"):
        FolderObjects(tmp_path / "file").put("a", b"x")


def test_a_conflict_of_writes_is_put_again_and_is_no_answer_to_the_condition() -> None:
    with ScriptedS3([(409, "ConditionalRequestConflict")] * 2) as s3:
        objects = S3Objects("s3://bucket/", Aws(endpoint_url=s3.url))
        assert objects.put_new("a", b"x")
        assert s3.objects == {"/bucket/a": b"x"}
        assert objects.take_retries() == 2


def test_a_condition_that_does_not_hold_after_a_conflict_is_an_answer() -> None:
    with ScriptedS3([(409, "ConditionalRequestConflict"), (412, "PreconditionFailed")]) as s3:
        assert not S3Objects("s3://bucket/", Aws(endpoint_url=s3.url)).replace("a", b"x", '"tag"')
        assert s3.objects == {}


def test_conflicts_without_an_end_are_no_silent_loss() -> None:
    with ScriptedS3([(409, "ConditionalRequestConflict")] * 9) as s3:
        objects = S3Objects("s3://bucket/", Aws(endpoint_url=s3.url), attempts=3)
        with pytest.raises(UnavailableError, match="s3 PutObject: ConditionalRequestConflict"):
            objects.put_new("a", b"x")
    assert len(s3.script) == 9 - 3
