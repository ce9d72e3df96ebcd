"""Checks the GitHub workflows and the Compose file against the schemas that GitHub and Compose publish."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    "vendor.github-workflows": sorted((ROOT / ".github" / "workflows").glob("*.yml")),
    "vendor.compose-spec": [ROOT / "docker-compose.yml"],
}


def run() -> list[str]:
    """Problems found, each with its file; empty when all is well."""
    program = str(Path(sys.executable).with_name("check-jsonschema"))
    problems = []
    for schema, files in SCHEMAS.items():
        command = [program, "--builtin-schema", schema, *(str(file) for file in files)]
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        if checked.returncode:
            problems.append(f"{schema}: {(checked.stdout + checked.stderr).strip()}")
    return problems
