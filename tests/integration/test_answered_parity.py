"""Answers of a service that folds as the job does are found equal, and one that does not is found out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fraud.decision.answered_parity import AnsweredParity, upper_bound
from fraud.features import FEATURE_NAMES, SHIPPED
from fraud.path import FeaturePath
from fraud.records import Row
from fraud.records.answered import packed
from fraud.records.arrival import RECORD_SCHEMA
from fraud.records.intake import Intake
from fraud.settings import Answers, Job, Settings
from operations.answered_parity import SecondAnswers, compare_archive
from tests.support.answers import KEY, sealed
from tests.support.attempts import LocalJob
from tests.support.records import NOON, transaction, wire

NOON_MS = int(NOON.timestamp() * 1000)
SETTINGS = Settings(job=Job(key_groups=4, partitions=2), answers=Answers(keys={KEY.id: "env:TEST_ANSWER_KEY"}))


class Service:
    """Answers each transaction from a state of its own; approves everything."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._intake, self._path = Intake("fraud-labels"), FeaturePath(SETTINGS)

    def fold(self, data: bytes, received_ms: int) -> Row:
        place = {"stream": "call", "shard": self.name, "sequence_number": "0", "sub_sequence": 0}
        return self._path.advance(self._intake.read_one(Row(place, arrival_ms=received_ms), data)).transactions  # type: ignore[return-value]

    def answer(self, record: dict[str, Any], received_ms: int, **changes: Any) -> bytes:
        row = self.fold(wire(record), received_ms)
        values = [row[name] for name in FEATURE_NAMES]
        exact = {name: row[f"exact_{name}"] for name in ("card", "merchant")}
        plain: dict[str, Any] = {
            "features": packed(values),
            "exact": exact,
            "received_ms": received_ms,
            "instance": self.name,
        }
        return sealed(record, **plain | {"model_version": None, "scored_by": "rules_only"} | changes)


def payment(number: int, card: str = "card-1") -> dict[str, Any]:
    used = NOON + dt.timedelta(seconds=10 * number)
    return transaction(transaction_id=f"t-{number}", card_token=card, event_time=used, amount_minor=700 + number)


@pytest.fixture
def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[AnsweredParity, SecondAnswers]]:
    monkeypatch.setenv("TEST_ANSWER_KEY", KEY.secret.decode())

    def run(data: Sequence[bytes], in_flight_ms: int = 1_000) -> tuple[AnsweredParity, SecondAnswers]:
        rows = [
            {
                "stream": "fraud-transactions",
                "shard": "shard-0",
                "sequence_number": str(10**20 + number),
                "sub_sequence": 0,
                "arrival_ms": NOON_MS + 10_000 * number + 80,
                "data": record,
            }
            for number, record in enumerate(data)
        ]
        job = LocalJob(tmp_path / "job", pa.Table.from_pylist(rows, schema=RECORD_SCHEMA))
        job.start(SETTINGS, 10**9).finish([3, 1])
        outcomes = lambda rows, _: pa.array(["approve"] * rows.num_rows)  # noqa: E731
        return compare_archive(job.archive, "fraud", in_flight_ms, outcomes, SHIPPED)

    return run


def received(number: int) -> int:
    return NOON_MS + 10_000 * number + 40


def test_a_service_that_folds_as_the_job_does_is_found_equal(compared: Any) -> None:
    service = Service("i-1")
    cards = ["card-1", "card-2", "card-1", "card-1", "card-3", "card-2", "card-1"]
    found, second = compared([service.answer(payment(n, card), received(n)) for n, card in enumerate(cards)])
    assert (found.answers, found.crossed, found.card_different, found.shared_different) == (7, 0, 0, 0)
    assert found.sound
    assert found.shared_values > 7
    assert (found.verdicts, found.verdicts_different, second) == (7, 0, SecondAnswers())


def test_a_value_that_differs_in_one_bit_and_an_outcome_are_found(compared: Any) -> None:
    service = Service("i-1")
    right = service.answer(payment(0), received(0))
    place = FEATURE_NAMES.index("tx_amount")
    values: list[float | None] = [None] * len(FEATURE_NAMES)
    values[place] = 7.0000000000000009
    wrong = service.answer(payment(1, "card-2"), received(1), features=packed(values), outcome="decline")
    found, _ = compared([right, wrong])
    assert not found.sound
    assert found.different["tx_amount"] == 1
    assert (found.verdicts, found.verdicts_different) == (2, 1)


def test_a_card_of_which_something_else_was_in_flight_is_counted_apart(compared: Any) -> None:
    service = Service("i-1")
    first = service.answer(payment(0), received(0))
    unseen = wire(payment(1))
    after = service.answer(payment(2), received(2))
    other = service.answer(payment(3, "card-2"), received(3))
    found, _ = compared([first, unseen, after, other], in_flight_ms=10_000)
    assert (found.crossed, found.crossed_different, found.card_different) == (2, 1, 0)
    assert found.sound


def test_answers_that_came_second_are_the_first_again_or_others(compared: Any) -> None:
    one, two = Service("i-1"), Service("i-2")
    first = one.answer(payment(0), received(0))
    other = two.answer(payment(0), received(0) + 3, outcome="decline")
    found, second = compared([first, other, first, wire(payment(1)), one.answer(payment(1), received(2))])
    assert found.answers == 1
    assert (second.repeated, second.conflicting, second.different) == (1, 2, 1)


def test_answers_of_other_definitions_are_not_compared(compared: Any) -> None:
    found, _ = compared([Service("i-1").answer(payment(0), received(0), catalogue="of-later")])
    assert (found.answers, found.not_compared, found.sound) == (1, 1, False)


@pytest.mark.parametrize(
    ("events", "trials", "bound"),
    # Garwood (1936), one-sided 95 %: half the 0.95 quantile of chi-squared with 2, 4 and 22 degrees of freedom
    [(0, 10**6, 2.9957e-6), (1, 10**6, 4.7439e-6), (10, 10**4, 1.6962e-3), (5, 5, 1.0), (0, 0, 1.0)],
)
def test_the_bound_of_a_share_is_that_of_the_tables(events: int, trials: int, bound: float) -> None:
    assert upper_bound(events, trials) == pytest.approx(bound, rel=1e-4)
