"""Every place where a policy may lie behaves alike, and the source that reads it keeps a good version."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from adapters.objects.opening import open_objects
from adapters.policy.source import PolicyFiles, PolicySource, open_policy, policy_files, read_bundle, write_bundle
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.errors import MisconfiguredError
from fraud.settings import Aws, Settings
from tests.support.decisions import FIELDS, rule
from tests.support.emulators import provisioned

Put = Callable[[str, str], None]
"""Writes a file of the policy: name beside it, text."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Settings]:
    with provisioned() as settings:
        yield settings


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[PolicyFiles, Put]:
    settings, address = Settings(), str(tmp_path)
    if request.param == "s3":
        settings = request.getfixturevalue("emulator")
        address = f"s3://{settings.archive.bucket}/{re.sub('[^a-z0-9]+', '-', request.node.name)}"
    objects = open_objects(address, settings.aws)
    return policy_files(f"{address}/policy.yaml", settings.aws), lambda name, text: objects.put(name, text.encode())


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
    put("policy.yaml", document(rules=[rule("corrected", "amount_minor > 1")]))

    assert [(entry["log_level"], entry["version"]) for entry in logs] == [("error", good.version)]
    assert [r.rule.id for r in source.refresh().rules] == ["corrected"]


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


def test_a_path_chooses_the_place(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(document())

    source = open_policy(policy_files(str(tmp_path / "policy.yaml"), Aws()), "EUR", FIELDS)

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


@pytest.mark.parametrize(
    "bad",
    [
        "thresholds: {}\nlists: [{name: a, kind: block, of: card, entries: [{value: x, expires: 2026-02-30}]}]",
        "thresholds: {}\nrule_files: 5",
        "thresholds: {}\nlists: 5",
        "thresholds: {review: " + "9" * 5_000 + "}",
        "thresholds: " + "[" * 100_000,
        'thresholds: {}\nrule_files: ["a\\0b"]',
        "thresholds: {}\nrule_files: [" + "n" * 5_000 + "]",
        "thresholds: {}\nrule_files: [rules]",
        "a: &a ["
        + "x," * 100
        + "]\nb: &b ["
        + "*a," * 100
        + "]\nc: &c ["
        + "*b," * 100
        + "]\nd: ["
        + "*c," * 100
        + "]",
        "thresholds: {review: 0.5}\nthresholds: {review: 0.9}",
    ],
)
def test_a_hostile_file_changes_nothing_while_running_nor_at_the_next_start(
    place: tuple[PolicyFiles, Put], bad: str
) -> None:
    files, put = place
    put("policy.yaml", document())
    put("rules/a.yaml", rules("one"))
    source = PolicySource(files, compiled)
    good = source.current

    put("policy.yaml", bad)

    assert source.refresh() is good
    assert PolicySource(files, compiled, lambda: good.bundle).current.version == good.version
    with pytest.raises(MisconfiguredError) as refused:
        PolicySource(files, compiled)
    assert refused.value.exit_code == 2


def test_an_unforeseen_fault_of_a_check_is_an_error_of_ours(place: tuple[PolicyFiles, Put]) -> None:
    files, put = place
    put("policy.yaml", document())

    def failing(bundle: PolicyBundle) -> CompiledPolicy:
        raise ZeroDivisionError("of a fault in our own code")

    with pytest.raises(MisconfiguredError, match="ZeroDivisionError: of a fault in our own code"):
        PolicySource(files, failing)
