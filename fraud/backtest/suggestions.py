"""What a backtest's figures suggest to change: rules that cost more than they find, rules that repeat, thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from fraud.decision.policy.compiled import DEFAULT_SEGMENT, CompiledPolicy
from fraud.decision.record import Outcome
from fraud.decision.rules.rule import RuleState
from fraud.money import format_money

FEW = 30
"""Cases, or hits, from which on a rule is evaluated."""

SAME = 0.95
"""Share of a rule's hits that another one has as well, from which on it repeats that one."""

_SURE = 1.96
"""Standard deviations of the range of a share: 95 %."""

Suggestion = dict[str, Any]
"""`kind`: noisy, overlapping or thresholds; `title` and `why` for people; `edit` as the console's proposals have it."""


def suggestions(report: Mapping[str, Any], policy: CompiledPolicy) -> list[Suggestion]:
    """What to try, noisy rules first.

    Args:
        report: of a backtest of this policy with a budget; without mature decisions it suggests nothing of what needs
            to know frauds.
        policy: the one in force. Rules that the law asks for are never in question.
    """
    rules = {compiled.rule.id: compiled.rule for compiled in policy.rules}
    free = {name for name, rule in rules.items() if rule.state is RuleState.LIVE and rule.purpose != "regulation"}
    budget = report.get("budget")
    noisy = list(_noisy(report, budget, free)) if budget else []
    quiet = free - {each["edit"]["rule"] for each in noisy}
    strength = {name: rules[name].asks_for for name in free}
    moved = [_moved(budget, policy)] if budget else []
    return [*noisy, *_overlapping(report, quiet, strength), *filter(None, moved)]


def upper_share(found: int, of: int) -> float:
    """The most that a share may well be, given so many found of so many: Wilson's bound at 95 %.

    >>> round(upper_share(0, 100), 3), round(upper_share(50, 100), 3)
    (0.037, 0.596)
    """
    share, square = found / of, _SURE**2
    middle = share + square / (2 * of)
    return (middle + _SURE * math.sqrt(share * (1 - share) / of + square / (4 * of**2))) / (1 + square / of)


def _noisy(report: Mapping[str, Any], budget: Mapping[str, Any], free: set[str]) -> Iterator[Suggestion]:
    """Rules of whose cases surely too few are true to pay for looking at them."""
    costs, live = report["costs"], report["variants"]["live"]
    frauds = live["caught"] + live["missed"]
    amount = (live["caught_minor"] + live["missed_minor"]) / frauds if frauds else 0.0
    worth = costs["review_catches"] * costs["loss_share"] * amount + costs["card_minor"]
    needed = costs["review_minor"] / worth if worth else 1.0
    for row in sorted(budget["rules"], key=lambda row: -row["cases"]):
        if row["rule"] not in free or row["cases"] < FEW or upper_share(row["true_cases"], row["cases"]) >= needed:
            continue
        cost = format_money(costs["review_minor"], report["base_currency"])
        yield _rule(
            "noisy",
            row["rule"],
            f"{row['true_cases']:,} of its {row['cases']:,} cases are fraud; at {cost} a review it pays from "
            f"{needed:.1%} on, and it is surely below that. Only it opens {row['only_cases']:,}, "
            f"{row['only_true_cases']:,} of them fraud.",
        )


def _overlapping(report: Mapping[str, Any], free: set[str], strength: Mapping[str, Outcome]) -> Iterator[Suggestion]:
    """Rules that nearly always fire beside one that asks for as much; of two that repeat each other, the rarer one."""
    rows = {row["rule"]: row for row in report["rules"]}
    for name, row in rows.items():
        other = row["nearest_rule"]
        if name not in free or other not in free or row["fired"] < FEW or row["overlap"] < SAME:
            continue
        if strength[name] > strength[other] or (row["fired"], name) > (rows[other]["fired"], other):
            continue
        yield _rule(
            "overlapping",
            name,
            f"{row['overlap']:.0%} of its {row['fired']:,} hits are hits of {other}, which asks for as much; "
            f"{row['alone']:,} are found by no other rule.",
        )


def _rule(kind: str, name: str, why: str) -> Suggestion:
    edit = {"kind": "state", "rule": name, "state": RuleState.SHADOW.value}
    return {"kind": kind, "title": f"{name}: to shadow", "why": why, "edit": edit}


def _moved(budget: Mapping[str, Any], policy: CompiledPolicy) -> Suggestion | None:
    """Thresholds that lie outside of what nine of ten redraws of the days choose."""
    now = {segment.name: segment.thresholds for segment in policy.segments} | {DEFAULT_SEGMENT: policy.thresholds}
    moves: dict[str, dict[str, float | None]] = {}
    said = []
    for segment, chosen in budget["thresholds"].items():
        standing, ranges = now[segment], budget["range"]["thresholds"][segment]
        if all(_within(getattr(standing, name), ranges[name]) for name in chosen):
            continue
        moves[segment] = dict(chosen)  # both: the one in force of a pair may lie above the new other one
        said += [
            f"{segment}: {name} from {_shown(getattr(standing, name))} to {_shown(chosen[name])}" for name in chosen
        ]
    if not moves or budget["saved_minor_per_day"] <= 0:
        return None
    saved = format_money(round(budget["saved_minor_per_day"]), policy.base_currency)
    return {
        "kind": "thresholds",
        "title": "; ".join(said),
        "why": f"{budget['reviews_per_day']:,.1f} cases a day then save {saved} a day, together with the rules that "
        "earn their reviews; what holds now lies outside of what nine of ten redraws of "
        f"{budget['days']:,.0f} days choose.",
        "edit": {"kind": "thresholds", "thresholds": moves},
    }


def _within(value: float | None, between: list[float | None] | None) -> bool:
    if between is None:
        return True
    low, high = (math.inf if bound is None else bound for bound in between)
    return low <= (math.inf if value is None else value) <= high


def _shown(value: float | None) -> str:
    return "never" if value is None else f"{value:.4f}"
