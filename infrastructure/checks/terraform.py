"""Checks the Terraform: format, validity, its own tests with a mocked provider, and checkov's rules.

Terraform takes the AWS provider from where `TF_CLI_CONFIG_FILE` says, or from a mirror on this machine. Where there is
neither, or no Terraform, what needs it is left out, and said.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TERRAFORM = ROOT / "infrastructure" / "terraform"
HELM = ROOT / "infrastructure" / "helm" / "fraud"
CONFIGURATIONS = (
    "bootstrap",
    "platform",
    "environments/dev",
    "environments/prod",
    *(f"modules/{name}" for name in ("eks", "network", "sagemaker", "streams")),
)
LOCKED = ("bootstrap", "environments/dev", "environments/prod")
"""Configurations that are applied as they are; modules take the provider that these lock."""
_MIRROR = ROOT.parent / "shared" / "tools" / "terraform-mirror"
_WORK = ROOT / ".local" / "terraform"


def run() -> list[str]:
    """Problems found, each with its configuration; empty when all is well."""
    problems = [*check_policies(), *check_values()]
    if shutil.which("terraform") is None:
        print("terraform: left out, it is not installed")
        return problems
    environment = provider_environment()
    if environment is None:
        print("terraform: left out, no AWS provider is at hand; set TF_CLI_CONFIG_FILE or TF_PLUGIN_CACHE_DIR")
        return problems
    problems += _failures("terraform fmt", ["terraform", "fmt", "-check", "-recursive", str(TERRAFORM)], environment)
    for name in CONFIGURATIONS:
        problems += list(check_configuration(name, environment))
    return problems


def check_configuration(name: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Problems of one configuration."""
    folder = TERRAFORM / name
    data = {"TF_DATA_DIR": str(_WORK / name)}
    locked = ["-lockfile=readonly"] if (folder / ".terraform.lock.hcl").exists() and name in LOCKED else []
    for command in (["init", "-backend=false", "-input=false", *locked], ["validate"], ["test"]):
        if command[0] == ("validate" if (folder / "tests").exists() else "test"):
            continue  # what is tested is validated on the way
        found = _failures(
            f"terraform {command[0]} {name}",
            ["terraform", f"-chdir={folder}", *command, "-no-color"],
            {**environment, **data},
        )
        yield from found
        if found:
            return


def check_values() -> Iterator[str]:
    """Environments whose values are not all in the repository: what falls back to a default is removed by an apply."""
    for folder in sorted((TERRAFORM / "environments").iterdir()):
        variables = (folder / "variables.tf").read_text()
        given = folder / "terraform.tfvars"
        values = set(re.findall(r"^(\w+)\s*=", given.read_text(), re.MULTILINE)) if given.exists() else set()
        for name in sorted(set(re.findall(r'^variable "(\w+)"', variables, re.MULTILINE)) - values):
            yield f"terraform {folder.name}: terraform.tfvars gives no {name}"
        if re.search(r"^  default\s*=", variables, re.MULTILINE):
            yield f"terraform {folder.name}: a variable with a default may be left out: {folder.name}/variables.tf"
    yield from _retention_problems()
    for name in LOCKED:
        if not (TERRAFORM / name / ".terraform.lock.hcl").exists():
            yield f"terraform {name}: no .terraform.lock.hcl: its provider is whichever is newest"


def check_policies() -> list[str]:
    """What checkov finds; a rule that is left out says why beside the resource."""
    folders = [TERRAFORM / name for name in ("bootstrap", "modules", "platform")]
    folders += [ROOT / "infrastructure" / "images", ROOT / ".github"]
    command = [str(Path(sys.executable).with_name("checkov")), "--compact", "--quiet", "--skip-download"]
    command += ["--framework", "terraform", "dockerfile", "github_actions"]
    for folder in folders:
        command += ["--directory", str(folder)]
    return list(_failures("checkov", command, dict(os.environ)))


def provider_environment() -> dict[str, str] | None:
    """The environment in which Terraform finds the provider; None where it cannot."""
    given = os.environ.get("TF_CLI_CONFIG_FILE")
    if (given and Path(given).exists()) or os.environ.get("TF_PLUGIN_CACHE_DIR"):
        return dict(os.environ)
    if not _MIRROR.exists():
        return None
    printed = subprocess.run([str(_MIRROR)], capture_output=True, text=True, check=False)
    if printed.returncode:
        return None
    _WORK.mkdir(parents=True, exist_ok=True)
    configuration = _WORK / "cli.tfrc"
    configuration.write_text(printed.stdout)
    return {**os.environ, "TF_CLI_CONFIG_FILE": str(configuration)}


def _retention_problems() -> Iterator[str]:
    """Environments whose bucket and programs do not forget at the same time, or whose streams outlive what settles."""
    settled_days = yaml.safe_load((HELM / "values.yaml").read_text())["settings"]["archive"]["settled_days"]
    for folder in sorted((TERRAFORM / "environments").iterdir()):
        main = (folder / "main.tf").read_text()
        hours, days = (
            int(re.findall(rf"^\s*{name}\s*=\s*(\d+)$", main, re.MULTILINE)[0])
            for name in ("stream_retention_hours", "archive_retention_days")
        )
        values = yaml.safe_load((HELM / f"values-{folder.name}.yaml").read_text())["settings"]["archive"]
        if values["retention_days"] != days:
            yield (
                f"terraform {folder.name}: the bucket keeps decisions for {days} days, the tables for "
                f"{values['retention_days']} (archive.retention_days of the chart)"
            )
        if hours >= 24 * settled_days:
            yield (
                f"terraform {folder.name}: streams keep records for {hours} h, but a date is settled after "
                f"{settled_days} days (archive.settled_days)"
            )


def _failures(what: str, command: list[str], environment: Mapping[str, str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(environment))
    return [f"{what}: {(done.stdout + done.stderr).strip()}"] if done.returncode else []
