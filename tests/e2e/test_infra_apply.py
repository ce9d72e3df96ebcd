"""The dev environment is applied to local stand-ins, planned again and destroyed."""

from __future__ import annotations

import pytest

from infrastructure.checks import apply, terraform


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(terraform.provider_environment() is None, reason="no AWS provider for Terraform is at hand")
def test_the_environment_is_applied_does_not_drift_and_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert apply.main() == 0, capsys.readouterr().out
