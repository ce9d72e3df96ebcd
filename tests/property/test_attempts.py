"""Attempts of a batch are one: whatever settings, policy and program each has, a record has one fate, the first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from adapters.archive.batch_replay import archived_batches
from adapters.archive.layout import ArchiveKind
from adapters.archive.pins import Pins
from fraud.errors import MisconfiguredError
from fraud.features import FEATURE_NAMES
from fraud.path import FeaturePath
from fraud.records import decode
from fraud.records.answered import is_sealed, unseal
from fraud.records.arrival import RECORD_SCHEMA
from fraud.records.fate import ENDED, places
from fraud.records.schema import time_of
from fraud.settings import Answers, Job, Settings
from processor.continuation import Continuation, continue_from
from tests.support.answers import KEY, sealed
from tests.support.attempts import KilledError, LocalJob, fates
from tests.support.records import NOON, label, transaction, wire

NOON_MS = int(NOON.timestamp() * 1000)
ENOUGH = 10**6

RECORD = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["transaction"] * 6 + ["answered"] * 3 + ["label", "label", "broken", "long"]),
        "card": st.sampled_from(["card-1", "card-2", "card-3", "card-4"]),
        "merchant": st.sampled_from(["merchant-1", "merchant-2", "merchant-3"]),
        "amount_minor": st.sampled_from([500, 1_500, 2_500]),
        "age_s": st.sampled_from([0, 0, 0, 90, -90, 5_000]),
        "repeats": st.sampled_from([False] * 6 + [True]),
    }
)
LIMIT = st.sampled_from([None, 60, 3_600])
LIMITS = st.tuples(LIMIT, LIMIT)
POLICY = st.sampled_from([1_000, 2_000])
LONGEST = st.sampled_from([16_384, 900])
"""Bytes of the longest record that a version of the program decodes."""


def on_streams(drawn: list[dict[str, Any]]) -> pa.Table:
    """Records on two shards of transactions and one of labels, ten seconds apart: a batch may cross an hour."""
    rows = []
    for number, record in enumerate(drawn):
        arrival_ms = NOON_MS + 3_590_000 + 1_000 * number
        used = dt.datetime.fromtimestamp(arrival_ms / 1000 - record["age_s"], dt.UTC)
        ids: dict[str, Any] = {"card_token": record["card"], "merchant_id": record["merchant"]}
        ids["transaction_id"] = f"t-{number - 1 if record['repeats'] else number}"
        stream = "fraud-labels" if record["kind"] == "label" else "fraud-transactions"
        fields = ids | {"event_time": used, "amount_minor": record["amount_minor"]}
        if record["kind"] == "label":
            data = wire(label(**ids, transaction_time=used, label_time=used))
        elif record["kind"] == "broken":
            data = b"{"
        elif record["kind"] == "answered":
            outcome = "decline" if number % 3 == 0 else "approve"
            data = sealed(transaction(**fields), received_ms=arrival_ms - 40, outcome=outcome, instance=f"i-{number}")
        else:
            data = wire(transaction(**fields) | ({"more": "x" * 400} if record["kind"] == "long" else {}))
        place = {"stream": stream, "shard": f"shard-{number % 2}", "sequence_number": str(10**20 + number)}
        rows.append(place | {"sub_sequence": 0, "arrival_ms": arrival_ms, "data": data})
    return pa.Table.from_pylist(rows, schema=RECORD_SCHEMA)


def settings_with(limits: tuple[int | None, int | None], waiting_labels: int = 10_000) -> Settings:
    age_s, ahead_s = limits
    return Settings(
        job=Job(max_age_s=age_s, max_ahead_s=ahead_s, key_groups=4, partitions=2, waiting_labels=waiting_labels),
        answers=Answers(keys={KEY.id: "env:TEST_ANSWER_KEY"}),
    )


@pytest.fixture(autouse=True, scope="module")
def secret() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_ANSWER_KEY", KEY.secret.decode())
        yield


def answers_are_as_answered(job: LocalJob) -> None:
    """Of every payment that was answered, its answers are in the archive: one as the decision, others as refused."""
    decided = pa.concat_tables(job.archive.tables(ArchiveKind.DECISIONS)) if _has_decisions(job) else None
    stored = {row["raw"]: row for row in _rows(decided)}
    refused = [row["data"] for table in job.archive.tables(ArchiveKind.DEAD_LETTERS) for row in table.to_pylist()]
    for data in job.records["data"].to_pylist():
        given = unseal(data, {KEY.id: KEY}).answered
        if given is None:
            continue
        assert (data in stored) + (data in refused) == 1
        if data in stored:
            row = stored[data]
            assert (row["outcome"], row["answered_by"], row["score"]) == (given.outcome, given.instance, given.score)
            assert row["decided_at"] == time_of(given.decided_ms)
            assert row["received_at"] == row["recorded_arrival"] == time_of(given.received_ms)
    assert all(row["answered_by"] is None for row in stored.values() if not is_sealed(row["raw"]))


def each_has_one_fate(job: LocalJob) -> None:
    found = fates(job.archive)
    ended = {place.removesuffix(f"/{ENDED}") for place in found if place.endswith(f"/{ENDED}")}
    assert sorted(set(found) - {f"{place}/{ENDED}" for place in ended}) == sorted(places(job.records).to_pylist())
    assert all(found[place] == ["labels"] for place in ended)
    assert {place: kinds for place, kinds in found.items() if len(kinds) > 1} == {}
    decided = pa.concat_tables(job.archive.tables(ArchiveKind.DECISIONS)) if _has_decisions(job) else None
    reviewed = [] if decided is None else decided.filter(pc.not_equal(decided["outcome"], "approve"))
    alerts = job.alerts.read()
    assert len(alerts) == len({(row["card_token"], row["transaction_id"]) for row in _rows(reviewed)})


def go_on(job: LocalJob) -> Continuation:
    return continue_from(job.checkpoint, job.archive, settings_with((None, None)), "a test", "tests", NOON_MS, "test")


def _has_decisions(job: LocalJob) -> bool:
    return any(True for _ in job.archive.keys(ArchiveKind.DECISIONS.prefix))


def _rows(table: Any) -> list[dict[str, Any]]:
    return table.to_pylist() if isinstance(table, pa.Table) else []


def what_is_stored_was_folded(job: LocalJob) -> None:
    """Values of features are those of the stored transactions alone, in the order of the archive."""
    path = FeaturePath(settings_with((None, None)))
    for batch in archived_batches(job.archive, "fraud", stored=True):
        again = path.advance(batch.records).transactions
        if again is None:
            continue
        kept = pa.concat_tables(batch.stored).to_pylist()
        by_place = dict(zip(places(again).to_pylist(), again.to_pylist(), strict=True))
        for row in kept:
            same = by_place["/".join(str(row[name]) for name in ("stream", "shard", "sequence_number", "sub_sequence"))]
            assert {name: row[name] for name in FEATURE_NAMES} == pytest.approx(
                {name: same[name] for name in FEATURE_NAMES}, nan_ok=True
            )


@examples(max_examples=15, deadline=None)
@given(st.data())
def test_two_attempts_of_a_batch_give_each_record_one_fate_the_first(data: st.DataObject) -> None:
    records = on_streams(data.draw(st.lists(RECORD, min_size=1, max_size=14)))
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        job = LocalJob(Path(folder), records)
        stored_before: dict[str, list[str]] = {}
        longest = data.draw(st.lists(LONGEST, min_size=4, max_size=4), "longest record that each program decodes")
        for attempt in range(data.draw(st.integers(1, 3), "kills")):
            patch.setattr(decode, "MAX_RECORD_BYTES", longest[attempt])
            started = job.start(settings_with(data.draw(LIMITS), 1), data.draw(POLICY))
            job.objects.writes_left = data.draw(st.integers(0, 12), "writes until it dies")
            job.objects.after = data.draw(st.booleans())
            with suppress(KilledError):
                started.finish(data.draw(st.lists(st.integers(1, 8), max_size=3)))
            job.objects.writes_left = None
            found = fates(job.archive)
            assert {place: found[place] for place in stored_before} == stored_before
            stored_before = found
        patch.setattr(decode, "MAX_RECORD_BYTES", longest[-1])
        job.start(settings_with(data.draw(LIMITS), 1), data.draw(POLICY)).finish([])
        each_has_one_fate(job)
        answers_are_as_answered(job)
        found = fates(job.archive)
        assert {place: found[place] for place in stored_before} == stored_before
        if len(set(longest)) == 1:  # else a neighbour may have been decided before a record was found to be good
            what_is_stored_was_folded(job)


@examples(max_examples=10, deadline=None)
@given(st.data())
def test_a_checkpoint_that_was_set_back_stops_and_loses_nothing_after_it_was_continued(data: st.DataObject) -> None:
    records = on_streams(data.draw(st.lists(RECORD, min_size=6, max_size=14)))
    sizes = st.lists(st.integers(1, 4), min_size=4, max_size=6)
    with TemporaryDirectory() as folder:
        job = LocalJob(Path(folder), records)
        job.start(settings_with((None, None)), 1_000).finish(data.draw(sizes))
        for _ in range(data.draw(st.integers(1, 2), "times")):
            committed = job.checkpoint.progress().committed
            before = fates(job.archive)
            job.checkpoint.set_back(data.draw(st.integers(1, min(3, committed)), "batches lost"))
            progress = job.checkpoint.progress()
            if Pins(job.archive, "fraud").newest(progress.number_of(progress.planned + 1) - 1) is not None:
                with pytest.raises(MisconfiguredError, match=r"^job\.checkpoint: .* was set back, or") as stopped:
                    job.start(settings_with((None, None)), 2_000)
                assert "\n" not in str(stopped.value)
                assert "fraud state continue" in str(stopped.value)
                go_on(job)
            job.objects.writes_left = data.draw(st.none() | st.integers(0, 6), "writes until it dies")
            with suppress(KilledError):
                job.start(settings_with(data.draw(LIMITS)), 2_000).finish(data.draw(sizes))
            job.objects.writes_left = None
            job.start(settings_with(data.draw(LIMITS)), 2_000).finish(data.draw(sizes))
            each_has_one_fate(job)
            assert fates(job.archive) == before
