"""A policy is changed in its text, and only where it has to be."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from adapters.policy.source import policy_files, read_bundle
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.policy.document import ListKind, Thresholds
from fraud.decision.policy.edit import (
    MOVES,
    EditError,
    text_of,
    with_choice,
    with_draft,
    with_list_state,
    with_rollout,
    with_shadow_thresholds,
    with_state,
)
from fraud.decision.policy.living import Lists, LivingList
from fraud.decision.rules.fields import fields_of
from fraud.decision.rules.rule import RuleState
from fraud.features import CATALOGUE
from fraud.settings import Aws

SHIPPED = Path(__file__).parents[5] / "config" / "policy.yaml"

BUNDLE = PolicyBundle(
    {
        ROOT: "# ours\nthresholds: {review: 0.5}\nrule_files:\n  - rules/a.yaml\n\nlists: []  # none yet\n",
        "rules/a.yaml": (
            "rules:\n"
            "  # first\n"
            "  - id: one\n"
            "    description: One.\n"
            "    when: >-\n"
            "      amount_minor > 100\n"
            "    outcome: review\n"
            "    reason: R\n"
            "    text: t\n"
            "  - {id: two, description: Two., when: amount_minor > 1, outcome: review, reason: R, text: t, "
            "state: shadow}\n"
            "velocity:\n"
            "  - {id: three, feature: card_count_1h, above: 5, outcome: review}\n"
        ),
    }
)

DRAFT = """\
rules:
  - id: new  # mine
    description: N.
    when: amount_minor > 7
    outcome: review
    reason: R
    text: t
    state: draft
"""


def compiled(bundle: PolicyBundle) -> CompiledPolicy:
    return compile_policy(bundle, fields_of(CATALOGUE))


def lines_that_differ(before: str, after: str) -> list[str]:
    return [line for line in after.splitlines() if line not in before.splitlines()]


@pytest.mark.parametrize(
    ("rule_id", "state", "changed"),
    [
        ("one", RuleState.SHADOW, ["  - state: shadow", "    id: one"]),
        (
            "three",
            RuleState.RETIRED,
            ["  - {state: retired, id: three, feature: card_count_1h, above: 5, outcome: review}"],
        ),
    ],
)
def test_a_rule_without_a_state_gets_one_and_nothing_else_changes(
    rule_id: str, state: RuleState, changed: list[str]
) -> None:
    after = with_state(BUNDLE, rule_id, state)
    assert after.files[ROOT] == BUNDLE.files[ROOT]
    assert lines_that_differ(BUNDLE.files["rules/a.yaml"], after.files["rules/a.yaml"]) == changed


def test_a_state_that_is_written_is_replaced_where_it_stands() -> None:
    after = with_state(BUNDLE, "two", RuleState.LIVE)
    assert after.files["rules/a.yaml"] == BUNDLE.files["rules/a.yaml"].replace("state: shadow", "state: live")


def test_a_rollout_is_written_replaced_and_taken_back_where_it_stands() -> None:
    tenth = with_rollout(BUNDLE, "two", 10)
    assert "{rollout: 10.0, id: two" in tenth.files["rules/a.yaml"]
    (rule,) = [each for each in [*compiled(tenth).idle_rules, *compiled(tenth).rules] if each.rule.id == "two"]
    assert rule.rule.rollout == 10
    half = with_rollout(tenth, "two", 50.5)
    assert "{rollout: 50.5, id: two" in half.files["rules/a.yaml"]
    assert "{rollout: null, id: two" in with_rollout(half, "two", None).files["rules/a.yaml"]
    assert with_rollout(BUNDLE, "one", None) is BUNDLE
    with pytest.raises(EditError, match="no rule four"):
        with_rollout(BUNDLE, "four", 10)


def test_no_rule_becomes_live_without_having_been_in_shadow() -> None:
    drafted = with_draft(BUNDLE, DRAFT)
    with pytest.raises(EditError, match="new is draft; from there it may become shadow or retired"):
        with_state(drafted, "new", RuleState.LIVE)
    assert with_state(with_state(drafted, "new", RuleState.SHADOW), "new", RuleState.LIVE)


def test_a_retired_rule_stays_retired() -> None:
    retired = with_state(BUNDLE, "one", RuleState.RETIRED)
    for state in RuleState:
        with pytest.raises(EditError, match="nothing else"):
            with_state(retired, "one", state)


def test_a_draft_gets_a_file_of_its_own_in_its_authors_words() -> None:
    after = with_draft(BUNDLE, DRAFT)
    assert after.files["rules/drafts/new.yaml"] == DRAFT
    assert lines_that_differ(BUNDLE.files[ROOT], after.files[ROOT]) == ["  - rules/drafts/new.yaml"]
    assert yaml.safe_load(after.files[ROOT])["rule_files"] == ["rules/a.yaml", "rules/drafts/new.yaml"]
    again = with_draft(after, DRAFT.replace("> 7", "> 8"))
    assert again.files[ROOT] == after.files[ROOT]
    assert "> 8" in again.files["rules/drafts/new.yaml"]


def test_a_policy_without_rule_files_gets_the_key() -> None:
    after = with_draft(PolicyBundle({ROOT: "thresholds: {}\n"}), DRAFT)
    assert yaml.safe_load(after.files[ROOT]) == {"thresholds": {}, "rule_files": ["rules/drafts/new.yaml"]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rules: []", "one rule"),
        ("just words", "one rule"),
        ("rules: [", "not YAML"),
        (DRAFT + DRAFT.removeprefix("rules:\n").replace("new", "newer"), "one rule"),
        (DRAFT.replace("draft", "live"), "state: draft"),
        (DRAFT.replace("new", "one"), "one is a live rule of rules/a.yaml"),
    ],
)
def test_what_is_not_one_new_draft_is_refused(text: str, why: str) -> None:
    with pytest.raises(EditError, match=why):
        with_draft(BUNDLE, text)


def test_a_draft_that_went_on_is_no_longer_written_over() -> None:
    shadowed = with_state(with_draft(BUNDLE, DRAFT), "new", RuleState.SHADOW)
    with pytest.raises(EditError, match="new is a shadow rule"):
        with_draft(shadowed, DRAFT)


def test_a_choice_for_a_budget_is_put_into_the_text_and_nothing_else_changes() -> None:
    root = (
        "# ours\nthresholds:\n  review: 0.5  # why\n  decline: 0.9\nsegments:\n"
        "  - {name: small, when: tx_amount < 10}\n  - name: large\n    when: tx_amount > 99\n    decline: 0.8\n"
        "rule_files:\n  - rules/a.yaml\n"
    )
    bundle = PolicyBundle({**BUNDLE.files, ROOT: root})

    chosen = with_choice(
        bundle,
        {"one": False, "two": True, "three": True},
        {
            "default": {"review": 0.00001, "decline": None},
            "small": {"review": 0.25, "decline": None},
            "large": {"review": 0.3, "decline": 0.8},
        },
    )

    assert chosen.files[ROOT] == (
        "# ours\nthresholds:\n  review: 0.00001  # why\n  decline: null\nsegments:\n"
        "  - {review: 0.25, name: small, when: tx_amount < 10}\n  - review: 0.3\n    name: large\n"
        "    when: tx_amount > 99\n    decline: 0.8\nrule_files:\n  - rules/a.yaml\n"
    )
    compiled = compile_policy(chosen, fields_of(CATALOGUE))
    states = {rule.rule.id: rule.rule.state for rule in compiled.rules}
    assert states == {"one": RuleState.SHADOW, "two": RuleState.LIVE, "three": RuleState.LIVE}
    assert compiled.review_at.tolist() == [0.25, 0.3, 0.00001]
    assert compiled.decline_at.tolist() == [math.inf, 0.8, math.inf]


def test_a_choice_for_what_the_policy_does_not_have_is_refused() -> None:
    with pytest.raises(EditError, match="no rule nine"):
        with_choice(BUNDLE, {"nine": False}, {})
    with pytest.raises(EditError, match="no thresholds of small"):
        with_choice(BUNDLE, {}, {"small": {"review": 0.5}})


def test_a_list_is_declared_in_shadow_and_made_live() -> None:
    shape = (ListKind.BLOCK, "device")
    for lists in (
        "lists: []  # none yet\n",
        "lists:  # ours\n  - name: other\n    kind: watch\n    of: card\n# end\n",
        "",
    ):
        bundle = PolicyBundle({ROOT: f"thresholds: {{review: 0.5}}\n{lists}"})
        tried = with_list_state(bundle, "trial", RuleState.SHADOW, shape)
        assert all(
            line in tried.files[ROOT].replace("{name: trial, kind: block, of: device, state: shadow}", "")
            for line in ("# ours", "# end")
            if line in lists
        )
        assert compile_policy(tried, fields_of(CATALOGUE)).state_of_list("trial") is RuleState.SHADOW
        live = compile_policy(with_list_state(tried, "trial", RuleState.LIVE), fields_of(CATALOGUE))
        assert live.state_of_list("trial") is RuleState.LIVE
        with pytest.raises(EditError, match="no list nine"):
            with_list_state(bundle, "nine", RuleState.SHADOW)
        with pytest.raises(EditError, match="draft or shadow"):
            with_list_state(bundle, "trial", RuleState.LIVE, shape)


def test_a_list_that_only_the_store_has_goes_to_shadow() -> None:
    own = LivingList("found", ListKind.BLOCK, "card", {})
    bundle = PolicyBundle({ROOT: "thresholds: {}\n"}, Lists(1, "a", {"found": own}))
    policy = compile_policy(with_list_state(bundle, "found", RuleState.SHADOW), fields_of(CATALOGUE))
    assert policy.state_of_list("found") is RuleState.SHADOW


def test_thresholds_in_shadow_are_written_and_taken_out_again() -> None:
    live = (
        "# ours\nthresholds:\n  review: 0.5  # why\nsegments:\n  - {name: small, when: tx_amount < 10, decline: 0.9}\n"
    )
    tried = with_shadow_thresholds(
        PolicyBundle({ROOT: live}), {"default": {"decline": 0.00001}, "small": {"review": 0.2, "decline": None}}
    )
    wanted = "shadow_thresholds: {default: {review: 0.5, decline: 0.00001}, small: {review: 0.2, decline: null}}\n"
    assert tried.files[ROOT] == f"{live}\n{wanted}"
    out = with_shadow_thresholds(tried, {"default": None, "small": None})
    assert out.files[ROOT] == f"{live}\nshadow_thresholds: {{}}\n"
    with pytest.raises(EditError, match="no thresholds of large"):
        with_shadow_thresholds(tried, {"large": {"review": 0.5}})


def test_thresholds_in_shadow_of_any_style_are_replaced_with_nothing_around_them() -> None:
    before = "thresholds: {review: 0.5}\nshadow_thresholds:\n  default:\n    review: 0.4\n# lists\nlists: []\n"
    tried = with_shadow_thresholds(PolicyBundle({ROOT: before}), {"default": {"review": 0.3}})
    assert tried.files[ROOT] == (
        "thresholds: {review: 0.5}\nshadow_thresholds:\n  {default: {review: 0.3, decline: null}}\n# lists\nlists: []\n"
    )
    compiled = compile_policy(tried, fields_of(CATALOGUE))
    assert compiled.shadow_thresholds == {"default": Thresholds(review=0.3)}


def test_every_shipped_rule_can_be_shown_alone_and_moved() -> None:
    bundle = read_bundle(policy_files(str(SHIPPED), Aws()))
    fields = fields_of(CATALOGUE)
    policy = compile_policy(bundle, fields)
    for rule in [compiled.rule for compiled in [*policy.rules, *policy.idle_rules]]:
        alone = yaml.safe_load(text_of(bundle, rule.id))
        assert [entry["id"] for entries in alone.values() for entry in entries] == [rule.id]
        for state in MOVES[rule.state]:
            moved = compile_policy(with_state(bundle, rule.id, state), fields)
            states = {c.rule.id: c.rule.state for c in [*moved.rules, *moved.idle_rules]}
            assert states[rule.id] is state
