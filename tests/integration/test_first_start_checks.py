"""`fraud doctor --aws` names what a first start would miss, before it is started."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from adapters.aws.clients import aws_client
from embedded.aws_checks import check_first_start
from fraud.settings import Settings
from tests.support.emulators import provisioned

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "deliver-environment.yml"
VALUES = ROOT / "infrastructure" / "helm" / "fraud" / "values-prod.yaml"


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as provided:
        yield provided


def lacking(settings: Settings, ahead_s: float = 0.0) -> list[str]:
    def now() -> float:
        return time.time() + ahead_s  # noqa: TID251  it is compared with the emulator's clock, which is this machine's

    return [finding.name for finding in check_first_start(settings, now) if not finding.ok]


def test_a_provisioned_environment_is_in_order(settings: Settings) -> None:
    assert lacking(settings) == []


def test_a_policy_that_nobody_put_there_is_named_and_found_once_it_is(settings: Settings) -> None:
    place = f"s3://{settings.archive.bucket}/policy/policy.yaml"
    named = settings.model_copy(update={"policy": settings.policy.model_copy(update={"path": place})})
    assert lacking(named) == [f"Policy {place}"]
    s3 = aws_client("s3", settings.aws)
    s3.put_object(Bucket=settings.archive.bucket, Key="policy/policy.yaml", Body=b"thresholds: {}\nrules: []\n")
    assert lacking(named) == []


@pytest.mark.long
def test_delivery_puts_the_first_policy_there_and_leaves_a_later_one_alone(settings: Settings, tmp_path: Path) -> None:
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["chart"]["steps"]
    (step,) = [each["run"] for each in steps if "VALUES" in each.get("env", {})]
    bucket, key = settings.archive.bucket, "delivered/policy.yaml"
    values = tmp_path / "values.yaml"
    values.write_text(VALUES.read_text().replace("fraud-prod-archive/policy/policy.yaml", f"{bucket}/{key}"))
    environment = os.environ | {
        "PATH": f"{ROOT / '.venv-emulator' / 'bin'}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": str(settings.aws.endpoint_url),
        "AWS_DEFAULT_REGION": settings.aws.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "VALUES": str(values),
    }

    def deliver() -> None:
        subprocess.run(["bash", "-ec", step], cwd=ROOT, env=environment, check=True)

    named = settings.model_copy(update={"policy": settings.policy.model_copy(update={"path": f"s3://{bucket}/{key}"})})
    assert lacking(named) == [f"Policy s3://{bucket}/{key}"]
    deliver()
    assert lacking(named) == []
    s3 = aws_client("s3", settings.aws)
    s3.put_object(Bucket=bucket, Key=key, Body=b"thresholds: {}\nrules: []\n")
    deliver()
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"thresholds: {}\nrules: []\n"


def test_a_bucket_a_table_and_a_model_that_are_not_there_are_named(settings: Settings) -> None:
    wrong = {
        "archive": settings.archive.model_copy(update={"bucket": "another"}),
        "alerts": settings.alerts.model_copy(update={"table": "another"}),
        "model": settings.model.model_copy(update={"artifact": "/nowhere"}),
    }
    found = lacking(settings.model_copy(update=wrong))
    assert found == ["Right to write the archive", "Right to put alerts", "Model", "History"]


def test_a_clock_that_is_wrong_is_named(settings: Settings) -> None:
    assert lacking(settings, ahead_s=300) == ["Clock"]
