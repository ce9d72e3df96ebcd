from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from fraud.backtest.costs import CostSheet
from fraud.backtest.labels import DAY_MS, KnownLabels
from fraud.backtest.machine import TimeMachine
from fraud.backtest.page import render_page
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.document import ListKind
from fraud.decision.policy.living import NO_LISTS, Given, Lists, next_change
from tests.support.decision_archives import at, decided, labels_for
from tests.support.decisions import policy, rule
from tests.support.records import NOON

LIVE = policy(thresholds={"review": 0.5, "decline": 0.9}, rules=[rule("large", "billing_amount_minor >= 5000")])
CANDIDATE = policy(
    thresholds={"review": 0.5, "decline": 0.9},
    rules=[rule("large", "billing_amount_minor >= 9000"), rule("fast", "count_10m > 5")],
)
COSTS = CostSheet(review_minor=100, good_decline_minor=1000)

ROWS = (
    at(0, billing_amount_minor=6000, customer_id="a"),  # live reviews it, the candidate does not
    at(0, billing_amount_minor=6000, customer_id="a"),  # the same, and it is fraud
    at(1, billing_amount_minor=1000, count_10m=6, customer_id="b"),  # only the candidate reviews it; fraud
    at(1, billing_amount_minor=1000, count_10m=6, customer_id="c", channel="ecommerce"),  # the same, good
    at(2, billing_amount_minor=1000, customer_id="d"),  # score 0.95: both decline; good
    at(2, billing_amount_minor=1000, customer_id="e"),  # nobody minds; fraud
    at(39, billing_amount_minor=9000, customer_id="f"),  # too young to be evaluated; both review
)
SCORES = (0.1, 0.1, 0.1, 0.1, 0.95, 0.1, None)
FRAUDS = (1, 2, 5)


def archive() -> pa.Table:
    return decided(ROWS, SCORES, LIVE)


def known(decisions: pa.Table, as_of_day: float = 40, labels: pa.Table | None = None) -> KnownLabels:
    given = labels_for(decisions, FRAUDS) if labels is None else labels
    as_of_ms = round((NOON.timestamp() + as_of_day * 86_400) * 1000)
    return KnownLabels(given, as_of_ms, 30 * DAY_MS)


def replayed(candidate: CompiledPolicy = CANDIDATE, cut: int = 7, **kwargs: Any) -> dict[str, Any]:
    decisions = archive()
    machine = TimeMachine(LIVE, candidate, known(decisions, **kwargs), COSTS)
    machine.replay(decisions.slice(start, cut) for start in range(0, len(decisions), cut))
    return machine.report()


def test_live_and_candidate_are_counted_side_by_side() -> None:
    live, candidate = (replayed()["variants"][name] for name in ("live", "candidate"))

    # live: rows 0, 1, 6 reviewed, 4 declined; of the mature ones 1 is caught, 0 and 4 are good, 2 and 5 missed
    assert (live["reviews"], live["declines"], live["caught"], live["missed"]) == (3, 1, 1, 2)
    assert (live["good_alerted"], live["good_declined"], live["good_customers"]) == (2, 1, 2)
    assert (live["caught_minor"], live["missed_minor"]) == (6000, 2000)
    assert live["saved_minor"] == (6000 - 100) - 100 - 1000
    assert live["precision"] == pytest.approx(1 / 3)
    assert live["recall"] == pytest.approx(1 / 3)
    # candidate: rows 2, 3, 6 reviewed, 4 declined
    assert (candidate["reviews"], candidate["declines"], candidate["caught"], candidate["missed"]) == (3, 1, 1, 2)
    assert (candidate["caught_minor"], candidate["missed_minor"]) == (1000, 7000)
    assert candidate["saved_minor"] == (1000 - 100) - 100 - 1000
    assert candidate["alerts_per_day"] == pytest.approx(4 / 4)


def test_young_decision_counts_as_alert_but_not_as_right_or_wrong() -> None:
    report = replayed()

    assert report["decisions"] == 7
    assert report["variants"]["live"]["mature"] == 6


def test_labels_of_later_are_not_seen() -> None:
    early = replayed(as_of_day=31.5)["variants"]["live"]  # rows 0–3 are 30 days old; all labels came after 2 days
    before_labels = replayed(as_of_day=1.5)["variants"]["live"]

    assert early["mature"] == 4  # row 5 is labelled, yet too young: among the young, frauds become known first
    assert early["missed"] == 1  # row 2
    assert before_labels["mature"] == 0
    assert before_labels["precision"] is None


def test_latest_known_label_counts() -> None:
    decisions = archive()
    withdrawn = pa.concat_tables(
        [labels_for(decisions, FRAUDS), labels_for(decisions, [1], after_days=5, verdict="legitimate")]
    )
    machine = TimeMachine(LIVE, CANDIDATE, known(decisions, labels=withdrawn), COSTS)
    machine.replay([decisions])

    assert machine.report()["variants"]["live"]["caught"] == 0


def test_label_of_another_card_with_the_same_transaction_id_is_not_taken() -> None:
    decisions = archive()
    stranger = labels_for(decisions, [0]).set_column(2, "card_token", pa.array(["card-9"]))
    machine = TimeMachine(LIVE, CANDIDATE, known(decisions, labels=stranger), COSTS)
    machine.replay([decisions])

    assert machine.report()["known_frauds"] == 0


def test_cutting_the_archive_into_other_chunks_changes_nothing() -> None:
    assert replayed(cut=2) == replayed(cut=7)


def test_replay_of_the_live_policy_decides_what_was_decided() -> None:
    assert replayed()["recorded_by_live_version"] == {"decisions": 7, "differing": 0}


def test_each_rule_has_its_own_figures_and_overlap() -> None:
    candidate = policy(
        rules=[
            rule("fast", "count_10m > 5"),
            rule("fast-online", "count_10m > 5 AND channel = 'ecommerce'"),
            rule("new", "billing_amount_minor >= 6000", state="shadow"),
        ]
    )

    rules = {row["rule"]: row for row in replayed(candidate)["rules"]}

    assert (rules["fast"]["fired"], rules["fast"]["fraud"], rules["fast"]["alone"]) == (2, 1, 1)
    assert (rules["fast"]["fraud_minor"], rules["fast"]["precision"]) == (1000, 0.5)
    assert rules["fast"]["undefined"] == 5
    assert rules["fast-online"]["nearest_rule"] == "fast"
    assert rules["fast-online"]["overlap"] == 1.0
    assert (rules["new"]["state"], rules["new"]["fired"], rules["new"]["already_alerted"]) == ("shadow", 3, 3)
    assert rules["new"]["precision"] == 0.5  # of the mature two


def test_figures_break_down_by_channel_day_and_amount() -> None:
    by = replayed()["by"]

    online = next(row for row in by["channel"]["candidate"] if row["channel"] == "ecommerce")
    assert (online["decisions"], online["alerts"], online["good_alerted"]) == (1, 1, 1)
    assert [row["day"] for row in by["day"]["live"]] == [
        dt.date(2026, 1, 15),
        dt.date(2026, 1, 16),
        dt.date(2026, 1, 17),
        dt.date(2026, 2, 23),
    ]
    assert [row["amount"] for row in by["amount"]["live"]] == ["1: below 50.00", "2: below 200.00"]
    for rows in by.values():
        assert sum(row["decisions"] for row in rows["candidate"]) == 7


def test_cases_show_what_changes_with_reasons() -> None:
    samples = replayed()["samples"]

    assert [case["transaction_id"] for case in samples["newly alerted, fraud"]] == ["t-2"]
    assert samples["newly alerted, fraud"][0]["reasons"] == ["fast"]
    assert [case["transaction_id"] for case in samples["newly alerted, good"]] == ["t-3"]
    assert [case["transaction_id"] for case in samples["no longer alerted, fraud"]] == ["t-1"]
    assert samples["no longer alerted, fraud"][0]["outcome"] == "approve"


def test_shadow_rules_and_challenger_are_compared_as_recorded() -> None:
    live = policy(rules=[rule("large", "billing_amount_minor >= 5000"), rule("new", "count_10m > 5", state="shadow")])
    decisions = decided(ROWS, SCORES, live)
    outcomes = pa.array(["decline"] * 2 + [None] * 5)
    column = decisions.schema.get_field_index("challenger_outcome")
    challenged = decisions.set_column(column, "challenger_outcome", outcomes)
    machine = TimeMachine(live, live, known(decisions), COSTS)
    machine.replay([challenged])

    shadow = machine.report()["shadow"]

    assert (shadow["recorded"]["reviews"], shadow["recorded"]["caught"]) == (3, 1)
    assert (shadow["shadow live"]["reviews"], shadow["shadow live"]["caught"]) == (5, 2)
    assert (shadow["challenger"]["declines"], shadow["challenger"]["reviews"]) == (2, 1)


@pytest.mark.parametrize("cut", [7, 2])
def test_living_lists_are_seen_as_each_decision_saw_them(cut: int) -> None:
    def put(before: Lists, name: str, kind: ListKind, *merchants: str, removed: tuple[str, ...] = ()) -> Lists:
        given = [Given(each) for each in merchants]
        said = next_change(before, name, kind, "merchant", by="ann", at_ms=1, why="", put=given, removed=removed)
        return before.after([said])

    rows = [at(day, merchant_id=name) for day, name in enumerate(("m-1", "m-2", "m-1", "m-2", "m-1", "m-2", "m-1"))]
    then = LIVE.with_lists(put(NO_LISTS, "bad", ListKind.BLOCK, "m-1"))
    decisions = decided(rows, [0.1] * 7, then)
    assert decisions["outcome"].to_pylist().count("decline") == 4
    now = put(put(then.bundle.lists, "bad", ListKind.BLOCK, "m-2", removed=("m-1",)), "new", ListKind.BLOCK, "m-2")
    machine = TimeMachine(LIVE.with_lists(now), CANDIDATE, known(decisions), COSTS)
    assert "lists" in machine.columns
    machine.replay(decisions.slice(start, cut) for start in range(0, 7, cut))

    report = machine.report()

    assert report["variants"]["live"]["declines"] == report["shadow"]["recorded"]["declines"] == 4
    assert report["variants"]["candidate"]["declines"] == 0, "it has no such lists"
    back = TimeMachine(CANDIDATE, LIVE.with_lists(now), known(decisions), COSTS)
    back.replay([decisions])
    explained = back.report()["samples"]["newly alerted, fraud"]
    assert [case["reasons"] for case in explained] == [["merchant m-1 is on the list bad"]]


def test_a_living_list_in_shadow_is_tried_on_whom_it_had() -> None:
    def with_state(state: str, *merchants: str) -> CompiledPolicy:
        put = [Given(each) for each in merchants]
        said = next_change(NO_LISTS, "bad", ListKind.BLOCK, "merchant", by="ann", at_ms=1, why="", put=put)
        declared = {"name": "bad", "kind": "block", "of": "merchant", "state": state}
        return policy(lists=[declared]).with_lists(NO_LISTS.after([said]))

    rows = [at(day, merchant_id=f"m-{day % 2}") for day in range(7)]
    decisions = decided(rows, [0.1] * 7, with_state("shadow", "m-1"))
    machine = TimeMachine(with_state("shadow", "m-0"), with_state("live", "m-0"), known(decisions), COSTS)
    machine.replay([decisions])

    report = machine.report()

    declines = {name: report["variants"][name]["declines"] for name in ("live", "candidate")}
    assert declines == {"live": 0, "candidate": 3}
    assert report["shadow"]["shadow live"]["declines"] == 3


def test_page_shows_every_part_and_escapes_what_it_did_not_write() -> None:
    hostile = policy(rules=[rule("fast", "count_10m > 5", text="<script>alert(1)</script>")])

    page = render_page(replayed(hostile))

    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    for part in ("Live and candidate", "Alerts a day", "Rules of the candidate", "By channel", "Cases: newly alerted"):
        assert part in page
