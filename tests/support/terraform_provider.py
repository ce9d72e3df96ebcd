"""The AWS provider for tests that run Terraform."""

from __future__ import annotations

import shutil

import pytest

from infrastructure.checks.terraform import provider_environment


def require_provider() -> dict[str, str]:
    """The environment in which Terraform finds the provider; without Terraform or the provider the test is skipped."""
    environment = provider_environment()
    if environment is None or shutil.which("terraform") is None:
        pytest.skip("no Terraform, or no AWS provider for it, is at hand")
    return environment
