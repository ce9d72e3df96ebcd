"""Programs of the tests of events: one that makes things happen, and the one that sends events. Both are killed."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import cli.events
from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.pins import Pins
from adapters.policy.source import policy_files
from adapters.program.configuration import load_settings
from console.access import Role, User
from console.services.alerts import AlertDesk, Change
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.document import ListKind
from fraud.decision.policy.living import Given
from fraud.features import CATALOGUE
from fraud.path import FeaturePath
from fraud.records import Records, decode
from fraud.records.intake import decode_records
from fraud.settings import Settings
from operations.lists import Author, ListDesk
from processor.run import Run
from processor.sink.compose import open_committer
from tests.support.policies import write_policy
from tests.support.records import NOON, stream_records, transaction, wire

ANALYST = User("ann", Role.LEAD)
CHANGES: tuple[Change, ...] = ("assign", "escalate", "confirm_fraud", "undo", "false_positive")
LIMIT_MINOR = 1_000


def records(batch: int) -> Records:
    """Three transactions of a card of the batch: 5.00, 15.00 and 25.00; two are above the limit."""
    rows = [
        transaction(
            transaction_id=f"t-{batch}-{n}",
            card_token=f"card-{batch}",
            amount_minor=500 + 1000 * n,
            billing_amount_minor=500 + 1000 * n,
            event_time=NOON + dt.timedelta(seconds=batch * 10 + n),
        )
        for n in range(3)
    ]
    decoded, _ = decode_records(decode.TRANSACTIONS, stream_records([wire(row) for row in rows]))
    return Records(FeaturePath().featured(decoded))


def make_things_happen(settings_file: str, batches: int) -> None:
    """The job, an analyst and a lead: batches are decided, alerts worked, lists and the policy changed.

    Goes on after a kill: the batch that was begun last is committed again, as Spark would, and what was not done to its
    alerts is done.
    """
    settings = load_settings(Path(settings_file), {}, {})
    archive = open_archive(settings.archive, settings.aws)
    pins = Pins(archive, settings.job.query)
    committer = open_committer(Run(settings=settings))
    table = AlertTable(settings.alerts, settings.aws, announce=True)
    desk = AlertDesk(table, lambda _: None, lambda *_: None, now, lambda *_: None, undo_ms=10**9)
    store = policy_files(settings.policy.path, settings.aws).lists
    assert store is not None
    lists = ListDesk(store, lambda: policy_of(settings))
    for batch in range(pins.newest() or 0, batches):
        committer.commit(batch, 0, records(batch))
        for item in sorted(table.of_card(f"card-{batch}").items, key=lambda item: item["event_ms"]):
            for version in range(item["version"], 1 + len(CHANGES[: 1 + batch % len(CHANGES)])):
                desk.change(ANALYST, item["alert_id"], version, CHANGES[version - 1])
        if batch % 3 == 0:
            lists.add("watched", [Given(f"card-{batch}")], Author("lea"), ListKind.WATCH, "card")
        if batch == batches // 2:
            write_policy(Path(settings.policy.path), LIMIT_MINOR - 1)
            committer = open_committer(Run(settings=settings))


def policy_of(settings: Settings) -> CompiledPolicy:
    """The policy as its files are now."""
    from adapters.policy.source import open_policy
    from fraud.decision.rules.fields import fields_of

    files = policy_files(settings.policy.path, settings.aws)
    return open_policy(files, settings.money.base_currency, fields_of(CATALOGUE)).current


def now() -> dt.datetime:
    """The clock of whoever changes alerts."""
    return dt.datetime.fromtimestamp(time.monotonic() + NOON.timestamp(), dt.UTC)


def send_events(settings_file: str) -> None:
    """`fraud events run`."""
    cli.events.run(config=Path(settings_file))
