"""`fraud doctor --aws` names what a first start would miss, before it is started."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from adapters.aws.clients import aws_client
from embedded.aws_checks import check_first_start
from fraud.settings import Settings
from tests.support.emulators import provisioned


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
