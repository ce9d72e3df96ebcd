from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from fraud.backtest.budget import BudgetSearch
from fraud.backtest.costs import CostSheet
from fraud.backtest.labels import Truth
from fraud.decision.policy.compiled import CompiledPolicy
from tests.support.decisions import featured, finite, policy, rule
from tests.support.records import NOON

FREE = CostSheet(review_minor=0, good_decline_minor=1_000_000, card_minor=0)


def chosen(
    compiled: CompiledPolicy,
    rows: list[tuple[float | None, bool, int]],
    budget: float,
    costs: CostSheet = FREE,
    days: int = 10,
    cases: list[int] | None = None,
) -> dict[str, Any]:
    """Rules and thresholds for decisions (score, fraud, amount), over some days; each its own case, or of the given."""
    batch = featured(
        *(
            {"billing_amount_minor": amount, "event_time": NOON + dt.timedelta(days=days * i / len(rows))}
            for i, (_, _, amount) in enumerate(rows)
        )
    )
    search = BudgetSearch(compiled, costs)
    truth = Truth(np.array([fraud for _, fraud, _ in rows]), np.ones(len(rows), np.bool_))
    event_ms = batch["event_time"].cast("int64").to_numpy()
    amounts = np.array([float(amount) for _, _, amount in rows])
    case = np.arange(len(rows)) if cases is None else np.array(cases)
    search.add(compiled.find(batch), finite([score for score, _, _ in rows]), truth, amounts, event_ms, case)
    found = search.choose(budget, np.random.default_rng(1))
    assert found is not None
    return found


def ladder(count: int) -> list[tuple[float | None, bool, int]]:
    """Scores from 0 up, every second of the top fifth fraud (not the topmost), mixed over time."""
    order = np.random.default_rng(4).permutation(count)
    return [(i / count, bool(i >= count * 0.8 and i % 2 == 0), 1000) for i in order]


def test_without_limit_all_that_pays_is_reviewed() -> None:
    costs = CostSheet(review_minor=100, good_decline_minor=10**6, card_minor=0)
    found = chosen(policy(), ladder(100), budget=1000, costs=costs)

    assert found["thresholds"]["default"]["review"] == pytest.approx(0.8, abs=0.011)
    assert found["reviews_per_day"] == pytest.approx(2, abs=0.25)
    assert found["within_budget"]


def test_without_a_budget_the_costs_limit_the_reviews() -> None:
    costs = CostSheet(review_minor=100, good_decline_minor=10**6, card_minor=0)
    unlimited, ample = (chosen(policy(), ladder(100), budget, costs) for budget in (np.inf, 1000))

    assert unlimited["reviews_per_day_budget"] is None
    assert unlimited["thresholds"] == ample["thresholds"]
    assert [point["reviews_per_day_budget"] for point in unlimited["curve"]][4] == unlimited["reviews_per_day"]
    assert unlimited["held_out"] is not None


def test_tight_budget_is_kept_and_spent_on_the_highest_scores() -> None:
    found = chosen(policy(), ladder(1000), budget=5)

    assert found["reviews_per_day"] <= 5
    assert found["reviews_per_day"] > 4
    assert found["thresholds"]["default"]["review"] > 0.94


def test_declining_takes_the_place_of_reviews_where_it_saves_more() -> None:
    seldom = CostSheet(review_minor=100, good_decline_minor=100, card_minor=0, review_catches=0.3)
    found = chosen(policy(), ladder(1000), budget=5, costs=seldom)

    assert found["thresholds"]["default"]["decline"] == found["thresholds"]["default"]["review"]


def test_a_declined_payment_is_looked_at_like_any_alert() -> None:
    found = chosen(policy(), ladder(1000), budget=5, costs=CostSheet(review_minor=0, good_decline_minor=0))

    assert 4 < found["reviews_per_day"] <= 5


def test_alerts_of_a_card_and_day_are_one_review() -> None:
    rows = ladder(1000)
    place = {id(row): number for number, row in enumerate(sorted(rows))}
    cases = [place[id(row)] // 4 for row in rows]  # four neighbours each

    single, in_fours = chosen(policy(), rows, budget=5), chosen(policy(), rows, budget=5, cases=cases)

    assert 4 < in_fours["reviews_per_day"] <= 5
    assert in_fours["saved_minor_per_day"] == pytest.approx(4 * single["saved_minor_per_day"], rel=0.15)


def test_what_rules_send_to_review_counts_against_the_budget() -> None:
    ruled = policy(rules=[rule("all-cheap", "billing_amount_minor < 500", purpose="regulation")])
    rows: list[tuple[float | None, bool, int]] = [*ladder(100), *((None, False, 100) for _ in range(100))]

    enough = chosen(ruled, rows, budget=12)
    too_little = chosen(ruled, rows, budget=5)

    assert enough["within_budget"]
    assert enough["reviews_per_day"] == pytest.approx(12, abs=0.6)
    assert not too_little["within_budget"]
    assert too_little["thresholds"]["default"] == {"review": None, "decline": None}


def test_budget_goes_to_the_segment_that_saves_more_with_it() -> None:
    segmented = policy(segments=[{"name": "large", "when": "billing_amount_minor >= 5000", "review": 0.5}])
    rows: list[tuple[float | None, bool, int]] = []
    for score, fraud, _ in ladder(500):
        rows += [(score, fraud, 10_000), (score, fraud, 1_000)]

    found = chosen(segmented, rows, budget=10)

    assert found["thresholds"]["large"]["review"] < 0.82
    assert found["thresholds"]["default"]["review"] is None or found["thresholds"]["default"]["review"] > 0.98


def test_larger_budget_never_saves_less() -> None:
    curve = chosen(policy(), ladder(1000), budget=10, costs=CostSheet(review_minor=10, card_minor=0))["curve"]

    saved = [point["saved_minor_per_day"] for point in curve]
    assert saved == sorted(saved)
    assert all(p["reviews_per_day"] <= p["reviews_per_day_budget"] + 1e-9 for p in curve)


def test_it_says_how_sure_it_is() -> None:
    few, many = (chosen(policy(), ladder(count), budget=count / 100) for count in (60, 6000))

    def width(found: dict[str, Any]) -> float:
        low, high = found["range"]["saved_minor_per_day"]
        return float((high - low) / found["saved_minor_per_day"])

    assert width(many) < width(few)
    assert (
        many["range"]["saved_minor_per_day"][0]
        <= many["saved_minor_per_day"]
        <= many["range"]["saved_minor_per_day"][1]
    )
    assert many["mature_frauds"] == 600
    held_out = many["held_out"]
    assert held_out["measured_on"]["saved_minor_per_day"] == pytest.approx(
        held_out["chosen_on"]["saved_minor_per_day"], rel=0.2
    )


def test_no_mature_decision_no_answer() -> None:
    assert BudgetSearch(policy(), FREE).choose(10, np.random.default_rng(1)) is None


def blind(count: int) -> list[tuple[float | None, bool, int]]:
    """A ladder, and payments of 777 with low scores, nine of ten of which are fraud."""
    rows = [*ladder(count), *((0.01, i % 10 > 0, 777) for i in range(count // 10))]
    return [rows[i] for i in np.random.default_rng(5).permutation(len(rows))]


def test_a_rule_that_finds_what_the_model_does_not_stays_live_and_one_that_does_not_goes() -> None:
    ruled = policy(
        rules=[rule("blind-spot", "billing_amount_minor = 777"), rule("the-rest", "billing_amount_minor = 1000")]
    )

    found = {row["rule"]: row for row in chosen(ruled, blind(500), budget=20)["rules"]}

    assert (found["blind-spot"]["live"], found["the-rest"]["live"]) == (True, False)
    assert (found["blind-spot"]["only_cases"], found["blind-spot"]["only_true_cases"]) == (50, 45)
    assert found["blind-spot"]["earns_minor_range"][0] > 0


def test_a_rule_that_opens_no_case_of_its_own_costs_nothing_and_stays() -> None:
    ruled = policy(
        rules=[rule("first", "billing_amount_minor = 777"), rule("again", "billing_amount_minor BETWEEN 700 AND 800")]
    )

    rows = chosen(ruled, blind(500), budget=20)["rules"]

    assert [row["live"] for row in rows] == [True, True]
    assert sorted(row["only_cases"] for row in rows) == [0, 50]


def test_a_single_find_is_no_evidence() -> None:
    ruled = policy(rules=[rule("lucky", "billing_amount_minor = 777")])
    rows = [*ladder(500), (0.01, True, 777)]

    (lucky,) = chosen(ruled, rows, budget=20)["rules"]

    assert (lucky["live"], lucky["only_true_cases"]) == (False, 1)


def test_what_the_law_asks_for_stays_live() -> None:
    ruled = policy(rules=[rule("law", "billing_amount_minor = 777", purpose="regulation")])

    (law,) = chosen(ruled, [*ladder(500), (0.01, False, 777)], budget=20)["rules"]

    assert (law["live"], law["only_true_cases"]) == (True, 0)
