"""Faults planted into the product are found: who cannot fail proves nothing."""

from __future__ import annotations

import pytest

from tests.support.mutations import MUTATIONS, finding_seed

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # who is killed closes nothing


QUICK = (
    "an object is put without its condition",
    "alerts go out before their decisions are stored",
    "offsets are noted a batch early",
    "a resumed batch keeps no decisions",
    "a rebuilt state has labels wait for their place again",
    "maintenance does not look which objects a table holds",
)
"""Found by the first seeds."""

_SEEDS = 60


def test_there_are_thirty_planted_faults() -> None:
    assert len(MUTATIONS) >= 30


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_fault_is_found_at_once(name: str) -> None:
    assert finding_seed(name, 12) is not None


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(MUTATIONS) - set(QUICK)))
def test_a_planted_fault_is_found(name: str) -> None:
    assert finding_seed(name, _SEEDS) is not None
