"""A console with rules and models over sixty archived days on a stand-in, for tests of its API and in the browser."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.aws import aws_client
from adapters.policy_source import LocalFiles, read_bundle
from console.access import Role
from console.main import rule_desk
from console.pages import Page
from console.routes.models import models_router
from console.routes.rules import rules_router
from console.services.background import Background
from console.services.models import ModelDesk
from fraud.features import FEATURE_FIELDS
from fraud.policy.compiler import compile_policy
from fraud.rules.fields import fields_of
from fraud.settings import Policy, Settings
from ml_model.overview import ModelOverview
from tests.support.consoles import Console
from tests.support.decision_archives import days_of_refusals, write_archive
from tests.support.stand_ins import provisioned

CONFIG = Path(__file__).parents[2] / "config"

DAYS = 60
PER_DAY = 10
"""Decisions archived, see `days_of_refusals`."""

DRAFT = """\
rules:
  - id: few-refusals
    description: Some refusals within a day.
    when: card_declines_24h >= 3
    outcome: review
    severity: 40
    reason: REPEATED_DECLINES
    text: "refused {card_declines_24h} times in 24 hours"
    owner: tests
    state: draft
"""


@contextmanager
def rule_console(folder: Path) -> Iterator[Console]:
    """Serves the shipped policy, copied, so that it can be changed, and the shipped model."""
    shutil.copytree(CONFIG / "rules", folder / "policy" / "rules")
    shutil.copy(CONFIG / "policy.yaml", folder / "policy")
    chosen = Settings(policy=Policy(path=str(folder / "policy" / "policy.yaml")))
    with provisioned(folder, chosen) as settings:
        _archive(folder / "archive", settings)
        background = Background(lambda: round(dt.datetime.now(dt.UTC).timestamp() * 1000))
        audit: list[tuple[str, str, str]] = []
        desk = rule_desk(settings, background, lambda *entry: audit.append(entry))
        pages = [
            Page("rules", "Rules", Role.VIEWER, rules_router(desk)),
            Page("model", "Model", Role.VIEWER, models_router(ModelDesk(ModelOverview(settings), background))),
        ]
        console = Console(settings, "alerts-rules", *pages)
        console.audit = audit
        yield console


def _archive(folder: Path, settings: Settings) -> None:
    policy = compile_policy(read_bundle(LocalFiles(settings.policy.path)), fields_of(FEATURE_FIELDS))
    write_archive(folder, *days_of_refusals(policy, DAYS))
    client = aws_client("s3", settings.aws)
    for file in folder.rglob("*.parquet"):
        key = settings.archive.prefix + file.relative_to(folder).as_posix()
        client.put_object(Bucket=settings.archive.bucket, Key=key, Body=file.read_bytes())
