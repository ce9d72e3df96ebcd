"""The console's composition root."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import structlog
from fastapi import FastAPI

from adapters.alerts import AlertTable
from adapters.stream_writer import KinesisWriter, StreamRecord
from console.access import Access, Role, read_users
from console.api import build_app
from console.pages import Page
from console.routes.alerts import alerts_router
from console.services.alerts import AlertDesk
from fraud.settings import Settings


def build(settings: Settings, users: Path, *, secure: bool) -> FastAPI:
    """The application on the configured table and labels stream.

    Raises:
        MisconfiguredError: users, table or stream cannot be used.
    """
    access = Access(read_users(users), time.time)
    table = AlertTable(settings)
    table.require()
    labels = KinesisWriter(settings.streams.labels, settings.aws, give_up_s=5.0)
    log = structlog.get_logger()
    desk = AlertDesk(
        table,
        lambda key, data: labels.write([StreamRecord(key, data)]),
        lambda: dt.datetime.now(dt.UTC),
        lambda user, change, alert: log.info("audit", user=user, change=change, alert_id=alert),
    )
    pages = [Page("queue", "Queue", Role.VIEWER, alerts_router(desk))]
    return build_app(access, pages, {"alerts": lambda: table.get("health")}, secure=secure)
