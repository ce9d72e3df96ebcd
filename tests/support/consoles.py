"""A console on a table of its own, for tests of its API and in the browser."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from fastapi.testclient import TestClient

from adapters.alerts import AlertTable
from adapters.archive import Archive
from adapters.payment_follower import PaymentFollower
from adapters.payment_index import PaymentIndex
from adapters.provision import provision
from adapters.stream_writer import KinesisWriter, StreamRecord
from console.access import Access, Role, hash_password
from console.api import build_app
from console.pages import Page
from console.repeated import Repeated
from console.routes.alerts import alerts_router
from console.routes.cases import cases_router
from console.services.alerts import AlertDesk
from console.services.case import CaseDesk, locate_in
from console.services.queue import Queue
from embedded.chaos.oracle import read_stream
from fraud.alert import alert_item
from fraud.archive_layout import ArchiveKind
from fraud.scorer import VersionedScorer
from fraud.settings import Alerts, Settings
from fraud.settings import Archive as Archived
from tests.support.browsers import PASSWORD
from tests.support.decisions import featured
from tests.support.records import NOON, VERDICT, transaction

USERS = {role.name.lower(): (role, hash_password(PASSWORD)) for role in Role}
"""One user of each role, named after it."""


class Console:
    """The application, and what it did.

    Args:
        settings: of a stand-in.
        table: name of its alert table, made if it is missing.
        pages: beside queue and case.
        folder: of the index over the archive; None takes a fresh one.
    """

    def __init__(self, settings: Settings, table: str, *pages: Page, folder: Path | None = None) -> None:
        self.settings = settings.model_copy(
            update={"alerts": Alerts(table=table), "archive": Archived(prefix=f"{table}/")}
        )
        provision(self.settings)
        self.table = AlertTable(self.settings)
        self.audit: list[tuple[str, str, str]] = []
        self.fail_labels = False
        self._labels = KinesisWriter(settings.streams.labels, settings.aws)
        self.now = NOON + dt.timedelta(hours=1)
        self.queue = Queue(self.table, lambda: int(self.now.timestamp() * 1000))
        self.desk = AlertDesk(self.table, self._locate, self._write, lambda: self.now, self._note, self.queue.note)
        self.archive = Archive(self.settings)
        self.payments = PaymentIndex(folder or Path(tempfile.mkdtemp()))
        follower = PaymentFollower(self.archive, self.payments, lambda: self.now, 90)
        self.follow = follower.turn
        self.models: dict[str, VersionedScorer] = {}
        cases = CaseDesk(
            self.desk,
            self.table,
            self.payments,
            lambda: follower.complete,
            self.archive.read_table,
            self.models.get,
            "EUR",
        )
        case = Page("case", "Case", Role.VIEWER, cases_router(cases))
        queue = Page("queue", "Queue", Role.VIEWER, alerts_router(self.desk, self.queue, 60))
        self._ids: dict[str, str] = {}
        background = [Repeated("queue reload", 0.5, self.queue.reload), Repeated("labels", 0.5, self.desk.deliver)]
        probes = {"alerts": lambda: self.table.get("health")}
        self.app = build_app(Access(USERS, lambda: 1000.0), [queue, case, *pages], probes, background, secure=False)

    def _locate(self, transaction_id: str) -> str | None:
        return (
            self.queue.alert_id(transaction_id)
            or locate_in(self.payments, transaction_id)
            or self._ids.get(transaction_id)
        )

    def _write(self, key: str, data: bytes) -> None:
        if self.fail_labels:
            raise ConnectionError("scripted")
        self._labels.write([StreamRecord(key, data)])

    def _note(self, *entry: str) -> None:
        self.audit.append((entry[0], entry[1], entry[2]))

    def alert(self, name: str, **fields: Any) -> str:
        """Puts an alert of transaction `name`; gives its key in the table."""
        plain = {"transaction_id": name, "card_token": "token-of-card-1234", "merchant_id": "m<1>", "device_id": None}
        item = alert_item(transaction() | VERDICT | plain | fields, {}, 400)
        self.table.put_new([item])
        self._ids[name] = str(item["alert_id"])
        return str(item["alert_id"])

    def archived(self, *rows: Mapping[str, Any], features: Sequence[str] = (), batch: int = 1) -> None:
        """Puts an object of decisions into the archive, each feature 1, and takes it over into the index."""
        whole = [transaction() | VERDICT | dict(row) for row in rows]
        table = featured(*whole)
        columns = {name: table[name] for name in table.schema.names}
        columns |= {name: pa.array([row.get(name) for row in whole]) for name in VERDICT}
        columns |= {name: pa.array([1.0] * len(rows)) for name in features}
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
        """What was written to the labels stream about a transaction."""
        stream = read_stream(self.settings, self.settings.streams.labels)
        found = [json.loads(data) for data in stream["data"].to_pylist()]
        return [label for label in found if label["transaction_id"] == transaction_id]
