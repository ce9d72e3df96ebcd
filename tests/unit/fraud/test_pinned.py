"""Every setting that decides about a record is pinned with its batch or fixed with its checkpoint."""

from __future__ import annotations

import pytest

from fraud.errors import MisconfiguredError
from fraud.pinned import PINNED, pinned_settings, with_pinned
from fraud.settings import Job, Settings
from processor.checkpoint import fixed_settings

DECIDE_NOTHING = {
    "job.query",  # names the objects
    "job.checkpoint",
    "job.state_folder",
    "job.trigger_ms",  # how records are cut into batches, which the checkpoint keeps
    "job.max_records_per_trigger",
    "job.start",  # where a new query starts, which the checkpoint keeps
    "job.stop_timeout_s",
    "job.takeover_wait_s",
    "job.partitions",  # which key groups lie together, which Spark notes in the checkpoint
    "job.master",
    "job.driver_memory",
    "streams.shards",
    "answers.sign_with",  # of the service, which signs
}


def test_a_setting_of_the_job_is_pinned_or_fixed_or_decides_nothing_about_a_record() -> None:
    settings = Settings()
    names = {
        f"{section}.{name}"
        for section in ("job", "streams", "money", "answers")
        for name in type(getattr(settings, section)).model_fields
    }
    by_their_definitions = {"job.features"}  # fixed as "feature definitions"
    sorted_in = [set(PINNED), set(fixed_settings(settings)) & names, by_their_definitions, DECIDE_NOTHING]
    assert set().union(*sorted_in) == names
    assert sum(map(len, sorted_in)) == len(names)


def test_a_batch_is_decided_by_what_it_was_begun_with() -> None:
    begun = Settings(job=Job(max_age_s=60, state_expiry_days=90))
    later = Settings(job=Job(max_age_s=None, max_ahead_s=5, trigger_ms=7))
    again = with_pinned(later, pinned_settings(begun))
    assert (again.job.max_age_s, again.job.max_ahead_s, again.job.state_expiry_days) == (60, 3_600, 90)
    assert again.job.trigger_ms == 7
    assert with_pinned(later, {}) == later  # of a version that pinned no settings


@pytest.mark.parametrize(
    ("pinned", "message"),
    [
        ({"job.of_later": 5}, r"^job\.of_later: decided about the records of a batch, and this version does not have"),
        ({"job.state_expiry_days": 1}, r"^job\.state_expiry_days: decided about the records of a batch as 1: "),
    ],
)
def test_what_another_version_pinned_and_this_one_cannot_do_is_refused_in_one_line(
    pinned: dict[str, int], message: str
) -> None:
    with pytest.raises(MisconfiguredError, match=message) as refused:
        with_pinned(Settings(), pinned)
    assert "\n" not in str(refused.value)
