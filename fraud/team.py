"""What a team did with its alerts: verdicts, times, backlog, false positives, agreement: pure figures."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)

VERDICTS: dict[str, Literal["fraud", "legitimate"]] = {"confirm_fraud": "fraud", "false_positive": "legitimate"}
"""Changes of an alert that close it, with what each says."""

BANDS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
"""Lower bounds of the bands of the model's score."""

UNSCORED = "no score"


@dataclass(frozen=True)
class Closing:
    """A verdict that was given on an alert.

    Attributes:
        key: of the decision.
        by: who gave it.
        verdict: what it says.
        at_ms: when.
        waited_ms: since the decision.
        handled_ms: since who closed it had taken it; None where nobody took it first.
        stands: whether nobody took it back.
        outcome: of the decision.
        rules: that fired.
        score: of the model; None where none scored.
    """

    key: str
    by: str
    verdict: Literal["fraud", "legitimate"]
    at_ms: int
    waited_ms: int
    handled_ms: int | None
    stands: bool
    outcome: str
    rules: tuple[str, ...]
    score: float | None


def closings(key: str, alert: Mapping[str, Any]) -> list[Closing]:
    """The verdicts in an alert's history; one that was undone within its seconds, as if it had not been, is none."""
    found: list[Closing] = []
    taken: dict[str, int] = {}
    for entry in alert.get("history", []):
        change, by, at_ms = entry["change"], entry["by"], entry["at_ms"]
        if change == "assign":
            taken = {entry.get("to", by): at_ms}
        elif change == "undo" and found:
            found.pop()
        elif change == "reopen" and found:
            found[-1] = _taken_back(found[-1])
            taken = {by: at_ms}
        elif change in VERDICTS:
            handled = at_ms - taken[by] if by in taken else None
            waited = at_ms - alert["decided_ms"]
            rules, score = tuple(alert.get("rules", ())), alert.get("score")
            found.append(
                Closing(key, by, VERDICTS[change], at_ms, waited, handled, True, alert["outcome"], rules, score)
            )
    return found


def _taken_back(one: Closing) -> Closing:
    return Closing(**{**vars(one), "stands": False})


def by_analyst(found: Iterable[Closing]) -> list[dict[str, Any]]:
    """For each analyst: how many verdicts, which, how many were taken back, and the median times; most verdicts first.

    `fraud_share` is of the verdicts that stand.
    """
    rows = []
    for name, group in _grouped(found, lambda one: one.by).items():
        standing = [one for one in group if one.stands]
        handled = [one.handled_ms for one in group if one.handled_ms is not None]
        rows.append(
            {
                "analyst": name,
                "closed": len(group),
                "fraud": sum(one.verdict == "fraud" for one in standing),
                "legitimate": sum(one.verdict == "legitimate" for one in standing),
                "fraud_share": _share(sum(one.verdict == "fraud" for one in standing), len(standing)),
                "taken_back": len(group) - len(standing),
                "handling_ms": _median(handled),
                "handled": len(handled),
                "waiting_ms": _median([one.waited_ms for one in group]),
            }
        )
    return sorted(rows, key=lambda row: (-row["closed"], row["analyst"]))


def by_day(found: Iterable[Closing], day_ms: int = 86_400_000) -> list[dict[str, Any]]:
    """Verdicts by UTC day and analyst, in the order of days."""
    counts = Counter((one.at_ms // day_ms * day_ms, one.by) for one in found)
    return [{"day_ms": day, "analyst": name, "closed": count} for (day, name), count in sorted(counts.items())]


def by_rule(found: Iterable[Closing]) -> list[dict[str, Any]]:
    """For each rule, the standing verdicts on alerts on which it fired, and the share of false positives among them."""
    groups: dict[str, list[Closing]] = defaultdict(list)
    for one in found:
        for rule in one.rules if one.stands else ():
            groups[rule].append(one)
    rows = [{"rule": rule, **_false_positives(group)} for rule, group in groups.items()]
    return sorted(rows, key=lambda row: (-row["false_positives"], row["rule"]))


def by_band(found: Iterable[Closing]) -> list[dict[str, Any]]:
    """The same by band of the model's score, in the order of the bands."""
    groups = _grouped((one for one in found if one.stands), lambda one: band_of(one.score))
    named = [*(band_of(bound) for bound in BANDS), UNSCORED]
    return [{"band": band, **_false_positives(groups[band])} for band in named if band in groups]


def band_of(score: float | None) -> str:
    """The band of a score.

    >>> band_of(0.07), band_of(0.97), band_of(1.0), band_of(None)
    ('0.05 to 0.1', '0.9 to 1', '0.9 to 1', 'no score')
    """
    if score is None:
        return UNSCORED
    place = max(place for place, bound in enumerate(BANDS) if score >= bound or place == 0)
    end = BANDS[place + 1] if place + 1 < len(BANDS) else 1
    return f"{BANDS[place]:g} to {end:g}"


def service_levels(
    found: Iterable[Closing], waiting: Iterable[Mapping[str, Any]], now_ms: int, sla_ms: int
) -> list[dict[str, Any]]:
    """For each outcome, what waits and how long, and how much of what was closed was closed in time.

    Args:
        found: verdicts; an alert counts with its first one.
        waiting: alerts with `outcome`, `status`, `decided_ms`, `billing_amount_minor` and perhaps `assignee`.
        now_ms: the time.
        sla_ms: the longest time that an alert may wait.
    """
    first: dict[str, Closing] = {}
    for one in sorted(found, key=lambda one: one.at_ms):
        first.setdefault(one.key, one)
    closed = _grouped(first.values(), lambda one: one.outcome)
    queued: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for alert in waiting:
        queued[alert["outcome"]].append(alert)
    rows = []
    for outcome in sorted({*closed, *queued}):
        ages = [now_ms - alert["decided_ms"] for alert in queued[outcome]]
        in_time = sum(one.waited_ms <= sla_ms for one in closed.get(outcome, ()))
        rows.append(
            {
                "queue": outcome,
                "waiting": len(ages),
                "escalated": sum(alert["status"] == "escalated" for alert in queued[outcome]),
                "unassigned": sum(alert.get("assignee") is None for alert in queued[outcome]),
                "late": sum(age > sla_ms for age in ages),
                "oldest_ms": max(ages, default=None),
                "waiting_minor": sum(alert["billing_amount_minor"] for alert in queued[outcome]),
                "closed": len(closed.get(outcome, ())),
                "in_time_share": _share(in_time, len(closed.get(outcome, ()))),
            }
        )
    return rows


@dataclass(frozen=True)
class Pair:
    """Two analysts' verdicts on one alert, the second given without knowledge of the first.

    Attributes:
        key: of the decision.
        first_by: who closed the alert.
        first: what they said.
        second_by: who looked again.
        second: what they said.
    """

    key: str
    first_by: str
    first: Literal["fraud", "legitimate"]
    second_by: str
    second: Literal["fraud", "legitimate"]


def agreement(pairs: Sequence[Pair]) -> dict[str, Any]:
    """How often two verdicts agree; `kappa` (Cohen) is 1 for always, 0 for as often as by chance.

    >>> both = [Pair("k", "ann", "fraud", "bob", "fraud"), Pair("l", "ann", "legitimate", "bob", "legitimate")]
    >>> agreement(both)["kappa"], agreement([*both, Pair("m", "ann", "fraud", "bob", "legitimate")])["kappa"]
    (1.0, 0.4)
    """
    count = len(pairs)
    same = sum(pair.first == pair.second for pair in pairs)
    firsts, seconds = (sum(getattr(p, name) == "fraud" for p in pairs) for name in ("first", "second"))
    kappa = None
    if count:
        chance = (firsts * seconds + (count - firsts) * (count - seconds)) / count**2
        kappa = round((same / count - chance) / (1 - chance), 4) if chance < 1 else None
    groups = _grouped(pairs, lambda pair: (pair.first_by, pair.second_by))
    return {
        "pairs": count,
        "agreed": same,
        "agreed_share": _share(same, count),
        "kappa": kappa,
        "by_pair": [
            {
                "first": names[0],
                "second": names[1],
                "pairs": len(group),
                "agreed_share": _share(sum(pair.first == pair.second for pair in group), len(group)),
            }
            for names, group in sorted(groups.items())
        ],
        "disagreements": [vars(pair) for pair in pairs if pair.first != pair.second],
    }


def _false_positives(group: Sequence[Closing]) -> dict[str, Any]:
    wrong = sum(one.verdict == "legitimate" for one in group)
    share = _share(wrong, len(group))
    return {"closed": len(group), "false_positives": wrong, "false_positive_share": share}


def _grouped(items: Iterable[_T], key: Callable[[_T], _K]) -> dict[_K, list[_T]]:
    groups: dict[_K, list[_T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _median(values: Sequence[int]) -> int | None:
    return round(statistics.median(values)) if values else None
