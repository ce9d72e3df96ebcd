"""The tutorial from an empty account to the first alert: its `bash` blocks run in order against the emulator."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from embedded.emulator import start_emulator
from infrastructure.checks.emulators import ACCOUNT, Emulators
from tests.support.terraform_provider import require_provider

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial-aws.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", TUTORIAL, flags=re.MULTILINE | re.DOTALL)
CONFIGURATIONS = ("bootstrap", "environments/dev")
TERRAFORM = """#!/bin/sh
# ministack closes a connection that was idle for 75 s, as on a busy machine they are. The provider then repeats a
# deletion that was carried out, and the answer is that there is nothing to delete. A second start looks again.
for attempt in 1 2 3; do
  "$TERRAFORM" "$@" && exit
  case "$*" in *" destroy "*) echo "terraform: again, the emulator closed a connection" ;; *) exit 1 ;; esac
done
exit 1
"""
"""Terraform with a patience that the emulator needs; `infrastructure/checks/apply.py` has it, too."""


def checkout(folder: Path, address: str) -> Path:
    """The checkout, but Terraform addresses S3 by path, which no variable of the environment asks for."""
    copy = folder / "checkout"
    copy.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in ("infrastructure", ".git", ".local"):
            (copy / entry.name).symlink_to(entry)
    shutil.copytree(ROOT / "infrastructure", copy / "infrastructure", ignore=shutil.ignore_patterns(".terraform*"))
    for name in CONFIGURATIONS:
        provider = {"s3_use_path_style": True, "endpoints": [Emulators(address, address).endpoints()]}
        override: dict[str, object] = {"provider": {"aws": provider}}
        if name.startswith("environments"):
            s3 = {"key": "fraud/dev.tfstate", "encrypt": True, "use_lockfile": True, "use_path_style": True}
            override["terraform"] = {"backend": {"s3": s3 | {"endpoints": {"s3": address, "sts": address}}}}
        file = copy / "infrastructure" / "terraform" / name / "emulator_override.tf.json"
        file.write_text(json.dumps(override))
    return copy


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_every_command_leads_to_the_first_alert_and_back(tmp_path: Path) -> None:
    provider = require_provider()
    child, address = start_emulator(tmp_path)
    try:
        work = checkout(tmp_path, address)
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "terraform").write_text(TERRAFORM)
        (tmp_path / "bin" / "terraform").chmod(0o755)
        programs = (tmp_path / "bin", ROOT / ".venv" / "bin", ROOT / ".venv-emulator" / "bin")
        path = ":".join([*map(str, programs), os.environ["PATH"]])
        environment = {
            **provider,
            "PATH": path,
            "TERRAFORM": str(shutil.which("terraform")),
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "\n".join(BLOCKS)
        log = tmp_path / "tutorial.log"
        with log.open("w") as out:
            command = ["bash", "-x", "-c", script]
            done = subprocess.run(command, cwd=work, env=environment, stdout=out, stderr=out, timeout=1700, check=False)
        text = log.read_text()
        job = (work / "try.log").read_text()[-2000:] if (work / "try.log").exists() else ""
        assert done.returncode == 0, text[-4000:] + job
        assert f"{ACCOUNT}-fraud-terraform-state" in text
        assert re.search(r"^\S+\t(review|decline)$", text, flags=re.MULTILINE), text[-4000:]
        assert "Destroy complete" in text
    finally:
        child.stop()


def test_blocks_that_are_not_run_say_what_they_need() -> None:
    assert len(BLOCKS) > 6
    for block in re.findall(r"^```sh\n(.*?)^```$", TUTORIAL, flags=re.MULTILINE | re.DOTALL):
        assert re.search(r"\b(docker|kubectl|helm)\b", block), block
