"""Living lists: the store behaves alike in a folder and on S3, and programs take over what others change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from typer.testing import CliRunner, Result

from adapters.objects.opening import open_objects
from adapters.objects.store import ObjectStore
from adapters.policy.lists import ListStore
from adapters.policy.source import PolicySource, policy_files
from cli.main import build_app
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.policy.document import ListKind
from fraud.decision.policy.living import Change, Given, ListError, Lists, next_change
from fraud.errors import MisconfiguredError
from fraud.settings import Aws, Settings
from operations.lists import Author, ListDesk
from tests.support.decisions import FIELDS, featured
from tests.support.emulators import provisioned

ANN = Author("ann", "test")
POLICY = {
    "thresholds": {},
    "lists": [
        {"name": "blocked", "kind": "block", "of": "card", "entries": ["tok-own", {"value": "tok-2", "note": "old"}]},
        {"name": "partners", "kind": "named", "of": "merchant", "file": "partners.csv"},
    ],
    "rules": [
        {
            "id": "partner",
            "description": "d",
            "when": "in_list(merchant_id, 'partners')",
            "outcome": "review",
            "reason": "R",
            "text": "t",
        }
    ],
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Settings]:
    with provisioned() as settings:
        yield settings


@pytest.fixture(params=["folder", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Aws]:
    if request.param == "folder":
        return str(tmp_path / "lists"), Aws()
    settings = request.getfixturevalue("emulator")
    return f"s3://{settings.archive.bucket}/{re.sub('[^a-z0-9]+', '-', request.node.name)}", settings.aws


@pytest.fixture
def objects(address: tuple[str, Aws]) -> ObjectStore:
    return open_objects(*address)


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    (tmp_path / "partners.csv").write_text("value,expires,note\nm-1,2099-01-01T00:00:00Z,first\n")
    return tmp_path / "policy.yaml"


def source(policy_file: Path, address: tuple[str, Aws]) -> PolicySource:
    return PolicySource(
        policy_files(str(policy_file), address[1], address[0]), lambda bundle: compile_policy(bundle, FIELDS)
    )


def desk(policies: PolicySource) -> ListDesk:
    assert policies.lists is not None
    return ListDesk(policies.lists, lambda: policies.current, lambda: 1_000)


def adding(*values: str, name: str = "bad") -> Any:
    def make(before: Lists) -> Change:
        put = [Given(value) for value in values]
        return next_change(before, name, ListKind.BLOCK, "card", by="ann", at_ms=1, why="", put=put)

    return make


def values(lists: Lists, name: str = "bad") -> set[str]:
    return set(lists.by_name[name].entries)


def test_a_store_that_is_not_there_yet_has_no_lists(objects: ObjectStore) -> None:
    lists = ListStore(objects).read()
    assert (lists.number, lists.version, dict(lists.by_name)) == (0, "", {})


def test_another_program_sees_what_was_changed(objects: ObjectStore) -> None:
    one, other = ListStore(objects), ListStore(objects)
    other.read()
    one.append(adding("tok-1"))
    after = one.append(adding("tok-2"))
    assert values(other.read()) == {"tok-1", "tok-2"}
    assert other.read() == after == ListStore(objects).read()


def test_every_version_can_be_had_again_also_from_behind_a_snapshot(objects: ObjectStore) -> None:
    store = ListStore(objects, snapshot_every=3)
    versions = [store.append(adding(f"tok-{number}")).version for number in range(8)]
    assert [key.rsplit("/", 1)[1] for key in objects.keys("snapshots/")] == [
        "000000000003.json",
        "000000000006.json",
    ]
    fresh = ListStore(objects)
    for number, version in enumerate(versions):
        assert values(fresh.at(version)) == {f"tok-{place}" for place in range(number + 1)}
    for unknown in ("9-00000000", f"2-{versions[2][2:]}", "x"):
        with pytest.raises(MisconfiguredError, match="has no version"):
            fresh.at(unknown)


def test_writers_at_the_same_time_lose_nothing(address: tuple[str, Aws]) -> None:
    def write(number: int) -> str:
        return ListStore(open_objects(*address)).append(adding(f"tok-{number}")).version

    with ThreadPoolExecutor(4) as pool:
        versions = set(pool.map(write, range(8)))
    store = ListStore(open_objects(*address))
    assert values(store.read()) == {f"tok-{number}" for number in range(8)}
    assert [change.number for change in store.changes()] == list(range(8, 0, -1))
    assert len(versions) <= 8


def test_a_broken_change_is_named_and_the_policy_in_force_stays(policy_file: Path, address: tuple[str, Aws]) -> None:
    policies = source(policy_file, address)
    open_objects(*address).put_new("changes/000000000001.json", b"{")
    with structlog.testing.capture_logs() as logs:
        before = policies.current
        assert policies.refresh_lists() is policies.refresh_lists() is before
        assert policies.refresh() is before
    assert [entry["event"] for entry in logs] == ["policy refused, the old version stays"]
    assert "changes/000000000001.json cannot be read" in logs[0]["problem"]


def test_an_erased_card_is_in_no_object_and_readers_forget_it(objects: ObjectStore) -> None:
    store, reader = ListStore(objects, snapshot_every=2), ListStore(objects)
    store.append(adding("tok_1", "tok_19"))
    store.append(adding("tok_2"))
    reader.read()
    assert store.erase("tok_1", "ann", dry_run=True) == 2
    assert store.erase("tok_1", "ann", dry_run=False) == 2
    assert store.erase("tok_1", "ann", dry_run=False) == 0
    for lists in (reader.read(), store.read(), ListStore(objects).read()):
        assert values(lists) == {"erased", "tok_19", "tok_2"}


def test_a_change_is_in_force_without_reading_the_files_again(policy_file: Path, address: tuple[str, Aws]) -> None:
    deciding, changing = source(policy_file, address), desk(source(policy_file, address))
    batch = featured({"card_token": "tok-9"}, {"card_token": "tok-own"})
    before = deciding.current
    assert before.find(batch).listed[0].tolist() == [False, True]
    done = changing.add("blocked", [Given("tok-9")], ANN)
    policy_file.write_text("{")  # nobody looks at it
    after = deciding.refresh_lists()
    assert after.find(batch).listed[0].tolist() == [True, True]
    assert after.version == f"{before.version}+{done.version}"


def test_the_first_change_takes_over_what_the_policy_has_on_the_list(
    policy_file: Path, address: tuple[str, Aws]
) -> None:
    changing = desk(source(policy_file, address))
    done = changing.add("blocked", [Given("tok-2", None, "new"), Given("tok-3")], ANN)
    assert (done.taken_over, done.added, done.replaced) == (2, 1, 1)
    entries = {entry["value"]: entry["note"] for entry in changing.entries("blocked")}
    assert entries == {"tok-own": "", "tok-2": "new", "tok-3": ""}
    removed = changing.remove("partners", ["m-1", "m-2"], ANN)
    assert (removed.removed, removed.absent) == (1, 1)
    assert changing.get("partners").entries == {}
    assert {each["name"]: each["in"] for each in changing.all()} == {"blocked": "store", "partners": "store"}


def test_migration_takes_over_all_that_the_store_lacks_and_only_once(
    policy_file: Path, address: tuple[str, Aws]
) -> None:
    policies = source(policy_file, address)
    changing = desk(policies)
    before = policies.current.find(featured({"card_token": "tok-own", "merchant_id": "m-1"}))
    assert changing.migrate(ANN) == {"blocked": 2, "partners": 1}
    assert changing.migrate(ANN) == {}
    after = policies.refresh().find(featured({"card_token": "tok-own", "merchant_id": "m-1"}))
    assert (after.listed.tolist(), after.fired.tolist()) == (before.listed.tolist(), before.fired.tolist())
    (entry,) = changing.entries("partners")
    assert (entry["expires"], entry["note"]) == ("2099-01-01T00:00:00+00:00", "first")


def test_a_refused_entry_changes_nothing(policy_file: Path, address: tuple[str, Aws]) -> None:
    changing = desk(source(policy_file, address))
    with pytest.raises(ListError, match="entry 2: is a card number"):
        changing.add("blocked", [Given("tok-3"), Given("4111111111111111")], ANN)
    with pytest.raises(ListError, match="the policy has it as a block list of card, not a watch one of card"):
        changing.add("blocked", [Given("tok-3")], ANN, ListKind.WATCH, "card")
    with pytest.raises(ListError, match="there is no list none"):
        changing.add("none", [Given("tok-3")], ANN)
    with pytest.raises(ListError, match="none of the 1 values is on it"):
        changing.remove("blocked", ["tok-3"], ANN)
    assert changing.version == ""


def test_a_list_that_a_rule_asks_is_not_deleted_unless_the_policy_still_has_it(
    policy_file: Path, address: tuple[str, Aws]
) -> None:
    policies = source(policy_file, address)
    changing = desk(policies)
    changing.migrate(ANN)
    changing.delete("blocked", ANN)
    assert {each["name"]: each["in"] for each in changing.all()} == {"blocked": "policy", "partners": "store"}
    policy_file.write_text(yaml.safe_dump(POLICY | {"lists": []}))
    policies.refresh()
    with pytest.raises(ListError, match="list partners: a rule or segment asks it"):
        changing.delete("partners", ANN)


def test_replace_leaves_exactly_the_given_entries_and_keeps_history(
    policy_file: Path, address: tuple[str, Aws]
) -> None:
    changing = desk(source(policy_file, address))
    done = changing.replace("blocked", [Given("tok-2"), Given("tok-7")], Author("bob", "scheme report"))
    assert (done.added, done.replaced, done.removed, done.taken_over) == (1, 1, 1, 2)
    assert sorted(changing.get("blocked").entries) == ["tok-2", "tok-7"]
    assert {(change.by, change.why) for change in changing.changes("blocked", 9)} == {("bob", "scheme report")}


def fraud(policy_file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(build_app(), [*arguments, "--set", f"policy.path={policy_file}"])


def test_the_commands_show_change_export_and_import(policy_file: Path, tmp_path: Path) -> None:
    added = fraud(
        policy_file, "lists", "add", "nets", "203.0.113.0/24", "--kind", "block", "--of", "ip", "--expires",
        "2099-12-31", "--why", "attack", "--by", "ann",
    )  # fmt: skip
    assert re.fullmatch(r"nets: 1 added; lists version 1-[a-p]{8}\n", added.output), added.output
    assert fraud(policy_file, "lists", "export", "nets", str(tmp_path / "nets.csv")).exit_code == 0
    assert (tmp_path / "nets.csv").read_text() == "value,expires,note\n203.0.113.0/24,2100-01-01T00:00:00+00:00,\n"
    (tmp_path / "nets.csv").write_text("value,note\n198.51.100.0/24,other\n")
    replaced = fraud(
        policy_file, "lists", "import", "nets", str(tmp_path / "nets.csv"), "--replace", "--expires", "2099-12-31"
    )  # fmt: skip
    assert replaced.output.startswith("nets: 1 added, 1 removed; lists version 3-")
    figures = tmp_path / "figures.json"
    shown = fraud(policy_file, "lists", "show", "nets", "--json", str(figures))
    assert "198.51.100.0/24" in shown.output
    (entry,) = json.loads(figures.read_text())["entries"]
    assert (entry["note"], entry["expires"]) == ("other", "2100-01-01T00:00:00+00:00")
    assert "attack" in fraud(policy_file, "lists", "show", "nets", "--history").output
    assert "partners" in fraud(policy_file, "lists", "show").output
    assert "blocked: 2 entries taken over" in fraud(policy_file, "lists", "migrate").output
    assert fraud(policy_file, "lists", "remove", "nets", "198.51.100.0/24").output.startswith("nets: 1 removed")
    assert fraud(policy_file, "lists", "delete", "nets").exit_code == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("value\nm-1\n4111111111111111\n", "line 3: is a card number"),
        ("value,until\nm-1,2026-01-01\n", "line 1: name the columns there"),
        ("value,expires\nm-1,soon\n", "line 2: 'soon' is no time"),
        ("value,expires\nm-1,,x\n", "line 2: has more values than columns"),
        ("value\n", "has no entries"),
    ],
)
def test_a_bad_line_is_named_and_nothing_changes(policy_file: Path, tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "given.csv"
    file.write_text(text)
    refused = fraud(policy_file, "lists", "import", "partners", str(file))
    assert isinstance(refused.exception, ListError)
    assert problem in str(refused.exception)
    assert "4111111111111111" not in str(refused.exception)
    assert not (tmp_path / "living-lists").exists()
