"""The Terraform against the code that it deploys."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Template
from typing import Any

import pytest

from adapters.aws.provision import ALERT_INDEXES
from fraud.settings import Settings
from infrastructure.checks import terraform
from ml_model.deployment_plan import VARIANT

FOLDER = terraform.TERRAFORM
POLICIES = sorted((FOLDER / "modules" / "iam" / "policies").glob("*.json"))
DELIVERY = sorted((FOLDER / "modules" / "delivery" / "policies").glob("*.json"))
RUNBOOKS = Path(__file__).parents[3] / "docs" / "runbooks"

WITHOUT_RESOURCE = {
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingPolicies",
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
}
"""Actions that AWS defines for no resource (Service Authorization Reference)."""


def policy(file: Path) -> list[dict[str, Any]]:
    """A policy's statements, names in place of ARNs."""
    names = {name: name for name in re.findall(r"\$\{(\w+)\}", file.read_text())}
    return list(json.loads(Template(file.read_text()).substitute(names))["Statement"])


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_the_table_is_the_one_that_the_code_makes() -> None:
    text = (FOLDER / "modules" / "tables" / "main.tf").read_text()
    indexes = {
        name: (hash_key, range_key)
        for name, hash_key, range_key in re.findall(r'(by_\w+)\s*= \{ hash = "(\w+)", range = "(\w+)" \}', text)
    }
    assert indexes == ALERT_INDEXES
    assert re.search(r'hash_key\s+= "alert_id"', text)
    assert re.search(r'ttl \{\s+attribute_name = "expires_at"', text)


def test_the_settings_that_it_gives_are_settings() -> None:
    text = (FOLDER / "platform" / "outputs.tf").read_text()
    sections = re.findall(r"^    (\w+)\s*= \{(.*)\}$", text, flags=re.MULTILINE)
    assert len(sections) > 4
    for section, fields in sections:
        known = type(getattr(Settings(), section)).model_fields
        assert set(re.findall(r"(\w+) = ", fields)) <= set(known), section


@pytest.mark.parametrize("file", POLICIES + DELIVERY, ids=lambda file: file.stem)
def test_no_policy_allows_everything_on_anything(file: Path) -> None:
    for statement in policy(file):
        assert statement["Effect"] == "Allow"
        actions = listed(statement["Action"])
        assert not any("*" in action for action in actions)
        for resource in listed(statement["Resource"]):
            named = re.fullmatch(r"\w+_arn([/:][\w/*-]+)*(:[\w-]+/endpoint(-\*)?)?", resource)
            assert named or (resource == "*" and set(actions) <= WITHOUT_RESOURCE), resource


def test_other_policies_use_an_asterisk_only_where_aws_knows_no_resource() -> None:
    for file in (FOLDER / "modules").rglob("*.tf"):
        for block in re.findall(r"\{[^{}]*Resource\s+= \"\*\"[^{}]*", file.read_text()):
            if "Principal" in block:
                continue  # the policy of a key or a bucket is about itself
            actions = set(re.findall(r'"(\w+:\w+)"', block))
            assert actions <= WITHOUT_RESOURCE, f"{file.name}: {actions}"


def test_each_workload_has_a_policy_and_a_service_account() -> None:
    workloads = set(re.findall(r'"(\w+)"', _between("modules/iam/main.tf", "workloads = toset(", ")")))
    values = (FOLDER.parent / "helm" / "fraud" / "values.yaml").read_text()
    accounts = set(re.findall(r"^  \w+: fraud-(\w+)$", values, flags=re.MULTILINE))
    assert workloads == {file.stem for file in POLICIES} == accounts


def test_the_variant_is_the_one_that_a_deployment_moves() -> None:
    text = (FOLDER / "modules" / "sagemaker" / "variables.tf").read_text()
    assert f'if !model.shadow] == ["{VARIANT}"]' in text


def test_whatever_checkov_skips_has_a_reason() -> None:
    reasons = []
    for file in [*FOLDER.rglob("*.tf"), *(FOLDER.parents[1] / ".github").rglob("*.yml")]:
        reasons += re.findall(r"checkov:skip=\w+(.*)", file.read_text())
    assert len(reasons) >= 4
    assert all(re.fullmatch(r":[\w' ,;.-]{20,}", reason) for reason in reasons)


def test_alarms_name_runbooks_that_are_there() -> None:
    named = set(re.findall(r'runbook\s*= "([\w-]+)"', (FOLDER / "modules" / "alarms" / "main.tf").read_text()))
    assert named
    assert all((RUNBOOKS / f"{name}.md").exists() for name in named)


def test_every_variable_and_output_is_described_and_typed() -> None:
    for file in [*FOLDER.rglob("variables.tf"), *FOLDER.rglob("outputs.tf")]:
        blocks = re.split(r"^(?=variable|output)", file.read_text(), flags=re.MULTILINE)[1:]
        for block in blocks:
            assert "description = " in block, f"{file}: {block[:40]}"
            assert block.startswith("output") or re.search(r"^  type\s+= ", block, flags=re.MULTILINE), block[:40]


def _between(file: str, start: str, end: str) -> str:
    text = (FOLDER / file).read_text()
    begin = text.index(start) + len(start)
    return text[begin : text.index(end, begin)]
