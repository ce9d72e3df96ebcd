"""Living lists: what a change does, what is refused, and what a policy makes of them."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.decision.decide import decide
from fraud.decision.policy.compiled import PolicyError
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.policy.document import EntityName, ListKind
from fraud.decision.policy.living import (
    NO_LISTS,
    Change,
    Given,
    ListError,
    Lists,
    decode_lists,
    encode_lists,
    expiry_ms,
    next_change,
)
from fraud.records import Row
from fraud.records.card_number import find_card_number
from tests.support.decisions import FIELDS, FixedScorer, featured, policy, rule
from tests.support.records import NOON

NOON_MS = int(NOON.timestamp() * 1000)


def change(before: Lists, name: str = "bad", of: EntityName = "card", **what: Any) -> Change:
    said: dict[str, Any] = {"by": "ann", "at_ms": 1, "why": "fraud"} | what
    return next_change(before, name, ListKind.BLOCK, of, **said)


def lists(name: str, of: EntityName, *given: Given | str) -> Lists:
    put = [Given(each) if isinstance(each, str) else each for each in given]
    return NO_LISTS.after([change(NO_LISTS, name, of, put=put)])


def test_changes_add_replace_and_remove_and_say_who_when_and_why() -> None:
    one = change(NO_LISTS, put=[Given("tok-1"), Given("tok-2", 5, "first")])
    after_one = NO_LISTS.after([one])
    two = change(after_one, put=[Given("tok-2", 9)], removed=["tok-1"], by="bob", at_ms=2, why="a mistake")
    after = after_one.after([two])
    (entry,) = after.by_name["bad"].entries.values()
    assert (entry.value, entry.expires_ms, entry.note) == ("tok-2", 9, "")
    assert (entry.by, entry.at_ms, entry.why) == ("bob", 2, "a mistake")
    assert set(after_one.by_name["bad"].entries) == {"tok-1", "tok-2"}, "an earlier version stays as it was"
    assert after == NO_LISTS.after([one, two]) == decode_lists(encode_lists(after))
    assert [each.version.partition("-")[0] for each in (after_one, after)] == ["1", "2"]


def test_versions_of_other_content_differ() -> None:
    assert change(NO_LISTS, put=[Given("a")]).version != change(NO_LISTS, put=[Given("b")]).version


@given(st.integers(0, 10**9), st.text("0123456789", min_size=12, max_size=12), st.integers(0, 10**6))
def test_no_version_of_a_policy_reads_as_a_card_number(number: int, files: str, at_ms: int) -> None:
    version = NO_LISTS.after([change(Lists(number), at_ms=at_ms)]).version
    assert re.fullmatch(r"[0-9]+-[a-p]{8}", version)
    assert find_card_number(f'{{"policy_version":"{files}+{version}"}}'.encode()) == find_card_number(
        f'{{"policy_version":"{files}"}}'.encode()
    )


@pytest.mark.parametrize(
    ("of", "value", "problem"),
    [
        ("card", "4111111111111111", "is a card number; lists hold the card's token"),
        ("card", "tok 1", "entry 1: 'tok 1' is no card_token"),
        ("card", "", "is no card_token"),
        ("mcc", "541", "is no mcc"),
        ("merchant_country", "Germany", "is no merchant_country"),
        ("ip", "10.0.0.300", "is no ip_address"),
        ("ip", "10.0.0.1/8", "host bits"),
        ("bin", "411199-411111", "ends before it begins"),
    ],
)
def test_what_no_transaction_could_have_is_refused_in_one_line(of: EntityName, value: str, problem: str) -> None:
    with pytest.raises(ListError, match=problem) as refused:
        change(NO_LISTS, of=of, put=[Given(value)])
    assert "\n" not in str(refused.value)
    assert "4111111111111111" not in str(refused.value)


@pytest.mark.parametrize("where", ["note", "by", "why"])
def test_a_card_number_is_refused_in_every_text(where: str) -> None:
    put = [Given("tok-1", None, "card 4111 1111 1111 1111")] if where == "note" else []
    said: dict[str, Any] = {} if where == "note" else {where: "4111-1111-1111-1111"}
    with pytest.raises(ListError, match="holds a card number"):
        change(NO_LISTS, put=put, **said)


@pytest.mark.parametrize("name", ["", "Bad", "bad list", "-bad", "a" * 65])
def test_a_name_is_one_that_rules_can_use(name: str) -> None:
    with pytest.raises(ListError, match="is no name of a list"):
        change(NO_LISTS, name)


def test_a_list_stays_of_the_kind_it_was_made() -> None:
    before = lists("bad", "card", "tok-1")
    with pytest.raises(ListError, match="is a block list of card, not a block list of merchant"):
        change(before, "bad", "merchant", put=[Given("m-1")])


def test_a_living_list_decides_and_the_decision_names_its_version() -> None:
    plain = policy()
    batch = featured({"card_token": "tok-1"}, {"card_token": "tok-2"})
    living = plain.with_lists(lists("bad", "card", "tok-1"))
    verdicts = decide(batch, FixedScorer([None, None]), living)
    assert verdicts["outcome"].to_pylist() == ["decline", "approve"]
    assert verdicts["lists"].to_pylist() == [["bad"], []]
    version = verdicts["policy_version"][0].as_py()
    assert version == living.version
    assert version.startswith(f"{plain.version}+1-")


def test_networks_and_ranges_decide_alike_in_a_batch_and_in_a_row() -> None:
    late = NOON + dt.timedelta(hours=1)
    rows: list[dict[str, Any]] = [
        {"ip_address": "10.9.8.7", "bin": "400000"},
        {"ip_address": "10.9.8.7", "bin": "400000", "event_time": late},
        {"ip_address": None, "bin": "411150"},
        {"ip_address": "192.0.2.1", "bin": "41119999"},
        {"ip_address": "192.0.2.2", "bin": "411200"},
    ]
    networks = change(NO_LISTS, "nets", "ip", put=[Given("10.0.0.0/8", NOON_MS + 1), Given("192.0.2.2")])
    first = NO_LISTS.after([networks])
    both = first.after([change(first, "bins", "bin", put=[Given("411111-411199")])])
    compiled = policy().with_lists(both)
    batch = featured(*rows)
    named = decide(batch, FixedScorer([None] * len(rows)), compiled)["lists"].to_pylist()
    assert named == [["nets"], [], ["bins"], ["bins"], ["nets"]]
    one_by_one = [decide(Row(row), FixedScorer([None]), compiled)["lists"] for row in batch.to_pylist()]
    assert one_by_one == named


def test_rules_ask_living_lists_and_a_list_that_is_asked_must_not_go() -> None:
    nets = lists("bad", "ip", "10.0.0.0/8")
    bundle = replace(policy(rules=[rule("r", "amount_minor > 1")]).bundle, lists=nets)
    asking = bundle.with_files(policy(rules=[rule("r", "amount_minor > 1")]).bundle.files)
    text = asking.files["policy.yaml"].replace("amount_minor > 1", "in_list(ip_address, 'bad')")
    compiled = compile_policy(asking.with_files({"policy.yaml": text}), FIELDS)
    assert compiled.find(featured({"ip_address": "10.1.1.1"})).fired.tolist() == [[True]]
    with pytest.raises(PolicyError, match="list bad: a rule or segment asks it, and there is none"):
        compiled.with_lists(NO_LISTS)


def test_the_living_list_takes_the_place_of_the_policys_and_the_check_says_what_has_no_effect() -> None:
    own = policy(lists=[{"name": "bad", "kind": "block", "of": "card", "entries": ["tok-1", "tok-2"]}])
    living = own.with_lists(lists("bad", "card", "tok-2", "tok-3"))
    found = living.find(featured({"card_token": "tok-1"}, {"card_token": "tok-2"}, {"card_token": "tok-3"}))
    assert found.listed.tolist() == [[False, True, True]]
    assert own.find(featured({"card_token": "tok-1"})).listed.tolist() == [[True]]
    (warning,) = compile_policy(living.bundle, FIELDS).warnings
    assert "list bad: the store of lists has it, so 1 entries of the files that it lacks have no effect" in warning
    assert living.with_lists(NO_LISTS).find(featured({"card_token": "tok-1"})).listed.tolist() == [[True]]


def test_a_living_list_that_is_not_what_the_policy_says_is_a_fault() -> None:
    own = policy(lists=[{"name": "bad", "kind": "watch", "of": "card"}])
    with pytest.raises(PolicyError, match="watch list of card, the store of lists as a block list of card"):
        own.with_lists(lists("bad", "card", "tok-1"))


def test_only_lists_that_changed_are_compiled_again() -> None:
    before = lists("bad", "card", "tok-1")
    compiled = before.by_name["bad"].compiled
    after = before.after([change(before, "worse", put=[Given("tok-2")])])
    assert after.by_name["bad"].compiled is compiled


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "2026-01-01T00:00:00", "12026-01-01"])
def test_a_time_says_its_offset(text: str) -> None:
    with pytest.raises(ListError, match=r"is no time|lacks its offset"):
        expiry_ms(text)
