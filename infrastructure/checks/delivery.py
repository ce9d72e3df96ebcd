"""Checks the workflows and the Compose file: the schemas that GitHub and Compose publish, pins and permissions."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infrastructure.checks import strict_yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
COMPOSE = ROOT / "docker-compose.yml"
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.compose-spec": [COMPOSE],
    "vendor.dependabot": [ROOT / ".github" / "dependabot.yml"],
}

_USES = re.compile(r"^\s*(?:-\s+)?[\"']?uses[\"']?\s*:\s*(?P<action>[^#\n]+?)\s*(?:#\s*(?P<note>.*))?$", re.MULTILINE)
_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}|docker://\S+@sha256:[0-9a-f]{64}")
_SCOPES = {"read", "write", "none"}
_IDENTITY = "id-token"
_USED_BY = {
    _IDENTITY: "takes on a role or signs",
    "attestations": "signs",
    "contents": "makes a release",
}
"""Rights to write that a job may have, and what a step of it then does."""


def run() -> list[str]:
    """Problems found, each with its file; empty when all is well."""
    program = str(Path(sys.executable).with_name("check-jsonschema"))
    problems = []
    for schema, files in SCHEMAS.items():
        command = [program, "--builtin-schema", schema, *(str(file) for file in files)]
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        if checked.returncode:
            problems.append(f"{schema}: {(checked.stdout + checked.stderr).strip()}")
    problems += [f"{file.name}: {problem}" for file in WORKFLOWS for problem in workflow_problems(file.read_text())]
    services = strict_yaml.load(COMPOSE.read_text())["services"]
    return problems + [f"{COMPOSE.name}: {problem}" for problem in compose_problems(services)]


def compose_problems(services: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Where a service of Compose cannot do what it has to.

    Docker mounts a tmpfs with noexec unless exec is asked for. Java loads libraries from /tmp that it unpacks there.
    """
    for name, service in services.items():
        mounts = {
            place: options.split(",") for place, _, options in (at.partition(":") for at in service.get("tmpfs", []))
        }
        if service.get("read_only") and "/tmp" not in mounts:
            yield f"{name}: nothing can be written to /tmp, and the root is read-only"
        if "exec" not in mounts.get("/tmp", ["exec"]):
            yield f"{name}: /tmp is mounted noexec: say exec, or no native library loads from there"


def workflow_problems(text: str) -> list[str]:
    """Where a workflow runs code that its author can exchange, or gives its jobs more rights than they use.

    A tag is a name that whoever holds the action's repository can move to other code; a commit is not.
    """
    workflow: Mapping[str, Any] = strict_yaml.load(text)
    return [
        *_unpinned(text, workflow),
        *_permission_problems(workflow),
        *_origin_problems(workflow),
        *_terraform_problems(text),
    ]


def _terraform_problems(text: str) -> Iterator[str]:
    """Where a workflow applies something else than what was planned, with other values or another provider."""
    if "TF_VAR_" in text:
        yield "TF_VAR_: values of an environment belong in its terraform.tfvars, for every plan and apply alike"
    for command in re.findall(r"terraform (?:init|apply)\b.*", text):
        if command.startswith("terraform init") and "-lockfile=readonly" not in command:
            yield f"{command}: say -lockfile=readonly, or the provider is whichever is newest"
        if command.startswith("terraform apply") and ("-auto-approve" in command or not command.endswith(".plan")):
            yield f"{command}: apply the plan that was looked at"


def _unpinned(text: str, workflow: Mapping[str, Any]) -> Iterator[str]:
    notes = {found["action"].strip("\"'"): found["note"] or "" for found in _USES.finditer(text)}
    for action in _actions(workflow):
        if action.startswith("./"):
            continue
        if not _PINNED.fullmatch(action):
            yield f"{action}: pin it by commit: OWNER/NAME@<40 hexadecimal digits>  # vX.Y.Z"
        elif not re.match(r"v?\d+\.\d+\.\d+", notes.get(action, "")):
            yield f"{action}: name the version of this commit in a comment behind it, # vX.Y.Z"


def _actions(workflow: Mapping[str, Any]) -> Iterator[str]:
    for job in workflow["jobs"].values():
        for user in (job, *job.get("steps", [])):
            if "uses" in user:
                yield str(user["uses"])


def _uses_of(job: Mapping[str, Any]) -> set[str]:
    """Rights to write that steps of a job use; of those of a workflow that it calls, they are looked at there."""
    used = {_IDENTITY, "attestations"} if str(job.get("uses", "")).startswith("./") else set()
    for step in job.get("steps", []):
        if "role-to-assume" in step.get("with", {}):
            used.add(_IDENTITY)
        if _signs(step):
            used |= {_IDENTITY, "attestations"}
        if "gh release create" in step.get("run", ""):
            used.add("contents")
    return used


def _signs(step: Mapping[str, Any]) -> bool:
    return str(step.get("uses", "")).startswith("actions/attest@")


def _origin_problems(workflow: Mapping[str, Any]) -> Iterator[str]:
    """Where what is shipped does not say, signed, where it comes from, or is named by what can be moved."""
    for name, job in workflow["jobs"].items():
        steps = job.get("steps", [])
        run = "\n".join(step.get("run", "") for step in steps)
        signed = {"sbom-path" in step["with"] for step in steps if _signs(step)}
        if "docker push" in run:
            if False not in signed:
                yield f"job {name}: pushes an image without signing where it comes from (actions/attest)"
            if True not in signed:
                yield f"job {name}: pushes an image without signing what it holds (actions/attest, sbom-path)"
        if "release_files.sh" in run and not signed:
            yield f"job {name}: makes the files of a release without signing where they come from (actions/attest)"
        if "release.sh" in run and "imageDigest" not in run:
            yield f"job {name}: releases images by their tag, which can be moved: give images.digests"


def _permission_problems(workflow: Mapping[str, Any]) -> Iterator[str]:
    if workflow.get("permissions") != {}:
        yield "permissions: give the workflow none, {}, and each job its own"
    for name, job in workflow["jobs"].items():
        given = job.get("permissions")
        if not isinstance(given, Mapping) or not set(given.values()) <= _SCOPES:
            yield f"job {name}: permissions: list the scopes it needs, each read, write or none"
            continue
        writes = {scope for scope, right in given.items() if right == "write"}
        if needless := sorted(writes - _USED_BY.keys()):
            yield f"job {name}: permissions: writes {', '.join(needless)}, which no job here needs"
        for scope in sorted((writes & _USED_BY.keys()) - _uses_of(job)):
            yield f"job {name}: permissions: {scope} without a step that {_USED_BY[scope]}"
        for step in job.get("steps", []):
            kept = step.get("with", {}).get("persist-credentials", True)
            if str(step.get("uses", "")).startswith("actions/checkout@") and kept is not False:
                yield f"job {name}: actions/checkout: set persist-credentials: false, or later steps find the token"
