"""The journey of a fraud team, from a campaign that begins to a rule that another lead has approved: each step in the
browser, its effect in the stores, on the streams and in the decisions that follow, the job's and those in the call.
"""

from __future__ import annotations

import csv
import datetime as dt
import itertools
import json
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from playwright.sync_api import Browser, Page, expect

from adapters.alerts.alert import Item
from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind
from adapters.aws.provision import provision
from adapters.aws.stream_writer import KinesisWriter, StreamRecord
from adapters.policy.source import open_policy, policy_files
from cli.console import models_of, overview_of
from cli.decide import Reload
from console.access import Access
from console.compose import compose, open_ports
from console.users import Account, Role, hash_password
from decision_service.access import Access as CallAccess
from decision_service.api import Api
from embedded.campaigns import CampaignLauncher
from embedded.chaos.oracle import read_stream
from fraud.decision.rules.fields import fields_of
from fraud.features import catalogue_of
from fraud.path import FeaturePath
from fraud.records.arrival import arrival_order
from fraud.records.encode import encode
from fraud.records.intake import Intake
from fraud.records.transaction import TRANSACTION_SCHEMA
from fraud.settings import Alerts, Archive, Job, Lists, Policy, Settings, Streams
from processor.run import Run
from processor.scoring import open_scoring
from processor.sink.commit import PartitionCommitter
from processor.sink.compose import alert_receivers, open_job_policy
from producer.campaigns.plan import load_plan
from producer.data_generator import generate
from producer.economy import draw_economy
from tests.support.browsers import PASSWORD, WAIT_MS, accessibility_faults, signed_in, write
from tests.support.calendar import FIRST_DAY
from tests.support.decision_services import World
from tests.support.records import KEPT_DAYS, wire
from tests.support.servers import serving_app

CONFIG = Path(__file__).parents[2] / "config"
SEED, CARDS, MERCHANTS = 7, 60, 60
UNDO_S = 60
NOON = dt.datetime.combine(FIRST_DAY, dt.time(12), dt.UTC)
DAY = f"{FIRST_DAY.day} {FIRST_DAY:%B} {FIRST_DAY.year}"

USERS = {"ann": Role.ANALYST, "lee": Role.LEAD, "lou": Role.LEAD}

RULE = """\
rules:
  - id: round-numbers
    description: Amounts that the callers of this week ask for.
    when: tx_amount = 777
    outcome: review
    severity: 40
    reason: UNUSUAL_AMOUNT
    text: "{billing_amount_minor:money} as callers ask for"
    owner: tests
    state: draft
"""


class Town:
    """Streams, stores and a clock that stands until a test moves it, and the job over them in this process: its own
    intake, features and sink, a micro-batch a turn. Spark, which only carries records between them, is left out.

    Args:
        settings: of an emulator that other tests use too.
        folder: of this test.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        shutil.copytree(CONFIG / "rules", folder / "policy" / "rules")
        shutil.copy(CONFIG / "policy.yaml", folder / "policy")
        console = {
            "folder": str(folder / "index"),
            "store": str(folder / "store"),
            "ground_truth": str(folder / "truth"),
            "history_days": KEPT_DAYS,
            "undo_seconds": UNDO_S,
            "approval": True,
            "second_look_share": 1.0,
        } | {"lab": True, "lab_seed": SEED, "lab_cards": CARDS, "lab_merchants": MERCHANTS}
        own = {
            "streams": Streams(transactions="journey-transactions", labels="journey-labels", shards=1),
            "alerts": Alerts(table="journey-alerts", retention_days=KEPT_DAYS),
            "archive": Archive(prefix="journey/"),
            "policy": Policy(path=str(folder / "policy" / "policy.yaml")),
            "lists": Lists(path=str(folder / "lists")),
            "job": Job(query="journey", max_ahead_s=None),  # a campaign's hours pass in a second
            "console": settings.console.model_copy(update=console),
        }
        self.settings = settings.model_copy(update=own)
        provision(self.settings)
        self.now = NOON
        self.table = AlertTable(self.settings.alerts, self.settings.aws)
        self.archive = open_archive(self.settings.archive, self.settings.aws)
        self._intake, self._path = Intake.of(self.settings), FeaturePath(self.settings)
        self._sink = PartitionCommitter(
            Run(settings=self.settings, id="journey", program="journey"),
            self.archive,
            alert_receivers(self.settings),
            open_scoring(self.settings),
            open_job_policy(self.settings, self.archive),
            clock=itertools.count(0, 60).__next__,  # each turn looks for a new policy
            now_ms=lambda: round(self.now.timestamp() * 1000),
        )
        self._read: dict[str, int] = defaultdict(int)
        self._batches = itertools.count()
        self._writer = KinesisWriter(self.settings.streams.transactions, self.settings.aws)

    def send(self, *records: bytes) -> None:
        """Puts transactions on the stream, which the job then reads."""
        self._writer.write([StreamRecord("key", data) for data in records])
        self.turn()

    def turn(self) -> None:
        """The job takes what came on the streams since its last turn; it arrived just now."""
        arrived = [self._new(name) for name in (self.settings.streams.transactions, self.settings.streams.labels)]
        records = pa.concat_tables(arrived)
        at = pa.repeat(round(self.now.timestamp() * 1000), records.num_rows)
        records = records.set_column(records.schema.get_field_index("arrival_ms"), "arrival_ms", at)
        (batch,) = records.take(arrival_order(records)).combine_chunks().to_batches()
        self._sink.commit(next(self._batches), 0, self._path.advance(self._intake.read(batch)))

    def _new(self, stream: str) -> pa.Table:
        read, everything = self._read[stream], read_stream(self.settings, stream)
        self._read[stream] = everything.num_rows
        return everything.slice(read)

    def payment(self, like: dict[str, Any], name: str, **fields: Any) -> bytes:
        """The record of another payment like one that was decided, a moment ago."""
        known = {field: like[field] for field in TRANSACTION_SCHEMA.names if like[field] is not None}
        times = {"event_time": self.now, "sent_at": self.now}
        return wire(known | times | {"transaction_id": name} | fields)

    def pay(self, like: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
        """Another payment like one that was decided, a moment ago: what the job decides about it."""
        self.send(self.payment(like, name, **fields))
        (decided,) = (row for row in self.decisions() if row["transaction_id"] == name)
        return decided

    def decisions(self) -> list[dict[str, Any]]:
        """All that the archive holds."""
        return [row for table in self.archive.tables(ArchiveKind.DECISIONS) for row in table.to_pylist()]

    def alerts(self, *cards: str) -> list[Item]:
        """The alerts of cards in the table."""
        return [item for item in self.table.all() if item["card_token"] in cards]

    def labels_on_stream(self, *transactions: str) -> list[list[str]]:
        """The verdicts of the labels on the stream of each transaction."""
        labels = map(json.loads, read_stream(self.settings, self.settings.streams.labels)["data"].to_pylist())
        return _verdicts(labels, transactions)

    def archived_labels(self, *transactions: str) -> list[list[str]]:
        """The same as the job has archived them."""
        tables = self.archive.tables(ArchiveKind.LABELS)
        return _verdicts((row for table in tables for row in table.to_pylist()), transactions)

    @contextmanager
    def console(self) -> Iterator[str]:
        """Serves the whole console; gives its address."""
        accounts = {name: Account(role, hash_password(PASSWORD)) for name, role in USERS.items()}
        with CampaignLauncher(self.settings) as launcher:
            opened = open_ports(self.settings, overview_of(self.settings), models_of(self.settings), launcher)
            app = compose(
                self.settings, replace(opened, clock=lambda: self.now), Access(lambda: accounts, lambda: 1000.0)
            )
            with serving_app(app) as url:
                yield url


class Calls:
    """The decision service, with policy and lists of a town's console, asked over HTTP.

    Args:
        town: whose streams it does not read, so that it knows a card by its lists and the payment alone.
        folder: of the service.
    """

    def __init__(self, town: Town, folder: Path) -> None:
        settings = town.settings
        files = policy_files(settings.policy.path, settings.aws, settings.lists.path)
        policies = open_policy(files, settings.money.base_currency, fields_of(catalogue_of(settings).features))
        self._town = town
        self._world = World(folder, scorer=open_scoring(settings).scorer)
        self._world.settings = settings.model_copy(update={"decide": self._world.settings.decide})
        self._world.policy = policies.current
        self._service = self._world.open()
        self._access = CallAccess(folder / "keys.json", time.monotonic)
        engine, scorer = self._service.engine, self._world.scorer
        self._reload = Reload(self._world.settings, engine, policies, self._access, lambda: scorer)
        self._address = ""

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answers for as long as the context lasts."""

        def caught_up() -> None:
            self._service.lag_ms = 0

        with serving_app(Api(self._service, self._access, caught_up)) as self._address:
            yield
        self._service.close()

    def ask(self, like: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
        """Another payment like one that was decided, asked about before it goes on: the answer."""
        self._reload.look_at_lists()  # as its thread does twice a second, and every five seconds the rest
        self._reload.look()
        self._world.now_ms = round(self._town.now.timestamp() * 1000)
        key = {"authorization": f"Bearer {self._world.tokens['decide']}"}
        record = self._town.payment(like, name, **fields)
        answer = httpx2.post(f"{self._address}/v1/decisions", content=record, headers=key, timeout=60)
        assert answer.status_code == 200, answer.text
        decided: dict[str, Any] = answer.json()
        return decided


def _verdicts(labels: Iterable[dict[str, Any]], transactions: Sequence[str]) -> list[list[str]]:
    of = {name: list[str]() for name in transactions}
    for label in labels:
        of.get(label["transaction_id"], []).append(label["verdict"])
    return list(of.values())


@pytest.fixture
def town(settings: Settings, tmp_path: Path) -> Town:
    """A town whose cards were used this morning."""
    made = Town(settings, tmp_path)
    economy, day = draw_economy(SEED, CARDS, MERCHANTS), (FIRST_DAY - dt.date(1970, 1, 1)).days
    today = next(iter(generate(economy, load_plan("default"), day, "EUR"))).transactions
    morning = today.filter(pc.less(today["event_time"], pa.scalar(NOON, today.schema.field("event_time").type)))
    made.send(*encode(morning.select(TRANSACTION_SCHEMA.names)))
    return made


def test_a_team_takes_a_campaign_from_its_first_alert_to_a_rule_against_it(
    town: Town, browser: Browser, tmp_path: Path
) -> None:
    calls = Calls(town, tmp_path / "decide")
    with town.console() as url, calls.serving():
        with signed_in(browser, url, "lee", "/lab") as page:
            a_campaign_begins(town, page)
        tried, other = a_ring(town)
        with signed_in(browser, url, "ann", "/queue") as page:
            alerts_are_cases(town, page)
            an_analyst_searches(town, page, tried)
            the_ring_becomes_one_case(town, page, tried, other)
            the_card_is_blocked(town, calls, page, tried)
            the_case_is_closed_taken_back_and_closed(town, page, tried, other)
            a_verdict_is_corrected(town, page)
        with signed_in(browser, url, "lou", "/rules/new") as page:
            a_rule_is_written_and_tried_in_shadow(town, calls, page)
        with signed_in(browser, url, "lee", "/second-looks") as page:
            a_lead_reviews_and_exports(town, page, len(town.alerts(tried, other)))
            the_rule_is_approved(town, calls, page)
            the_audit_log_has_it_all(page)


def a_campaign_begins(town: Town, page: Page) -> None:
    page.get_by_label("Campaign").select_option("card testing")
    page.get_by_label("Pace").select_option("an hour a second")
    page.get_by_role("button", name="Start the campaign").click()
    run = page.locator(".run")
    expect(run).to_contain_text("sent whole")
    town.turn()
    expect(run).to_contain_text("first transaction sent to first alert")
    assert town.table.newest("open").items, "the alerts are in the table"


def a_ring(town: Town) -> tuple[str, str]:
    """A card with several alerts, and another one whose alerts share a device with it."""
    devices, alerts = defaultdict(set), defaultdict(list)
    for item in town.table.all():
        alerts[item["card_token"]].append(item)
        devices[item["card_token"]].add(item["device_id"])
    tried = max(sorted(alerts), key=lambda card: len(alerts[card]))
    assert len(alerts[tried]) > 1
    return tried, min(card for card in alerts if card != tried and devices[card] & devices[tried])


def alerts_are_cases(town: Town, page: Page) -> None:
    alerts = list(town.table.all())
    cases = len({item["card_token"] for item in alerts})
    expect(page.get_by_text(f"{cases} cases with {len(alerts)} alerts waiting")).to_be_visible()


def an_analyst_searches(town: Town, page: Page, card: str) -> None:
    page.get_by_role("link", name="Search").click()
    page.get_by_label("Find by the beginning").fill(card)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=card).first.click()
    expect(page.get_by_role("heading", level=1, name=f"Card {card}")).to_be_visible()
    page.get_by_role("region", name="Payments").get_by_role("link", name="open").first.click()
    expect(page.get_by_text(f"{len(town.alerts(card))} alerts of this card arrived on {DAY} (UTC)")).to_be_visible()


def the_ring_becomes_one_case(town: Town, page: Page, card: str, other: str) -> None:
    graph = page.get_by_role("group", name="Links between cards")
    graph.get_by_role("button", name=f"card {other}").click()
    page.get_by_text(re.compile(r"^Cards \(")).click()
    page.get_by_label(f"Take card {other} into this case").check()
    page.get_by_role("button", name="Take 1 into this case").click()
    together = town.alerts(card, other)
    expect(page.get_by_text(f"{len(together)} alerts of 2 cards, taken together by hand")).to_be_visible()
    assert len({item["joint_case"] for item in town.alerts(card, other)}) == 1


def the_card_is_blocked(town: Town, calls: Calls, page: Page, card: str) -> None:
    page.get_by_role("button", name="Block card").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("tried out with others")
    like = min((row for row in town.decisions() if row["card_token"] == card), key=lambda row: row["event_time"])
    assert "blocked-cards" not in json.dumps(calls.ask(like, "asked-before-the-block"))
    dialog.get_by_role("button", name="Block").click()
    act = page.locator(".act", has_text=card)
    expect(act.get_by_role("listitem")).to_contain_text("ann: tried out with others")
    asked = calls.ask(like, "asked-after-the-block")
    assert asked["outcome"] == "decline"
    assert "blocked-cards" in json.dumps(asked)
    decided = town.pay(like, "after-the-block")
    assert decided["outcome"] == "decline"
    assert "blocked-cards" in json.dumps(decided, default=str)


def the_case_is_closed_taken_back_and_closed(town: Town, page: Page, card: str, other: str) -> None:
    ring = [item["transaction_id"] for item in town.alerts(card, other)]
    expect(page.get_by_text(f"{len(ring)} alerts of 2 cards")).to_be_visible()  # with the one of the blocked payment
    for name in ring:
        page.get_by_label(f"Tick {name}").check()

    def confirm() -> None:
        page.get_by_role("button", name=f"Confirm fraud ({len(ring)})").click()
        page.get_by_role("dialog").get_by_role("button", name="Confirm fraud").click()
        expect(page.get_by_text(re.compile("together; 0 wait"))).to_be_visible()

    confirm()
    assert {item["status"] for item in town.alerts(card, other)} == {"confirmed_fraud"}
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text(re.compile(f"together; {len(ring)} wait"))).to_be_visible()
    town.now += dt.timedelta(seconds=UNDO_S + 1)
    assert {item["status"] for item in town.alerts(card, other)} == {"open"}
    confirm()
    assert town.labels_on_stream(*ring) == [[]] * len(ring), "a verdict can still be taken back"
    labelled(town, page, ring, ["fraud"])


def a_verdict_is_corrected(town: Town, page: Page) -> None:
    alert = town.table.get(page.url.rsplit("/", 1)[1])
    assert alert is not None
    innocent = next(
        row for row in town.decisions() if row["card_token"] not in {one["card_token"] for one in town.table.all()}
    )

    def risk(name: str) -> float:
        """What the next payment at the merchant, of a card of nobody's suspicion, knows of frauds there."""
        rate: float = town.pay(innocent, name, merchant_id=alert["merchant_id"])["merchant_fraud_rate_7d"]
        return rate

    town.now += dt.timedelta(days=8)  # labels are given a week
    known = risk("after-the-labels")
    assert known > 0
    page.get_by_role("button", name="Reopen").click()
    reopening = page.get_by_role("dialog")
    reopening.get_by_label("Reason").fill("the customer made this one")
    reopening.get_by_role("button", name="Reopen").click()
    expect(page.locator(".history li", has_text="reopened")).to_contain_text("the customer made this one")
    name = alert["transaction_id"]
    labelled(town, page, [name], ["fraud", "withdrawn"])
    page.get_by_role("button", name="False positive", exact=True).click()
    expect(page.locator(".badge", has_text="false positive").first).to_be_visible()
    labelled(town, page, [name], ["fraud", "withdrawn", "legitimate"])
    assert risk("after-the-correction") < known


def a_rule_is_written_and_tried_in_shadow(town: Town, calls: Calls, page: Page) -> None:
    write(page.get_by_label("The draft, as a YAML rule file"), RULE)
    expect(page.get_by_text("No faults.")).to_be_visible()
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_role("button", name="Run in shadow", exact=True).click()
    expect(page.get_by_text("round-numbers is shadow now.")).to_be_visible()
    decided = pay_777(town, "tried-in-shadow")
    assert ("round-numbers" in decided["shadow_rules"], "round-numbers" in decided["rules"]) == (True, False)
    assert "round-numbers" not in calls.ask(town.decisions()[0], "asked-in-shadow", **RULED)["rules"]
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Make live", exact=True).click()
    expect(page.get_by_text("Another lead must approve it.")).to_be_visible()


RULED = {"amount_minor": 77_700, "billing_amount_minor": 77_700, "currency": "EUR"}
"""What the rule is about."""


def pay_777(town: Town, name: str) -> dict[str, Any]:
    """A payment that the rule is about, decided by the job."""
    return town.pay(town.decisions()[0], name, **RULED)


def a_lead_reviews_and_exports(town: Town, page: Page, closed: int) -> None:
    expect(page.get_by_text(f"{closed} due")).to_be_visible()
    page.get_by_role("button", name="Fraud", exact=True).click()
    expect(page.get_by_text(f"{closed - 1} due")).to_be_visible()
    page.get_by_role("link", name="Team").click()
    page.get_by_label("Verdicts of the").select_option("last 30 days")
    expect(page.get_by_role("region", name="By analyst").locator("tbody tr")).to_contain_text("ann")
    assert accessibility_faults(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="By analyst as CSV").click()
    (row,) = csv.DictReader(download.value.path().read_text().splitlines())
    figures = {name: row[name] for name in ("analyst", "closed", "fraud", "legitimate", "taken_back")}
    assert figures == {
        "analyst": "ann",
        "closed": str(closed + 1),
        "fraud": str(closed - 1),
        "legitimate": "1",
        "taken_back": "1",
    }


def the_rule_is_approved(town: Town, calls: Calls, page: Page) -> None:
    page.get_by_role("link", name="Rules").click()
    page.get_by_label("Evaluate decisions").select_option("of any age")
    row = page.get_by_label("The rule pack").get_by_role("row", name="round-numbers")
    expect(row).to_contain_text("shadow")
    expect(row.get_by_role("cell").nth(4)).to_have_text("1")  # fired
    page.get_by_role("list", name="Proposals").get_by_role("button", name="Approve").click()
    expect(page.get_by_text("It is in effect.")).to_be_visible()
    expect(row).to_contain_text("live")
    decided = pay_777(town, "after-the-approval")
    assert "round-numbers" in decided["rules"]
    assert decided["outcome"] != "approve"
    asked = calls.ask(town.decisions()[0], "asked-after-the-approval", **RULED)
    assert "round-numbers" in asked["rules"]
    assert asked["outcome"] != "approve"


def the_audit_log_has_it_all(page: Page) -> None:
    page.get_by_role("link", name="Audit").click()
    expect(page.get_by_text("chain unbroken")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    lines = csv.DictReader(download.value.path().read_text().splitlines())
    assert {(line["by"], line["act"]) for line in lines} >= {
        ("lee", "start card_testing"),
        *(("ann", act) for act in ("join", "card blocked", "confirm_fraud", "undo", "reopen", "false_positive")),
        *(("lou", act) for act in ("draft", "shadow", "proposed")),
        ("lee", "second look"),
        ("lee", "approved"),
    }


def labelled(town: Town, page: Page, names: list[str], verdicts: list[str]) -> None:
    """Lets the time to undo pass; each of these then has these labels on the stream, and the job archives them."""
    town.now += dt.timedelta(seconds=UNDO_S + 1)
    wanted = [verdicts] * len(names)
    until = time.monotonic() + WAIT_MS / 1000
    while town.labels_on_stream(*names) != wanted:
        assert time.monotonic() < until, town.labels_on_stream(*names)
        page.wait_for_timeout(300)
    town.turn()
    assert town.archived_labels(*names) == wanted
