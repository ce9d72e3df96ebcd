"""Every place where a policy may lie behaves alike, and the source that reads it keeps a good version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import structlog
import yaml
from moto import mock_aws

from adapters.policy_source import (
    LocalFiles,
    PolicyFiles,
    PolicySource,
    S3Files,
    open_policy,
    read_bundle,
    write_bundle,
)
from fraud.errors import MisconfiguredError
from fraud.policy.bundle import ROOT, PolicyBundle
from fraud.policy.compiled import CompiledPolicy
from fraud.policy.compiler import compile_policy
from fraud.settings import Policy, Settings
from tests.support.decisions import FIELDS, rule

Put = Callable[[str, str], None]
"""Writes a file of the policy: name beside it, text."""

BUCKET = "policies"


@pytest.fixture(params=["folder", "s3"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[PolicyFiles, Put]]:
    if request.param == "folder":

        def put_file(name: str, text: str) -> None:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

        yield LocalFiles(str(tmp_path / "policy.yaml")), put_file
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)

        def put_object(name: str, text: str) -> None:
            client.put_object(Bucket=BUCKET, Key=f"live/{name}", Body=text.encode())

        yield S3Files(f"s3://{BUCKET}/live/policy.yaml", client), put_object


def document(**keys: Any) -> str:
    return yaml.safe_dump({"thresholds": {"review": 0.5}} | keys)


def compiled(bundle: PolicyBundle) -> CompiledPolicy:
    return compile_policy(bundle, FIELDS)


def rules(*identifiers: str) -> str:
    return yaml.safe_dump({"rules": [rule(identifier, "amount_minor > 1") for identifier in identifiers]})


def test_policy_comes_with_the_files_that_it_names(place: tuple[PolicyFiles, Put]) -> None:
    files, put = place
    put("policy.yaml", document(rule_files=["rules/a.yaml"], lists=[
        {"name": "cards", "kind": "block", "of": "card", "file": "cards.csv"}]))  # fmt: skip
    put("rules/a.yaml", rules("one"))
    put("cards.csv", "value\ncard-1\n")
    put("rules/unnamed.yaml", "{")

    bundle = read_bundle(files)

    assert set(bundle.files) == {"policy.yaml", "rules/a.yaml", "cards.csv"}
    assert [r.rule.id for r in compiled(bundle).rules] == ["one"]


def test_missing_file_is_named(place: tuple[PolicyFiles, Put]) -> None:
    files, put = place
    put("policy.yaml", document(rule_files=["rules/none.yaml"]))

    with pytest.raises(MisconfiguredError, match=r"rules/none\.yaml cannot be read"):
        read_bundle(files)


def test_change_of_any_file_is_a_new_version_without_restart(place: tuple[PolicyFiles, Put]) -> None:
    files, put = place
    put("policy.yaml", document(rule_files=["rules/a.yaml"]))
    put("rules/a.yaml", rules("one"))
    source = PolicySource(files, compiled)
    before = source.current
    assert source.refresh() is before

    put("rules/a.yaml", rules("one", "two"))
    after = source.refresh()

    assert after.version != before.version
    assert [r.rule.id for r in after.rules] == ["one", "two"]


@pytest.mark.parametrize("bad", ["rules: [{id: x}]", "{", "thresholds: {review: 2}", "rule_files: [none.yaml]"])
def test_bad_version_is_refused_loudly_and_the_old_one_stays(place: tuple[PolicyFiles, Put], bad: str) -> None:
    files, put = place
    put("policy.yaml", document())
    source = PolicySource(files, compiled)
    good = source.current

    put("policy.yaml", bad)
    with structlog.testing.capture_logs() as logs:
        assert source.refresh() is good
    put("policy.yaml", document(rules=[rule("mended", "amount_minor > 1")]))

    assert [(entry["log_level"], entry["version"]) for entry in logs] == [("error", good.version)]
    assert [r.rule.id for r in source.refresh().rules] == ["mended"]


def test_version_that_was_refused_is_not_complained_about_again(place: tuple[PolicyFiles, Put]) -> None:
    files, put = place
    put("policy.yaml", document())
    source = PolicySource(files, compiled)
    put("policy.yaml", document(rules=[rule("bad", "nothing > 1")]))
    source.refresh()

    with structlog.testing.capture_logs() as logs:
        source.refresh()

    assert logs == []


def test_going_back_to_the_version_in_force_is_quiet_and_a_refused_one_can_be_tried_again(
    place: tuple[PolicyFiles, Put],
) -> None:
    files, put = place
    bad = document(rules=[rule("bad", "nothing > 1")])
    put("policy.yaml", document())
    source = PolicySource(files, compiled)
    put("policy.yaml", bad)
    source.refresh()
    put("policy.yaml", document())
    source.refresh()
    put("policy.yaml", bad)

    with structlog.testing.capture_logs() as logs:
        source.refresh()

    assert len(logs) == 1


def test_start_with_a_bad_policy_stops(place: tuple[PolicyFiles, Put]) -> None:
    files, put = place
    put("policy.yaml", document(rules=[rule("bad", "nothing > 1")]))

    with pytest.raises(MisconfiguredError, match="unknown field nothing"):
        PolicySource(files, compiled)


def test_settings_choose_the_place(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(document())

    source = open_policy(Settings(policy=Policy(path=str(tmp_path / "policy.yaml"))), FIELDS)

    assert source.current.thresholds.review == 0.5


def test_file_outside_the_policy_folder_is_refused(place: tuple[PolicyFiles, Put]) -> None:
    files, put = place
    for name in ("../secret.yaml", "/etc/hostname", "rules/../../secret.yaml"):
        put("policy.yaml", document(rule_files=[name]))
        with pytest.raises(MisconfiguredError, match="must lie beside the policy"):
            read_bundle(files)


def test_a_written_policy_is_read_back(place: tuple[PolicyFiles, Put]) -> None:
    files, put = place
    put("policy.yaml", document(rule_files=["rules/a.yaml"]))
    put("rules/a.yaml", "rules: []")
    before = read_bundle(files)
    after = PolicyBundle(
        {**before.files, ROOT: document(rule_files=["rules/a.yaml", "rules/new.yaml"]), "rules/new.yaml": "rules: []"}
    )
    assert write_bundle(files, before, after)
    assert read_bundle(files) == after


def test_a_policy_that_somebody_else_changed_is_not_written_over(place: tuple[PolicyFiles, Put]) -> None:
    files, put = place
    put("policy.yaml", document())
    before = read_bundle(files)
    put("policy.yaml", document(rules=[]))
    standing = read_bundle(files)
    assert not write_bundle(files, before, PolicyBundle({ROOT: document(thresholds={"review": 0.1})}))
    assert read_bundle(files) == standing


def test_a_new_file_is_not_written_over_one_that_is_there(place: tuple[PolicyFiles, Put]) -> None:
    files, put = place
    put("policy.yaml", document())
    put("rules/new.yaml", "rules: []")
    before = read_bundle(files)
    after = PolicyBundle(
        {**before.files, ROOT: document(rule_files=["rules/new.yaml"]), "rules/new.yaml": "velocity: []"}
    )
    assert not write_bundle(files, before, after)
    assert read_bundle(files) == before
