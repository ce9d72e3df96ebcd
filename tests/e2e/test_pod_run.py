"""The whole job as its pods start it: killed, an executor lost or decommissioned, SIGTERM; nothing lost or twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from embedded.stack import LocalStack
from fraud.settings import Settings
from infrastructure.checks.pod_run import PodRun
from infrastructure.checks.s3a import chart_options

ROOT = Path(__file__).parents[2]
DECOMMISSION = ("spark.decommission.", "spark.storage.decommission.", "spark.executor.decommission.")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    with LocalStack(Settings(), tmp_path / "run") as entered:
        yield entered


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_killed_pod_goes_on_and_sigterm_ends_the_next_after_its_micro_batch(stack: LocalStack) -> None:
    with PodRun(stack, {}, checkpoint=str(stack.folder / "checkpoint")) as job:
        job.start()
        job.feed()
        job.kill()
        job.start()
        job.send()
        job.stop()  # whatever it had not read, the next start reads
        job.start()
        job.feed()
        job.stop()
        assert job.problems() == []


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    not (ROOT / ".venv-infra" / "bin" / "python").exists(), reason="no .venv-infra: `make infra-check` sets it up"
)
def test_a_decommissioned_executor_ends_by_itself_and_another_one_goes_on(stack: LocalStack) -> None:
    options = {name: value for name, value in chart_options().items() if name.startswith(DECOMMISSION)}
    assert options
    with PodRun(stack, options, str(stack.folder / "checkpoint"), master="local-cluster[2,1,1024]") as job:
        job.start()
        job.feed()
        first, second = job.executors()
        first.send_signal(signal.SIGPWR)  # as decom.sh does, before a pod's end
        job.feed()
        psutil.wait_procs([first], timeout=120)
        assert not first.is_running()
        assert second in job.executors()
        job.feed()
        job.stop()
        assert job.problems() == []


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_killed_executor_is_replaced_and_nothing_is_lost_or_decided_twice(stack: LocalStack) -> None:
    with PodRun(stack, {}, str(stack.folder / "checkpoint"), master="local-cluster[2,1,1024]") as job:
        job.start()
        job.send()
        job.executors()[0].kill()
        job.feed()
        job.stop()
        assert job.problems() == []
