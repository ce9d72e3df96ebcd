"""A checkpoint is refused where it would be misread or written over."""

from __future__ import annotations

import pytest

from fraud.errors import MisconfiguredError
from fraud.settings import Job, Settings
from processor.checkpoint import Claim, fixed_settings, refuse_changes

CLAIM = Claim("id-1", fixed_settings(Settings()))


def test_the_same_checkpoint_with_the_same_settings_goes_on() -> None:
    refuse_changes(CLAIM, "id-1", Settings(job=Job(trigger_ms=999, max_records_per_trigger=5)))


@pytest.mark.parametrize("found", [None, "id-2"])
def test_a_name_whose_batches_are_archived_is_refused_to_another_checkpoint(found: str | None) -> None:
    with pytest.raises(MisconfiguredError, match=r"job\.query: fraud belongs to another checkpoint"):
        refuse_changes(CLAIM, found, Settings())


def test_what_changed_is_named_with_both_values_and_the_way_out() -> None:
    with pytest.raises(MisconfiguredError, match=r"job\.key_groups: is 8, .* made with 4; .*job\.start"):
        refuse_changes(CLAIM, "id-1", Settings(job=Job(key_groups=8)))
