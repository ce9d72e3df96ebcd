"""Applies the whole dev environment to local emulators, plans again, and destroys it: `make infra-apply`.

Terraform works on a copy below `.local/infra-apply`; nothing outside this machine is called.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3

from fraud.errors import MisconfiguredError
from fraud.settings import Settings
from infrastructure.checks import strict_yaml
from infrastructure.checks.emulators import ACCOUNT, FAULTS, Emulators, emulators
from infrastructure.checks.terraform import ROOT, TERRAFORM, provider_environment

ENVIRONMENT = "dev"
_WORK = ROOT / ".local" / "infra-apply"
_VALUES = ROOT / "infrastructure" / "helm" / "fraud" / f"values-{ENVIRONMENT}.yaml"
_CHECKS_PYTHON = ROOT / ".venv-infra" / "bin" / "python"
_EVERY_S = 15.0

VARIABLES: dict[str, Any] = {
    "account_id": ACCOUNT,
    "admin_role_arns": {"ops": f"arn:aws:iam::{ACCOUNT}:role/ops"},
    "alarm_mail_addresses": ["ops@example.com"],
    "consumers": ["second-reader"],
    "delivery": {
        "provider_arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com",
        "repository": "owner/repository",
        "environment": ENVIRONMENT,
    },
    "endpoint": {
        "image": f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/fraud-dev/endpoint:0123abc",
        "models": {
            "main": {"artifact_url": "s3://fraud-dev-archive/models/a/model.tar.gz"},
            "challenger": {"artifact_url": "s3://fraud-dev-archive/models/b/model.tar.gz", "shadow": True},
        },
        "instance_type": "ml.c5.xlarge",
        "instances": {"min": 1, "max": 2},
    },
}
"""Everything that the environment can have: an endpoint with a shadow, alarms by mail, a fan-out consumer, delivery."""


class Terraform:
    """Terraform in one folder.

    Args:
        folder: of the configuration.
        environment: of the process.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)

    def run(self, *arguments: str) -> str:
        """What a command prints.

        Raises:
            MisconfiguredError: it failed.
        """
        command = ["terraform", f"-chdir={self._folder}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self._environment)
        if done.returncode:
            raise MisconfiguredError(f"terraform {arguments[0]}", (done.stderr or done.stdout).strip())
        return done.stdout

    def follow(self, *arguments: str) -> int:
        """Runs a command that changes things and reports from time to time how far it is.

        Returns:
            How many resources it created, changed or destroyed.

        Raises:
            MisconfiguredError: it failed; with Terraform's own messages.
        """
        command = ["terraform", f"-chdir={self._folder}", *arguments, "-json", "-input=false"]
        changed, errors, reported = 0, [], time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self._environment) as process:
            for event in _events(process.stdout or []):
                changed += event["type"] == "apply_complete"
                if event["type"] == "diagnostic" and event["@level"] == "error":
                    errors.append(f"{event['@message']}: {event['diagnostic'].get('detail', '')}")
                if time.monotonic() - reported > _EVERY_S:
                    reported = time.monotonic()
                    print(f"  {changed} resources; {event['@message']}", flush=True)
        if process.returncode:
            raise MisconfiguredError(f"terraform {arguments[0]}", "\n".join(errors) or "failed and did not say why")
        return changed


def destroy(terraform: Terraform) -> int:
    """Destroys everything.

    Returns:
        How many resources.
    """
    try:
        return terraform.follow("destroy", "-auto-approve")
    except MisconfiguredError as error:
        # ministack closes idle connections, the provider then repeats a deletion that was carried out, and the
        # answer is that there is nothing to delete. Terraform looks again when it is started again.
        print(f"  again, after {error}", flush=True)
        return terraform.follow("destroy", "-auto-approve")


def _events(lines: Any) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in lines if line.startswith("{"))


def main() -> int:
    """Applies and destroys; 1 where something is left, drifts or does not fit, 2 where it cannot be tried."""
    environment = provider_environment()
    if environment is None or shutil.which("terraform") is None:
        print("infra-apply: needs terraform and an AWS provider; set TF_CLI_CONFIG_FILE or TF_PLUGIN_CACHE_DIR")
        return 2
    shutil.rmtree(_WORK, ignore_errors=True)
    _WORK.mkdir(parents=True)
    with emulators(_WORK) as at:
        terraform = Terraform(write_configuration(at), environment)
        try:
            problems = apply_and_destroy(terraform, at)
        except MisconfiguredError as error:
            print(error)
            return 1
    for problem in problems:
        print(problem)
    print(f"faults of the emulators that are left out of account ({len(FAULTS)}, infrastructure/checks/emulators.py):")
    for what, reason in sorted(FAULTS.items()):
        print(f"  {what}: {reason}")
    return 1 if problems else 0


def write_configuration(at: Emulators) -> Path:
    """A copy of the environment whose provider calls the emulators.

    Returns:
        The folder to run Terraform in.
    """
    shutil.copytree(TERRAFORM, _WORK / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    folder = _WORK / "terraform" / "environments" / ENVIRONMENT
    provider = {
        "access_key": "test",
        "secret_key": "test",
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
        "skip_region_validation": True,
        "s3_use_path_style": True,
        "endpoints": [at.endpoints()],
    }
    state = {"path": str(_WORK / "terraform.tfstate")}
    override = {"provider": {"aws": provider}, "terraform": {"backend": {"local": state}}}
    (folder / "emulator_override.tf.json").write_text(json.dumps(override))
    (folder / "emulator.auto.tfvars.json").write_text(json.dumps(VARIABLES))
    return folder


def apply_and_destroy(terraform: Terraform, at: Emulators) -> list[str]:
    """Problems found on the way."""
    began = time.monotonic()

    def report(what: str) -> None:
        print(f"{what}, {time.monotonic() - began:.0f} s", flush=True)

    terraform.run("init", "-input=false")
    created = terraform.follow("apply", "-auto-approve")
    report(f"applied: {created} resources")
    terraform.run("plan", "-input=false", f"-out={_WORK / 'second.plan'}")
    problems, known = drift(json.loads(terraform.run("show", "-json", str(_WORK / "second.plan"))))
    report(f"planned again: {len(known)} changes that emulators cause, {len(problems)} others")
    problems += [f"emulator fault that was not seen, take it from the list: {name}" for name in FAULTS.keys() - known]
    settings = json.loads(terraform.run("output", "-json", "settings"))
    problems += settings_problems(settings) + chart_problems(settings)
    report(f"destroyed: {destroy(terraform)} resources")
    if terraform.run("state", "list").strip():
        problems.append("something is left in the state after destroy")
    return problems + [f"left after destroy: {name}" for name in remains(at)]


def drift(plan: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What a plan wants to change: what nothing explains, and the emulators' faults that explain the rest."""
    problems: list[str] = []
    known: list[str] = []
    for each in plan.get("resource_changes", []):
        change = each["change"]
        if change["actions"] in (["no-op"], ["read"]):
            continue
        before, after, unknown = (change[name] or {} for name in ("before", "after", "after_unknown"))
        names = [
            name
            for name in sorted({*before, *after})
            if unknown.get(name) is not True and given(before.get(name)) != given(after.get(name))
        ]
        for name in names:
            fault = f"{each['type']} {name}"
            if fault in FAULTS:
                known.append(fault)
            else:
                problems.append(f"{each['address']} {name}: {before.get(name)!r} to {after.get(name)!r}")
        if not names:
            problems.append(f"{each['address']}: {change['actions']}")
    return problems, known


def given(value: Any) -> Any:
    """A value without what was not given: a provider reads back empty what was never set.

    >>> given([{"name": "a", "size": 0, "tags": {}}])
    [{'name': 'a'}]
    """
    if isinstance(value, dict):
        kept = {name: given(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each} or None
    if isinstance(value, list):
        return [given(each) for each in value] or None
    return value or None


def settings_problems(given: Mapping[str, Any]) -> list[str]:
    """Where the settings that the environment puts out are none, or differ from the chart's values for it."""
    Settings.model_validate(given)
    values = strict_yaml.load(_VALUES.read_text())["settings"]
    return [
        f"settings {section}.{name}: Terraform gives {given[section][name]!r}, the chart's values {value!r}"
        for section, fields in values.items()
        for name, value in fields.items()
        if name in given.get(section, {}) and given[section][name] != value
    ]


def chart_problems(given: Mapping[str, Any]) -> list[str]:
    """Why the chart refuses the settings that the environment puts out, if it does."""
    program = [str(_CHECKS_PYTHON), "-m", "infrastructure.checks.render_chart"]
    command = [*program, ENVIRONMENT, json.dumps({"settings": given})]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return [f"the chart refuses the environment's settings: {done.stderr.splitlines()[-1]}"] if done.returncode else []


def remains(at: Emulators) -> list[str]:
    """What the emulators still hold of the environment."""
    session: Any = boto3.Session("test", "test", region_name="eu-central-1")

    def client(service: str, address: str) -> Any:
        return session.client(service, endpoint_url=address)

    found = [
        *client("kinesis", at.ministack).list_streams()["StreamNames"],
        *client("dynamodb", at.ministack).list_tables()["TableNames"],
        *(bucket["Name"] for bucket in client("s3", at.ministack).list_buckets()["Buckets"]),
        *client("eks", at.ministack).list_clusters()["clusters"],
        *(role["RoleName"] for role in client("iam", at.ministack).list_roles()["Roles"]),
        *(each["repositoryName"] for each in client("ecr", at.ministack).describe_repositories()["repositories"]),
        *(each["EndpointName"] for each in client("sagemaker", at.moto).list_endpoints()["Endpoints"]),
        *(each["ModelName"] for each in client("sagemaker", at.moto).list_models()["Models"]),
    ]
    return [name for name in found if name.startswith(f"fraud-{ENVIRONMENT}")]


if __name__ == "__main__":
    sys.exit(main())
