from __future__ import annotations

import pytest

from fraud.errors import MisconfiguredError
from fraud.settings import Model, Settings
from processor.scoring import open_scoring


def test_without_a_setting_there_is_no_challenger() -> None:
    assert open_scoring(Settings()).challenger is None


def test_challenger_that_is_missing_stops_at_start() -> None:
    with pytest.raises(MisconfiguredError):
        open_scoring(Settings(model=Model(challenger="no/such/artifact")))
