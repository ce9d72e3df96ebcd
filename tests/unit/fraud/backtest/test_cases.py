"""Cases are what an analyst opens: however alerts are ordered, one for a card and a day."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fraud.backtest.cases import FIRST_FRAUDS, Decided, case_figures
from fraud.backtest.labels import DAY_MS

decided = st.builds(
    Decided, st.sampled_from("abc"), st.integers(0, 3 * DAY_MS), fraud=st.booleans(), alerted=st.booleans()
)


@given(st.lists(decided, max_size=30, unique_by=lambda one: one.arrived_ms).flatmap(st.permutations))
def test_cases_follow_from_cards_and_days_in_whatever_order_they_are_seen(seen: list[Decided]) -> None:
    found = case_figures(seen)
    alerts = [one for one in seen if one.alerted]
    assert found.payments == len(seen)
    assert found.cases == len({(one.card_token, one.arrived_ms // DAY_MS) for one in alerts})
    assert found.true_cases == len({(one.card_token, one.arrived_ms // DAY_MS) for one in alerts if one.fraud})
    in_time = 0
    for card in "abc":
        frauds = sorted(one.arrived_ms for one in seen if one.card_token == card and one.fraud)[:FIRST_FRAUDS]
        in_time += any(one.alerted and one.card_token == card for one in seen if one.arrived_ms in frauds)
    assert found.cards_found == in_time <= found.compromised_cards == len({one.card_token for one in seen if one.fraud})


@given(st.lists(decided, max_size=30))
def test_a_card_that_was_compromised_before_counts_as_no_find(seen: list[Decided]) -> None:
    found = case_figures(seen, compromised_before="abc")
    assert (found.compromised_cards, found.cards_found) == (0, 0)
    assert found[:3] == case_figures(seen)[:3]
