"""The console's composition root."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI

from adapters.alerts import AlertTable
from adapters.archive import Archive
from adapters.backtest import run_backtest
from adapters.decision_archive import open_decision_archive
from adapters.payment_follower import PaymentFollower
from adapters.payment_index import PaymentIndex
from adapters.policy_source import PolicyStore, policy_files
from adapters.stream_writer import KinesisWriter, StreamRecord
from console.access import Access, Role, read_users
from console.api import build_app
from console.pages import Page
from console.repeated import Repeated
from console.routes.alerts import alerts_router
from console.routes.cases import cases_router
from console.routes.models import models_router
from console.routes.rules import rules_router
from console.services.alerts import AlertDesk
from console.services.background import Background
from console.services.case import CaseDesk, locate_in
from console.services.lab import Launcher
from console.services.models import ModelDesk, Overview
from console.services.queue import Queue
from console.services.rules import RuleDesk
from console.watching import watch
from fraud.backtest.costs import CostSheet
from fraud.features import FEATURE_FIELDS
from fraud.policy.compiled import CompiledPolicy
from fraud.policy.compiler import compile_policy
from fraud.rules.fields import fields_of
from fraud.scorer import VersionedScorer
from fraud.settings import Settings

log = structlog.get_logger()


def build(
    settings: Settings,
    users: Path,
    overview: Overview,
    models: Callable[[str], VersionedScorer | None],
    launcher: Launcher | None = None,
    *,
    secure: bool,
) -> FastAPI:
    """The application on the configured table, streams, archive and policy.

    Args:
        settings: where they are.
        users: file of users.
        overview: knows the models.
        models: the model of a version; None where it is not at hand.
        launcher: starts the lab's producers; None where there is no lab.
        secure: whether the session cookie travels by HTTPS only.

    Raises:
        MisconfiguredError: users, table, archive or stream cannot be used, or a lab is asked for where none may be.
    """
    access = Access(read_users(users), time.time)
    table = AlertTable(settings)
    table.require()
    archive = Archive(settings)
    alert_pages, repeated = alert_work(settings, table, archive, models)
    background = Background(lambda: round(time.time() * 1000))
    rules = rule_desk(
        settings, background, lambda user, change, rule: log.info("audit", user=user, change=change, rule=rule)
    )
    watching = watch(
        settings,
        lambda: round(time.time() * 1000),
        lambda user, change, what: log.info("audit", user=user, change=change, what=what),
        launcher,
    )
    pages = [
        watching.live,
        *alert_pages,
        watching.system,
        Page("rules", "Rules", Role.VIEWER, rules_router(rules)),
        Page("model", "Model", Role.VIEWER, models_router(ModelDesk(overview, background))),
        *watching.lab,
    ]
    probes = {"alerts": lambda: table.get("health"), "archive": archive.require}
    currency = settings.money.base_currency
    return build_app(access, pages, probes, [*repeated, *watching.background], secure=secure, base_currency=currency)


def alert_work(
    settings: Settings, table: AlertTable, archive: Archive, models: Callable[[str], VersionedScorer | None]
) -> tuple[list[Page], list[Repeated]]:
    """The pages where alerts are worked, and what keeps them up to date."""
    labels = KinesisWriter(settings.streams.labels, settings.aws, give_up_s=5.0)
    queue = Queue(table, lambda: round(time.time() * 1000))
    payments = PaymentIndex(Path(settings.console.folder))
    follower = PaymentFollower(archive, payments, lambda: dt.datetime.now(dt.UTC), settings.console.history_days)
    desk = AlertDesk(
        table,
        lambda transaction: queue.alert_id(transaction) or locate_in(payments, transaction),
        lambda key, data: labels.write([StreamRecord(key, data)]),
        lambda: dt.datetime.now(dt.UTC),
        lambda user, change, alert: log.info("audit", user=user, change=change, transaction_id=alert),
        queue.note,
    )
    currency = settings.money.base_currency
    cases = CaseDesk(desk, table, payments, lambda: follower.complete, archive.read_table, models, currency)
    pages = [
        Page("queue", "Queue", Role.VIEWER, alerts_router(desk, queue, settings.console.sla_minutes)),
        Page("case", "Case", Role.VIEWER, cases_router(cases)),
    ]
    return pages, [
        Repeated("queue reload", 600.0, queue.reload),
        Repeated("queue refresh", 1.0, queue.refresh),
        Repeated("queue refresh, late alerts", 15.0, lambda: queue.refresh(far=True)),
        Repeated("payments", 2.0, follower.turn),
        Repeated("pending labels", 5.0, desk.deliver),
    ]


def rule_desk(settings: Settings, background: Background, audit: Callable[[str, str, str], None]) -> RuleDesk:
    """The rules of the configured policy, tried on the configured archive at the default costs."""
    fields = fields_of(FEATURE_FIELDS)

    def replay(live: CompiledPolicy, candidate: CompiledPolicy, **choices: Any) -> dict[str, Any]:
        return run_backtest(open_decision_archive(None, settings), live, candidate, costs=CostSheet(), **choices)

    return RuleDesk(
        PolicyStore(policy_files(settings.policy.path, settings.aws)),
        lambda bundle: compile_policy(bundle, fields, settings.money.base_currency),
        replay,
        background,
        audit,
    )
