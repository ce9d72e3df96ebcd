"""What would have been approved, and what follows from a change: the same as folding again gives."""

from __future__ import annotations

import datetime as dt
import random
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
import yaml

from fraud.decision.counterfactual import Change, Counterfactuals
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.record import ScoredBy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import Contribution, RulesOnly, Scores, rows_of
from fraud.declared import Declared
from fraud.documents import parse_yaml
from fraud.entities import CARD, DEVICE
from fraud.features import CATALOGUE, FEATURE_NAMES, SHIPPED, aggregates, catalogue_with
from fraud.features.catalogue import DAY_MS, HOUR_MS, Feature
from fraud.path import compute_features
from fraud.records import Row
from fraud.records.transaction import TRANSACTION_SCHEMA
from fraud.settings import Settings
from tests.support.feature_streams import Stream, tables
from tests.support.paths import settings_keeping
from tests.support.records import NOON, transaction

MEASURED = {CARD: 1_024, DEVICE: 1_024}
WHAT_IF = Counterfactuals(SHIPPED)

ROWS = """
entities:
  - {name: customer, columns: [customer_id], label: customer, velocity: {windows: 10m 1h 24h 7d}}
  - {name: card_device, columns: [card_token, device_id], label: card on this device, other: merchant_id,
     others: merchants, velocity: {windows: 10m 1h 24h 7d}}
  - {name: customer_issuer, columns: [customer_id], label: customer, other: issuer_country, others: issuer countries}
features:
  - {entity: card, name: count, aggregate: count, windows: 5m 2d}
  - {entity: card, name: yesterday, aggregate: count, windows: 1h, delay: 1d}
  - {entity: customer, name: ratio, aggregate: amount ratio, windows: 7d}
  - {entity: customer, name: max, aggregate: max, windows: 1h}
  - {entity: customer, name: pace, aggregate: decayed count, windows: 6h}
  - {entity: customer, name: spent, aggregate: decayed sum, windows: 6h}
  - {entity: customer, name: since_last_s, aggregate: since last}
  - {entity: customer, name: since_decline_s, aggregate: since flagged, flag: declined, windows: 24h}
  - {entity: customer, name: hour, aggregate: hour deviation}
  - {entity: customer, name: unusual, aggregate: unusual}
  - {entity: customer, name: robust, aggregate: robust z}
  - {entity: customer_issuer, name: countries, aggregate: distinct, input: other, windows: 1h}
"""
"""Of a customer and of a pair: they follow from a change as those of the card do."""

DECLARED = Declared.model_validate(parse_yaml("rows", ROWS))
EVERY = catalogue_with(DECLARED)
DECLARING = Counterfactuals(EVERY)


def policy(*conditions: str, **document: Any) -> CompiledPolicy:
    """A policy with a rule for each condition."""
    rules = [
        {"id": f"r{n}", "description": "x", "when": when, "outcome": "review", "reason": "R", "text": "r"}
        for n, when in enumerate(conditions)
    ]
    files = {ROOT: yaml.safe_dump({"thresholds": {}, "rules": rules} | document)}
    return compile_policy(PolicyBundle(files), fields_of(CATALOGUE))


def payment(**fields: Any) -> Row:
    plain = dict.fromkeys((*TRANSACTION_SCHEMA.names, *FEATURE_NAMES))
    return Row(plain | transaction(billing_amount_minor=10_000, amount_minor=10_000) | {"tx_amount": 100.0} | fields)


class ByAmount:
    """Scores by the amount: from 0 to 1 at EUR 200, and where the card rested, half of it."""

    model_version = "m1"

    def score(self, features: pa.RecordBatch | Row) -> Scores:
        assert isinstance(features, Row)
        score = min(features["tx_amount"] / 200, 1.0) * (1.0 if features["card_count_1h"] else 0.5)
        return Scores(score, ScoredBy.IN_PROCESS, self.model_version)

    def explain(self, features: pa.RecordBatch | Row) -> list[list[Contribution]]:
        raise AssertionError(f"nobody asked why, of {rows_of(features)} rows")


@pytest.mark.parametrize(
    ("condition", "row", "found"),
    [
        # 100 * (4/5)^3 = 51.20, then halves of what lies between that and 64
        ("tx_amount >= 60", {}, [("amount", "EUR 59.90 instead of EUR 100.00")]),
        ("tx_amount BETWEEN 1 AND 110", {}, [("amount", "EUR 110.15 instead of EUR 100.00")]),
        ("tx_is_night = 1", {"tx_is_night": 1.0, "tx_hour": 3.0}, [("time", "4 hours later, at 07:00 UTC")]),
        (
            "card_new_merchant_30d = 1 OR card_new_mcc_30d = 1",
            {"card_new_merchant_30d": 1.0, "card_new_mcc_30d": 1.0},
            [("merchant", "at a merchant that this card has paid before")],
        ),
        (
            "card_count_1h >= 4 OR card_count_24h >= 8",
            {"card_count_10m": 0.0, "card_count_1h": 4.0, "card_count_24h": 5.0},
            [
                ("time", "60 minutes later, at 04:00 UTC"),
                ("velocity", "without the 4 payments of this card in the hour before it"),
            ],
        ),
        ("bin = '411111'", {"card_count_1h": 4.0, "card_new_merchant_30d": 1.0}, []),
        ("tx_amount >= 600", {}, []),
    ],
)
def test_smallest_change_of_each_kind_is_found(condition: str, row: dict[str, Any], found: list[Any]) -> None:
    paid = payment(event_time=NOON.replace(hour=3), **row)
    before = dict(paid)

    changes = WHAT_IF.nearest_approvals(paid, RulesOnly(), policy(condition))

    assert [(change.kind.value, change.text) for change in changes] == found
    assert dict(paid) == before


def test_the_cards_usual_hour_may_lie_on_either_side() -> None:
    # 10 hours from its habit at 3 o'clock: at 13 or at 17. At 13 it is 4 hours from 17; at 15 two from either.
    paid = payment(event_time=NOON.replace(hour=3), tx_hour=3.0, card_hour_deviation_h=10.0)

    (change,) = WHAT_IF.nearest_approvals(paid, RulesOnly(), policy("card_hour_deviation_h > 2"))

    assert change.text == "12 hours later, at 15:00 UTC"


def test_score_counts_as_the_policy_says() -> None:
    row = payment(card_count_1h=2.0)
    segments = [{"name": "small", "when": "tx_amount < 50", "review": 0.1}]

    changes = WHAT_IF.nearest_approvals(row, ByAmount(), policy(thresholds={"review": 0.45}, segments=segments))

    # Below 50 another limit holds: EUR 89.xx scores just below .45. At rest the score is .25.
    (amount, time, rest) = changes
    assert amount.text.startswith("EUR 89.")
    assert amount.score is not None
    assert 0.44 < amount.score < 0.45
    assert time.text.startswith("60 minutes later")
    assert rest == Change(rest.kind, "without the 2 payments of this card in the hour before it", 0.25)


def test_on_a_block_list_nothing_helps_and_on_an_allow_list_the_score_does_not_matter() -> None:
    lists = [{"name": "cards", "kind": "block", "of": "card", "entries": [{"value": "card-1"}]}]
    assert WHAT_IF.nearest_approvals(payment(), RulesOnly(), policy("tx_amount >= 60", lists=lists)) == []
    allow = [{"name": "cards", "kind": "allow", "of": "card", "entries": [{"value": "card-1"}]}]
    unsuppressed = {
        "id": "r", "description": "x", "when": "tx_amount >= 60", "outcome": "review", "reason": "R", "text": "r",
        "suppressible": False,
    }  # fmt: skip
    scored = policy(lists=allow, rules=[unsuppressed], thresholds={"review": 0.01})

    (change,) = WHAT_IF.nearest_approvals(payment(card_count_1h=1.0), ByAmount(), scored)

    assert change.text == "EUR 59.90 instead of EUR 100.00"


def test_what_is_approved_needs_no_change() -> None:
    assert WHAT_IF.nearest_approvals(payment(), RulesOnly(), policy("tx_amount >= 600")) == []


def stream(rng: random.Random, last: dict[str, Any], without_last_ms: int = 0) -> Stream:
    """Forty days of a card on one device, and at the end a payment of which something is said."""
    rows = []
    at = NOON - dt.timedelta(days=40)
    for number in range(90):
        at += dt.timedelta(minutes=rng.choice([3, 15, 45, 300, 900, 1_400]))
        if at >= NOON:
            break
        rows.append(
            transaction(
                transaction_id=f"t-{number}",
                event_time=at,
                merchant_id=f"m-{rng.randrange(3)}",
                billing_amount_minor=rng.randrange(500, 9_000),
                authorisation_result=rng.choice(["approved", "approved", "declined"]),
                device_id="device-1",
            )
        )
    until = NOON - dt.timedelta(milliseconds=without_last_ms)
    rows = [row for row in rows if row["event_time"] <= until or not without_last_ms]
    rows.append(transaction(transaction_id="last", event_time=NOON, device_id="device-1") | last)
    return [("transaction", row | {"arrival_ms": round(row["event_time"].timestamp() * 1000)}) for row in rows]


def declaring() -> Settings:
    """Settings that measure the card, its device and what is declared."""
    kept = settings_keeping(MEASURED)
    return kept.model_copy(update={"job": kept.job.model_copy(update={"features": DECLARED})})


@cache
def folded(seed: int, without_last_ms: int = 0, **last: Any) -> Row:
    table = compute_features(*tables(stream(random.Random(seed), last, without_last_ms)), declaring())
    return Row(table.to_pylist()[-1])


def different(found: Row, wanted: Row, features: list[Feature]) -> dict[str, tuple[Any, Any]]:
    pairs = {feature.name: (found[feature.name], wanted[feature.name]) for feature in features}
    return {
        name: (value, other)
        for name, (value, other) in pairs.items()
        if (value is None) != (other is None)
        or (value is not None and value != pytest.approx(other, rel=1e-6, abs=1e-6))
    }


@pytest.mark.parametrize("seed", range(3))
def test_another_amount_gives_the_features_that_folding_again_gives(seed: int) -> None:
    now, other = folded(seed, billing_amount_minor=40_000), folded(seed, billing_amount_minor=10_000)
    guessed = [f for f in EVERY.features if f.aggregate in (aggregates.LOG_Z, aggregates.ROBUST_Z, aggregates.UNUSUAL)]

    changed = DECLARING.with_amount(now, 10_000, "EUR", spread=0.7)

    assert different(changed, other, [f for f in EVERY.features if f not in guessed]) == {}
    assert all(changed[f.name] <= now[f.name] for f in guessed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("hours", [1, 9, 24])
def test_a_later_time_gives_the_features_that_folding_again_gives(seed: int, hours: int) -> None:
    now, other = folded(seed), folded(seed, event_time=NOON + dt.timedelta(hours=hours))
    # What leaves a longer window meanwhile is not known, nor what enters one that ends earlier.
    of_windows = [f for f in EVERY.features if f.aggregate.shape is aggregates.Shape.WINDOW]
    unknown = [f for f in of_windows if f.delay_ms or f.window_ms > hours * HOUR_MS]
    kept = [f for f in EVERY.features if f not in unknown]
    sided = [f for f in kept if f.aggregate in (aggregates.HOUR_DEVIATION, aggregates.WEEKDAY_DEVIATION)]

    sides = [DECLARING.later(now, hours * HOUR_MS, (hour, day)) for hour in (1, -1) for day in (1, -1)]

    assert different(sides[0], other, [f for f in kept if f not in sided]) == {}
    for feature in sided:
        assert any(side[feature.name] == pytest.approx(other[feature.name], abs=1e-6) for side in sides), feature.name


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rested_ms", [600_000, HOUR_MS, DAY_MS])
def test_a_rest_gives_the_counts_that_folding_without_it_gives(seed: int, rested_ms: int) -> None:
    now, other = folded(seed), folded(seed, without_last_ms=rested_ms)
    adds_up = (aggregates.COUNT, aggregates.SUM, aggregates.FLAGGED)
    known = [f for f in EVERY.features if f.aggregate in adds_up or 0 < f.window_ms <= rested_ms]
    known = [f for f in known if f.aggregate is not aggregates.IS_NEW and f.aggregate.shape is aggregates.Shape.WINDOW]

    assert different(DECLARING.rested(now, rested_ms), other, known) == {}
