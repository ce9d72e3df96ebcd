"""Compares decisions that callers were given with what stands in the archive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pyarrow as pa

from embedded.chaos.comparison import Difference
from fraud.decision.key import Subject
from fraud.records.answered import Answered, answer_of, is_sealed
from fraud.records.dead_letter import Reason
from fraud.records.schema import milliseconds_of

_OF_SUBJECT = frozenset({"card_token", "transaction_id", "event_time_ms"})
"""Parts of an answer that say what it is on: the record has them."""

_COLUMNS = frozenset(Answered.__struct_fields__) - {
    "decision_key", "received_ms", "decided_ms", "instance", "exact", "catalogue", "features",
}  # fmt: skip


def compare_answers(
    given: Mapping[str, Mapping[str, Any]], differing: Iterable[str], decisions: pa.Table, dead_letters: pa.Table
) -> Difference:
    """Whether every answer is in the archive once, as it was given.

    An answer to a payment that came unasked first, or that another instance answered first, is there as conflicting,
    once for each time that its record is on the stream: a call to Kinesis whose answer was lost is made again. Where
    the two came in the same millisecond it is there as a duplicate: the job takes them for one record put twice.

    Args:
        given: what callers were answered, by decision key.
        differing: decision keys of payments that were answered twice, not alike.
        decisions: all of the archive.
        dead_letters: all of the archive.
    """
    difference = Difference(expected=len(given))
    found, conflicting = defaultdict[str, list[dict[str, Any]]](list), defaultdict[str, list[dict[str, Any]]](list)
    for row in decisions.filter(decisions["answered_by"].is_valid()).to_pylist():
        answer = answer_of(row["raw"])
        found[answer.decision_key].append(_shown(answer))
        if not _is_as_answered(row, answer):
            difference.different += 1
            difference.note(f"{answer.decision_key} is archived otherwise than its record says")
    unasked = decisions.filter(decisions["answered_by"].is_null()).to_pylist()
    came_ms = {Subject.of(row).key: row["arrival_ms"] for row in unasked}
    for row in dead_letters.to_pylist():
        if row["reason"] in (Reason.CONFLICTING_ANSWER, Reason.DUPLICATE) and is_sealed(row["data"]):
            answer = answer_of(row["data"])
            if row["reason"] == Reason.DUPLICATE and came_ms.get(answer.decision_key) != answer.received_ms:
                continue
            if (once := _shown(answer)) not in conflicting[answer.decision_key]:
                conflicting[answer.decision_key].append(once)
    for key, shown in given.items():
        stored, said = (
            found[key] + conflicting[key],
            {name: value for name, value in shown.items() if name not in _OF_SUBJECT},
        )
        if not stored:
            difference.lost += 1
            difference.note(f"{key} lost")
        elif said not in stored:
            difference.different += 1
            difference.note(f"{key} {said}, archived {stored[0]}")
        elif stored.count(said) > 1:
            difference.duplicated += stored.count(said) - 1
            difference.note(f"{key} archived {stored.count(said)} times")
    for key in differing:
        difference.different += 1
        difference.note(f"{key} answered in two ways")
    return difference


def _shown(answer: Answered) -> dict[str, Any]:
    """An answer as callers get it: without what is there for comparison only, nothing left out."""
    shown = {name: getattr(answer, name) for name in answer.__struct_fields__ if name not in ("catalogue", "features")}
    return msgspec.json.decode(msgspec.json.encode(shown))  # type: ignore[no-any-return]


def _is_as_answered(row: Mapping[str, Any], answer: Answered) -> bool:
    times = (milliseconds_of(row["received_at"]), milliseconds_of(row["decided_at"]), row["answered_by"])
    same = times == (answer.received_ms, answer.decided_ms, answer.instance)
    return same and all(row[name] == getattr(answer, name) for name in _COLUMNS)
