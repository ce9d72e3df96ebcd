"""The dev environment is applied to local emulators, planned again and destroyed."""

from __future__ import annotations

import pytest

from infrastructure.checks import apply
from tests.support.terraform_provider import require_provider


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_environment_is_applied_does_not_drift_and_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    require_provider()
    assert apply.main() == 0, capsys.readouterr().out
