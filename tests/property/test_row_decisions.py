"""One transaction at a time is decided bit by bit as in a batch: expressions, policies, scores, reasons."""

from __future__ import annotations

import datetime as dt
import math
import struct
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.policy.source import policy_files, read_bundle
from fraud.decision.decide import decide
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.errors import ExpressionError
from fraud.decision.rules.expression import Expression, parse_expression
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import RulesOnly
from fraud.entities import ENTITIES
from fraud.features import CATALOGUE
from fraud.path import FeaturePath
from fraud.records import Row
from fraud.records.schema import milliseconds_of
from fraud.settings import Aws
from ml_model.predict import InProcessScorer
from tests.property.test_decisions import documents, numbers
from tests.property.test_one_record import one_batch
from tests.support.decisions import FIELDS, FixedScorer, featured, policy, rule
from tests.support.feature_streams import Stream, streams, tables
from tests.support.model_features import random_features
from tests.support.paths import settings_keeping
from tests.support.records import NOON

LITERALS = ["0", "1", "2.5", "7.3", "1000", "1e300", "0.1"]
NUMBERS = ["amount_minor", "count_10m", "mean_30d", "seconds_since_last", "merchant_lat", "merchant_lon"]
TEXTS = ["card_token", "device_id", "channel", "mcc", "merchant_name"]
TIMES = ["event_time", "sent_at"]


def _numbers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one, two = inner, st.tuples(inner, inner)
    return st.one_of(
        st.tuples(two, st.sampled_from("+-*/%")).map(lambda drawn: f"({drawn[0][0]} {drawn[1]} {drawn[0][1]})"),
        st.tuples(st.sampled_from(["abs", "round", "floor", "ceil", "-"]), one).map(
            lambda drawn: f"{drawn[0]}({drawn[1]})"
        ),
        st.tuples(st.sampled_from(["least", "greatest", "coalesce"]), st.tuples(inner, inner, inner)).map(
            lambda drawn: f"{drawn[0]}({', '.join(drawn[1])})"
        ),
        st.sampled_from(TEXTS).map(lambda text: f"bucket({text}, 'trial')"),
        st.tuples(inner, inner, inner, inner).map(lambda drawn: f"distance_km({', '.join(drawn)})"),
        st.tuples(conditions(inner), two).map(lambda drawn: f"CASE WHEN {drawn[0]} THEN {drawn[1][0]} END"),
        st.tuples(conditions(inner), two).map(
            lambda drawn: f"CASE WHEN {drawn[0]} THEN {drawn[1][0]} ELSE {drawn[1][1]} END"
        ),
    )


def conditions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Conditions over numbers, texts and times."""
    text = st.one_of(st.sampled_from(TEXTS), st.sampled_from(TEXTS).map(lambda name: f"lower({name})"))
    word = st.sampled_from(["'card-1'", "'pos'", "'a'", "''", "'ß'", "'É'"])
    compared = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    plain = st.one_of(
        st.tuples(inner, compared, inner).map(" ".join),
        st.tuples(inner, inner, inner).map(lambda drawn: f"{drawn[0]} BETWEEN {drawn[1]} AND {drawn[2]}"),
        st.tuples(inner, st.sampled_from(["IN (0, 1)", "NOT IN (2.5, 7)", "IS NULL", "IS NOT NULL"])).map(" ".join),
        st.tuples(text, st.sampled_from(["=", "<>"]), st.one_of(text, word)).map(" ".join),
        st.tuples(text, st.sampled_from(["IN ('pos', 'a')", "IS NULL"])).map(" ".join),
        st.tuples(st.sampled_from(["starts_with", "ends_with", "contains"]), text, word).map(
            lambda drawn: f"{drawn[0]}({drawn[1]}, {drawn[2]})"
        ),
        st.tuples(st.sampled_from(TIMES), compared, st.sampled_from(TIMES)).map(" ".join),
    )
    joined = st.tuples(plain, st.sampled_from(["AND", "OR"]), plain).map(lambda drawn: f"({' '.join(drawn)})")
    return st.one_of(plain, joined, joined.map(lambda text: f"NOT {text}"))


expressions = st.recursive(
    st.one_of(
        st.sampled_from(NUMBERS),
        st.sampled_from(LITERALS),
        st.sampled_from([*(f"length({name})" for name in TEXTS), "hour(event_time)", "weekday(sent_at)"]),
        st.just("seconds_between(sent_at, event_time)"),
    ),
    _numbers,
    max_leaves=6,
).flatmap(lambda number: st.one_of(st.just(number), conditions(st.just(number))))

places = st.none() | st.floats(-90, 90)
times = st.integers(0, 10**9).map(lambda s: NOON + dt.timedelta(milliseconds=s))
words = st.one_of(st.sampled_from(["card-1", "pos", "a", "Straße", "ÉCLAIR", "ΑΣ", "İ"]), st.text("aAßÄ'é", max_size=4))
rows = st.fixed_dictionaries(
    {
        "card_token": words,
        "device_id": st.none() | words,
        "merchant_name": st.none() | words,
        "channel": st.sampled_from(["pos", "ecommerce"]),
        "amount_minor": st.integers(0, 10**12),
        "merchant_lat": places,
        "merchant_lon": places,
        "event_time": times,
        "sent_at": times,
        "count_10m": numbers,
        "mean_30d": st.none() | st.floats(),
        "seconds_since_last": numbers,
    }
)


def checked(text: str) -> Expression | None:
    """The expression; None where its author would be sent back, for it can never hold."""
    try:
        return parse_expression(text, FIELDS)
    except ExpressionError:
        return None


def depends_on_the_transaction(text: str) -> bool:
    expression = checked(text)
    return expression is not None and bool(expression.fields)


def bits(value: Any) -> Any:
    """A value so that equal ones have equal bits; zero has no sign, for no condition sees it."""
    if not isinstance(value, float):
        return value
    return "nan" if math.isnan(value) else struct.pack("d", value + 0.0)


@settings(max_examples=80, deadline=None)
@example("amount_minor / 7.3", [{"amount_minor": 1_000 + n} for n in range(50)])
@example("amount_minor % 7.3", [{"amount_minor": 73 * n} for n in range(50)])
@example("distance_km(amount_minor, 1, 2, 1e300 * 1e300)", [{"amount_minor": 100}])
@given(expressions, st.lists(rows, min_size=1, max_size=4))
def test_an_expression_gives_a_row_what_it_gives_columns(text: str, drawn: list[dict[str, Any]]) -> None:
    expression = checked(text)
    if expression is None:
        return
    batch = featured(*drawn)
    frame = pl.DataFrame(batch).with_columns(pl.col(pl.Int64).cast(pl.Float64))
    floats = pl.col(pl.Float64)
    frame = frame.with_columns(pl.when(floats.is_finite()).then(floats))
    column = frame.with_columns(expression.polars.alias("value"))["value"].to_list()
    values = [
        {name: milliseconds_of(value) if isinstance(value, dt.datetime) else value for name, value in row.items()}
        for row in frame.iter_rows(named=True)
    ]
    assert [bits(expression.of_row(row)) for row in values] == [bits(value) for value in column]


richer = st.lists(conditions(st.sampled_from([*NUMBERS, *LITERALS])).filter(depends_on_the_transaction), max_size=4)
expiring = st.lists(
    st.fixed_dictionaries(
        {"value": st.sampled_from(["card-1", "a", "pos"]), "expires": times.map(dt.datetime.isoformat)}
    ),
    max_size=2,
)
IN_LIST = [rule("asked", "in_list(device_id, 'known')"), rule("not-asked", "NOT in_list(device_id, 'known')")]
TEXT = "{merchant_name} {mean_30d} {count_10m:percent} {event_time:time} {amount_minor:money}"


@settings(max_examples=40, deadline=None)
@given(documents(), richer, expiring, st.lists(st.tuples(rows, st.none() | st.floats(0, 1)), min_size=1, max_size=5))
def test_a_policy_decides_a_row_as_it_decides_columns(
    document: dict[str, Any], drawn: list[str], entries: list[dict[str, Any]], given_rows: list[Any]
) -> None:
    rules = [rule(f"drawn-{number}", when, text=TEXT) for number, when in enumerate(drawn)]
    known = [{"name": "known", "kind": "named", "of": "device", "entries": entries}]
    kept = document | {"rules": document["rules"] + rules + IN_LIST, "lists": document["lists"] + known}
    compiled = policy(**kept)
    scores = [score for _, score in given_rows]
    batch = featured(*(row for row, _ in given_rows))

    wanted = decide(batch, FixedScorer(scores), compiled, FixedScorer(scores[::-1], "m2")).to_pylist()
    found = [
        decide(Row(row), FixedScorer([one]), compiled, FixedScorer([other], "m2"))
        for row, one, other in zip(batch.to_pylist(), scores, scores[::-1], strict=True)
    ]

    assert found == wanted


SHIPPED = compile_policy(read_bundle(policy_files("config/policy.yaml", Aws())), fields_of(CATALOGUE))
JOB = settings_keeping(dict.fromkeys(ENTITIES, 64))


@pytest.fixture(scope="module")
def model() -> InProcessScorer:
    return InProcessScorer.load(Path("config/model/champion"))


@settings(max_examples=8, deadline=None)
@given(streams(most=40))
def test_the_shipped_policy_and_model_decide_a_row_as_they_decide_columns(
    model: InProcessScorer, stream: Stream
) -> None:
    batch = FeaturePath(JOB).featured(*(one_batch(table) for table in tables(stream)))
    if batch is None or not batch.num_rows:
        return
    for scorer in (model, RulesOnly()):
        wanted = decide(batch, scorer, SHIPPED).to_pylist()
        assert [decide(Row(row), scorer, SHIPPED) for row in batch.to_pylist()] == wanted


def test_the_model_explains_a_row_as_it_explains_columns(model: InProcessScorer) -> None:
    batch = random_features(8)
    assert [model.explain(Row(row))[0] for row in batch.to_pylist()] == model.explain(batch)
