"""Confirmed fraud puts cards and devices on lists, wherever its label comes from."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pytest
import yaml
from typer.testing import CliRunner, Result

from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind
from adapters.aws.clients import aws_client
from adapters.objects.folder import FolderObjects
from benchmarks.afd_detector import EVENT_TYPE
from cli.main import build_app
from decision_service.afd.store import KeptPrediction, Store
from fraud.decision.key import Subject
from fraud.decision.policy.compiled import PolicyError
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.policy.living import Given
from fraud.decision.rules.fields import fields_of
from fraud.features import CATALOGUE
from fraud.records.label import Label
from fraud.settings import Aws, Settings
from operations.confirmed import CONFIRMED, ConfirmedFraud
from operations.label_follower import LabelFollower
from operations.lists import Author, ListDesk
from tests.contract.test_frauddetector_api import event, served
from tests.contract.test_list_store import desk as desk_of
from tests.contract.test_list_store import source
from tests.support.decisions import policy
from tests.support.emulators import provisioned
from tests.support.frauddetector import answering
from tests.support.records import NOON

DAY = dt.timedelta(days=1)
DOCUMENT = {
    "thresholds": {},
    "lists": [
        {"name": "blocked-cards", "kind": "block", "of": "card"},
        {"name": "blocked-devices", "kind": "block", "of": "device"},
    ],
    "confirmed_fraud": [
        {"list": "blocked-cards", "days": 90},
        {"list": "blocked-devices", "days": 30, "sources": ["chargeback"]},
    ],
}


def label(verdict: Any = "fraud", source: Any = "chargeback", at: dt.datetime = NOON, payment: str = "t-1") -> Label:
    return Label(
        transaction_id=payment,
        card_token="tok-1",
        merchant_id="m-1",
        transaction_time=NOON - 10 * DAY,
        billing_amount_minor=100,
        verdict=verdict,
        source=source,
        label_time=at,
    )


@pytest.fixture
def desk(tmp_path: Path) -> ListDesk:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(DOCUMENT))
    return desk_of(source(file, (str(tmp_path / "lists"), Aws())))


def entries(desk: ListDesk, name: str) -> dict[str, int | None]:
    return {value: each.expires_ms for value, each in desk.get(name).entries.items()}


def ms(time: dt.datetime) -> int:
    return int(time.timestamp() * 1000)


def test_fraud_puts_card_and_device_on_their_lists_until_it_expires(desk: ListDesk) -> None:
    confirmed = ConfirmedFraud(desk, desk.policy)

    assert confirmed.take(label(), "device-1").put == ("blocked-cards", "blocked-devices")
    assert entries(desk, "blocked-cards") == {"tok-1": ms(NOON + 90 * DAY)}
    assert entries(desk, "blocked-devices") == {"device-1": ms(NOON + 30 * DAY)}
    assert confirmed.take(label(), "device-1") == ((), ())  # the same again changes nothing
    assert confirmed.take(label(at=NOON + DAY), None).put == ("blocked-cards",)
    assert entries(desk, "blocked-cards") == {"tok-1": ms(NOON + 91 * DAY)}


def test_only_the_sources_that_the_policy_names_count(desk: ListDesk) -> None:
    assert ConfirmedFraud(desk, desk.policy).take(label(source="disposition"), "device-1").put == ("blocked-cards",)
    assert entries(desk, "blocked-devices") == {}


def test_a_verdict_that_is_taken_back_takes_its_own_entry_off_and_no_other(desk: ListDesk) -> None:
    confirmed = ConfirmedFraud(desk, desk.policy)
    confirmed.take(label(), "device-1")
    assert confirmed.take(label("withdrawn", payment="t-2"), "device-1") == ((), ())
    assert confirmed.take(label("legitimate"), "device-1").removed == ("blocked-cards", "blocked-devices")
    assert entries(desk, "blocked-cards") == {}

    desk.add("blocked-cards", [], Author("ann"))
    confirmed.take(label())
    change = next(iter(desk.changes("blocked-cards", 1)))
    assert (change.by, change.why.split()[0]) == (CONFIRMED, "decision")


def test_a_list_that_labels_cannot_fill_is_refused() -> None:
    with pytest.raises(PolicyError, match="confirmed_fraud: nets is no list of card, device, merchant, terminal"):
        policy(lists=[{"name": "nets", "kind": "block", "of": "ip"}], confirmed_fraud=[{"list": "nets"}])
    with pytest.raises(PolicyError, match="confirmed_fraud: none is no list"):
        policy(confirmed_fraud=[{"list": "none"}])


def test_the_label_of_an_event_of_the_api_lists_its_card_and_device(tmp_path: Path) -> None:
    world, out = served(tmp_path)
    file = out / "policy.yaml"
    document = yaml.safe_load(file.read_text())
    document["lists"] += DOCUMENT["lists"]
    file.write_text(yaml.safe_dump(document | {"confirmed_fraud": DOCUMENT["confirmed_fraud"]}))
    bundle = world.policy.bundle.with_files({"policy.yaml": file.read_text()})
    world.policy = compile_policy(bundle, fields_of(CATALOGUE))
    with answering(world, out) as running:
        client = running.client()
        one = event(1, eventId="fraud-1", variables={"device": "device-9"})
        client.get_event_prediction(**one)
        named = {"eventId": "fraud-1", "eventTypeName": EVENT_TYPE}
        client.update_event_label(**named, assignedLabel="fraud", labelTimestamp="2026-01-20T09:00:00Z")

        lists = running.policies.refresh_lists().bundle.lists.by_name
        assert list(lists["blocked-cards"].entries) == [one["eventVariables"]["card_id"]]
        assert list(lists["blocked-devices"].entries) == ["device-9"]


# Labels of other programs


def stored(archive: Archive, batch: int, *labels: Label, query: str = "fraud", arrival_ms: int = 0) -> None:
    raw = [msgspec.json.encode(label) for label in labels]
    arrivals = pa.array([arrival_ms or ms(NOON)] * len(labels), pa.int64())
    key = ArchiveKind.LABELS.key(query, batch, 0, ms(NOON))
    archive.put_table_once(key, pa.table({"arrival_ms": arrivals, "raw": raw}))


class Following(NamedTuple):
    """A follower with what it works on; `again` gives one that goes on from what it has kept."""

    archive: Archive
    desk: ListDesk
    again: Callable[[], LabelFollower]


@pytest.fixture
def following(desk: ListDesk, tmp_path: Path) -> Following:
    archive, kept = Archive(FolderObjects(tmp_path / "archive")), FolderObjects(tmp_path / "kept")

    def again() -> LabelFollower:
        confirmed = ConfirmedFraud(desk, desk.policy)
        return LabelFollower(archive, "fraud", confirmed, {KEY: "device-1"}.get, kept, lambda: NOON)

    return Following(archive, desk, again)


KEY = Subject("tok-1", "t-1", ms(NOON - 10 * DAY)).key


def test_labels_that_others_wrote_list_card_and_device_once_the_job_has_stored_them(following: Following) -> None:
    follower = following.again()
    stored(following.archive, 1, label())
    stored(following.archive, 2, label(payment="t-9", at=NOON + DAY), query="another")

    assert (follower.turn(), follower.turn()) == (1, 0)
    assert entries(following.desk, "blocked-cards") == {"tok-1": ms(NOON + 90 * DAY)}
    assert entries(following.desk, "blocked-devices") == {"device-1": ms(NOON + 30 * DAY)}
    stored(following.archive, 2, label("withdrawn"))
    assert following.again().turn() == 1  # another process goes on behind what was taken
    assert entries(following.desk, "blocked-cards") == {}


def test_the_last_of_several_labels_of_a_payment_counts_however_often_a_turn_is_repeated(following: Following) -> None:
    stored(following.archive, 1, label(), label("withdrawn"))
    stored(following.archive, 2, label())
    for _ in range(2):
        follower = following.again()
        follower._store = FolderObjects(Path(following.archive.address) / "lost")  # killed before it noted anything
        follower.turn()
        assert entries(following.desk, "blocked-cards") == {"tok-1": ms(NOON + 90 * DAY)}


def test_what_people_did_after_a_label_came_stays(following: Following) -> None:
    following.desk.add("blocked-cards", [Given("tok-1", ms(NOON + DAY))], Author("ann"))
    now_ms = following.desk.changes("blocked-cards", 1)[0].at_ms
    stored(following.archive, 1, label(), arrival_ms=now_ms - 60_000)
    following.again().turn()
    assert entries(following.desk, "blocked-cards") == {"tok-1": ms(NOON + DAY)}

    following.desk.remove("blocked-cards", ["tok-1"], Author("ann"))
    stored(following.archive, 2, label(), arrival_ms=now_ms - 60_000)
    following.again().turn()
    assert entries(following.desk, "blocked-cards") == {}
    stored(following.archive, 3, label(), arrival_ms=now_ms + 3_600_000)
    following.again().turn()
    assert entries(following.desk, "blocked-cards") == {"tok-1": ms(NOON + 90 * DAY)}


# Files


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as found:
        yield found


def load(settings: Settings, folder: Path, text: str, *options: str) -> Result:
    (folder / "policy.yaml").write_text(yaml.safe_dump(DOCUMENT))
    file = folder / "tc40.csv"
    file.write_text(text)
    arguments = ["labels", "load", str(file), *options, "--set", f"policy.path={folder}/policy.yaml"]
    given = ["--set", f"aws.endpoint_url={settings.aws.endpoint_url}"]
    return CliRunner().invoke(build_app(), [*arguments, *given], catch_exceptions=False)


def on_stream(settings: Settings) -> list[dict[str, Any]]:
    client, stream = aws_client("kinesis", settings.aws), settings.streams.labels
    found = []
    for shard in client.list_shards(StreamName=stream)["Shards"]:
        asked = {"StreamName": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        page = client.get_records(ShardIterator=client.get_shard_iterator(**asked)["ShardIterator"])
        found += [json.loads(record["Data"]) for record in page["Records"]]
    return found


def test_a_file_of_confirmed_fraud_becomes_labels_and_entries(settings: Settings, tmp_path: Path) -> None:
    header = "ARN,card_token,merchant_id,transaction_time,amount,REPORTED,device_id\n"
    lines = [
        "arn-1,tok-a,shop-1,2026-01-02T10:00:00Z,19.99,2026-01-20,device-a",
        "arn-2,tok-b,shop-1,2026-01-02,5,2026-01-20,",
        "arn-3,4111111111111111,shop-1,2026-01-02,5,2026-01-20,",
        "arn-4,tok-c,shop-1,2026-01-02,5.001,2026-01-20,",
        "arn-5,tok-d,shop-1,soon,5,2026-01-20,",
    ]
    options = ["--column", "transaction_id=ARN", "--column", "reported_at=REPORTED"]
    done = load(settings, tmp_path, header + "\n".join(lines) + "\n", *options)

    assert done.exit_code == 1
    assert "2 labels written, 3 entries put on lists, 0 taken off, 3 lines left out" in done.stdout
    assert "line 4: holds a card number" in done.stderr
    assert "4111" not in done.output
    assert "line 5: amount: is no amount of EUR in major units" in done.stderr
    (first, second) = sorted(on_stream(settings), key=lambda each: each["transaction_id"])
    assert (first["billing_amount_minor"], first["verdict"], first["source"]) == (1999, "fraud", "chargeback")
    assert second["transaction_time_precision_ms"] == 86_400_000
    again = load(settings, tmp_path, header + "\n".join(lines[:2]) + "\n", *options)
    assert (again.exit_code, "0 entries put on lists" in again.stdout) == (0, True)


def test_a_file_without_a_column_is_refused_with_the_way_out(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"has no column transaction_id, reported_at: .*--column transaction_id="):
        load(settings, tmp_path, "card_token,merchant_id,transaction_time,amount\n")


# What the service keeps


def test_an_erased_card_is_in_no_kept_event_nor_in_the_bytes_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "events.db"
    store = Store(file, 10**12)
    for number, card in enumerate(("tok-gone", "tok-gone19", "tok-gone")):
        record = json.dumps({"card_token": card, "event": {"variables": {"card_id": card}}}).encode()
        store.keep_predictions([KeptPrediction("t", f"e-{number}", number, record, b"{}")], 1)

    assert store.erase("tok-gone", dry_run=True) == 4
    assert store.event("t", "e-0") is not None
    assert store.erase("tok-gone", dry_run=False) == 4
    assert [store.event("t", f"e-{number}") is None for number in range(3)] == [True, False, True]
    assert len(store.predictions("t", None, (0, 99), 0, 9)) == 1
    assert store.erase("tok-gone", dry_run=False) == 0
    store.close()
    held = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert (b'"tok-gone"' in held, b"tok-gone19" in held) == (False, True)
