"""The tutorial from Amazon Fraud Detector: its `bash` blocks run in order against the emulator."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from embedded.emulator import free_port, start_emulator

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial-fraud-detector.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", TUTORIAL, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_command_leads_to_the_first_answer_lists_and_labels(tmp_path: Path) -> None:
    work = tmp_path / "checkout"
    work.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in (".git", ".local"):
            (work / entry.name).symlink_to(entry)
    child, address = start_emulator(tmp_path)
    try:
        environment = os.environ | {
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "FRAUD_AWS__ENDPOINT_URL": address,
            "DECISIONS": f"http://127.0.0.1:{free_port()}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "\n".join(BLOCKS)
        done = subprocess.run(
            ["bash", "-c", script], cwd=work, env=environment, capture_output=True, text=True, timeout=550, check=False
        )
    finally:
        child.stop()
    log = work / "moved" / "decide.log"
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:] + (log.read_text() if log.exists() else "")
    said = done.stdout
    assert "100 answers compared: 100 alike, 0 differ" in said
    assert re.search(r"^first answer: \['\w+'\]$", said, flags=re.MULTILINE)
    assert "bad BIN: ['bad_bin']" in said
    assert "new BIN: ['bad_bin']" in said
    assert re.search(r"^\s*422222\s", said, flags=re.MULTILINE)
    assert "label: fraud" in said


def test_blocks_that_are_not_run_say_what_they_need() -> None:
    assert len(BLOCKS) > 6
    for block in re.findall(r"^```sh\n(.*?)^```$", TUTORIAL, flags=re.MULTILINE | re.DOTALL):
        assert re.search(r"\b(docker|aws)\b", block), block
