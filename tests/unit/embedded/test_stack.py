"""Two runs never share a folder, and none begins that could not go on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedded.stack import LocalStack, only_run
from fraud.errors import MisconfiguredError
from fraud.settings import Policy, Settings

_HOLD = "import sys; from pathlib import Path; from embedded.stack import only_run\nwith only_run(Path(sys.argv[1])):"


def test_a_second_run_in_a_folder_is_refused_in_one_line_until_the_first_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with only_run(folder):
        said = rf"demo: process {os.getpid()} runs here; end it \(Ctrl-C\), or use another checkout"
        with pytest.raises(MisconfiguredError, match=said), only_run(folder):
            pass
        with only_run(tmp_path / "parity"):
            pass
    with only_run(folder):
        pass


def test_a_run_that_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    program = f"{_HOLD}\n    print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "held\n"
        with pytest.raises(MisconfiguredError, match=f"process {held.pid} runs here"), only_run(folder):
            pass
        held.kill()
    with only_run(folder):
        pass


def test_a_policy_that_does_not_hold_stops_a_run_before_it_removes_the_last_one(tmp_path: Path) -> None:
    policy, archive = tmp_path / "policy.yaml", tmp_path / "run" / "archive"
    policy.write_text("thresholds: {review: 0.5, decline: 0.9}\nrule_files: [own.yaml]\n")
    (tmp_path / "own.yaml").write_text(
        "rules:\n  - {id: busy, description: x, when: customer_count_24h > 3, outcome: review, reason: BUSY, text: x}\n"
    )
    archive.mkdir(parents=True)
    stack = LocalStack(Settings(policy=Policy(path=str(policy))), tmp_path / "run")
    with pytest.raises(MisconfiguredError, match=r"rule busy: .*customer_count_24h"), stack:
        pass
    assert archive.exists()
