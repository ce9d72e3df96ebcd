"""The whole system on one machine: stand-in, model endpoint, job and producer, started in order, ended in reverse."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import yaml

from adapters.provision import provision
from embedded.checks import check_disk, check_java, check_python, check_stand_in, require
from embedded.child import Child
from embedded.model_endpoint import ModelEndpoint
from embedded.stand_in import free_port, start_stand_in
from fraud.settings import Settings

_JOB_READY_S = 120.0


class LocalStack:
    """A context: on entry the stand-in answers and is provisioned; on exit every process it started has ended.

    Args:
        settings: the user's settings; addresses and folders in them are replaced by the local ones. Where they name an
            endpoint, a local one is started.
        folder: a run folder of its own; an earlier run's content is removed.
        port: the stand-in's port; None takes a free one.

    Attributes:
        endpoint: the local model endpoint, where the settings name one.
    """

    def __init__(self, settings: Settings, folder: Path, port: int | None = None) -> None:
        self.settings = settings
        self.folder = folder.absolute()
        self._port = port
        self.endpoint: ModelEndpoint | None = None
        self._children = ExitStack()

    def __enter__(self) -> LocalStack:
        require(check_python(), check_java(), check_stand_in(), check_disk(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            stand_in, url = start_stand_in(self.folder, self._port)
            self._children.callback(stand_in.stop)
            self.settings = self._localised(url)
            if self.settings.model.endpoint is not None:
                self._start_endpoint()
            self.write_settings(self.settings)
            provision(self.settings)
        except BaseException:
            self._children.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._children.close()

    @property
    def settings_file(self) -> Path:
        """The settings that every program of this run reads."""
        return self.folder / "settings.yaml"

    def write_settings(self, settings: Settings) -> None:
        """Gives the programs that are started from now on these settings."""
        self.settings_file.write_text(yaml.safe_dump(settings.model_dump()))

    def start_job(self) -> Child:
        """Starts the streaming job and waits until its query runs, and the endpoint answers."""
        job = self._start("job", "processor.main")
        if self.endpoint is not None:
            self.endpoint.await_ready()
        job.wait_until(lambda: job.said("query_started"), _JOB_READY_S)
        return job

    def start_console(self, users: Path, port: int) -> Child:
        """Starts the console; it answers a little later."""
        return self._start("console", "cli.main", "console", "--users", str(users), "--port", str(port))

    def start_producer(self, name: str, arguments: Sequence[str]) -> Child:
        """Starts a producer, named for its log file, with further arguments of `python -m producer.main`."""
        return self._start(name, "producer.main", *arguments)

    def _start_endpoint(self) -> None:
        self.endpoint = ModelEndpoint(self.settings.model.artifact, self.folder)
        self._children.callback(self.endpoint.stop)
        model = self.settings.model.model_copy(update={"endpoint_url": self.endpoint.url})
        self.settings = self.settings.model_copy(update={"model": model})

    def _start(self, name: str, module: str, *arguments: str) -> Child:
        command = [sys.executable, "-m", module, *arguments, "--config", str(self.settings_file)]
        child = Child(name, command, self.folder)
        self._children.callback(child.stop)
        return child

    def _localised(self, url: str) -> Settings:
        given = self.settings
        return given.model_copy(
            update={
                "aws": given.aws.model_copy(update={"endpoint_url": url}),
                "job": given.job.model_copy(
                    update={"checkpoint": str(self.folder / "checkpoint"), "state_folder": str(self.folder / "state")}
                ),
                "health": given.health.model_copy(update={"port": given.health.port or free_port()}),
                "console": given.console.model_copy(
                    update={"ground_truth": str(self.folder), "folder": str(self.folder / "console")}
                ),
            }
        )
