"""`fraud decide`: the decision service."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer

from adapters.program.program import ConfigOption, SetOption, open_program
from fraud.decision.scorer import VersionedScorer
from fraud.records import Row
from fraud.records.schema import time_of
from fraud.settings import Aws, FraudDetector, Settings
from ml_model.artifact import DESCRIPTION

if TYPE_CHECKING:
    from adapters.model.endpoint_usage import EndpointUsage
    from adapters.policy.source import PolicySource
    from decision_service.access import Access
    from decision_service.afd.access_keys import AccessKeys
    from decision_service.afd.door import Door
    from decision_service.answers import Answers
    from decision_service.engine import Engine
    from decision_service.service import Positions, Service
    from decision_service.streams import Arrived, Put
    from fraud.decision.policy.compiled import CompiledPolicy
    from processor.kinesis_source.cursor import OpenShard

_RELOAD_S = 5.0
_PUSHED_S = 0.1  # between two looks at what was pushed
_LISTS_S = 0.5  # a changed list is to be in force within a second

log = structlog.get_logger()


def command(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8095,
    add_key: Annotated[
        str | None, typer.Option("--add-key", metavar="NAME", help="Add an API key, print it, end.")
    ] = None,
    remove_key: Annotated[
        str | None, typer.Option("--remove-key", metavar="NAME", help="Remove the oldest API key of a name, end.")
    ] = None,
    add_access_key: Annotated[
        str | None,
        typer.Option(
            "--add-access-key", metavar="NAME", help="Add an access key of the API of Amazon Fraud Detector, end."
        ),
    ] = None,
    remove_access_key: Annotated[
        str | None,
        typer.Option("--remove-access-key", metavar="NAME", help="Remove the oldest access key of a name, end."),
    ] = None,
    rights: Annotated[
        str, typer.Option(help="What the new access key is good for: predict, events, lists, describe.")
    ] = "predict,events,describe",
    scopes: Annotated[str, typer.Option(help="What the new key is good for: decide, read, metrics.")] = "decide,read",
    per_second: Annotated[int, typer.Option(min=1, help="Most decisions a second with the new key.")] = 1_000,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Serve decisions in the call.

    \b
    Examples:
      fraud decide --add-key checkout
      fraud decide --add-access-key checkout
      fraud decide --set aws.endpoint_url=http://127.0.0.1:4566
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one row has no work for several threads
    sys.setswitchinterval(0.0005)  # answers wait for no thread behind them longer than this
    from adapters.program.ports import check_port
    from adapters.program.web_server import Tls, serve
    from decision_service.access import SCOPES, remove_oldest_key
    from decision_service.access import add_key as add
    from decision_service.api import Api
    from fraud.errors import FatalError, MisconfiguredError

    settings = open_program("decide", config, assignments)
    file = Path(settings.decide.api_keys)
    if add_key is not None:
        wanted = frozenset(scopes.replace(" ", "").split(","))
        if not wanted <= set(SCOPES):
            raise MisconfiguredError(f"--scopes {scopes}", f"choose of {', '.join(SCOPES)}")
        token = add(file, add_key, frozenset(scope for scope in SCOPES if scope in wanted), per_second)
        typer.echo(f"key of {add_key} (shown once): {token}")
        return
    if remove_key is not None:
        typer.echo(f"{remove_key} has {remove_oldest_key(file, remove_key)} keys left")
        return
    if add_access_key is not None or remove_access_key is not None:
        _change_access_keys(settings.frauddetector, settings.aws, add_access_key, remove_access_key, rights)
        return
    check_port("--port", port)
    service, access, start = open_service(settings)
    door = open_door(settings, service)
    tls = None
    if settings.decide.tls_certificate and settings.decide.tls_key:
        tls = Tls(settings.decide.tls_certificate, settings.decide.tls_key)
    address = f"{'https' if tls else 'http'}://{host}:{port}"
    typer.echo(f"decisions: {address}/v1/decisions")
    if door is not None:
        typer.echo(f'as Amazon Fraud Detector: boto3.client("frauddetector", endpoint_url="{address}")')
        threading.Thread(target=_reload_access_keys, args=(settings, door.keys), name="keys", daemon=True).start()

    def begin() -> None:
        start()
        if door is not None:
            door.batches.resume()

    # uvicorn ends by SIGTERM and then raises it again, which must not keep the state from being kept.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        serve(Api(service, access, begin, root=door), host, port, tls=tls)
    finally:
        service.close()
    if service.failure is not None:
        raise FatalError(f"the service ended: {service.failure_in_words}")


class Reload:
    """Takes over other lists, another policy, model or set of API keys while calls go on.

    What is refused leaves the old one.

    Args:
        settings: name the files.
        engine: uses policy and model.
        policies: the policy's source.
        access: uses the API keys.
        open_model: opens the scorer that the settings ask for.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        policies: PolicySource,
        access: Access,
        open_model: Callable[[], VersionedScorer],
    ) -> None:
        self._settings, self._engine, self._policies, self._access = settings, engine, policies, access
        self._open_model = open_model
        self._seen = _changed_at(settings)

    def run(self) -> None:
        """Looks again and again."""
        looked_at = time.monotonic()
        while True:
            time.sleep(_LISTS_S)
            self.look_at_lists()
            if time.monotonic() - looked_at >= _RELOAD_S:
                self.look()
                looked_at = time.monotonic()

    def look_at_lists(self) -> None:
        """Takes over living lists that have changed since the last look."""
        self._take(self._policies.refresh_lists())

    def look(self) -> None:
        """Takes over what has changed since the last look."""
        from fraud.errors import FraudError

        self._take(self._policies.refresh())
        now = _changed_at(self._settings)
        try:
            if now[0] != self._seen[0]:
                self._access.reload()
            if now[1] != self._seen[1]:
                self._engine.scorer = self._open_model()
                log.info("model loaded", version=self._engine.scorer.model_version)
        except FraudError as error:
            log.error("not_reloaded", problem=str(error))
        self._seen = now

    def _take(self, policy: CompiledPolicy) -> None:
        if policy is not self._engine.policy:
            self._engine.policy = _ready(policy)


def _ready(policy: CompiledPolicy) -> CompiledPolicy:
    """A policy that was asked once, so that no request waits for what that makes ready."""
    policy.conditions.of_row(Row(event_time=time_of(0)))
    return policy


def _reload_access_keys(settings: Settings, keys: AccessKeys) -> None:
    """Takes over another set of access keys while calls go on; one that is refused leaves the old one."""
    from fraud.errors import FraudError

    file = Path(settings.frauddetector.access_keys)
    seen = _changed(file)
    while True:
        time.sleep(_RELOAD_S)
        if (now := _changed(file)) != seen:
            seen = now
            try:
                keys.reload()
            except FraudError as error:
                log.error("not_reloaded", problem=str(error))


def _change_access_keys(settings: FraudDetector, aws: Aws, add: str | None, remove: str | None, rights: str) -> None:
    """Adds or removes an access key."""
    from adapters.program.secret_box import open_secret_box
    from decision_service.afd.access_keys import RIGHTS, add_access_key, remove_oldest_access_key
    from fraud.errors import MisconfiguredError

    file = Path(settings.access_keys)
    if remove is not None:
        typer.echo(f"{remove} has {remove_oldest_access_key(file, remove)} access keys left")
    if add is None:
        return
    wanted = frozenset(rights.replace(" ", "").split(","))
    if not wanted <= set(RIGHTS):
        raise MisconfiguredError(f"--rights {rights}", f"choose of {', '.join(RIGHTS)}")
    box = open_secret_box("frauddetector.secrets", settings.secrets, aws, create=True)
    identity, secret = add_access_key(file, box, add, frozenset(right for right in RIGHTS if right in wanted))
    typer.echo(f"access key of {add} (its secret is shown once):")
    typer.echo(f"AWS_ACCESS_KEY_ID={identity}")
    typer.echo(f"AWS_SECRET_ACCESS_KEY={secret}")


def open_door(settings: Settings, service: Service) -> Door | None:
    """The API of Amazon Fraud Detector, where a detector is set.

    Raises:
        MisconfiguredError: the detector or an access key cannot be used.
    """
    given = settings.frauddetector
    if given.folder is None:
        return None
    from adapters.aws.stream_writer import KinesisWriter
    from adapters.objects.opening import open_objects
    from adapters.policy.source import policy_files
    from adapters.program.secret_box import open_secret_box
    from decision_service.afd.access_keys import AccessKeys, quotas_of
    from decision_service.afd.detector import open_detector
    from decision_service.afd.door import Door, utc_now
    from decision_service.afd.event_calls import EventCalls
    from decision_service.afd.jobs import Jobs
    from decision_service.afd.list_calls import ListCalls
    from decision_service.afd.store import Store
    from fraud.decision.rules.fields import fields_of
    from fraud.features import catalogue_of
    from operations.confirmed import ConfirmedFraud
    from operations.lists import ListDesk

    served = open_detector(Path(given.folder), settings.money.base_currency, fields_of(catalogue_of(settings).features))
    box = open_secret_box("frauddetector.secrets", given.secrets, settings.aws)
    keys = AccessKeys(Path(given.access_keys), box, quotas_of(given), time.monotonic)
    store = Store(Path(settings.decide.folder) / "events.db", given.keep_days * 86_400_000)
    transactions, labels = (
        KinesisWriter(stream, settings.aws, give_up_s=2.0).write
        for stream in (settings.streams.transactions, settings.streams.labels)
    )
    lists = policy_files(settings.policy.path, settings.aws, settings.lists.path).lists
    assert lists is not None

    def policy() -> CompiledPolicy:
        return service.engine.policy

    desk = ListDesk(lists, policy)
    events = EventCalls(served, service, store, transactions, labels, utc_now, ConfirmedFraud(desk, policy))
    calls = ListCalls(served, desk, policy, service.now_ms)
    jobs = Jobs(Path(settings.decide.folder) / "jobs.db")
    objects = None if given.batches is None else open_objects(given.batches, settings.aws)
    return Door(served, service, events, calls, jobs, objects, keys, time.monotonic, utc_now)


def _changed(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


def open_model(settings: Settings, usage: EndpointUsage) -> VersionedScorer:
    """The scorer that the settings ask for, which has scored and explained once: no request waits for that.

    A call of the endpoint may take half of `decide.budget_ms`, since the one before it may take the other half.

    Raises:
        MisconfiguredError: the artifact is missing or does not fit this program.
    """
    from processor.scoring import open_scorer

    calls, half_ms = settings.endpoint, max(1, settings.decide.budget_ms // 2)
    bounds = ("budget_ms", "connect_timeout_ms", "read_timeout_ms")
    calls = calls.model_copy(update={name: min(half_ms, getattr(calls, name)) for name in bounds})
    scorer = open_scorer(settings.model_copy(update={"endpoint": calls}), usage)
    scorer.score(Row())
    scorer.explain(Row())
    return scorer


def _changed_at(settings: Settings) -> tuple[int, ...]:
    """When the API keys and the model changed last."""
    files = (Path(settings.decide.api_keys), Path(settings.model.artifact) / DESCRIPTION)
    return tuple(_changed(file) for file in files)


def definition_of(settings: Settings) -> str:
    """What the values in a snapshot depend on."""
    from fraud.entities import measured
    from fraud.features import catalogue_of
    from fraud.features.state import STATE_VERSION

    job = settings.job
    bounds = sorted((entity.name, events) for entity, events in measured(job).items())
    return (
        f"{STATE_VERSION} {catalogue_of(settings).hash} {settings.money.base_currency} {job.state_expiry_days} {bounds}"
    )


def _writing(settings: Settings) -> Put:
    from adapters.aws.stream_writer import KinesisWriter

    return KinesisWriter(settings.streams.transactions, settings.aws, give_up_s=2.0).write


def _reading(settings: Settings, positions: Positions) -> Callable[[], Sequence[Arrived]]:
    from adapters.aws.clients import aws_client
    from processor.kinesis_source.following import StreamsReader

    client = aws_client("kinesis", settings.aws)
    reader = StreamsReader(
        client, _followed(settings), positions, settings.job.start, open_shard=_opening(settings, client)
    )
    return reader.read


def _opening(settings: Settings, client: Any) -> OpenShard:
    """How shards are read, as `decide.reader` says."""
    from processor.kinesis_source.cursor import ShardCursor
    from processor.kinesis_source.following import Paced

    decide = settings.decide
    if decide.reader == "fan_out":
        from processor.kinesis_source.fan_out import Ahead, fan_out  # HTTP/2 is imported where it is used

        pushed = fan_out(client, settings.aws, decide.consumer or socket.gethostname(), True)
        return lambda place, position: Ahead(pushed(place, position), place)
    if settings.aws.endpoint_of("kinesis") is not None:
        return lambda place, position: ShardCursor(client, place, position, True)
    return lambda place, position: Paced(ShardCursor(client, place, position, True), decide.shard_bytes_per_s)


def _followed(settings: Settings) -> list[str]:
    return [settings.streams.transactions, settings.streams.labels]


def _from_archive(settings: Settings, engine: Engine, answers: Answers) -> Positions:
    """Folds the job's archive; where the streams are to be read on."""
    from adapters.archive.archive import open_archive
    from adapters.aws.clients import aws_client
    from decision_service.history import fold_archive
    from processor.kinesis_source.cursor import list_shards
    from processor.kinesis_source.offsets import Offsets, Position, initial_offsets, to_json

    archive = open_archive(settings.archive, settings.aws)
    since_ms = time.time_ns() // 1_000_000 - settings.decide.keep_hours * 3_600_000
    reached = fold_archive(archive, settings.job.query, engine, answers, since_ms)
    last_ms = max(found.arrival_ms for found in reached.values())
    offsets: Offsets = {}
    client = aws_client("kinesis", settings.aws)
    for stream in _followed(settings):
        shards, now_ms = list_shards(client, stream)
        offsets |= initial_offsets(stream, shards, last_ms, now_ms)
        listed = {(stream, shard.id) for shard in shards}
        offsets |= {
            place: Position(found.sequence_number, read_until_ms=found.arrival_ms)
            for place, found in reached.items()
            if place in listed
        }
    return to_json(offsets)


def open_service(settings: Settings) -> tuple[Service, Access, Callable[[], None]]:
    """The service with its state recovered, the callers that it knows, and what starts its threads.

    Raises:
        MisconfiguredError: a setting, key, policy, model or stream cannot be used.
    """
    from adapters.model.endpoint_usage import EndpointUsage
    from adapters.policy.source import open_policy, policy_files
    from adapters.program.answer_keys import open_answer_keys, signing_key
    from adapters.program.log import configure_logging
    from adapters.program.telemetry import Telemetry
    from decision_service.access import Access
    from decision_service.answers import Answers
    from decision_service.apart import Apart
    from decision_service.engine import Engine
    from decision_service.journal import Journal
    from decision_service.service import Places, Service
    from decision_service.streams import Direct, Shipper
    from fraud.decision.rules.fields import fields_of
    from fraud.features import catalogue_of
    from fraud.features.warm_up import compile_kernels
    from fraud.records.intake import Intake

    decide = settings.decide
    apart = Apart(partial(configure_logging, settings.log, "decide"), 2)
    keys = open_answer_keys(settings.answers)
    access = Access(Path(decide.api_keys), time.monotonic)
    files = policy_files(settings.policy.path, settings.aws, settings.lists.path)
    policies = open_policy(files, settings.money.base_currency, fields_of(catalogue_of(settings).features))
    usage = EndpointUsage()
    instance = f"{socket.gethostname()[:40]}-{secrets.token_hex(4)}"
    engine = Engine(
        settings,
        Intake.of(settings),
        _ready(policies.current),
        open_model(settings, usage),
        keys,
        signing_key(settings.answers, keys),
        instance,
        time.thread_time_ns,
    )
    compile_kernels()
    folder = Path(decide.folder)
    answers = Answers(folder / "answers.db")
    put = apart.function(partial(_writing, settings))
    journal = Journal(folder / "journal") if decide.durability == "journal" else None
    shipper = None if journal is None else Shipper(journal, put, folder / "shipped")
    service = Service(
        decide,
        engine,
        answers,
        journal or Direct(put),
        journal,
        shipper,
        Places(folder / "snapshots", definition_of(settings)),
        Telemetry(),
        endpoint=None if settings.model.endpoint is None else usage,
    )
    from_archive = partial(_from_archive, settings, engine, answers)
    service.recover(from_archive if decide.begin_with == "archive" else dict)
    poll_s = _PUSHED_S if decide.reader == "fan_out" else decide.poll_ms / 1000
    service.follow(apart.function(partial(_reading, settings, service.positions)), poll_s)

    def start() -> None:
        reload = Reload(settings, engine, policies, access, partial(open_model, settings, usage))
        threading.Thread(target=reload.run, name="reload", daemon=True).start()
        gc.collect()
        gc.freeze()  # what is there now stays, so that no collection looks at it again
        gc.set_threshold(50_000, 20, 100)  # a request leaves no cycles worth a pause

    return service, access, start
