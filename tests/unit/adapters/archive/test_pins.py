"""The policy of the last batch is found again, however many there were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.archive.archive import Archive
from adapters.archive.pins import Pin, Pins
from adapters.objects.folder import FolderObjects
from fraud.decision.policy.bundle import ROOT, PolicyBundle


class CountedArchive(Archive):
    """Counts how often keys are listed."""

    lists = 0

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        self.lists += 1
        return super().keys(prefix, after)


@pytest.fixture
def archive(tmp_path: Path) -> CountedArchive:
    return CountedArchive(FolderObjects(tmp_path))


def bundle(review: float) -> PolicyBundle:
    return PolicyBundle({ROOT: f"thresholds: {{review: {review}}}"})


def pin(pins: Pins, number: int, policy: PolicyBundle, model_version: str | None) -> Pin:
    return pins.pin(number, Pin(policy.version, model_version), policy, frozenset({""}))


def test_a_query_without_batches_has_no_policy(archive: CountedArchive) -> None:
    pin(Pins(archive, "other"), 0, bundle(0.1), None)
    assert Pins(archive, "fraud").last_policy() is None


@pytest.mark.parametrize("batches", [[0], [0, 1], [3], [0, 7, 8, 4_321_987], [10**9]])
def test_the_newest_batch_names_the_policy(archive: CountedArchive, batches: list[int]) -> None:
    pins = Pins(archive, "fraud")
    for number in batches:
        pin(pins, number, bundle(number / 10**10), "m1")
    pin(Pins(archive, "fraud-2"), 10**10, bundle(0.9), None)
    assert pins.last_policy() == bundle(batches[-1] / 10**10)
    assert archive.lists < 50


def test_what_another_attempt_pinned_first_holds(archive: CountedArchive) -> None:
    pin(Pins(archive, "fraud"), 5, bundle(0.1), "m1")
    assert pin(Pins(archive, "fraud"), 5, bundle(0.2), "m2") == Pin(bundle(0.1).version, "m1")


def test_the_newest_above_a_number_is_found(archive: CountedArchive) -> None:
    pins = Pins(archive, "fraud")
    for number in (0, 7, 8, 4_321_987):
        pin(pins, number, bundle(0.1), None)
        assert pins.newest() == number
    assert [pins.newest(after) for after in (-1, 7, 4_321_986, 4_321_987)] == [4_321_987] * 3 + [None]
