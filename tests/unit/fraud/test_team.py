"""Figures of a team, from histories written by hand."""

from __future__ import annotations

from typing import Any

from fraud.team import Pair, agreement, band_of, by_analyst, by_band, by_day, by_rule, closings, service_levels

DAY_MS = 86_400_000


def alert(*history: tuple[int, str, str], **fields: Any) -> dict[str, Any]:
    """An alert decided at 0 with a history of time, user and change."""
    entries = [{"at_ms": at_ms, "by": by, "change": change} for at_ms, by, change in history]
    plain = {"decided_ms": 0, "outcome": "review", "rules": ["pace"], "score": 0.3, "status": "open"}
    return plain | {"billing_amount_minor": 100} | fields | {"history": entries}


def test_handling_is_measured_from_taking_an_alert_to_its_verdict_by_the_same_person() -> None:
    (own,) = closings("k", alert((10, "ann", "assign"), (25, "ann", "note"), (40, "ann", "confirm_fraud")))
    assert (own.by, own.verdict, own.waited_ms, own.handled_ms, own.stands) == ("ann", "fraud", 40, 30, True)
    (other,) = closings("k", alert((10, "bob", "assign"), (40, "ann", "false_positive")))
    assert (other.verdict, other.handled_ms) == ("legitimate", None)


def test_an_undone_verdict_is_none_and_a_reopened_one_stands_no_more() -> None:
    assert closings("k", alert((5, "ann", "confirm_fraud"), (9, "ann", "undo"))) == []
    history = alert((5, "ann", "confirm_fraud"), (50, "bob", "reopen"), (80, "bob", "false_positive"))
    first, second = closings("k", history)
    assert (first.by, first.stands) == ("ann", False)
    assert (second.by, second.stands, second.handled_ms) == ("bob", True, 30)


def test_rates_of_an_analyst_are_of_the_verdicts_that_stand() -> None:
    found = [
        *closings("a", alert((0, "ann", "assign"), (10, "ann", "confirm_fraud"))),
        *closings("b", alert((0, "ann", "assign"), (30, "ann", "false_positive"))),
        *closings("c", alert((5, "ann", "confirm_fraud"), (50, "bob", "reopen"), (80, "bob", "false_positive"))),
    ]
    ann, bob = by_analyst(found)
    assert ann == {
        "analyst": "ann",
        "closed": 3,
        "fraud": 1,
        "legitimate": 1,
        "fraud_share": 0.5,
        "taken_back": 1,
        "handling_ms": 20,
        "handled": 2,
        "waiting_ms": 10,
    }
    assert (bob["analyst"], bob["closed"], bob["fraud_share"], bob["handling_ms"]) == ("bob", 1, 0.0, 30)


def test_verdicts_are_counted_on_the_day_they_were_given() -> None:
    found = closings(
        "a", alert((DAY_MS - 1, "ann", "confirm_fraud"), (DAY_MS, "ann", "reopen"), (DAY_MS, "ann", "false_positive"))
    )
    assert by_day(found) == [
        {"day_ms": 0, "analyst": "ann", "closed": 1},
        {"day_ms": DAY_MS, "analyst": "ann", "closed": 1},
    ]


def test_false_positives_by_rule_and_band_count_each_alert_once() -> None:
    found = [
        *closings("a", alert((1, "ann", "false_positive"), rules=["pace", "far"], score=0.05)),
        *closings("b", alert((1, "ann", "confirm_fraud"), rules=["pace"], score=0.97)),
        *closings("c", alert((1, "ann", "false_positive"), rules=[], score=None)),
        *closings("d", alert((1, "ann", "false_positive"), (2, "ann", "reopen"), rules=["far"], score=0.97)),
    ]
    assert by_rule(found) == [
        {"rule": "far", "closed": 1, "false_positives": 1, "false_positive_share": 1.0},
        {"rule": "pace", "closed": 2, "false_positives": 1, "false_positive_share": 0.5},
    ]
    assert [(row["band"], row["closed"], row["false_positives"]) for row in by_band(found)] == [
        ("0.05 to 0.1", 1, 1),
        ("0.9 to 1", 1, 0),
        ("no score", 1, 1),
    ]
    assert band_of(0.0499) == "0 to 0.05"


def test_service_level_counts_first_verdicts_and_what_waits_too_long() -> None:
    found = [
        *closings("a", alert((50, "ann", "confirm_fraud"), (500, "bob", "reopen"), (900, "bob", "false_positive"))),
        *closings("b", alert((101, "ann", "confirm_fraud"))),
    ]
    waiting = [alert(decided_ms=899), alert(decided_ms=900, assignee="ann", status="escalated")]
    assert service_levels(found, [*waiting, alert(outcome="decline", decided_ms=990)], 1_000, 100) == [
        {
            "queue": "decline",
            "waiting": 1,
            "escalated": 0,
            "unassigned": 1,
            "late": 0,
            "oldest_ms": 10,
            "waiting_minor": 100,
            "closed": 0,
            "in_time_share": None,
        },
        {
            "queue": "review",
            "waiting": 2,
            "escalated": 1,
            "unassigned": 1,
            "late": 1,
            "oldest_ms": 101,
            "waiting_minor": 200,
            "closed": 2,
            "in_time_share": 0.5,
        },
    ]


def test_agreement_names_the_pairs_and_what_they_disagree_on() -> None:
    pairs = [
        Pair("k", "ann", "fraud", "bob", "fraud"),
        Pair("l", "ann", "legitimate", "bob", "legitimate"),
        Pair("m", "bob", "fraud", "ann", "legitimate"),
    ]
    found = agreement(pairs)
    assert (found["pairs"], found["agreed"], found["agreed_share"], found["kappa"]) == (3, 2, 0.6667, 0.4)
    assert [(one["first"], one["second"], one["agreed_share"]) for one in found["by_pair"]] == [
        ("ann", "bob", 1.0),
        ("bob", "ann", 0.0),
    ]
    assert [one["key"] for one in found["disagreements"]] == ["m"]
    assert agreement([])["kappa"] is None
    assert agreement(pairs[:1])["kappa"] is None
