"""The whole system on one machine: emulator, model endpoint, job and producer, started in order, ended in reverse."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import yaml

from adapters.archive.archive import open_archive
from adapters.aws.provision import provision
from adapters.policy.source import PolicyFiles, policy_files, read_bundle, write_bundle
from embedded.checks import check_disk, check_emulator, check_java, check_python, require
from embedded.child import Child
from embedded.class_archive import ClassRecording
from embedded.emulator import free_port, start_emulator
from embedded.model_endpoint import ModelEndpoint
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.errors import MisconfiguredError
from fraud.features import catalogue_of
from fraud.settings import Archive, Settings

_JOB_READY_S = 300.0
_JOB_GRACE_S = 60.0


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """A context in which no other run uses the folder; it ends with the process, however that ends.

    Raises:
        MisconfiguredError: another run uses it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("a+") as lock:  # beside the folder, which a run removes
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            way_out = "end it (Ctrl-C), or use another checkout"
            raise MisconfiguredError(str(folder), f"process {lock.read()} runs here; {way_out}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class LocalStack:
    """A context: on entry the emulator answers and is provisioned; on exit every process it started has ended.

    Args:
        settings: the user's settings; addresses and folders in them are replaced by the local ones, and the policy with
            its rules and lists by a copy. Where they name an endpoint, a local one is started.
        folder: a run folder of its own; an earlier run's content is removed. Two runs at a time need two folders.
        port: the emulator's port; None takes a free one.

    Attributes:
        endpoint: the local model endpoint, where the settings name one.
    """

    def __init__(self, settings: Settings, folder: Path, port: int | None = None) -> None:
        self.settings = settings
        self.folder = folder.absolute()
        self._port = port
        self.endpoint: ModelEndpoint | None = None
        self._children = ExitStack()
        self._recording: ClassRecording | None = None

    def __enter__(self) -> LocalStack:
        require(check_python(), check_java(), check_emulator(), check_disk(self.folder))
        self._children.enter_context(only_run(self.folder))
        try:
            policy = self._checked_policy()
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            emulator, url = start_emulator(self.folder, self._port)
            self._children.callback(emulator.stop)
            self._copy_policy(policy)
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

    @property
    def policy_file(self) -> Path:
        """The policy of this run, a copy with its rules and lists beside it; whoever edits a rule edits it here."""
        return self.folder / "policy" / ROOT

    def keep_archive(self) -> Path:
        """Copies the archive into a folder beside the logs and has the settings file name it, for later commands.

        Returns:
            The folder; it stays when the emulator has ended.
        """
        place = Archive(folder=str(self.folder / "archive"))
        open_archive(self.settings.archive, self.settings.aws).copy_to(open_archive(place, self.settings.aws))
        self.write_settings(self.settings.model_copy(update={"archive": place}))
        return Path(place.address)

    def start_job(self) -> Child:
        """Starts the streaming job and waits until its query runs, and the endpoint answers."""
        job = self.launch_job()
        self.await_job(job)
        return job

    def launch_job(self) -> Child:
        """Starts the streaming job; `await_job` waits until its query runs."""
        self._recording = ClassRecording.where_missing(self.folder)
        recording = {} if self._recording is None else self._recording.environment
        return self._start("job", "processor.main", environment=os.environ | recording)

    def await_job(self, job: Child) -> None:
        """Waits until the job's query runs, and the endpoint answers."""
        if self.endpoint is not None:
            self.endpoint.await_ready()
        job.wait_until(lambda: job.said("query_started"), _JOB_READY_S)

    @property
    def keeps_classes(self) -> bool:
        """Whether the stop of the job takes seconds longer, for an archive of the classes that its JVM has loaded."""
        return self._recording is not None

    def stop_job(self, job: Child) -> None:
        """Lets the job finish its batch; a checkout's first job leaves an archive of Spark's classes to later ones."""
        if self._recording is None:
            job.stop(_JOB_GRACE_S)
        else:
            self._recording.stop(job, _JOB_GRACE_S)

    def start_console(self, users: Path, port: int) -> Child:
        """Starts the console; it answers a little later."""
        return self._start("console", "cli.main", "console", "--users", str(users), "--port", str(port))

    def start_decide(self, name: str, port: int, *arguments: str) -> Child:
        """Starts the decision service, named for its log file; it is ready a little later."""
        return self._start(name, "cli.main", "decide", "--port", str(port), *arguments)

    def start_events(self) -> Child:
        """Starts to collect and deliver events; the settings name receivers."""
        return self._start("events", "cli.main", "events", "run")

    def start_producer(self, name: str, arguments: Sequence[str], key: str | None = None) -> Child:
        """Starts a producer, named for its log file.

        Args:
            name: of it.
            arguments: of `python -m producer.main`.
            key: of the decision service that it asks.
        """
        environment = None if key is None else os.environ | {"DECISIONS_API_KEY": key}
        return self._start(name, "producer.main", *arguments, environment=environment)

    def rescale(self, partitions: int) -> Child:
        """Starts to move the state of the stopped job; jobs that are started from now on have so many partitions."""
        job = self.settings.job.model_copy(update={"partitions": partitions})
        written = Settings.model_validate(yaml.safe_load(self.settings_file.read_text()))
        self.settings = self.settings.model_copy(update={"job": job})
        self.write_settings(written.model_copy(update={"job": job}))
        return self._start("rescale", "cli.main", "rescale", "--partitions", str(partitions))

    def _start_endpoint(self) -> None:
        self.endpoint = ModelEndpoint(self.settings.model.artifact, self.folder)
        self._children.callback(self.endpoint.stop)
        model = self.settings.model.model_copy(update={"endpoint_url": self.endpoint.url})
        self.settings = self.settings.model_copy(update={"model": model})

    def _start(self, name: str, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Child:
        command = [sys.executable, "-m", module, *arguments, "--config", str(self.settings_file)]
        child = Child(name, command, self.folder, environment)
        self._children.callback(child.stop)
        return child

    def _given_policy(self) -> PolicyFiles:
        return policy_files(self.settings.policy.path, self.settings.aws, self.settings.lists.path)

    def _checked_policy(self) -> PolicyBundle:
        """The policy that the settings name. One that does not hold stops the run here, long before the job would."""
        bundle = read_bundle(self._given_policy())
        compile_policy(bundle, fields_of(catalogue_of(self.settings).features), self.settings.money.base_currency)
        return bundle

    def _copy_policy(self, bundle: PolicyBundle) -> None:
        given, own = self._given_policy(), policy_files(str(self.policy_file), self.settings.aws)
        write_bundle(own, PolicyBundle({}), bundle)
        if given.lists is not None and own.lists is not None:
            given.lists.copy_to(own.lists)

    def _localised(self, url: str) -> Settings:
        given = self.settings
        return given.model_copy(
            update={
                "aws": given.aws.model_copy(update={"endpoint_url": url}),
                "policy": given.policy.model_copy(update={"path": str(self.policy_file)}),
                "lists": given.lists.model_copy(update={"path": None}),
                "job": given.job.model_copy(
                    update={
                        "checkpoint": str(self.folder / "checkpoint"),
                        "state_folder": str(self.folder / "state"),
                        "recorded_arrival": True,  # what is sent here is generated or replayed
                    }
                ),
                "health": given.health.model_copy(update={"port": given.health.port or free_port()}),
                "console": given.console.model_copy(
                    update={
                        "ground_truth": str(self.folder),
                        "folder": str(self.folder / "console"),
                        "store": str(self.folder / "console-store"),
                    }
                ),
            }
        )
