"""Conditions that contradict what a field can hold, or themselves, are refused; what may be meant is a warning."""

from __future__ import annotations

import itertools
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.decision.policy.compiled import PolicyError
from fraud.decision.rules.errors import ExpressionError
from fraud.decision.rules.expression import parse_condition
from tests.support.decisions import FIELDS, policy, rule

TO = 10**12


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("currency = 'eur'", "column 12: currency is never 'eur'; did you mean 'EUR'?"),
        ("currency IN ('EUR', 'euro')", "column 21: currency is never 'euro'; it is 3 characters of [A-Z]"),
        ("currency <> 'eur'", "currency is never 'eur'"),
        ("'eur' = currency", "column 1: currency is never 'eur'"),
        ("merchant_country = 'uk'", "merchant_country is never 'uk'; did you mean 'GB'?"),
        ("merchant_country = 'DEU'", "it is 2 characters of [A-Z]"),
        ("mcc = '541'", "mcc is never '541'; it is 4 characters of [0-9]"),
        ("mcc = '5411 '", "mcc is never '5411 '"),
        ("response_code = '5'", "response_code is never '5'"),
        ("bin = '411111111'", "it is 6 to 8 characters of [0-9]"),
        ("card_token = 'tok 1'", "card_token is never 'tok 1'"),
        ("device_id = ''", "device_id is never ''"),
        ("channel = 'POS'", "channel is never 'POS'"),
        ("lower(currency) = 'EUR'", "lower(currency) is never 'EUR'"),
        ("upper(merchant_country) IN ('de')", "upper(merchant_country) is never 'de'"),
        ("length(mcc) = 5", "length(mcc) is never 5; it is a whole number of at least 4 and at most 4"),
        ("length(bin) < 6", "length(bin) is never so"),
        ("starts_with(mcc, '54x')", "'54x' is in no such text"),
        ("starts_with(bin, '411111111')", "is in no such text"),
        ("contains(channel, 'web')", "it is one of"),
        ("amount_minor < 0", "never so; it is a whole number of at least 0 and at most 1,000,000,000,000"),
        ("amount_minor = 100.5", "amount_minor is never 100.5"),
        ("amount_minor > 1e12", "amount_minor is never so"),
        ("0 > billing_amount_minor", "billing_amount_minor is never so"),
        ("NOT (amount_minor >= 0)", "amount_minor is never so"),
        ("merchant_lat > 90", "merchant_lat is never so; it is at least -90 and at most 90"),
        ("home_lon BETWEEN 181 AND 200", "home_lon is never so"),
        ("hour(event_time) = 24", "hour(event_time) is never 24"),
        ("hour(event_time) >= 24", "hour(event_time) is never so"),
        ("weekday(event_time) = 0", "weekday(event_time) is never 0"),
        ("abs(count_10m) < 0", "abs(count_10m) is never so"),
        ("round(count_10m) = 1.5", "round(count_10m) is never 1.5"),
        ("hour(event_time) BETWEEN 22 AND 6", "22 to 6 is nothing; hour(event_time) >= 22 OR hour(event_time) <= 6"),
        ("hour(event_time) NOT BETWEEN 22 AND 6", "from 22 to 6 is nothing"),
        ("count_10m > 5 AND count_10m < 3", "contradicts what stands before it: nothing is left of count_10m"),
        ("count_10m > 5 AND channel = 'pos' AND count_10m <= 5", "column 39: contradicts"),
        ("amount_minor > 5 AND amount_minor < 6", "nothing is left of amount_minor"),
        ("mcc = '5411' AND mcc = '5412'", "nothing is left of mcc"),
        ("mcc IN ('5411', '5412') AND NOT (mcc IN ('5411', '5412', '5413'))", "nothing is left of mcc"),
        ("mcc = '5411' AND (mcc = '5412' AND channel = 'pos')", "nothing is left of mcc"),
        ("NOT (count_10m <= 5 OR count_10m >= 3)", "nothing is left of count_10m"),
        ("channel <> 'pos' AND channel <> 'atm' AND channel <> 'ecommerce' AND channel <> 'moto'", "left of channel"),
        ("hour(event_time) > 22 AND hour(event_time) < 6", "nothing is left of hour(event_time)"),
        ("hour(event_time) > 22 AND hour(event_time) < 23", "nothing is left of hour(event_time)"),
        ("device_id IS NULL AND device_id = 'd-1'", "nothing is left of device_id"),
        ("card_token IS NULL", "card_token is never so"),
        ("count_10m > 1 OR currency = 'eur'", "currency is never 'eur'"),
        ("CASE WHEN amount_minor < 0 THEN TRUE ELSE FALSE END", "amount_minor is never so"),
    ],
)  # fmt: skip
def test_what_is_never_true_is_refused(condition: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse_condition(condition, FIELDS)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    "condition",
    [
        "currency = 'EUR'",
        "amount_minor >= 0",
        "NOT (amount_minor < 0)",
        "amount_minor = 1e12",
        "hour(event_time) >= 22 OR hour(event_time) <= 6",
        "NOT (hour(event_time) BETWEEN 6 AND 22)",
        "hour(event_time) BETWEEN 22 AND 22",
        "count_10m > 5 OR count_10m < 3",
        "NOT (count_10m > 5 AND count_10m < 3)",
        "amount_minor > 5 AND amount_minor < 7",
        "count_10m > 5 AND count_10m < 6",
        "mean_30d = 0.5 AND seconds_since_last < -1",
        "count_10m > 5 AND hour(event_time) > 5 AND hour(sent_at) < 5",
        "mcc IN ('5411', '5412') AND mcc <> '5411'",
        "lower(currency) = 'eur'",
        "starts_with(bin, '4111') AND ends_with(mcc, '11')",
        "contains(channel, 'comm')",
        "device_id IS NULL OR device_id = 'd-1'",
        "coalesce(device_id, 'none') = 'none'",
        "length(bin) = 8",
        "amount_minor - billing_amount_minor < 0",
        "count_10m BETWEEN mean_30d AND 5",
    ],
)
def test_what_may_be_true_is_taken(condition: str) -> None:
    assert parse_condition(condition, FIELDS).doubts == ()


def test_codes_that_no_standard_has_are_warnings() -> None:
    warnings = policy(
        rules=[rule("far", "merchant_country IN ('UK', 'XK', 'DE')"), rule("old", "currency IN ('HRK', 'XAU')")],
        lists=[{"name": "risky", "kind": "named", "of": "merchant_country", "entries": ["NG", "UK", "EU"]}],
    ).warnings  # fmt: skip
    assert list(warnings) == [
        "list risky: no code of ISO 3166-1: 'UK', 'EU'",
        "rule far: when: column 22: 'UK' is no code of ISO 3166-1; did you mean 'GB'?",
        "rule old: when: column 14: 'HRK' is no code of ISO 4217",
    ]


def test_a_condition_that_contradicts_what_its_rule_is_about_is_refused() -> None:
    with pytest.raises(PolicyError) as refused:
        policy(rules=[rule("r", "transaction_type = 'purchase' AND amount_minor > 1", about=["money_back"])])
    assert refused.value.faults == ["rule r: when: nothing is left of transaction_type in money_back"]
    policy(rules=[rule("r", "transaction_type = 'purchase'", about=["money_back", "payments"])])


@pytest.mark.parametrize(("of", "entry"), [("merchant_country", "uk"), ("mcc", "541"), ("card", "tok 1")])
def test_a_list_entry_that_no_transaction_has_is_refused(of: str, entry: str) -> None:
    with pytest.raises(PolicyError, match=r"list l: its value number 1 is no .* that a transaction can have"):
        policy(lists=[{"name": "l", "kind": "block", "of": of, "entries": [entry]}])


OPERATORS = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
comparisons = st.tuples(st.sampled_from(sorted(OPERATORS)), st.integers(0, 4), st.booleans())


@given(st.lists(comparisons, min_size=1, max_size=4))
def test_a_conjunction_is_refused_where_and_only_where_no_amount_makes_it_true(
    drawn: list[tuple[str, int, bool]],
) -> None:
    written = [f"{'NOT ' if negated else ''}(amount_minor {sign} {limit})" for sign, limit, negated in drawn]
    possible = any(
        all(OPERATORS[sign](amount, limit) is not negated for sign, limit, negated in drawn)
        for amount in itertools.chain(range(7), [TO])
    )
    try:
        parse_condition(" AND ".join(written), FIELDS)
    except ExpressionError:
        assert not possible
    else:
        assert possible
