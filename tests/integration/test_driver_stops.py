"""A pod's SIGTERM reaches the driver as the image starts it, with the arguments that Spark gives a driver's pod."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "infrastructure" / "images" / "job.sh"
SPARK = Path(pyspark.__file__).parent

DRIVER = """
import signal, sys, threading
from fraud.settings import Settings
from processor.session import open_session

stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
spark = open_session(Settings())
print("master", spark.sparkContext.master, *sys.argv[1:], flush=True)
print("heap", spark.conf.get("spark.driver.memory"), flush=True)
stopping.wait()
print("finished", spark.range(10).count(), flush=True)
spark.stop()
"""


@contextmanager
def started(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    program, properties = tmp_path / "driver.py", tmp_path / "spark.properties"
    program.write_text(DRIVER)
    properties.write_text(
        "spark.master=local[1]\nspark.submit.deployMode=cluster\nspark.driver.memory=600m\n"
        "spark.driver.host=127.0.0.1\nspark.ui.enabled=false\n"
    )
    environment = {
        **os.environ,
        "SPARK_HOME": str(SPARK),
        "SPARK_DRIVER_BIND_ADDRESS": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
    }
    arguments = ["driver", "--properties-file", str(properties), "--class", "org.apache.spark.deploy.PythonRunner"]
    command = [str(SCRIPT), *arguments, f"local://{program}", "--config", "a b"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as driver,
    ):
        try:
            yield driver
        finally:
            driver.kill()


def test_a_driver_that_gets_sigterm_finishes_its_work_with_a_jvm_that_lives(tmp_path: Path) -> None:
    with started(tmp_path) as driver:
        assert driver.stdout is not None
        said = [driver.stdout.readline().strip() for _ in range(2)]
        assert said == ["master local[1] --config a b", "heap 600m"], (tmp_path / "log").read_text()
        driver.send_signal(signal.SIGTERM)
        assert driver.stdout.read().strip() == "finished 10"
        assert driver.wait() == 0


def test_what_is_no_driver_is_run_as_it_is() -> None:
    done = subprocess.run([str(SCRIPT), "echo", "a  b"], capture_output=True, text=True, check=True)
    assert done.stdout == "a  b\n"
