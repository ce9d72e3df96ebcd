"""Faults planted into the product are found: who cannot fail proves nothing."""

from __future__ import annotations

import pytest

from embedded.simulation.plan import Plan
from embedded.simulation.schedule import run_schedule
from embedded.simulation.verify import problems_of
from tests.support.mutations import MUTATIONS

QUICK = (
    "an object is put without its condition",
    "alerts go out before their decisions are stored",
    "offsets are noted a batch early",
    "a resumed batch keeps no decisions",
)
"""Found by the first seeds."""

_SEEDS = 40


def found(name: str, seeds: int) -> bool:
    """Whether one of the first seeds finds a planted fault."""
    for seed in range(1, seeds + 1):
        with pytest.MonkeyPatch.context() as patch:
            MUTATIONS[name](patch)
            if problems_of(run_schedule(Plan(seed, 100))):
                return True
    return False


def test_there_are_thirty_planted_faults() -> None:
    assert len(MUTATIONS) >= 30


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_fault_is_found_at_once(name: str) -> None:
    assert found(name, 12)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(MUTATIONS) - set(QUICK)))
def test_a_planted_fault_is_found(name: str) -> None:
    assert found(name, _SEEDS)
