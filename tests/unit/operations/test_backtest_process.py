"""What the process of a backtest gets of the settings."""

from __future__ import annotations

import json

from fraud.decision.policy.bundle import PolicyBundle
from fraud.declared import Declared
from fraud.documents import parse_yaml
from fraud.features import SHIPPED, catalogue_of
from fraud.settings import Job, Settings
from operations.backtest_process import request_of

DECLARED = "features: [{entity: card, name: count, aggregate: count, windows: 5m, unit: payments}]"


def test_the_process_knows_the_features_that_the_settings_declare() -> None:
    settings = Settings(job=Job(features=Declared.model_validate(parse_yaml("features", DECLARED))))
    policy = PolicyBundle({})
    request = request_of(settings, policy, policy, days=1, maturity_days=0, reviews_per_day=None)
    there = catalogue_of(Settings.model_validate(json.loads(json.dumps(request))["settings"]))
    assert [name for name in there.names if name not in SHIPPED.names] == ["card_count_5m"]
