"""A running decision service takes over another policy, model or set of keys, and keeps the old one of what is bad."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from adapters.model.endpoint_usage import EndpointUsage
from adapters.policy.source import open_policy, policy_files
from cli.decide import Reload, open_model
from decision_service.access import Access, add_key
from decision_service.engine import Decided, Engine, content_of
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import RulesOnly
from fraud.features import CATALOGUE
from fraud.records import Row
from fraud.records.intake import Intake
from fraud.settings import Aws, Decide, Model, Policy, Settings
from ml_model.artifact import DESCRIPTION
from ml_model.predict import InProcessScorer
from tests.support.answers import KEY, KEYS, NOON_MS
from tests.support.records import transaction, wire

CONFIG = Path(__file__).parents[3] / "config"


class Running(NamedTuple):
    folder: Path
    engine: Engine
    access: Access
    reload: Reload


@pytest.fixture
def running(tmp_path: Path) -> Running:
    shutil.copy(CONFIG / "policy.yaml", tmp_path)
    shutil.copytree(CONFIG / "rules", tmp_path / "rules")
    settings = Settings(
        decide=Decide(api_keys=str(tmp_path / "keys.json")),
        policy=Policy(path=str(tmp_path / "policy.yaml")),
        model=Model(artifact=str(tmp_path / "model")),
    )
    add_key(tmp_path / "keys.json", "first", frozenset(["decide"]), 10)
    policies = open_policy(policy_files(settings.policy.path, Aws()), "EUR", fields_of(CATALOGUE))
    intake = Intake.of(settings)
    engine = Engine(settings, intake, policies.current, RulesOnly(), KEYS, KEY, "i-1", time.perf_counter_ns)
    access = Access(tmp_path / "keys.json", lambda: 0.0)
    reload = Reload(settings, engine, policies, access, lambda: open_model(settings, EndpointUsage()))
    return Running(tmp_path, engine, access, reload)


def test_another_policy_decides_from_the_next_look_on(running: Running) -> None:
    def decided(number: int) -> Decided:
        row = running.engine.read(wire(transaction(transaction_id=f"t-{number}")), NOON_MS)
        assert isinstance(row, Row)
        given = running.engine.decide(row, content_of(row), lambda: NOON_MS, True)
        assert isinstance(given, Decided)
        return given

    file = running.folder / "policy.yaml"
    before = running.engine.policy.version
    file.write_text(file.read_text().replace("review: 0.113", "review: 0.12"))
    assert f'"policy_version":"{before}"'.encode() in decided(1).kept.answer
    running.reload.look()
    after = running.engine.policy.version
    assert after != before
    assert f'"policy_version":"{after}"'.encode() in decided(2).kept.answer
    file.write_text("rules: [")
    running.reload.look()
    assert running.engine.policy.version == after


def test_another_model_scores_from_the_next_look_on(running: Running) -> None:
    shutil.copytree(CONFIG / "model" / "champion", running.folder / "model")
    running.reload.look()
    version = running.engine.scorer.model_version
    assert version == InProcessScorer.load(CONFIG / "model" / "champion").model_version
    (running.folder / "model" / DESCRIPTION).write_text("{")
    running.reload.look()
    assert running.engine.scorer.model_version == version


def test_keys_that_are_added_are_known_from_the_next_look_on(running: Running) -> None:
    token = add_key(running.folder / "keys.json", "second", frozenset(["read"]), 10)
    header = f"Bearer {token}".encode()
    assert running.access.caller(header) is None
    running.reload.look()
    caller = running.access.caller(header)
    assert caller is not None
    assert caller.key.name == "second"
    (running.folder / "keys.json").write_text("[]")
    running.reload.look()
    assert running.access.caller(header) is not None
