from __future__ import annotations

import pickle

import pytest
import yaml

from fraud.decision.decide import decide
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import PolicyError
from fraud.decision.policy.compiler import compile_policy
from tests.support.decisions import FIELDS, FixedScorer, featured, policy, rule


def refused(text: str, **files: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        compile_policy(PolicyBundle({ROOT: text} | files), FIELDS)
    return caught.value.faults


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        policy(
            rules=[rule("a", "amout_minor > 1"), rule("b", "amount_minor > 1", text="{amout_minor}")],
            segments=[{"name": "s", "when": "mcc", "review": 0.5}],
        )

    assert caught.value.faults == [
        "rule a: when: column 1: unknown field amout_minor; did you mean amount_minor?",
        "rule b: text: column 1: unknown field 'amout_minor'; did you mean amount_minor?",
        "segment s: when: column 1: is a text, not a condition; compare it with something",
    ]
    assert str(caught.value).endswith("(and 2 more faults: fraud policy check lists them)")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("thresholds: {review: 0.9, decline: 0.5}", "policy.yaml: thresholds: review (0.9) must not be above decline"),
        ("thresholds: {review: 1.5}", "policy.yaml: thresholds.review: Input should be less than or equal to 1"),
        ("thresholds: {}\nruels: []", "policy.yaml: ruels: no such key"),
        ("rules: []", "policy.yaml: thresholds: missing"),
        ("{", "policy.yaml: not YAML"),
        ("- 1", "policy.yaml: write keys with values, got a list"),
        ("thresholds: {}\nrule_files: [rules/none.yaml]", "rules/none.yaml: no such file in the policy"),
        ("thresholds: {}\nlists: [{name: x, kind: block, of: card, file: x.csv}]", "list x: file: x.csv is not in"),
        (
            "thresholds: {}\nlists: [{name: x, kind: blok, of: card}]",
            "policy.yaml: lists.0.kind: Input should be 'block'",
        ),
        (
            "!!python/object/apply:os.system ['true']",
            "policy.yaml: not YAML: line 1, column 1: could not determine a constructor",
        ),
    ],
)
def test_bad_document_is_refused(text: str, fault: str) -> None:
    assert refused(text)[0].startswith(fault)


def test_id_given_twice_is_refused_across_files() -> None:
    twice = "rules: [{id: a, description: a, when: amount_minor > 1, outcome: review, reason: A, text: a}]"

    faults = refused(f"thresholds: {{}}\nrule_files: [more.yaml]\n{twice}", **{"more.yaml": twice})

    assert faults == ["rule a: given twice"]


def test_version_follows_the_content_of_every_file() -> None:
    one = PolicyBundle({ROOT: "a", "rules.yaml": "b"})
    same = PolicyBundle({"rules.yaml": "b", ROOT: "a"})
    other = PolicyBundle({ROOT: "a", "rules.yaml": "c"})

    assert one.version == same.version != other.version
    assert PolicyBundle.from_bytes(one.to_bytes()) == one


def test_draft_and_retired_rules_are_checked_but_never_evaluated() -> None:
    compiled = policy(
        rules=[rule("a", "amount_minor > 1", state="draft"), rule("b", "amount_minor > 1", state="retired")]
    )

    assert [r.rule.id for r in compiled.idle_rules] == ["a", "b"]
    assert compiled.find(featured({})).fired.shape == (0, 1)


def test_velocity_short_form_is_a_rule() -> None:
    limit = {"id": "fast", "feature": "count_10m", "above": 5, "when": "channel = 'pos'", "outcome": "decline"}
    compiled = policy(velocity=[limit])

    assert compiled.rules[0].rule.when == "count_10m > 5 AND (channel = 'pos')"
    assert compiled.find(featured({"count_10m": 5}, {"count_10m": 6})).fired.tolist() == [[False, True]]
    assert compiled.rules[0].text.fill({"count_10m": 6}) == "count 10m is 6; the limit is 5"


def test_compiled_policy_travels_to_other_processes() -> None:
    compiled = policy(rules=[rule("a", "amount_minor > 1")], thresholds={"review": 0.5})
    batch = featured({})

    copy = pickle.loads(pickle.dumps(compiled))

    assert decide(batch, FixedScorer([0.1]), copy).equals(decide(batch, FixedScorer([0.1]), compiled))


IMPOSSIBLE = [
    ("card", "tok_1 "),
    ("card", "tok_1\n"),
    ("ip", " "),
    ("mcc", "541"),
    ("merchant_country", "de"),
    ("bin", "41111x"),
]


@pytest.mark.parametrize(("of", "value"), IMPOSSIBLE)
@pytest.mark.parametrize("in_file", [False, True])
def test_a_list_value_that_no_transaction_can_have_is_refused_by_its_number(of: str, value: str, in_file: bool) -> None:
    kind = {"name": "l", "kind": "block", "of": of}
    if in_file:
        faults = refused(
            yaml.safe_dump({"thresholds": {}, "lists": [kind | {"file": "l.csv"}]}), **{"l.csv": f'value\n"{value}"\n'}
        )
    else:
        faults = refused(yaml.safe_dump({"thresholds": {}, "lists": [kind | {"entries": [value]}]}))
    (fault,) = faults
    assert fault.startswith("list l: its value number 1 is no ")
    assert "would never match" in fault
