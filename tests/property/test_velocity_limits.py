"""The limits in `config/limits`: each value as the independent oracle has it, each rule where the limit is exceeded."""

from __future__ import annotations

import datetime as dt
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.program.declared_features import read_declared
from embedded.simulation.feature_oracle import fold
from fraud.decision.policy.bundle import PolicyBundle
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.decision.rules.text import parse_template
from fraud.decision.scorer import RulesOnly
from fraud.decision.single import outcome_of
from fraud.entities import measured
from fraud.features import SHIPPED, catalogue_of
from fraud.features.text import texts_of
from fraud.path import compute_features
from fraud.records import Row
from fraud.settings import Job, Settings
from tests.support.feature_streams import TRANSACTIONS, Stream, arrival, same, tables
from tests.support.feature_texts import Faults
from tests.support.records import NOON, transaction

LIMITS = Path(__file__).parents[2] / "config" / "limits"
ENTITIES = ["card", "merchant", "device", "bin", "ip", "card_merchant"]
SETTINGS = Settings(job=Job(features=read_declared(LIMITS / "features.yaml"), entities=ENTITIES))
CATALOGUE = catalogue_of(SETTINGS)
DECLARED = CATALOGUE.names[len(SHIPPED.names) :]
FAULTS = Faults(feature.unit for feature in CATALOGUE.features)
RULES = yaml.safe_load((LIMITS / "rules.yaml").read_text())["velocity"]
CHANCES = 0.005
"""That the next payment comes a day later, so that windows are also empty again."""


def traffic(payments: int) -> Stream:
    """A few cards, mailboxes, addresses and devices at a few shops, in bursts."""
    rng, now, stream = random.Random(9930), NOON, Stream()
    for number in range(payments):
        now += dt.timedelta(days=1) if rng.random() < CHANCES else dt.timedelta(seconds=rng.randrange(20))
        card = rng.randrange(7)
        row = transaction(
            transaction_id=f"t-{number}",
            event_time=now - dt.timedelta(seconds=rng.choice([0, 0, 0, 90])),
            card_token=f"card-{card}",
            customer_id=f"customer-{card % 2}",
            email_hash=rng.choice([None, f"{card % 2:016x}", f"{card % 3:016x}"]),
            bin=rng.choice(["411111", "520000"]),
            issuer_country=["DE", "FR", "US", "BR"][card % 4],
            merchant_id=f"merchant-{rng.randrange(3)}",
            merchant_country=rng.choice(["DE", "FR", "US"]),
            device_id=rng.choice([None, "device-1", "device-2"]),
            ip_address=rng.choice([None, "192.0.2.1", "192.0.2.2"]),
            billing_amount_minor=rng.randrange(1, 300_000),
            transaction_type=rng.choice(["purchase"] * 8 + ["account_check", "refund"]),
            authorisation_result=rng.choice(["approved", "approved", "declined"]),
        )
        stream.append(("transaction", {name: row.get(name) for name in TRANSACTIONS.names} | arrival(number, now)))
    return stream


@cache
def measured_twice() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the kernel computes of the traffic, and the oracle."""
    stream = traffic(500)
    wanted = fold(stream, measured(SETTINGS.job), CATALOGUE)
    return compute_features(*tables(stream), SETTINGS).to_pylist(), [values for values in wanted if values]


@pytest.mark.parametrize("feature", DECLARED)
def test_a_value_is_the_oracles(feature: str) -> None:
    computed, wanted = measured_twice()
    assert len(computed) == len(wanted)
    assert all(same(row[feature], values[feature]) for row, values in zip(computed, wanted, strict=True))
    assert any(row[feature] for row in computed)


@pytest.mark.parametrize("rule", RULES, ids=[rule["id"] for rule in RULES])
def test_a_limit_asks_for_a_review_of_payments_where_it_is_exceeded(rule: dict[str, Any]) -> None:
    text = yaml.safe_dump({"thresholds": {"review": 0.5, "decline": 0.9}, "velocity": [rule]})
    policy = compile_policy(PolicyBundle({"policy.yaml": text}), fields_of(CATALOGUE.features))
    computed, wanted = measured_twice()
    pays = [row["transaction_type"] == "purchase" for row in computed]
    exceeds = [
        paid and (values[rule["feature"]] or 0) > rule["above"] for paid, values in zip(pays, wanted, strict=True)
    ]
    outcomes = [outcome_of(Row(row), RulesOnly(), policy)[0].label for row in computed]
    assert outcomes == ["review" if exceeded else "approve" for exceeded in exceeds]
    assert {True, False} == set(exceeds)


@pytest.mark.parametrize("rule", RULES, ids=[rule["id"] for rule in RULES])
def test_a_limits_text_says_how_much_it_was(rule: dict[str, Any]) -> None:
    template = parse_template(rule["text"], fields_of(CATALOGUE.features), "EUR")
    computed, _ = measured_twice()
    exceeding = [row for row in computed if (row[rule["feature"]] or 0) > rule["above"]]
    texts = {template.fill(row): row[rule["feature"]] for row in exceeding}
    assert texts
    for text, value in texts.items():
        assert FAULTS.in_text(text) == []
        assert f"{value:,.2f}" in text or f"{value:,.0f}" in text


@pytest.mark.parametrize("feature", DECLARED)
def test_a_value_is_said_in_words(feature: str) -> None:
    said = texts_of(CATALOGUE.features)[feature]
    for row in measured_twice()[0][::10]:
        usual = None if said.usual_name is None else row[said.usual_name]
        text = said.describe(row[feature], "EUR", usual)
        assert FAULTS.in_text(text) == []
        assert feature not in text


def test_a_policy_may_name_the_file_of_limits() -> None:
    text = yaml.safe_dump({"thresholds": {"review": 0.5, "decline": 0.9}, "rule_files": ["limits/rules.yaml"]})
    files = {"policy.yaml": text, "limits/rules.yaml": (LIMITS / "rules.yaml").read_text()}
    policy = compile_policy(PolicyBundle(files), fields_of(CATALOGUE.features))
    assert sorted(rule.rule.id for rule in policy.rules) == sorted(rule["id"] for rule in RULES)
