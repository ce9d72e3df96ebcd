"""A console with rules and models over sixty archived days on an emulator, for tests of its API and in the browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from adapters.aws.clients import aws_client
from adapters.policy.source import policy_files, read_bundle
from cli.console import overview_of
from console.compose import models_page, open_ports, rules_part
from console.services.background import Background
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.features import CATALOGUE
from fraud.settings import Aws, Policy, Settings
from tests.support.consoles import Console
from tests.support.decision_archives import days_of_refusals, write_archive
from tests.support.emulators import provisioned

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
def rule_console(folder: Path, *, approval: bool = False) -> Iterator[Console]:
    """Serves the shipped policy, copied, so that it can be changed, and the shipped model.

    Args:
        folder: of the copy.
        approval: whether another lead must approve what changes decisions.
    """
    shutil.copytree(CONFIG / "rules", folder / "policy" / "rules")
    shutil.copy(CONFIG / "policy.yaml", folder / "policy")
    chosen = Settings(policy=Policy(path=str(folder / "policy" / "policy.yaml")))
    with provisioned(chosen) as settings:
        _archive(folder / "archive", settings)
        audit: list[tuple[str, str, str]] = []
        index = settings.console.model_copy(
            update={
                "folder": str(folder / "index"),
                "store": str(folder / "store"),
                "approval": approval,
                "reviews_per_day": 2,
                "history_days": 36_500,
            }
        )
        settings = settings.model_copy(update={"console": index})
        opened = open_ports(settings, overview_of(settings), lambda _: None)
        ports = replace(opened, audit=lambda *entry: audit.append(entry))
        background = Background(ports.clock_ms)
        rules = rules_part(settings, ports)
        for follower in rules.followers:
            follower.turn()
        pages = [rules.page, models_page(ports, background)]
        console = Console(settings, "alerts-rules", *pages)
        console.audit = audit
        yield console


def _archive(folder: Path, settings: Settings) -> None:
    policy = compile_policy(read_bundle(policy_files(settings.policy.path, Aws())), fields_of(CATALOGUE))
    write_archive(folder, *days_of_refusals(policy, DAYS))
    client = aws_client("s3", settings.aws)
    for file in folder.rglob("*.parquet"):
        key = settings.archive.prefix + file.relative_to(folder).as_posix()
        client.put_object(Bucket=settings.archive.bucket, Key=key, Body=file.read_bytes())
