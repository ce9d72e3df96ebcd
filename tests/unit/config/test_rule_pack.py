"""Each rule of the shipped pack fires on a case made for it, and on nothing ordinary."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adapters.policy.source import policy_files, read_bundle
from fraud.decision.decide import decide
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.decision.rules.rule import RuleState
from fraud.decision.scorer import RulesOnly
from fraud.entities import BIN, DEVICE, ENTITIES
from fraud.features import FEATURE_FIELDS, FEATURE_NAMES
from fraud.features.catalogue import CATALOGUE, features_of, window_ms
from fraud.records.transaction import TRANSACTION_SCHEMA
from fraud.settings import Aws
from scripts.reference.rules import rules_page
from tests.support.decisions import FixedScorer
from tests.support.records import transaction

POLICY = Path(__file__).parents[3] / "config" / "policy.yaml"
SCHEMA = pa.schema([*TRANSACTION_SCHEMA, *FEATURE_FIELDS])

ORDINARY: dict[str, Any] = {
    **dict.fromkeys(FEATURE_NAMES, 0.0),
    "card_count_30d": 40.0,
    "card_count_24h": 2.0,
    "card_mean_24h": 30.0,
    "card_mean_30d": 30.0,
    "card_max_30d": 120.0,
    "card_amount_ratio_30d": 1.0,
    "card_since_last_s": 20_000.0,
    "card_countries_24h": 1.0,
    "card_devices_24h": 1.0,
    "merchant_count_30d": 900.0,
    "merchant_count_24h": 30.0,
    "merchant_count_1h": 2.0,
    "merchant_matured_count_30d": 900.0,
    "merchant_mean_30d": 28.0,
    "merchant_amount_ratio_30d": 1.1,
    **{entity.observed_column: 200.0 for entity in ENTITIES},
}

CHECK = {"transaction_type": "account_check", "billing_amount_minor": 0}
ABROAD = {"issuer_country": "DE", "merchant_country": "US", "currency": "USD"}

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "card-count-10m": ({"card_count_10m": 6}, "6 payments with this card in 10 minutes; it made 40 in 30 days"),
    "card-count-1h": ({"card_count_1h": 13}, "13 payments with this card in an hour; it made 40 in 30 days"),
    "card-count-24h": (
        {"card_count_24h": 41, "card_count_30d": 900},
        "41 payments with this card in 24 hours; it made 900 in 30 days",
    ),
    "card-sum-24h": (
        {"card_sum_24h": 5001, "card_amount_ratio_30d": 2.5},
        "EUR 5,001.00 spent with this card in 24 hours before this EUR 12.34",
    ),
    "card-merchants-1h": ({"card_merchants_1h": 6}, "6 different merchants with this card in an hour"),
    "device-count-1h": (
        {"device_count_1h": 16, "device_count_7d": 18},
        "16 payments from this device in an hour, 18 in 7 days",
    ),
    "device-sum-24h": (
        {"device_sum_24h": 5001, "device_cards_24h": 2, "billing_amount_minor": 20_000},
        "EUR 5,001.00 from this device with 2 cards in 24 hours",
    ),
    "bin-sum-10m": (
        {"channel": "ecommerce", "bin_sum_10m": 20_001, "bin_sum_1h": 21_000},
        "EUR 20,001.00 with cards of BIN 411111 in 10 minutes, EUR 21,000.00 in an hour",
    ),
    "merchant-pace": (
        {"card_new_merchant_30d": 1, "merchant_count_1h": 40, "merchant_count_30d": 900},
        "40 payments at this merchant in an hour, 900 in 30 days",
    ),
    # 100 * 90 = 9,000 in the week; 300 * 40 - 9,000 = 3,000 in the 23 days before, 913 a week
    "merchant-turnover": (
        {
            "card_new_merchant_30d": 1,
            "billing_amount_minor": 20_000,
            "merchant_count_7d": 100,
            "merchant_mean_7d": 90,
            "merchant_count_30d": 300,
            "merchant_mean_30d": 40,
        },
        "100 payments of EUR 90.00 on average at this merchant in 7 days, 300 of EUR 40.00 in 30 days",
    ),
    "device-cards-24h": ({"device_cards_24h": 4}, "4 cards on this device in 24 hours"),
    "device-declines-1h": (
        {"device_declines_1h": 5, "device_cards_1h": 3},
        "this device was refused 5 times in an hour, with 3 cards",
    ),
    "bin-cards-10m": (
        {
            "channel": "ecommerce",
            "billing_amount_minor": 100,
            "bin_cards_10m": 40,
            "bin_count_10m": 45,
            "bin_cards_1h": 50,
            "bin_count_1h": 80,
        },
        "40 cards of BIN 411111 in 10 minutes, 50 in an hour",
    ),
    "bin-declines-10m": (
        {"channel": "ecommerce", "bin_declines_10m": 15, "bin_count_10m": 30},
        "15 refusals with cards of BIN 411111 in 10 minutes, of 30 payments and no account checks",
    ),
    "card-pace": (
        {"card_count_24h": 9, "card_count_30d": 21},
        "9 payments with this card in 24 hours, 21 in 30 days",
    ),
    "cash-run": (
        {"transaction_type": "withdrawal", "card_count_1h": 3, "card_sum_1h": 600},
        "cash again: 3 payments for EUR 600.00 in the hour before",
    ),
    "amount-far-above-usual": (
        {"card_amount_robust_z": 9, "card_amount_ratio_30d": 20, "billing_amount_minor": 60_000},
        "EUR 600.00 is 20 times this card's mean, EUR 30.00",
    ),
    "amount-above-largest": (
        {"billing_amount_minor": 100_000},
        "EUR 1,000.00; this card's largest in 30 days was EUR 120.00",
    ),
    "first-time-merchant-large": (
        {"card_new_merchant_30d": 1, "billing_amount_minor": 80_000, "card_amount_ratio_30d": 6},
        "EUR 800.00 at a merchant new to this card; its mean is EUR 30.00",
    ),
    "run-of-unusual-amounts": (
        {"card_amount_unusual": 1, "card_unusual_7d": 2.5},
        "EUR 12.34 is unusual for this card, after other unusual amounts in the last days",
    ),
    "dormant-card-large": (
        {"card_since_last_s": 50 * 86_400, "billing_amount_minor": 30_000},
        "EUR 300.00 with a card that was unused for 50 days",
    ),
    "amount-unlike-merchant": (
        {"merchant_amount_ratio_30d": 21, "billing_amount_minor": 50_000},
        "EUR 500.00 is 21 times the mean of this merchant, EUR 28.00",
    ),
    "little-used-card-large": (
        {"card_count_30d": 1, "billing_amount_minor": 100_000},
        "EUR 1,000.00 with a card that made 1 payment in 30 days",
    ),
    "impossible-travel": (
        {"card_speed_kmh": 2000, "card_distance_last_km": 1000, "entry_mode": "magstripe"},
        "1,000 km from where the card was last present; that means 2,000 km/h",
    ),
    "implausible-travel": (
        {"card_speed_kmh": 2000, "card_distance_last_km": 1000, "entry_mode": "chip"},
        "1,000 km from where the card was last present; that means 2,000 km/h",
    ),
    "many-countries": ({"card_countries_24h": 3}, "this card was used in 3 countries in 24 hours"),
    "new-country-large": (
        {**ABROAD, "card_new_country_30d": 1, "billing_amount_minor": 30_000, "card_amount_ratio_30d": 4},
        "EUR 300.00 in US, where this card from DE was not used before",
    ),
    "cash-far-from-home": (
        {"channel": "atm", "tx_distance_home_km": 2500, "card_new_country_30d": 1, "billing_amount_minor": 20_000},
        "EUR 200.00 in cash, 2,500 km from home",
    ),
    "magstripe-abroad": (
        {**ABROAD, "entry_mode": "magstripe", "billing_amount_minor": 20_000},
        "EUR 200.00 by magnetic stripe in US, card from DE",
    ),
    "currency-not-of-country": (
        {
            **ABROAD,
            "currency": "EUR",
            "card_new_merchant_30d": 1,
            "amount_minor": 30_000,
            "billing_amount_minor": 30_000,
        },
        "EUR 300.00 charged in US",
    ),
    "small-amount-burst": (
        {"billing_amount_minor": 100, "card_count_1h": 4, "card_mean_24h": 1.5},
        "EUR 1.00 after 4 payments in an hour, EUR 1.50 on average",
    ),
    "large-after-small-burst": (
        {"billing_amount_minor": 20_000, "card_count_1h": 3, "card_sum_1h": 3},
        "EUR 200.00 after 3 payments of EUR 3.00 in all within an hour",
    ),
    "card-declines-1h": ({"card_declines_1h": 4}, "refused 4 times in an hour"),
    "card-declines-24h": ({"card_declines_24h": 8}, "refused 8 times in 24 hours"),
    "merchant-declines-1h": (
        {"channel": "ecommerce", "merchant_declines_1h": 20, "merchant_count_1h": 30},
        "20 refusals at this merchant in an hour, of 30 payments and no account checks",
    ),
    "merchant-many-cards-small": (
        {"billing_amount_minor": 100, "channel": "ecommerce", "merchant_cards_10m": 25},
        "25 cards at this merchant in 10 minutes, this one with EUR 1.00",
    ),
    "night-online-large": (
        {
            "channel": "ecommerce",
            "tx_is_night": 1,
            "card_hour_deviation_h": 6,
            "card_new_merchant_30d": 1,
            "billing_amount_minor": 30_000,
        },
        "EUR 300.00 online at 2026-01-15 12:00 UTC, 6 hours from this card's habit",
    ),
    "new-device-large": (
        {"channel": "ecommerce", "card_new_device_30d": 1, "billing_amount_minor": 50_000, "card_amount_ratio_30d": 4},
        "EUR 500.00 from a device new to this card",
    ),
    "many-devices": ({"card_devices_24h": 4}, "this card was used from 4 devices in 24 hours"),
    "checks-failed": (
        {"cvv_result": "no_match", "avs_result": "no_match"},
        "security code and address do not match",
    ),
    "authentication-failed": (
        {"three_ds_result": "failed"},
        "approved although 3-D Secure authentication failed",
    ),
    "high-risk-trade": (
        {"mcc": "7995", "card_new_mcc_30d": 1, "billing_amount_minor": 50_000},
        "EUR 500.00 in a high-risk trade (MCC 7995) that is new to this card",
    ),
    "merchant-fraud-rate": (
        {"merchant_fraud_rate_7d": 0.125, "merchant_matured_count_7d": 40},
        "12.5 % of 40 payments at this merchant in a week were fraud",
    ),
    "point-of-compromise": (
        {"merchant_fraud_normal_rate_7d": 0.125, "merchant_matured_count_7d": 32},
        "12.5 % of payments here in a week were fraud at amounts usual for their cards",
    ),
    "card-checks-1h": ({**CHECK, "card_checks_1h": 4}, "4 account checks of this card in an hour"),
    "device-checks-1h": ({**CHECK, "device_checks_1h": 5}, "5 account checks from this device in an hour"),
    "bin-checks-10m": (
        {**CHECK, "bin_checks_10m": 40, "bin_count_10m": 3},
        "40 account checks with cards of BIN 411111 in 10 minutes, beside 3 payments",
    ),
    "merchant-checks-1h": (
        {**CHECK, "merchant_checks_1h": 30},
        "30 account checks at this merchant in an hour, beside 2 payments",
    ),
    "refunds-24h": (
        {"transaction_type": "refund", "card_money_back_24h": 4},
        "a refund of EUR 12.34 after 4 refunds, reversals and voids in 24 hours",
    ),
    "refund-without-payment": (
        {"transaction_type": "refund", "card_new_merchant_30d": 1, "billing_amount_minor": 50_000},
        "a refund of EUR 500.00 at a merchant that this card paid nothing in 30 days",
    ),
    "merchant-unusual-amounts": (
        {"merchant_unusual_share_24h": 0.4, "card_amount_unusual": 1},
        "40 % of payments here in 24 hours were unusual for their cards, this one too",
    ),
}


@pytest.fixture(scope="module")
def shipped() -> CompiledPolicy:
    return compile_policy(read_bundle(policy_files(str(POLICY), Aws())), fields_of(CATALOGUE))


def verdict(policy: CompiledPolicy, **row: Any) -> dict[str, Any]:
    plain = dict.fromkeys(SCHEMA.names) | transaction() | ORDINARY | row
    plain["tx_amount"] = plain["billing_amount_minor"] / 100
    batch = pa.RecordBatch.from_pylist([plain], schema=SCHEMA)
    return dict(decide(batch, RulesOnly(), policy).to_pylist()[0])


def test_every_rule_has_a_case(shipped: CompiledPolicy) -> None:
    assert {compiled.rule.id for compiled in [*shipped.rules, *shipped.idle_rules]} == CASES.keys()


def test_pack_covers_what_a_payments_team_expects(shipped: CompiledPolicy) -> None:
    read = {name for compiled in shipped.rules for name in compiled.condition.fields}
    counts_and_amounts = {
        "card_count_10m", "card_sum_24h", "device_count_1h", "device_sum_24h", "merchant_count_1h", "merchant_mean_7d",
        "bin_count_10m", "bin_sum_10m",
    }  # fmt: skip
    others = {
        "card_declines_1h", "device_cards_24h", "card_countries_24h", "merchant_country", "currency", "card_speed_kmh",
        "card_new_merchant_30d", "card_since_last_s", "tx_is_night",
    }  # fmt: skip
    assert counts_and_amounts | others <= read
    assert {use.list_name for compiled in shipped.rules for use in compiled.condition.lists} == {"high-risk-mcc"}
    assert len({compiled.rule.reason for compiled in shipped.rules}) >= 20


def test_pack_has_about_thirty_rules_with_owner_reason_and_severity(shipped: CompiledPolicy) -> None:
    assert len(shipped.rules) >= 30
    assert all(compiled.rule.owner and compiled.rule.tags for compiled in shipped.rules)


def test_what_is_live_says_what_it_was_measured_to_find(shipped: CompiledPolicy) -> None:
    live = [compiled.rule for compiled in shipped.rules if compiled.rule.state is RuleState.LIVE]
    assert live
    assert [rule.id for rule in live if rule.measured is None] == []


@pytest.mark.parametrize("rule_id", CASES)
def test_rule_fires_on_its_case_and_says_why(shipped: CompiledPolicy, rule_id: str) -> None:
    row, text = CASES[rule_id]
    compiled = next(compiled for compiled in shipped.rules if compiled.rule.id == rule_id)

    found = verdict(shipped, **row)

    if compiled.rule.state == "live":
        assert rule_id in found["rules"]
        assert text in found["reasons"]
        assert found["outcome"] in ("review", "decline")
    else:
        assert rule_id in found["shadow_rules"]
        assert compiled.text.fill(ORDINARY | transaction() | row) == text


@pytest.mark.parametrize("rule_id", CASES)
def test_text_leaves_out_what_the_condition_does_not_ask_for_where_it_is_not_known(
    shipped: CompiledPolicy, rule_id: str
) -> None:
    compiled = next(compiled for compiled in (*shipped.rules, *shipped.idle_rules) if compiled.rule.id == rule_id)
    always = {field.name for field in TRANSACTION_SCHEMA if not field.nullable}
    may_lack = compiled.text.fields - compiled.condition.fields - always
    plain = ORDINARY | transaction() | CASES[rule_id][0]

    assert "unknown" not in compiled.text.fill(plain | dict.fromkeys(may_lack))


@pytest.mark.parametrize("rule_id", CASES)
def test_text_says_one_of_a_thing_in_the_singular(shipped: CompiledPolicy, rule_id: str) -> None:
    compiled = next(compiled for compiled in (*shipped.rules, *shipped.idle_rules) if compiled.rule.id == rule_id)
    one = dict.fromkeys(compiled.text.fields & set(FEATURE_NAMES), 1.0)

    text = compiled.text.fill(ORDINARY | transaction() | CASES[rule_id][0] | one)

    assert not re.search(r"(?<![\d.,])1 (payments|account checks|cards|countries|devices|hours|days)\b", text), text


def test_ordinary_transaction_fires_nothing(shipped: CompiledPolicy) -> None:
    found = verdict(shipped)

    assert (found["outcome"], found["rules"], found["shadow_rules"]) == ("approve", [], [])


def test_first_transaction_of_a_card_fires_nothing(shipped: CompiledPolicy) -> None:
    new = dict.fromkeys(FEATURE_NAMES) | {name: 1.0 for name in FEATURE_NAMES if "_new_" in name}

    found = verdict(shipped, **new)

    assert (found["outcome"], found["rules"]) == ("approve", [])


@pytest.mark.parametrize("rule_id", CASES)
def test_no_rule_that_compares_with_a_month_fires_in_the_first_week_of_a_card_and_its_merchant(
    shipped: CompiledPolicy, rule_id: str
) -> None:
    month = {f.name for f in CATALOGUE if f.window_ms == window_ms("30d") and not f.delay_ms}
    compiled = next(compiled for compiled in shipped.rules if compiled.rule.id == rule_id)
    new = {entity.observed_column: 6.9 for entity in ENTITIES}

    found = verdict(shipped, **CASES[rule_id][0] | new)

    assert (rule_id in {*found["rules"], *found["shadow_rules"]}) == month.isdisjoint(compiled.condition.fields)


def test_a_cards_pace_is_measured_by_the_days_in_which_it_was_known(shipped: CompiledPolicy) -> None:
    # 9 in a day, 12 before: of 9 days that is 1.33 a day, eight times more than 9; of 29 days 0.41, eight times less
    row = {"card_count_24h": 9, "card_count_30d": 21}

    assert "card-pace" not in verdict(shipped, **row, card_observed_days=10)["shadow_rules"]
    assert "card-pace" in verdict(shipped, **row, card_observed_days=400)["shadow_rules"]


def test_rules_on_what_is_not_measured_are_false_rather_than_undefined(shipped: CompiledPolicy) -> None:
    off = {feature.name: None for feature in features_of(DEVICE, BIN)}

    found = verdict(shipped, **off, channel="ecommerce", device_id=None)

    assert not [rule for rule in found["undefined_rules"] if rule.startswith(("device-", "bin-"))]


def test_reference_of_rules_is_current(shipped: CompiledPolicy) -> None:
    page = POLICY.parent.parent / "docs" / "reference" / "rules.md"

    assert page.read_text(encoding="utf-8") == rules_page(shipped), "run python -m scripts.write_reference"


NO_PAYMENTS = [
    {"transaction_type": "refund"},
    {"transaction_type": "reversal"},
    {"transaction_type": "void"},
    {"transaction_type": "account_check", "billing_amount_minor": 0},
    {"transaction_type": "purchase", "billing_amount_minor": 0},
    {"transaction_type": "withdrawal", "billing_amount_minor": 0},
]


@pytest.mark.parametrize("kind", NO_PAYMENTS, ids=str)
@pytest.mark.parametrize("rule_id", CASES)
def test_no_rule_about_payments_fires_on_what_takes_no_money(
    shipped: CompiledPolicy, rule_id: str, kind: dict[str, Any]
) -> None:
    rules = {compiled.rule.id: compiled.rule for compiled in shipped.rules}
    about = "account_checks" if kind.get("billing_amount_minor") == 0 else "money_back"

    found = verdict(shipped, **CASES[rule_id][0] | kind)

    assert {
        rules[name].about for name in (*found["rules"], *found["shadow_rules"]) if about not in rules[name].about
    } == set()
    assert all(rule.about for rule in rules.values())  # each shipped rule says what it is about


@pytest.mark.parametrize("kind", NO_PAYMENTS[:3], ids=str)
def test_no_score_asks_for_a_review_of_money_back(shipped: CompiledPolicy, kind: dict[str, Any]) -> None:
    plain = dict.fromkeys(SCHEMA.names) | transaction() | ORDINARY | kind
    batch = pa.RecordBatch.from_pylist([plain], schema=SCHEMA)

    assert decide(batch, FixedScorer([0.99]), shipped).to_pylist()[0]["outcome"] == "approve"
