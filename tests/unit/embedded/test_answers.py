"""What callers were given is compared with the archive: a lost, a second or a changed answer is found."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from adapters.archive.layout import ArchiveKind
from adapters.archive.tables import ARCHIVE_SCHEMAS
from embedded.chaos.answers import compare_answers
from fraud.decision.answers import decide_unanswered
from fraud.records.answered import answer_of
from fraud.records.dead_letter import Reason, Reject, dead_letters
from fraud.records.intake import Intake
from tests.support.answers import KEYS, sealed
from tests.support.records import stream_records, transaction

NEVER_SHOWN = ("catalogue", "features")
DECISIONS = ARCHIVE_SCHEMAS[ArchiveKind.DECISIONS]


def record(number: int, **answer: Any) -> bytes:
    return sealed(transaction(transaction_id=f"t-{number}"), **answer)


def given(*records: bytes) -> dict[str, dict[str, Any]]:
    """What a caller was answered on each record, with what says which payment it is on."""
    of_subject = {"card_token": "card-1", "transaction_id": "t", "event_time_ms": 0}
    answers = {}
    for answer in map(answer_of, records):
        shown = {name: getattr(answer, name) for name in answer.__struct_fields__ if name not in NEVER_SHOWN}
        answers[answer.decision_key] = shown | of_subject
    return answers


def decisions(*records: bytes, **changed: Any) -> pa.Table:
    read: Any = Intake("labels", keys=KEYS).read(stream_records(records)).transactions
    verdicts = decide_unanswered(read, lambda batch: batch)
    columns = {name: part[name] for part in (read, verdicts) for name in part.schema.names}
    rows = pa.table(columns).to_pylist()
    return pa.Table.from_pylist([dict.fromkeys(DECISIONS.names) | row | changed for row in rows], schema=DECISIONS)


def refused(*records: bytes, reason: Reason = Reason.CONFLICTING_ANSWER) -> pa.Table:
    arrived = stream_records(records)
    found = dead_letters(arrived, [Reject(row, reason, None, "") for row in range(len(records))])
    return pa.Table.from_batches([found])


NOTHING = refused()


def figures(found: Any) -> tuple[int, int, int, int]:
    return found.expected, found.lost, found.duplicated, found.different


def test_answers_that_are_archived_as_given_or_as_conflicting_are_in_order() -> None:
    one, other = record(1, outcome="decline", reasons=["because"]), record(2)
    found = compare_answers(given(one, other), (), decisions(one), refused(other))
    assert figures(found) == (2, 0, 0, 0)


@pytest.mark.parametrize(("apart_ms", "lost"), [(0, 0), (1, 1)])
def test_an_answer_in_the_millisecond_of_the_unasked_payment_is_kept_as_a_duplicate(apart_ms: int, lost: int) -> None:
    answered = record(1)
    came_ms = answer_of(answered).received_ms + apart_ms
    unasked = decisions(answered, answered_by=None, arrival_ms=came_ms)
    found = compare_answers(given(answered), (), unasked, refused(answered, reason=Reason.DUPLICATE))
    assert figures(found) == (1, lost, 0, 0)


@pytest.mark.parametrize(
    ("stored", "kept", "wanted"),
    [
        pytest.param(decisions(record(2)), NOTHING, (1, 1, 0, 0), id="lost"),
        pytest.param(decisions(record(1), record(1)), NOTHING, (1, 0, 1, 0), id="twice"),
        pytest.param(decisions(record(1)), refused(record(1)), (1, 0, 1, 0), id="decided and refused"),
        pytest.param(decisions(record(1, outcome="decline")), NOTHING, (1, 0, 0, 1), id="another outcome"),
        pytest.param(decisions(record(1), outcome="decline"), NOTHING, (1, 0, 0, 1), id="archived otherwise"),
        pytest.param(decisions(record(1), answered_by="i-9"), NOTHING, (1, 0, 0, 1), id="another instance"),
    ],
)
def test_what_is_not_as_it_was_given_is_found(
    stored: pa.Table, kept: pa.Table, wanted: tuple[int, int, int, int]
) -> None:
    assert figures(compare_answers(given(record(1)), (), stored, kept)) == wanted


def test_a_payment_that_was_answered_in_two_ways_is_found() -> None:
    key = next(iter(given(record(1))))
    assert figures(compare_answers(given(record(1)), [key], decisions(record(1)), NOTHING)) == (1, 0, 0, 1)
