from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from fraud.decision.rules.errors import ExpressionError
from fraud.decision.rules.expression import MAX_DEPTH, MAX_STEPS, parse_condition, parse_expression
from fraud.decision.rules.tokens import MAX_LENGTH
from tests.support.decisions import FIELDS, featured
from tests.support.records import NOON


def evaluate(text: str, **row: Any) -> object:
    """The value of an expression for one transaction."""
    expression = parse_expression(text, FIELDS)
    frame = pl.from_arrow(pa.Table.from_batches([featured(row)]))
    assert isinstance(frame, pl.DataFrame)
    numbers = frame.with_columns(pl.col(pl.Int64).cast(pl.Float64))
    return numbers.select(expression.polars.alias("value"))["value"][0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("amount_minor > 1000", True),
        ("amount_minor + 1 * 2 = 1236", True),
        ("(amount_minor + 1) * 2 = 2470", True),
        ("10 - 4 - 3 = 3 AND amount_minor > 0", True),
        ("amount_minor % 10 = 4", True),
        ("-amount_minor < 0", True),
        ("mcc IN ('5411', '5412') and not channel = 'ecommerce'", True),
        ("mcc NOT IN ('5411')", False),
        ("amount_minor BETWEEN 1234 AND 1234", True),
        ("amount_minor NOT BETWEEN 1 AND 2", True),
        ("device_id IS NULL", True),
        ("device_id IS NOT NULL", False),
        ("TRUE OR FALSE AND FALSE", True),
        ("NOT FALSE AND TRUE", True),
        ("NOT (TRUE AND FALSE)", True),
        ("card_token = 'card-1'", True),
        ("card_token <> 'it''s'", True),
        ("hour(event_time)", 12.0),
        ("weekday(event_time)", 4.0),  # 15 January 2026 is a Thursday
        ("seconds_between(sent_at, event_time)", 0.0),
        ("starts_with(bin, '4111') AND ends_with(bin, '11') AND contains(bin, '11')", True),
        ("length(mcc) = 4", True),
        ("lower(issuer_country) = 'de'", True),
        ("least(3, 1, 2)", 1.0),
        ("greatest(3, 1, 2)", 3.0),
        ("coalesce(count_10m, 7)", 7.0),
        ("CASE WHEN amount_minor > 2000 THEN 1 WHEN amount_minor > 1000 THEN 2 ELSE 3 END", 2.0),
        ("CASE WHEN amount_minor > 2000 THEN 1 END", None),
        ("round(amount_minor / 100)", 12.0),
        ("abs(1 - 3)", 2.0),
        ("1e3 = 1000 AND .5 < 1", True),
    ],
)
def test_value_is_that_of_sql(text: str, value: object) -> None:
    assert evaluate(text) == value


def test_distance_from_berlin_to_paris_is_878_km() -> None:
    row = {"home_lat": 52.5200, "home_lon": 13.4050, "merchant_lat": 48.8566, "merchant_lon": 2.3522}

    distance = evaluate("distance_km(home_lat, home_lon, merchant_lat, merchant_lon)", **row)

    assert distance == pytest.approx(877.46, abs=0.5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("count_10m > 5", None),
        ("count_10m > 5 AND amount_minor < 1", False),  # false whatever the unknown is
        ("count_10m > 5 OR amount_minor > 0", True),  # true whatever the unknown is
        ("NOT count_10m > 5", None),
        ("count_10m IN (1, 2)", None),
        ("count_10m NOT IN (1, 2)", None),
        ("count_10m + 1", None),
        ("amount_minor / 0", None),
        ("amount_minor % 0", None),
        ("amount_minor / 0 > 1", None),
        ("device_id = 'd'", None),
        ("device_id <> 'd'", None),
    ],
)
def test_null_is_unknown_not_false(text: str, value: object) -> None:
    assert evaluate(text) == value


def test_time_literals_are_compared_by_functions_of_time() -> None:
    assert evaluate("seconds_between(event_time, sent_at) = 60", sent_at=NOON + dt.timedelta(minutes=1)) is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: unexpected 'end'; expected a field, value or function"),
        ("amout_minor > 5", "column 1: unknown field amout_minor; did you mean amount_minor?"),
        ("amount_minor > '5'", "column 16: a number and a text cannot be compared; write the number without quotes"),
        ("mcc = 5411", "column 7: a text and a number cannot be compared; write '5411' in quotes"),
        ("mcc > '5'", "column 1: a text has no order; compare numbers or times"),
        ("channel = 'ecomerce'", "column 11: channel is never 'ecomerce'; did you mean ecommerce?"),
        ("channel IN ('pos', 'x')", "column 20: channel is never 'x'; it is one of pos, atm, ecommerce, moto"),
        ("amount_minor", "column 1: is a number, not a condition; compare it with something"),
        ("1 = 1", "column 1: uses no field, so it holds for all transactions or for none"),
        (
            "amount_minor > 5 mcc = '1'",
            "column 18: unexpected 'mcc' after the expression; combine conditions with AND or OR",
        ),
        ("amount_minor = NULL", "column 16: NULL equals nothing; use IS NULL or IS NOT NULL"),
        ("mcc LIKE '54%'", "column 5: there is no LIKE; use starts_with, ends_with or contains"),
        ("amount_minor IN (mcc)", "column 18: IN takes literal values only; join comparisons with OR"),
        ("amount_minor AND TRUE", "column 1: a number beside AND, expected a boolean"),
        ("amount_minor > 5 & mcc = '1'", "column 18: unexpected '&'; use AND"),
        ('mcc = "5411"', 'column 7: unexpected "; write texts in single quotes and names without quotes'),
        ("mcc = '5411", "column 7: a text that is never closed; add a closing '"),
        ("rond(amount_minor) = 1", "column 1: there is no function rond; did you mean round?"),
        ("length(amount_minor) = 1", "column 8: a number in length, expected a text"),
        ("hour(event_time, 1) = 1", "column 1: hour takes 1 values, got 2"),
        ("amount_minor > 12x", "column 16: a malformed number"),
        ("(amount_minor > 1", "column 18: expected ')', got 'the end'"),
        ("amount_minor >\n  amout", "line 2, column 3: unknown field amout"),
        ("in_list(mcc, 'risky')", "column 14: there is no list 'risky'"),
    ],
)
def test_fault_is_named_with_its_place_and_a_suggestion(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_condition(text, FIELDS)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch /tmp/executed') = 0",
        "amount_minor > 1; DROP TABLE alerts",
        "amount_minor > 1 -- comment",
        "amount_minor > 1 /* comment */",
        "(SELECT 1) = amount_minor",
        "SELECT * FROM read_csv('/etc/passwd')",
        "read_csv('/etc/passwd') = 'x'",
        "pl.read_csv('/etc/passwd') = 'x'",
        "amount_minor.__class__ = 1",
        "eval('1') = amount_minor",
        "exec('import os') = 'x'",
        "col('amount_minor') > 1",
        "amount_minor > 1 UNION SELECT 1",
        "contains(card_token, '(a+)+$', TRUE)",
        "regexp_like(card_token, '(a+)+$')",
        "random() > amount_minor",
        "sleep(10) = amount_minor",
        "lambda: 1",
        "amount_minor := 1",
        "{amount_minor}",
        "amount_minor[0] > 1",
        "@amount_minor > 1",
        "$amount_minor > 1",
        "`amount_minor` > 1",
        "amount_minor\x00 > 1",
        "amount_minor > 1\\",
        "\u0430mount_minor > 1",  # Cyrillic a
        "amount_minor > \u0661",  # Arabic digit
        "amount_minor > NaN",
        "amount_minor > Infinity",
        "amount_minor > 0x10",
        "raw = 'x'",
        "score > 0.5",
        "outcome = 'approve'",
    ],
)
def test_malicious_or_foreign_expression_is_refused_before_anything_runs(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_condition(text, FIELDS)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 9000 + "amount_minor > 1" + ")" * 9000,
        "(" * (MAX_DEPTH + 1) + "amount_minor > 1" + ")" * (MAX_DEPTH + 1),
        "NOT " * 6000 + "amount_minor > 1",
        "amount_minor > 1" + " " * MAX_LENGTH,
        "-" * 30_000 + "amount_minor > 1",
    ],
)
def test_oversized_expression_is_refused_at_once(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_condition(text, FIELDS)


def test_longest_conditions_evaluate_in_a_shallow_tree() -> None:
    terms = [f"mcc = '{i:04}'" for i in range(1_000)]
    others = [f"mcc <> '{i:04}'" for i in range(1_000)]

    assert evaluate(" OR ".join([*terms, "mcc = '5411'"])) is True
    assert evaluate(" AND ".join([*others, "mcc <> '5411'"])) is False
    assert evaluate(" OR ".join([*terms, "count_10m > 1"])) is None


@pytest.mark.parametrize("joint", [" + ", " / ", " - "])
def test_arithmetic_is_bounded(joint: str) -> None:
    parse_condition(joint.join(["amount_minor"] * (MAX_STEPS + 1)) + " > 1", FIELDS)
    with pytest.raises(ExpressionError, match="more than 100 steps"):
        parse_condition(joint.join(["amount_minor"] * (MAX_STEPS + 2)) + " > 1", FIELDS)


def test_a_bucket_is_the_same_for_ever_evenly_spread_and_another_for_another_trial() -> None:
    # The first four bytes of blake2b of "trial/card-1" are 0xa3780f1e: 63.85 % of all that there are.
    assert evaluate("bucket(card_token, 'trial')", card_token="card-1") == 63.85
    tokens = [{"card_token": f"card-{number}"} for number in range(1_000)]
    frame = pl.from_arrow(pa.Table.from_batches([featured(*tokens)]))
    assert isinstance(frame, pl.DataFrame)
    tried = [parse_expression(f"bucket(card_token, '{trial}') < 10", FIELDS).polars for trial in ("trial", "other")]
    one, other = (frame.select(each.alias("hit"))["hit"] for each in tried)
    assert one.sum() == pytest.approx(100, abs=30)
    assert (one & other).sum() == pytest.approx(10, abs=10)
