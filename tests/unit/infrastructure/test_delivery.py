"""Workflows and Compose file name what is there: files, commands, settings, roles, alarms."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from adapters.program.configuration import load_settings
from cli.main import build_app
from infrastructure.checks.delivery import workflow_problems

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if "tmpfs" in service}


def fraud_commands(service: dict[str, Any]) -> list[list[str]]:
    words = [*service.get("entrypoint", []), *service.get("command", [])]
    words = [word for word in words if not word.endswith("/start.sh")]
    words = words if words[0] in ("fraud", "sh", "python") else ["fraud", *words]
    if words[0] == "sh":
        return [shlex.split(part.strip().removeprefix("exec "))[1:] for part in words[2].split("&&")]
    return [words[1:]] if words[0] == "fraud" else []


def test_the_whole_product_is_there() -> None:
    assert set(OURS) == {"setup", "endpoint", "job", "events", "producer", "console"}


@pytest.mark.parametrize("name", [name for name in OURS if name != "endpoint"])
def test_every_command_of_a_service_exists(name: str) -> None:
    commands = typer.main.get_command(build_app()).commands  # type: ignore[attr-defined]
    for command, *arguments in fraud_commands(OURS[name]):
        commands[command].make_context(command, arguments)


@pytest.mark.parametrize("name", SERVICES)
def test_every_file_of_a_service_exists(name: str) -> None:
    service = SERVICES[name]
    files = [volume.split(":")[0] for volume in service.get("volumes", [])]
    build = service.get("build", {})
    files += [build["dockerfile"]] if "dockerfile" in build else []
    files += re.findall(r"^COPY (\S+)", build.get("dockerfile_inline", ""), re.MULTILINE)
    files += [word for word in service.get("entrypoint", []) if word.startswith("scripts/")]
    assert all((ROOT / file).exists() for file in files)
    # An image that a service does not build is built by another one, or comes from a registry with its version.
    built = {each["image"] for each in SERVICES.values() if "build" in each}
    assert service["image"] in built or ":" in service["image"] or "profiles" in service


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_a_service_is_a_setting(name: str) -> None:
    given = {key: value for key, value in OURS[name]["environment"].items() if key.startswith("FRAUD_")}
    settings = load_settings(None, given)
    assert settings.aws.endpoint_url == "http://emulator:4566"
    assert settings.job.checkpoint.startswith("/data/")


def test_the_job_takes_generated_times_that_pass_faster_than_the_clock() -> None:
    assert "--live" not in SERVICES["producer"]["command"]
    given = {key: value for key, value in OURS["job"]["environment"].items() if key.startswith("FRAUD_")}
    assert load_settings(None, given).job.recorded_arrival


@pytest.mark.parametrize("name", OURS)
def test_every_service_is_confined(name: str) -> None:
    assert OURS[name]["read_only"]
    assert OURS[name]["cap_drop"] == ["ALL"]


def test_every_service_waits_for_one_that_can_be_healthy() -> None:
    healthy = {name for name, service in SERVICES.items() if "healthcheck" in service}
    for name, service in OURS.items():
        dockerfile = ROOT / service["build"]["dockerfile"] if "build" in service else None
        if dockerfile and "HEALTHCHECK --" in dockerfile.read_text():
            healthy.add(name)
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES
            assert how["condition"] != "service_healthy" or needed in healthy


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_every_action_is_pinned_by_commit_and_every_path_exists(file: Path) -> None:
    text = file.read_text()
    assert workflow_problems(text) == []
    assert all((ROOT / used).exists() for used in re.findall(r"uses: (\./\S+)", text))
    for path in re.findall(r"(?<![\w/-])(?:infrastructure|scripts)/[\w./-]+", re.sub(r"\$\{\{[^}]*\}\}", "dev", text)):
        known = path.replace("images/dev.Dockerfile", "images/job.Dockerfile").rstrip("/.")
        assert (ROOT / known).exists(), path


COMMIT = "a" * 40
SOUND = f"""
on: push
permissions: {{}}
jobs:
  one:
    permissions: {{contents: read, id-token: write}}
    steps:
      - uses: actions/checkout@{COMMIT}  # v7.0.1
        with: {{persist-credentials: false}}
      - uses: aws-actions/configure-aws-credentials@{COMMIT}  # v6.2.3
        with: {{role-to-assume: role}}
  two:
    permissions: {{contents: read}}
    uses: ./.github/workflows/other.yml
"""


def test_a_sound_workflow_has_no_problem() -> None:
    assert workflow_problems(SOUND) == []


@pytest.mark.parametrize(
    ("sound", "broken", "says"),
    [
        (f"checkout@{COMMIT}  # v7.0.1", "checkout@v7", "pin it by commit"),
        (f"checkout@{COMMIT}  # v7.0.1", "checkout@main", "pin it by commit"),
        (f"checkout@{COMMIT}  # v7.0.1", "checkout", "pin it by commit"),
        (f"checkout@{COMMIT}  # v7.0.1", f"checkout@{COMMIT[:39]}  # v7.0.1", "pin it by commit"),
        (f"checkout@{COMMIT}  # v7.0.1", f"checkout@{COMMIT}", "name the version"),
        (
            f"- uses: actions/checkout@{COMMIT}  # v7.0.1",
            '- "uses": "actions/setup-go@v5"',
            "pin it by commit",
        ),
        (
            "uses: ./.github/workflows/other.yml",
            "uses: owner/repository/.github/workflows/a.yml@v1",
            "pin it by commit",
        ),
        (f"- uses: actions/checkout@{COMMIT}  # v7.0.1", "- uses: docker://alpine:3", "pin it by commit"),
        ("permissions: {}", "permissions: read-all", "give the workflow none"),
        ("permissions: {}\n", "", "give the workflow none"),
        ("permissions: {}", "permissions: {contents: write}", "give the workflow none"),
        ("    permissions: {contents: read}\n", "", "job two: permissions: list the scopes"),
        ("permissions: {contents: read}", "permissions: write-all", "job two: permissions: list the scopes"),
        (
            "permissions: {contents: read}",
            "permissions: {contents: write}",
            "job two: permissions: contents without a step that makes",
        ),
        ("with: {role-to-assume: role}", "with: {aws-region: x}", "id-token without a step"),
        ("with: {persist-credentials: false}", "with: {fetch-depth: 1}", "set persist-credentials: false"),
    ],
)
def test_a_workflow_that_anybody_could_turn_round_is_a_problem(sound: str, broken: str, says: str) -> None:
    assert sound in SOUND
    problems = workflow_problems(SOUND.replace(sound, broken, 1))
    assert any(says in problem for problem in problems), problems


def test_only_approved_environments_take_on_a_role_that_changes_something() -> None:
    for file in WORKFLOWS:
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            for step in job.get("steps", []):
                role = step.get("with", {}).get("role-to-assume", "")
                assert not role or "PLAN_ROLE" in role or "environment" in job, file.name


def test_a_model_is_deployed_by_a_command_that_exists_and_watched_by_alarms_that_exist() -> None:
    text = (ROOT / ".github" / "workflows" / "model.yml").read_text()
    line = re.search(r"fraud models deploy (.*\n.*)\$\{\{ inputs.dry-run", text)
    assert line is not None
    words = shlex.split(re.sub(r"\$\{\{[^}]*\}\}", "x", line[1].replace("\\\n", "")))
    deploy = typer.main.get_command(build_app()).commands["models"].commands["deploy"]  # type: ignore[attr-defined]
    deploy.make_context("deploy", words)
    kinds = set(re.findall(r"-main-(\w+)", text))
    alarms = (ROOT / "infrastructure" / "terraform" / "modules" / "alarms" / "main.tf").read_text()
    assert kinds
    assert all(f'key = "{kind}"' in alarms for kind in kinds)
