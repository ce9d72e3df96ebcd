"""What a plan removes is named, and nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def guarded(text: str) -> tuple[int, list[str]]:
    command = [sys.executable, "-m", "infrastructure.plan_guard"]
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def plan(*changes: tuple[str, list[str]]) -> str:
    listed: list[dict[str, Any]] = [
        {"address": f"module.a.{kind}.this", "type": kind, "change": {"actions": actions}} for kind, actions in changes
    ]
    return json.dumps({"resource_changes": listed})


@pytest.mark.parametrize(
    "kind", ["aws_s3_bucket", "aws_iam_role", "aws_sagemaker_endpoint", "aws_sns_topic_subscription"]
)
def test_what_is_removed_or_replaced_is_named(kind: str) -> None:
    assert guarded(plan((kind, ["delete"]))) == (3, [f"module.a.{kind}.this: removed"])
    for actions in (["delete", "create"], ["create", "delete"]):
        assert guarded(plan((kind, actions))) == (3, [f"module.a.{kind}.this: removed and made again"])


def test_what_is_made_or_changed_in_place_passes() -> None:
    text = plan(("aws_s3_bucket", ["create"]), ("aws_iam_role", ["update"]), ("aws_kms_key", ["no-op"]))
    assert guarded(text) == (0, [])
    assert guarded(plan(("aws_sagemaker_endpoint_configuration", ["create", "delete"]))) == (0, [])


def test_what_is_no_plan_passes_nothing() -> None:
    assert guarded("")[0] != 0
    assert guarded("{")[0] != 0
