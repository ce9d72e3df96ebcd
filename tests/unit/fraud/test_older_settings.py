"""Settings files of older versions are read: a renamed setting keeps its old name as a second one."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fraud.settings import Settings


def test_renamed_settings_are_read_by_their_old_names() -> None:
    older = Settings.model_validate({"retraining": {"least_frauds": 50}, "deployment": {"most_instances": 9}})
    newer = Settings.model_validate({"retraining": {"min_frauds": 50}, "deployment": {"max_instances": 9}})
    assert older == newer
    assert (older.retraining.min_frauds, older.deployment.max_instances) == (50, 9)
    assert "least_frauds" not in older.model_dump()["retraining"]


def test_an_old_name_is_checked_as_the_new_one() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 20"):
        Settings.model_validate({"retraining": {"least_frauds": 1}})


def test_both_names_at_once_are_an_error_that_names_the_old_one() -> None:
    with pytest.raises(ValidationError, match=r"retraining\.least_frauds\n.*not permitted"):
        Settings.model_validate({"retraining": {"least_frauds": 50, "min_frauds": 60}})
