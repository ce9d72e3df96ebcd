"""A console on a table of its own, for tests of its API and in the browser."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from fastapi.testclient import TestClient

from adapters.alerts import AlertTable
from adapters.provision import provision
from adapters.stream_writer import KinesisWriter, StreamRecord
from console.access import Access, Role, hash_password
from console.api import build_app
from console.pages import Page
from console.routes.alerts import alerts_router
from console.services.alerts import AlertDesk
from embedded.chaos.oracle import read_stream
from fraud.alert import alert_item
from fraud.settings import Alerts, Settings
from tests.support.browsers import PASSWORD
from tests.support.records import NOON, VERDICT, transaction

USERS = {role.name.lower(): (role, hash_password(PASSWORD)) for role in Role}
"""One user of each role, named after it."""


class Console:
    """The application, and what it did.

    Args:
        settings: of a stand-in.
        table: name of its alert table, made if it is missing.
        pages: beside the queue.
    """

    def __init__(self, settings: Settings, table: str, *pages: Page) -> None:
        self.settings = settings.model_copy(update={"alerts": Alerts(table=table)})
        provision(self.settings)
        self.table = AlertTable(self.settings)
        self.audit: list[tuple[str, str, str]] = []
        self.fail_labels = False
        self._labels = KinesisWriter(settings.streams.labels, settings.aws)
        desk = AlertDesk(self.table, self._write, lambda: NOON + dt.timedelta(hours=1), self._note)
        queue = Page("queue", "Queue", Role.VIEWER, alerts_router(desk))
        probes = {"alerts": lambda: self.table.get("health")}
        self.app = build_app(Access(USERS, lambda: 1000.0), [queue, *pages], probes, secure=False)

    def _write(self, key: str, data: bytes) -> None:
        if self.fail_labels:
            raise ConnectionError("scripted")
        self._labels.write([StreamRecord(key, data)])

    def _note(self, *entry: str) -> None:
        self.audit.append((entry[0], entry[1], entry[2]))

    def alert(self, name: str, **fields: Any) -> str:
        """Puts an alert of transaction `name`; gives its id."""
        plain = {"transaction_id": name, "card_token": "token-of-card-1234", "merchant_id": "m<1>", "device_id": None}
        item = alert_item(transaction() | VERDICT | plain | fields, {}, 400)
        self.table.put_new([item])
        return str(item["alert_id"])

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
