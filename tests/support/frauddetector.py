"""The decision service answering the API of Amazon Fraud Detector on loopback, and unmodified boto3 asking it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import yaml
from botocore.config import Config

from adapters.aws.stream_writer import StreamRecord
from adapters.objects.opening import open_objects
from adapters.policy.source import PolicySource, open_policy, policy_files
from adapters.program.secret_box import SecretBox, open_secret_box
from adapters.program.web_server import Patience, listen, server_of
from benchmarks.afd_detector import CONSTANTS
from cli.import_afd import command as import_afd
from decision_service.access import Access
from decision_service.afd.access_keys import RIGHTS, AccessKeys, Right, add_access_key, quotas_of
from decision_service.afd.detector import Served, open_detector
from decision_service.afd.door import Door, utc_now
from decision_service.afd.event_calls import EventCalls
from decision_service.afd.jobs import Jobs
from decision_service.afd.list_calls import ListCalls
from decision_service.afd.store import Store
from decision_service.api import Api
from decision_service.service import Service
from fraud.decision.record import ScoredBy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import Contribution, Scores, rows_of
from fraud.features import CATALOGUE
from fraud.records import Row
from fraud.settings import Aws, FraudDetector
from operations.confirmed import ConfirmedFraud
from operations.lists import ListDesk
from tests.support.decision_services import World

_READY_S = 30.0
_KEEP_MS = 86_400_000


def amount_score(amount_minor: int) -> float:
    """The score that `AmountScorer` gives."""
    return float(((amount_minor % 100 + 0.5) / 100) ** 4)


class AmountScorer:
    """Scores a payment by the cents of its amount: from 0 to 1, most of them low, where no rule has a bound."""

    model_version = "m1"

    def score(self, features: pa.RecordBatch | Row) -> Scores:
        """A score for a row."""
        assert isinstance(features, Row)
        return Scores(amount_score(features["amount_minor"]), ScoredBy.IN_PROCESS, self.model_version)

    def explain(self, features: pa.RecordBatch | Row) -> list[list[Contribution]]:
        """Nothing to say."""
        return [[] for _ in range(rows_of(features))]


def imported(exported: Path, out: Path, **mapping: Any) -> Path:
    """Imports a detector, with what a person would correct in mapping.yaml."""
    import_afd(exported, out)
    file = out / "mapping.yaml"
    given = yaml.safe_load(file.read_text())
    corrected = {"constants": CONSTANTS} | {name: {**given.get(name, {}), **value} for name, value in mapping.items()}
    file.write_text(yaml.safe_dump(given | corrected))
    import_afd(exported, out, file)
    return out


@dataclass
class Running:
    """A service that answers.

    Attributes:
        address: of its root.
        world: what outlives it.
        service: that decides.
        served: the detector.
        door: that answers.
        box: that its access keys' secrets are closed in.
        labels: what is on the stream of labels.
        policies: the imported policy with its living lists.
    """

    address: str
    world: World
    service: Service
    served: Served
    door: Door
    box: SecretBox
    labels: list[StreamRecord]
    policies: PolicySource

    def client(self, *rights: Right, **config: Any) -> Any:
        """A client with a new access key that has these rights; all without any."""
        file = self.world.folder / "access-keys.json"
        identity, secret = add_access_key(file, self.box, "test", frozenset(rights or RIGHTS))
        self.door.keys.reload()
        return client_of(self.address, identity, secret, **config)


def client_of(address: str, identity: str, secret: str, **config: Any) -> Any:
    """boto3's client, as an application makes it: where the service is busy, it tries again."""
    session: Any = boto3.Session(identity, secret, region_name="eu-central-1")
    plain: dict[str, Any] = {"retries": {"total_max_attempts": 8}}
    return session.client("frauddetector", endpoint_url=address, config=Config(**plain | config))


@contextmanager
def answering(
    world: World, folder: Path, clock: Callable[[], float] = time.monotonic, aws: Aws | None = None, **settings: Any
) -> Iterator[Running]:
    """Serves an imported detector with the policy of a world; allowances grow by the clock."""
    given = FraudDetector(folder=str(folder), access_keys=str(world.folder / "access-keys.json"), **settings)
    place = f"file:{world.folder / 'access-keys.secret'}"
    box = open_secret_box("frauddetector.secrets", place, Aws(), create=True)
    add_access_key(Path(given.access_keys), box, "first", frozenset(RIGHTS))
    service = world.open()
    served = open_detector(folder, "EUR", fields_of(CATALOGUE))
    keys = AccessKeys(Path(given.access_keys), box, quotas_of(given), clock)
    store = Store(world.folder / "events.db", _KEEP_MS)
    labels: list[StreamRecord] = []
    policies = open_policy(policy_files(str(folder / "policy.yaml"), Aws()), "EUR", fields_of(CATALOGUE))
    assert policies.lists is not None
    desk = ListDesk(policies.lists, lambda: service.engine.policy)
    confirmed = ConfirmedFraud(desk, lambda: service.engine.policy)
    events = EventCalls(served, service, store, world.stream.extend, labels.extend, utc_now, confirmed)
    calls = ListCalls(served, desk, lambda: service.engine.policy, service.now_ms)
    jobs = Jobs(world.folder / "jobs.db")
    objects = None if given.batches is None else open_objects(given.batches, aws or Aws())
    door = Door(served, service, events, calls, jobs, objects, keys, clock)

    def caught_up() -> None:
        service.lag_ms = 0
        door.batches.resume()

    api = Api(service, Access(world.folder / "keys.json", time.monotonic), caught_up, root=door)
    listener = listen("127.0.0.1", 0)
    server = server_of(api, Patience())
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + _READY_S
    try:
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            assert time.monotonic() < deadline, "the service does not answer"
            time.sleep(0.01)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Running(address, world, service, served, door, box, labels, policies)
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listener.close()
        service.close()
        store.close()
        jobs.close()
