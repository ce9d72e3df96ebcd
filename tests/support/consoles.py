"""A console on a table of its own, for tests of its API and in the browser."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
from fastapi.testclient import TestClient

from adapters.alerts.alert import alert_item, subject_of
from adapters.alerts.table import AlertTable
from adapters.archive.layout import ArchiveKind
from adapters.archive.payment_index import PaymentIndex
from adapters.aws.provision import provision
from cli.console import overview_of
from console.access import Access
from console.api import build_app
from console.compose import alert_part, lists_page, open_ports
from console.door import Door
from console.pages import Page
from console.periodic import PeriodicTask
from console.services.grouping import CaseBy
from console.users import Account, Role, hash_password
from embedded.chaos.oracle import read_stream
from fraud.decision.scorer import VersionedScorer
from fraud.settings import Alerts, Lists, Settings
from fraud.settings import Archive as Archived
from tests.support.browsers import PASSWORD
from tests.support.decisions import featured
from tests.support.former_alerts import former
from tests.support.records import KEPT_DAYS, NOON, VERDICT, transaction

_HASH = hash_password(PASSWORD)

USERS = {role.name.lower(): Account(role, _HASH) for role in Role}
"""One user of each role, named after it."""


DOOR = Door(frozenset({"testserver", "127.0.0.1"}))
"""How tests reach a console: by the name that a test's client asks for, or by its address."""


class Console:
    """The application, and what it did.

    Args:
        settings: of an emulator.
        table: name of its alert table, made if it is missing.
        pages: beside queue, case and lists.
        folder: of the index over the archive; None takes a fresh one.
        undo_s: how long a verdict can be undone; 0 writes its label at once.
        case_by: whose alerts of one day are a case.
    """

    def __init__(
        self,
        settings: Settings,
        table: str,
        *pages: Page,
        folder: Path | None = None,
        undo_s: int = 0,
        case_by: CaseBy = "card",
    ) -> None:
        self.settings = settings.model_copy(
            update={"alerts": Alerts(table=table), "archive": Archived(prefix=f"{table}/")}
        )
        provision(self.settings)
        self.table = AlertTable(self.settings.alerts, self.settings.aws)
        self.audit: list[tuple[str, str, str]] = []
        self.reads: list[tuple[str, str, str]] = []
        self.fail_labels = False
        self.now = NOON + dt.timedelta(hours=1)
        self.models: dict[str, VersionedScorer] = {}
        index = folder or Path(tempfile.mkdtemp())
        place = self.settings.console.model_copy(
            update={
                "folder": str(index),
                "store": str(index / "store"),
                "undo_seconds": undo_s,
                "case_by": case_by,
            }
        )
        lists = Lists(path=str(index / "lists"))
        self.settings = self.settings.model_copy(update={"console": place, "lists": lists})
        opened = open_ports(self.settings, overview_of(self.settings), self.models.get)
        self.write_label = opened.write_label
        self._earlier = frozenset(self._labels_by_place())
        self.payments = PaymentIndex(index)
        self.ports = replace(
            opened, payments=self.payments, write_label=self._write, clock=lambda: self.now, audit=self._note
        )
        self.archive = self.ports.archive
        part = alert_part(self.settings, self.ports)
        self.queue, self.desk, self.follow = part.queue, part.desk, part.follower.turn
        soon = [PeriodicTask("queue reload", 0.5, self.queue.reload), PeriodicTask("labels", 0.5, self.desk.deliver)]
        probes = {"alerts": lambda: self.table.get("health")}
        access = Access(lambda: USERS, lambda: 1000.0)
        self.app = build_app(
            access,
            [*part.pages, lists_page(self.settings, self.ports), *pages],
            probes,
            [*soon, *part.background],
            door=DOOR,
            audit=lambda *read: self.reads.append(read),
            parts=part.parts,
        )

    def _write(self, key: str, data: bytes) -> None:
        if self.fail_labels:
            raise ConnectionError("scripted")
        self.write_label(key, data)

    def _note(self, *entry: str) -> None:
        self.audit.append((entry[0], entry[1], entry[2]))

    def alert(self, name: str, features: Mapping[str, float] = MappingProxyType({}), /, **fields: Any) -> str:
        """Puts an alert of transaction `name`, with values of features; gives its decision key."""
        plain = {"transaction_id": name, "card_token": "token-of-card-1234", "merchant_id": "m<1>", "device_id": None}
        item = alert_item(transaction() | VERDICT | plain | fields, features, KEPT_DAYS)
        self.table.put_new([item])
        return subject_of(item).key

    def former_alert(self, name: str, **fields: Any) -> str:
        """The same as an earlier version wrote it, under its former id."""
        key = self.alert(name, **fields)
        item = self.table.get(key)
        assert item is not None
        self.table.delete(key)
        self.table.put_new([former(item)])
        return key

    def archived(self, *rows: Mapping[str, Any], features: Sequence[str] = (), batch: int = 1) -> None:
        """Puts an object of decisions into the archive, features 1 unless their row says, and has the index read it."""
        whole = [transaction() | VERDICT | dict(row) for row in rows]
        table = featured(*whole)
        columns = {name: table[name] for name in table.schema.names}
        columns |= {name: pa.array([row.get(name) for row in whole]) for name in VERDICT}
        columns |= {name: pa.array([row.get(name, 1.0) for row in whole], pa.float64()) for name in features}
        key = ArchiveKind.DECISIONS.key("q", batch, 0, int(NOON.timestamp() * 1000))
        self.archive.put_table_once(key, pa.table(columns))
        self.follow()

    def client(self, name: str) -> TestClient:
        """A client signed in as a user of `USERS`."""
        client = TestClient(self.app, raise_server_exceptions=False)
        answer = client.post("/api/session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200
        client.headers["x-csrf-token"] = answer.json()["csrf"]
        return client

    def labels(self, transaction_id: str) -> list[dict[str, Any]]:
        """What was put on the labels stream of a transaction since this console began: tests share the stream."""
        new = [json.loads(data) for place, data in self._labels_by_place().items() if place not in self._earlier]
        return [label for label in new if label["transaction_id"] == transaction_id]

    def _labels_by_place(self) -> dict[tuple[str, str], bytes]:
        """The records of the labels stream, by shard and sequence number."""
        stream = read_stream(self.settings, self.settings.streams.labels)
        places = zip(stream["shard"].to_pylist(), stream["sequence_number"].to_pylist(), strict=True)
        return dict(zip(places, stream["data"].to_pylist(), strict=True))
