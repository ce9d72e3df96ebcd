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
from adapters.backtest import run_backtest
from adapters.decision_archive import open_decision_archive
from adapters.policy_source import PolicyStore, policy_files
from adapters.stream_writer import KinesisWriter, StreamRecord
from console.access import Access, Role, read_users
from console.api import build_app
from console.pages import Page
from console.routes.alerts import alerts_router
from console.routes.models import models_router
from console.routes.rules import rules_router
from console.services.alerts import AlertDesk
from console.services.background import Background
from console.services.models import ModelDesk, Overview
from console.services.rules import RuleDesk
from fraud.backtest.costs import CostSheet
from fraud.features import FEATURE_FIELDS
from fraud.policy.compiled import CompiledPolicy
from fraud.policy.compiler import compile_policy
from fraud.rules.fields import fields_of
from fraud.settings import Settings


def build(settings: Settings, users: Path, overview: Overview, *, secure: bool) -> FastAPI:
    """The application on the configured table, labels stream, archive and policy.

    Args:
        settings: where they are.
        users: file of users.
        overview: knows the models.
        secure: whether the session cookie travels by HTTPS only.

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
    background = Background(lambda: round(time.time() * 1000))
    rules = rule_desk(
        settings, background, lambda user, change, rule: log.info("audit", user=user, change=change, rule=rule)
    )
    pages = [
        Page("queue", "Queue", Role.VIEWER, alerts_router(desk)),
        Page("rules", "Rules", Role.VIEWER, rules_router(rules)),
        Page("model", "Model", Role.VIEWER, models_router(ModelDesk(overview, background))),
    ]
    return build_app(access, pages, {"alerts": lambda: table.get("health")}, secure=secure)


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
