from __future__ import annotations

import pytest

from fraud.decision.rules.errors import ExpressionError
from fraud.decision.rules.fields import fields_of
from fraud.decision.rules.text import parse_template
from fraud.features import CATALOGUE
from tests.support.decisions import FIELDS
from tests.support.records import NOON

VALUES = {
    "amount_minor": 123450,
    "billing_amount_minor": 99,
    "currency": "JPY",
    "count_10m": 6.0,
    "mean_30d": None,
    "event_time": NOON,
    "merchant_country": "FR",
    "seconds_since_last": 5400.0,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{count_10m} transactions in 10 minutes", "6 transactions in 10 minutes"),
        ("usual {mean_30d:money}", "usual unknown"),
        ("usual {count_10m:money}", "usual EUR 6.00"),
        ("{amount_minor:money} in {merchant_country}", "JPY 123,450 in FR"),
        ("{billing_amount_minor:money}", "EUR 0.99"),
        ("{seconds_since_last:duration} ago", "90 minutes ago"),
        ("{count_10m:times} the mean", "6 times the mean"),
        ("{count_10m:hours} from its habit", "6 hours from its habit"),
        ("{count_10m} here, {mean_30d:money} there", "6 here"),
        ("{count_10m} here; {mean_30d:money}, all in all; {count_10m:whole}", "6 here, all in all; 6"),
        ("at {event_time}", "at 2026-01-15 12:00 UTC"),
        ("{{literal}}", "{literal}"),
    ],
)
def test_values_are_filled_in_as_people_read_them(template: str, text: str) -> None:
    assert parse_template(template, FIELDS, "EUR").fill(VALUES) == text


def test_template_names_the_fields_that_it_needs() -> None:
    assert parse_template("{amount_minor:money}", FIELDS, "EUR").fields == {"amount_minor", "currency"}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{cuont_10m}", "column 1: unknown field 'cuont_10m'; did you mean count_10m?"),
        ("{mcc:money}", "column 1: no format 'money' for a text"),
        ("{count_10m!r}", "column 1: no format 'number' for a number"),
        ("{count_10m", "column 1: expected '}' before end of string"),
        ("{count_10m.__class__}", "column 1: unknown field 'count_10m.__class__'"),
        ("{0}", "column 1: unknown field '0'"),
        ("{}", "column 1: unknown field ''"),
        ("{count_10m:{mcc}}", "column 1: no format '{mcc}'"),
    ],
)
def test_bad_template_is_refused(template: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_template(template, FIELDS, "EUR")

    assert str(caught.value).startswith(message)


def test_number_without_order_is_unknown() -> None:
    template = parse_template("{count_10m} and {mean_30d:money}", FIELDS, "EUR")

    assert template.fill({"count_10m": float("nan"), "mean_30d": float("inf")}) == "unknown and unknown"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"card_count_10m": 6.0, "card_count_30d": 36.0}, "6 payments: 6 payments of this card in 10 minutes; usually"),
        ({"card_count_10m": 1.0, "card_count_30d": None}, "1 payment: 1 payment of this card in 10 minutes"),
    ],
)
def test_features_are_said_as_the_model_says_them(values: dict[str, float | None], text: str) -> None:
    fields = fields_of(CATALOGUE)
    template = parse_template("{card_count_10m:counted}: {card_count_10m:words}", fields, "EUR")

    assert template.fields == {"card_count_10m", "card_count_30d"}
    assert template.fill(values).startswith(text)


def test_only_numbers_of_things_are_counted() -> None:
    with pytest.raises(ExpressionError, match="no format 'counted'"):
        parse_template("{card_mean_30d:counted}", fields_of(CATALOGUE), "EUR")
