"""Accepted records, however odd, pass every step and every store; what was stored wrongly before can be finished."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.archive.layout import ArchiveKind
from adapters.archive.tables import ARCHIVE_SCHEMAS
from tests.support.odd_records import accepted
from tests.support.records import NOON, VERDICT, transaction, wire
from tests.support.whole_path import WholePath, finish


@settings(max_examples=25, deadline=None)
@given(st.lists(accepted(), min_size=1, max_size=2))
def test_every_accepted_record_passes_every_step(batches: list[list[tuple[str, bytes]]]) -> None:
    path = WholePath()
    for batch in batches:
        featured = path.take(batch)
        refused = [] if featured.dead_letters is None else featured.dead_letters.to_pylist()
        assert {row["reason"] for row in refused} <= {"duplicate"}, refused


@pytest.mark.parametrize("field", ["mcc", "card_token", "transaction_id", "currency", "merchant_country", "bin"])
def test_a_newline_behind_a_value_is_a_dead_letter_and_never_stops_the_path(field: str) -> None:
    path = WholePath()
    bad = transaction() | {field: transaction()[field] + "\n"}
    path.take([("transactions", wire(bad)), ("transactions", wire(transaction()))])
    assert (path.made["transactions"], path.made["dead_letters"]) == (1, 1)


@pytest.mark.parametrize("score", [math.inf, -math.inf, math.nan, 7.0, -1e-300, 1e300])
def test_a_decision_that_was_stored_with_a_score_that_is_none_can_be_finished(score: float) -> None:
    schema = ARCHIVE_SCHEMAS[ArchiveKind.DECISIONS]
    row = (
        dict.fromkeys(schema.names)
        | transaction(sent_at=NOON)
        | VERDICT
        | {"score": score, "card_decayed_sum_3d": 1e-160}
    )
    stored = pa.Table.from_pylist([{name: row[name] for name in schema.names}])
    (item,) = finish(stored)
    assert item["alert_id"]
    assert item["features"] == {"card_decayed_sum_3d": 0}
    assert ("score" in item) is math.isfinite(score)
