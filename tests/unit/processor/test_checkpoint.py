"""A checkpoint is refused where it would be misread or written over."""

from __future__ import annotations

import pytest

from fraud.errors import MisconfiguredError
from fraud.settings import Job, Settings
from processor.checkpoint import Claim, fixed_settings, refuse_changes

CLAIM = Claim("id-1", fixed_settings(Settings()))


def test_the_same_checkpoint_with_the_same_settings_goes_on() -> None:
    refuse_changes({"fraud": CLAIM}, "id-1", Settings(job=Job(trigger_ms=999, max_records_per_trigger=5)))


@pytest.mark.parametrize("found", [None, "id-2"])
def test_a_name_whose_batches_are_archived_is_refused_to_another_checkpoint(found: str | None) -> None:
    with pytest.raises(MisconfiguredError, match=r"job\.query: fraud belongs to another checkpoint"):
        refuse_changes({"fraud": CLAIM}, found, Settings())


def test_what_changed_is_named_with_both_values_and_the_way_out() -> None:
    with pytest.raises(MisconfiguredError, match=r"job\.key_groups: is 8, .* made with 2; .*job\.start"):
        refuse_changes({"fraud": CLAIM}, "id-1", Settings(job=Job(key_groups=8)))


def test_a_checkpoint_goes_on_under_its_own_name_only() -> None:
    renamed = Settings(job=Job(query="fraud-2"))
    with pytest.raises(MisconfiguredError, match=r"job\.query: is fraud-2, but the checkpoint .* is that of fraud, "):
        refuse_changes({"fraud": CLAIM}, "id-1", renamed)
    refuse_changes({"fraud": CLAIM}, None, renamed)
    refuse_changes({}, "id-1", Settings())
