from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.decision.decide import decide
from fraud.decision.record import Outcome
from fraud.decision.rules.errors import ExpressionError
from fraud.decision.rules.expression import parse_condition
from tests.support.decisions import FIELDS, FixedScorer, featured, finite, policy, rule

CONDITIONS = (
    "amount_minor > 500",
    "count_10m > 3",
    "count_10m > 3 OR mean_30d < 2",
    "NOT (count_10m <= 3) AND channel = 'pos'",
    "amount_minor / count_10m > 100",
    "device_id IS NULL AND seconds_since_last < 60",
    "card_token IN ('card-1', 'card-2')",
)

numbers = st.one_of(st.none(), st.floats(-10, 10), st.just(math.nan), st.just(math.inf))
scores = st.one_of(st.none(), st.floats(0, 1))
probabilities = st.floats(0, 1)
rows = st.fixed_dictionaries(
    {
        "card_token": st.sampled_from(["card-1", "card-2", "card-3"]),
        "amount_minor": st.integers(0, 10**12),
        "channel": st.sampled_from(["pos", "ecommerce"]),
        "device_id": st.sampled_from([None, "d-1"]),
        "count_10m": numbers,
        "mean_30d": numbers,
        "seconds_since_last": numbers,
    }
)
states = st.sampled_from(["live", "shadow", "draft", "retired"])
entries = st.sets(st.sampled_from(["card-1", "card-2"]))
batches = st.lists(st.tuples(rows, scores), min_size=1, max_size=12)
rule_sets = st.lists(
    st.fixed_dictionaries(
        {
            "when": st.sampled_from(CONDITIONS),
            "outcome": st.sampled_from(["review", "decline"]),
            "severity": st.integers(1, 100),
            "suppressible": st.booleans(),
            "state": states,
        }
    ),
    max_size=6,
).map(lambda drawn: numbered(drawn))
thresholds = st.tuples(probabilities, probabilities).map(
    lambda pair: {"review": min(pair), "decline": max(pair)},
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Policies with rules, lists and segments, of all states."""
    lists = [
        {"name": f"{kind}-{state}", "kind": kind, "of": "card", "state": state, "entries": draw(entries)}
        for kind in draw(st.sets(st.sampled_from(["block", "allow", "watch"])))
        for state in draw(st.sets(states, min_size=1))
    ]
    segments = [{"name": "small", "when": "amount_minor < 1000", **draw(thresholds)}] if draw(st.booleans()) else []
    named = ["default", *(segment["name"] for segment in segments)]
    return {
        "thresholds": draw(thresholds),
        "segments": segments,
        "shadow_thresholds": draw(st.dictionaries(st.sampled_from(named), thresholds)),
        "rules": draw(rule_sets),
        "lists": [entities | {"entries": sorted(entities["entries"])} for entities in lists],
    }


def numbered(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule(f"rule-{i}", **fields) for i, fields in enumerate(drawn)]


def verdicts(document: dict[str, Any], drawn: list[tuple[dict[str, Any], float | None]]) -> list[dict[str, Any]]:
    batch = featured(*(row for row, _ in drawn))
    found = decide(batch, FixedScorer([score for _, score in drawn]), policy(**document)).to_pylist()
    return [dict(verdict) for verdict in found]


@settings(max_examples=40, deadline=None)
@given(documents(), st.lists(rows, min_size=1, max_size=8), scores, probabilities)
def test_raising_the_score_never_softens_an_outcome(
    document: dict[str, Any], drawn: list[dict[str, Any]], low: float | None, raised_by: float
) -> None:
    compiled = policy(**document)
    findings = compiled.find(featured(*drawn))
    high = raised_by if low is None else min(low + raised_by, 1.0)

    before = compiled.evaluate(findings, finite([low] * len(drawn)))
    after = compiled.evaluate(findings, finite([high] * len(drawn)))

    assert (after.outcome >= before.outcome).all()
    assert (after.shadow >= before.shadow).all()


@settings(max_examples=40, deadline=None)
@given(documents(), batches, st.randoms())
def test_order_of_rules_and_lists_never_matters(document: dict[str, Any], drawn: Any, random: Any) -> None:
    shuffled = document | {
        "rules": random.sample(document["rules"], len(document["rules"])),
        "lists": random.sample(document["lists"], len(document["lists"])),
    }

    for one, other in zip(verdicts(document, drawn), verdicts(shuffled, drawn), strict=True):
        del one["policy_version"], other["policy_version"]
        assert one == other


@settings(max_examples=40, deadline=None)
@given(documents(), batches)
def test_what_is_in_shadow_never_changes_what_is_decided(document: dict[str, Any], drawn: Any) -> None:
    without = document | {
        "rules": [each for each in document["rules"] if each["state"] == "live"],
        "lists": [each for each in document["lists"] if each["state"] == "live"],
        "shadow_thresholds": {},
    }

    for one, other in zip(verdicts(document, drawn), verdicts(without, drawn), strict=True):
        assert other["shadow_rules"] == []
        assert other["shadow_outcome"] == other["outcome"]
        for name in ("policy_version", "shadow_rules", "shadow_outcome", "undefined_rules"):
            del one[name], other[name]
        assert one == other


@settings(max_examples=40, deadline=None)
@given(documents(), batches)
def test_what_is_in_shadow_decides_as_recorded_once_it_is_live(document: dict[str, Any], drawn: Any) -> None:
    def promoted(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [each | {"state": "live"} if each["state"] == "shadow" else each for each in parts]

    tried = document["shadow_thresholds"]
    live = document | {
        "rules": promoted(document["rules"]),
        "lists": promoted(document["lists"]),
        "thresholds": tried.get("default", document["thresholds"]),
        "segments": [each | tried.get(each["name"], {}) for each in document["segments"]],
        "shadow_thresholds": {},
    }
    on_trial = {each["id"] for each in document["rules"] if each["state"] == "shadow"}
    on_trial |= {f"list:{each['name']}" for each in document["lists"] if each["state"] == "shadow"}

    for one, other in zip(verdicts(document, drawn), verdicts(live, drawn), strict=True):
        assert one["shadow_outcome"] == other["outcome"]
        found = {*other["rules"], *other["silenced_rules"], *(f"list:{name}" for name in other["lists"])}
        assert {name for name in one["shadow_rules"] if not name.startswith("thresholds:")} == found & on_trial


@settings(max_examples=40, deadline=None)
@given(documents(), batches, st.integers(0, 12))
def test_cutting_a_batch_changes_nothing(document: dict[str, Any], drawn: Any, cut: int) -> None:
    parts = [part for part in (drawn[:cut], drawn[cut:]) if part]

    assert [v for part in parts for v in verdicts(document, part)] == verdicts(document, drawn)


@settings(max_examples=40, deadline=None)
@given(documents(), batches)
def test_outcome_is_the_most_severe_part_and_alerts_have_reasons(document: dict[str, Any], drawn: Any) -> None:
    for verdict in verdicts(document, drawn):
        parts = [Outcome[verdict[f"{part}_outcome"].upper()] for part in ("lists", "rules", "model")]
        assert verdict["outcome"] == max(parts).label
        assert (verdict["reasons"] != []) == (verdict["outcome"] != "approve")
        assert len(verdict["reasons"]) == len(verdict["reason_codes"])


WORDS = """amount_minor count_10m mcc channel 'pos' '5411' 1 2.5 ( ) + - * / % = <> < >= AND OR NOT IN BETWEEN IS
NULL CASE WHEN THEN ELSE END TRUE abs coalesce hour event_time , . ; " \\ $ é"""
words = st.sampled_from(WORDS.split())


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(words, max_size=14).map(" ".join)))
def test_any_text_is_refused_with_a_position_or_compiles_and_evaluates(text: str) -> None:
    try:
        parse_condition(text, FIELDS)
    except ExpressionError as error:
        if 0 <= error.position <= len(text):
            return
        raise
    fired = policy(rules=[rule("r", text)]).find(featured({}, {"count_10m": 1.0}))
    assert not (fired.fired & fired.undefined).any()


@pytest.mark.parametrize("rows_in_batch", [1, 3])
def test_evaluation_takes_arrays_of_any_length(rows_in_batch: int) -> None:
    compiled = policy(thresholds={"review": 0.5})
    findings = compiled.find(pa.Table.from_batches([featured(*([{}] * rows_in_batch))]))

    assert compiled.evaluate(findings, np.full(rows_in_batch, 0.7)).outcome.tolist() == [1] * rows_in_batch
