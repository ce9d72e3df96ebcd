"""Every setting of every program: typed, frozen, unknown keys refused.

Values come from `config/config.yaml`, then the environment (`FRAUD_JOB__TRIGGER_MS=200`), then flags; the later wins
(`adapters.program.configuration` loads them). Nothing else reads the environment. Each field's description is its
reference documentation: `docs/reference/settings.md` is generated from here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from fraud.declared import NOTHING_DECLARED, Declared
from fraud.entities import BY_NAME, LEAST_EVENTS, MOST_EVENTS
from fraud.events.types import EventType
from fraud.money import MINOR_DIGITS

_HOST = re.compile(r"[a-zA-Z0-9_](?:[a-zA-Z0-9._-]{0,251}[a-zA-Z0-9_])?")


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("is no address such as http://127.0.0.1:4566")
    return text


def is_http_address(text: str) -> bool:
    """Whether a text is the address of an HTTP server.

    >>> is_http_address("https://hooks.example.com/T0"), is_http_address("hooks.example.com")
    (True, False)
    """
    try:
        return bool(_is_address(text))
    except ValueError:
        return False


Address = Annotated[str, AfterValidator(_is_address)]
"""Of an HTTP server, with a port that exists."""


class Section(BaseModel):
    """Base of all setting groups.

    Attributes:
        older_names: settings by names that they had before, which files and options may still use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    older_names: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _with_names_of_today(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        renamed = {old: new for old, new in cls.older_names.items() if old in given and new not in given}
        return {renamed.get(name, name): value for name, value in given.items()}


class Aws(Section):
    """Where the AWS services are."""

    endpoint_url: Address | None = None
    """Address of a local AWS emulator, e.g. `http://127.0.0.1:4566`; unset means AWS itself."""
    kinesis_endpoint_url: Address | None = None
    """Address of Kinesis, if different from `aws.endpoint_url`."""
    region: str = "eu-central-1"
    """AWS region."""

    def endpoint_of(self, service: str) -> str | None:
        """Address of a service; None is AWS itself."""
        return (self.kinesis_endpoint_url if service == "kinesis" else None) or self.endpoint_url


class Streams(Section):
    """Kinesis streams."""

    transactions: str = "fraud-transactions"
    """Stream of card transactions."""
    labels: str = "fraud-labels"
    """Stream of labels: chargebacks and analyst dispositions."""
    shards: int = Field(default=2, ge=1, le=10_000)
    """Shards of a stream that we create."""


Reader = Literal["shared", "fan_out"]
"""How shards of a stream are read."""

Consumer = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]
"""The name of a stream's registered consumer."""


class Source(Section):
    """How the job reads the streams; [what to set for many shards](../kinesis-source.md#many-shards)."""

    max_bytes_per_trigger: int = Field(default=64 << 20, ge=1)
    """Maximum bytes of a micro-batch; it always has at least one record."""
    poll_ms: int = Field(default=200, ge=200)
    """Least time between two reads of a shard; Kinesis allows five a second to all of its readers together."""
    buffer_bytes: int = Field(default=128 << 20, ge=1 << 20)
    """Fetched bytes, over all shards, at which the driver pauses fetching. Memory of the driver beside its heap."""
    shard_bytes_per_s: int = Field(default=2 << 20, ge=0)
    """Maximum bytes a second read from a shard, 0 for no limit, as for an emulator; Kinesis allows 2 MiB."""
    fail_on_data_loss: bool = True
    """Stop if records expired before they were read; otherwise the log says `source_data_loss`, and the job goes on."""
    stall_s: int = Field(default=60, ge=1)
    """Fail if no read of a shard is answered for so long."""
    reader: Reader | Literal["executors"] = "shared"
    """How shards are read: `shared` polls them, within the 5 reads and 2 MiB a second that all readers of a shard have;
    `fan_out` has what comes pushed, 2 MiB a second for the job alone, [for a price](../kinesis-source.md#fan-out);
    `executors` has the executors poll, [beyond what one driver reads](../kinesis-source.md#read-by-executors)."""
    consumer: Consumer = "fraud-job"
    """Name of the registered consumer that `fan_out` reads as; it is registered where there is none. Two jobs on one
    stream need two."""


class Archive(Section):
    """The S3 archive."""

    bucket: str = "fraud-archive"
    """Bucket of decisions, labels, dead letters, pins and models."""
    prefix: str = ""
    """Key prefix in front of everything we write, without a leading slash."""
    folder: str | None = None
    """Folder on this machine that takes the place of the bucket, as the archive that a demo leaves; unset uses the
    bucket."""
    kms_key: str | None = None
    """KMS key that objects are encrypted with; unset leaves it to the bucket's default."""
    tags: dict[str, str] = {}
    """Tags of every object we write."""
    retention_days: int | None = Field(default=None, ge=1)
    """Days that `fraud maintain` keeps in the Delta tables; unset keeps all of them."""
    settled_days: int = Field(default=8, ge=1)
    """Days after which no job writes to a date any more: one more than the streams keep records. `fraud maintain` does
    not look again at a date that is older and was found sound."""

    @property
    def address(self) -> str:
        """Where it lies: an `s3://` address, or a folder.

        >>> Archive(prefix="live/").address, Archive(folder="kept", prefix="live/").address
        ('s3://fraud-archive/live/', 'kept/live/')
        """
        return f"s3://{self.bucket}/{self.prefix}" if self.folder is None else f"{self.folder}/{self.prefix}"


class Alerts(Section):
    """The DynamoDB table of alerts."""

    table: str = "fraud-alerts"
    """Table of alerts."""
    retention_days: int = Field(default=400, ge=1)
    """Days until an alert expires (DynamoDB TTL)."""


class Measured(Section):
    """An entity whose behaviour is measured."""

    events: int | None = Field(default=None, ge=LEAST_EVENTS, le=MOST_EVENTS)
    """Events kept of one of them; its windows are exact while it has no more in the longest window. Unset takes what
    [features](../features.md#entities) says."""


_DEFAULT_ENTITIES = ("card", "merchant", "device")
_OLDER_BOUNDS = {f"{name}_events": name for name in ("card", "merchant", "device", "bin")}


_KEY_ID = re.compile(r"[a-zA-Z0-9._-]{1,64}")


class Answers(Section):
    """Decisions that were answered in the call, on the stream of transactions."""

    keys: dict[str, str] = {}
    """Keys that authenticate answers: of each id where its secret is, `file:PATH` or `env:NAME`, at least 32 random
    bytes. Answers with any of them count, so that a key can be replaced; an id names one secret for ever."""
    sign_with: str | None = None
    """Id of the key that the service authenticates its answers with; unset takes the only one."""

    @field_validator("keys")
    @classmethod
    def _say_where(cls, keys: dict[str, str]) -> dict[str, str]:
        for name, source in keys.items():
            if not _KEY_ID.fullmatch(name):
                raise ValueError(f"has an id {name!r}, which is not 1 to 64 letters, digits, dots, dashes")
            kind, _, place = source.partition(":")
            if kind not in ("file", "env") or not place:
                raise ValueError(
                    f"must say where the secret of {name} is: file:PATH or env:NAME, not the secret itself"
                )
        return keys

    @model_validator(mode="after")
    def _signs_with_a_key(self) -> Answers:
        if self.sign_with is not None and self.sign_with not in self.keys:
            raise ValueError(f"sign_with is {self.sign_with}, which answers.keys does not have")
        return self


class Decide(Section):
    """The decision service."""

    folder: str = ".local/decide"
    """Local folder of journal, answers and snapshots: a disk of its own that outlives the process."""
    begin_with: Literal["streams", "archive"] = "streams"
    """Where the state comes from without a snapshot: what the `streams` still hold, as `job.start` says; or the
    `archive` of the query `job.query`, and from there on the streams."""
    durability: Literal["journal", "stream"] = "journal"
    """What a decision waits for before it is answered: `journal`, an fsync on the local disk, from where it goes on the
    stream; or `stream`, the stream itself."""
    budget_ms: int = Field(default=50, ge=1)
    """When a request has waited longer for its turn, lists and rules decide without the model, and the answer says
    so."""
    waiting: int = Field(default=512, ge=1)
    """Answers that may wait to become durable; beyond that, requests are refused with 503."""
    keep_hours: int = Field(default=48, ge=24)
    """Hours that an answer is kept: as long as a repeated request gets the same one."""
    snapshot_minutes: float = Field(default=10.0, gt=0)
    """Minutes between two snapshots of the state; a start replays what came later."""
    reader: Reader = "shared"
    """How shards are read: `shared` polls them, within the 5 reads and 2 MiB a second that all readers of a shard have;
    `fan_out` has what comes pushed, 2 MiB a second for this instance, [for a price](../kinesis-source.md#fan-out)."""
    consumer: Consumer | None = None
    """Name of the registered consumer that `fan_out` reads as, another for each instance; it is registered where there
    is none. Unset takes the machine's name, in Kubernetes the pod's."""
    poll_ms: int = Field(default=1_000, ge=200)
    """Least time between two reads of a shard by `shared`: an instance's share of the 5 reads a second."""
    shard_bytes_per_s: int = Field(default=1 << 20, ge=1 << 10)
    """Maximum bytes a second that `shared` reads from a shard, an instance's share of the 2 MiB; with less than is
    written, it falls behind. An emulator has no such limit, and is read without one."""
    api_keys: str = ".local/decide/keys.json"
    """File of the API keys, hashed; `fraud decide --add-key NAME` adds one."""
    tls_certificate: str | None = None
    """File of the certificate chain (PEM); unset serves plain HTTP."""
    tls_key: str | None = None
    """File of its private key (PEM)."""

    @model_validator(mode="after")
    def _whole_tls(self) -> Decide:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("needs both tls_certificate and tls_key, or neither")
        return self


class FraudDetector(Section):
    """The API of Amazon Fraud Detector, answered by the decision service for an imported detector."""

    folder: str | None = None
    """Folder that `fraud import-afd` wrote; unset does not answer this API."""
    access_keys: str = ".local/decide/access-keys.json"
    """File of the access keys, their secrets encrypted; `fraud decide --add-access-key NAME` adds one."""
    secrets: str = Field(default="file:.local/decide/access-keys.secret", pattern="^(file|env|secretsmanager|kms):.+")
    """What the secrets of access keys are encrypted with: `file:PATH`, `env:NAME` or `secretsmanager:NAME` of a key of
    at least 32 random bytes, or `kms:KEY`, an id, ARN or alias in AWS KMS. A missing file is made when the first access
    key is added."""
    predict_per_second: int = Field(default=1_000, ge=1)
    """Most predictions a second with one access key; beyond it, ThrottlingException."""
    events_per_second: int = Field(default=200, ge=1)
    """Most calls a second with one access key that send, label, give back or delete events and predictions."""
    lists_per_second: int = Field(default=10, ge=1)
    """Most calls a second with one access key that change lists."""
    batches: str | None = None
    """`s3://bucket/prefix` (or a folder) below which batch jobs may read and write their files; unset refuses them.
    Give it a place of its own: whoever has an access key names the files."""
    keep_days: int = Field(default=180, ge=1)
    """Days that events and predictions are given back, and events can get a label."""
    describe_per_second: int = Field(default=50, ge=1)
    """Most calls a second with one access key that describe the detector."""


class Job(Section):
    """The streaming job."""

    query: str = Field(default="fraud", pattern="^[a-z0-9-]+$")
    """Name of the query: part of every object key it writes. A new checkpoint needs a new name."""
    checkpoint: str = ".local/checkpoint"
    """Folder or `s3a://` URL of Spark's checkpoint."""
    state_folder: str = ".local/state"
    """Local folder of the disposable copy of keyed state; fast ephemeral storage in a cluster."""
    trigger_ms: int = Field(default=200, ge=0)
    """Minimum time between the starts of two micro-batches; 0 starts the next at once."""
    key_groups: int = Field(default=2, ge=1, le=1024)
    """Key groups of each kind of entity; fixed for the life of a checkpoint. A multiple of `job.partitions` gives
    each as many, and room to rescale: there can be no more partitions than groups."""
    features: Declared = NOTHING_DECLARED
    """File of features and entities beside the shipped ones, see [windows of your own](../windows.md); its entities are
    measured too. Fixed for the life of a checkpoint."""
    entities: dict[str, Measured] = {name: Measured() for name in _DEFAULT_ENTITIES}
    """Whose behaviour is measured, by the names in [features](../features.md#entities), as in `{card: {events: 2048},
    merchant: {}}`; a list of names takes each one's own bound. Cards always. Features of the others are null. Each is a
    stage of its own, with its share of every trigger; fixed for the life of a checkpoint."""
    state_expiry_days: int = Field(default=400, ge=60)
    """Days without a transaction after which a card or another entity is forgotten."""
    partitions: int = Field(default=2, ge=1, le=1024)
    """Parallel tasks of the stateful stages; `fraud rescale` moves the state of a query to another number."""
    max_records_per_trigger: int = Field(default=20_000, ge=1)
    """Maximum records that a micro-batch takes from both streams together."""
    start: Literal["earliest", "latest"] = "earliest"
    """Where a new query starts in the streams."""
    waiting_labels: int = Field(default=10_000, ge=1, le=1_000_000)
    """Labels that a key group keeps while their transactions have not come, or while it has read them ahead of the
    transactions; about half a kilobyte each. Beyond it the first that were read become dead letters. Raise it for a
    first start at `earliest` with a long backlog."""
    max_age_s: int | None = Field(default=604_800, ge=1)
    """Refuse transactions whose event time is more than this before their arrival; unset accepts any age."""
    max_ahead_s: int | None = Field(default=3_600, ge=1)
    """Refuse transactions whose event time is more than this after their arrival; unset accepts any."""
    recorded_arrival: bool = False
    """Let the `recorded_arrival` of a record stand for its arrival, as replays and generated runs need, which send
    months within minutes. Whoever may write to the streams then decides what is forgotten; if off, it is ignored and
    counted."""
    stop_timeout_s: int = Field(default=60, ge=0)
    """How long a stop waits for the running micro-batch; an interrupted one is repeated at the next start."""
    takeover_wait_s: int = Field(default=10, ge=0)
    """How long a start waits for another driver of this query to end, before it gives up; more than a stop may take,
    where a new version is started before the old one is stopped."""
    master: str = "local[2,4]"
    """Spark master, unless spark-submit sets one; the second number of a local master is the attempts of a task."""
    driver_memory: str = "2g"
    """JVM heap of a local driver."""

    @model_validator(mode="before")
    @classmethod
    def _from_older_settings(cls, given: Any) -> Any:
        """Reads a list of names, and bounds given as `card_events`, as settings had them before."""
        if not isinstance(given, dict):
            return given
        read = {name: value for name, value in given.items() if name not in _OLDER_BOUNDS}
        entities = given.get("entities", list(_DEFAULT_ENTITIES))
        if isinstance(entities, list | tuple) and all(isinstance(name, str) for name in entities):
            entities = {name: {} for name in entities}
        if isinstance(entities, dict):
            bounds = {_OLDER_BOUNDS[name]: value for name, value in given.items() if name in _OLDER_BOUNDS}
            read["entities"] = {
                name: {"events": bounds[name]} if name in bounds and not bound else bound or {}
                for name, bound in entities.items()
            }
        return read

    @field_validator("entities")
    @classmethod
    def _known(cls, entities: dict[str, Measured], given: ValidationInfo) -> dict[str, Measured]:
        features: Declared = given.data.get("features", NOTHING_DECLARED)
        available = [*BY_NAME, *(entity.name for entity in features.entities)]
        if unknown := sorted(set(entities) - set(available)):
            raise ValueError(f"has no entity named {', '.join(unknown)}; available: {', '.join(available)}")
        if "card" not in entities:
            raise ValueError("must hold card: its state finds duplicates and unusual amounts")
        if absent := sorted({row.entity for row in features.features} & set(BY_NAME) - set(entities)):
            raise ValueError(f"must hold {', '.join(absent)} too: job.features counts their events")
        return entities


class Health(Section):
    """The job's health and metrics address."""

    port: int | None = Field(default=None, ge=0, le=65_535)
    """Port of `/live`, `/ready`, `/lag` and `/metrics`; unset serves nothing, 0 takes a free port and logs it."""
    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` in a pod."""
    stall_s: int = Field(default=180, ge=1)
    """Seconds without progress of the query after which `/live` fails."""


class Model(Section):
    """The model and what serves it."""

    artifact: str = "config/model/champion"
    """Folder of the model artifact; if empty, rules alone decide."""
    artifact_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """SHA-256 that the artifact must have, as `fraud models fetch` prints it; with another, nothing of it is parsed.
    Unset trusts the folder.
    """
    endpoint: str | None = None
    """SageMaker endpoint that scores, with the model of `model.artifact` as fallback; unset scores in process."""
    endpoint_url: Address | None = None
    """Address of a local model server that answers the SageMaker Runtime path; unset means AWS."""
    challenger: str = ""
    """Folder of a second artifact that scores without effect, for comparison; empty for none."""
    challenger_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """The same of the second artifact."""
    registry: str = ".local/models"
    """Folder or `s3://` address of the model registry: versions and their stages."""


class Endpoint(Section):
    """How the job and the decision service call the endpoint of `model.endpoint`."""

    rows: int = Field(default=500, ge=1, le=10_000)
    """Maximum transactions of one call; SageMaker accepts 6 MB."""
    concurrency: int = Field(default=4, ge=1, le=64)
    """Calls at the same time, for each Python worker of the job."""
    budget_ms: int = Field(default=1_000, ge=10)
    """Maximum time for a task's share of a micro-batch, all calls and attempts together; then the model scores in
    process. The decision service waits no longer than half of `decide.budget_ms`.
    """
    connect_timeout_ms: int = Field(default=250, ge=1)
    """Maximum time to connect, for each attempt."""
    read_timeout_ms: int = Field(default=500, ge=1)
    """Maximum wait for an answer, for each attempt."""
    attempts: int = Field(default=3, ge=1, le=10)
    """Maximum attempts of a call; time-outs, throttling and server errors are retried within the budget."""
    backoff_ms: int = Field(default=25, ge=0)
    """Maximum pause before the second attempt, twice that before the third, and so on; the pause is drawn at random
    below.
    """
    breaker_failures: int = Field(default=3, ge=1)
    """Consecutive failed batches after which a worker stops calling the endpoint."""
    breaker_pause_s: float = Field(default=10.0, gt=0)
    """Seconds until one batch then tries the endpoint again."""


class Drift(Section):
    """`fraud drift`: what counts as a shift."""

    days: int = Field(default=7, ge=1)
    """Days of the live window, up to the latest decision."""
    reference_days: int | None = Field(default=None, ge=1)
    """Days before the live window to compare with; unset takes the time range that the model was trained on."""
    watch_index: float = Field(default=0.1, gt=0)
    """Population stability index from which a feature is worth a look."""
    shifted_index: float = Field(default=0.25, gt=0)
    """Population stability index from which a feature has shifted."""
    alert_rate_ratio: float = Field(default=1.5, gt=1)
    """The share of alerts has shifted if its ratio to the former one is above this, or below the reciprocal."""
    rows: int = Field(default=1_000_000, ge=1_000)
    """Maximum transactions of a window; above that, a sample of the cards is used."""
    pushgateway: Address | None = None
    """`http://host:port` of a Prometheus Pushgateway that receives the figures; unset pushes nothing."""


class Retraining(Section):
    """`fraud models challenge` and `retrain`: how a challenger is trained, and when it becomes the champion."""

    older_names = {"least_frauds": "min_frauds"}

    trials: int = Field(default=0, ge=0, le=1_000)
    """Random sets of hyperparameters (depth, rate, weights, shares) to try before training, also by `fraud train`; 0
    uses the defaults.
    """
    search_s: int = Field(default=900, ge=1)
    """Seconds after which no further trial starts."""

    training_days: int = Field(default=180, ge=45)
    """Days of the archive that a new model is trained on, before those it is evaluated on."""
    evaluation_days: int = Field(default=30, ge=1)
    """Days of mature transactions that both models are evaluated on: the latest ones."""
    maturity_days: float = Field(default=30, ge=0)
    """Age from which a transaction without a label counts as good."""
    margin: float = Field(default=0.01, ge=0)
    """Average precision that the challenger must gain."""
    min_frauds: int = Field(default=100, ge=20)
    """Minimum number of frauds among the transactions compared; below it nothing is promoted."""
    draws: int = Field(default=200, ge=20)
    """Draws of the bootstrap by card."""
    rows: int = Field(default=2_000_000, ge=1_000)
    """Maximum transactions for training (not counting frauds) and for comparison; above that, a sample of the cards is
    used.
    """


class Deployment(Section):
    """`fraud models deploy`: the SageMaker endpoint `model.endpoint`."""

    older_names = {"most_instances": "max_instances"}

    image: str | None = None
    """URI of the endpoint's image in ECR."""
    role: str | None = None
    """ARN of the role that the endpoint runs as: it reads the model and the alarms and writes captured calls."""
    instance_type: str = "ml.c6i.xlarge"
    """SageMaker instance type."""
    instances: int = Field(default=2, ge=1)
    """Initial instances, and the minimum for scaling."""
    max_instances: int = Field(default=4, ge=1)
    """Maximum instances for scaling; a value not above `instances` turns scaling off."""
    calls_per_instance: float = Field(default=3_000, gt=0)
    """Target of scaling: calls for each instance and minute."""
    capture_url: str | None = Field(default=None, pattern="^s3://[^/]+")
    """`s3://` address for captured requests and answers; unset captures nothing."""
    capture_percent: int = Field(default=5, ge=0, le=100)
    """Percentage of calls to capture."""
    alarms: tuple[str, ...] = ()
    """Names of CloudWatch alarms; any of them rolls an update back."""
    canary_percent: int = Field(default=20, ge=1, le=50)
    """Percentage of the new fleet that takes traffic first; a single instance takes all at once."""
    bake_s: int = Field(default=300, ge=0, le=3_600)
    """Seconds for which alarms are watched after traffic was shifted, to the canary and to the whole fleet."""
    timeout_s: int = Field(default=3_600, ge=600, le=14_400)
    """Seconds after which SageMaker rolls back an unfinished update, and after which we stop waiting."""
    subnets: tuple[str, ...] = ()
    """Subnets of the endpoint; empty keeps it outside the VPC."""
    security_groups: tuple[str, ...] = ()
    """Security groups of the endpoint."""
    kms_key: str | None = None
    """KMS key of the instances' volumes and of captured calls."""


class Policy(Section):
    """Rules, lists and thresholds."""

    path: str = "config/policy.yaml"
    """File or `s3://` URL of the policy."""


class Lists(Section):
    """Lists that change while programs run."""

    path: str | None = None
    """Folder or `s3://` address of their store; unset is `living-lists` beside the policy."""


class Console(Section):
    """The analyst's web application."""

    folder: str = ".local/console"
    """Local folder of the index over the archive; disposable, best on a disk with fast random reads."""
    store: str = ".local/console-store"
    """Folder or `s3://` address of what consoles keep and share, such as the audit log. In production on S3, so that it
    lasts and every console has the same.
    """
    history_days: int = Field(default=90, ge=1)
    """Days of the archive that the index holds: what a case shows of its card, device and merchant."""
    sla_minutes: int = Field(default=60, ge=1)
    """Age from which an alert counts as waiting too long."""
    approval: bool = False
    """Whether what changes decisions takes effect only when another lead has approved it: a rule that becomes or ceases
    to be live, thresholds, a rollback.
    """
    reviews_per_day: float | None = Field(default=None, gt=0)
    """Cases a day that the team can look at, for which the page Rules suggests thresholds; unset: as many as the policy
    in force opens.
    """
    second_look_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the closed alerts that another analyst decides again, without seeing the first verdict; 0 for none."""
    case_by: Literal["card", "merchant", "device"] = "card"
    """Whose alerts of one UTC day join one case in the queue; without a device, the card's."""
    undo_seconds: int = Field(default=10, ge=0, le=60)
    """How long an analyst can undo a verdict with one key; its label is written after that. 0 writes it at once."""
    job_url: Address | None = Field(default=None, pattern="^https?://[^/]+$")
    """Health and metrics address of the job, e.g. `http://127.0.0.1:9090`; unset uses `health.port` on this machine;
    without either, the console shows nothing about the job.
    """
    ground_truth: str | None = None
    """Folder where producers write `NAME-truth.jsonl`; unset if the truth is unknown, as in production."""
    allowed_hosts: list[str] = []
    """Names by which callers reach the console, e.g. `fraud.example.com`, beside the loopback's and `--host`; a request
    for any other name is refused.
    """
    trusted_proxies: list[str] = []
    """Addresses or networks (CIDR) of the proxies in front, whose `X-Forwarded-For` and `X-Forwarded-Proto` are
    believed: the caller is the rightmost address that is not one of them. Unset believes nobody.
    """
    idle_minutes: int = Field(default=15, ge=1, le=480)
    """Minutes after which a session ends that nobody uses; a page that only refreshes itself does not count as use."""
    lab: bool = False
    """Show the page that starts fraud campaigns; only with `aws.endpoint_url` on this machine's loopback."""
    lab_seed: int = Field(default=7, ge=0)
    """Seed of the generated population that the lab's campaigns attack: that of the running producer."""
    lab_cards: int = Field(default=5_000, ge=20)
    """Its cards."""
    lab_merchants: int = Field(default=1_000, ge=20)
    """Its merchants."""

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if not _HOST.fullmatch(host) and not _is_network(f"{host}/128"):
                raise ValueError(f"{host} is not a plain name or address, without port, scheme or wildcard")
        return hosts

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: list[str]) -> list[str]:
        for proxy in proxies:
            if not _is_network(proxy):
                raise ValueError(f"{proxy} is neither an address nor a network such as 10.0.0.0/16")
            if ipaddress.ip_network(proxy).prefixlen == 0:
                raise ValueError(f"{proxy} would believe everybody")
        return proxies


class Oidc(Section):
    """Signing in to the console with a provider of OpenID Connect."""

    issuer: Address | None = None
    """The provider, exactly as its tokens name it, e.g. `https://login.example.com/realms/bank`; unset for none."""
    client_id: str = "fraud-console"
    """The console, as the provider knows it."""
    client_secret: str | None = Field(default=None, pattern="^(file|env):.+")
    """Where its secret is: `file:PATH` or `env:NAME`; unset for a client without one."""
    redirect_url: str = "http://127.0.0.1:8090/api/session/provider/return"
    """Where the provider sends people back: the console's address with this path, as the provider has it too."""
    roles: dict[str, Literal["viewer", "analyst", "lead", "admin"]] = {}
    """Role of each group of the provider's; of several the highest counts, and without any nobody enters."""
    groups_claim: str = "groups"
    """Where the ID token has the groups."""
    name_claim: str = "preferred_username"
    """Where it has the name that the console shows and writes down; one that the provider lets nobody change."""

    @field_validator("issuer")
    @classmethod
    def _is_reached_safely(cls, issuer: str | None) -> str | None:
        parts = urlsplit(issuer or "")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("must be reached by https")
        return issuer


class Money(Section):
    """Currencies."""

    base_currency: str = "EUR"
    """ISO 4217 code of `billing_amount_minor`."""

    @field_validator("base_currency")
    @classmethod
    def _is_a_currency(cls, code: str) -> str:
        if code not in MINOR_DIGITS:
            raise ValueError(f"{code} is not a currency of ISO 4217, such as EUR or JPY")
        return code


_SECRET = re.compile(r"(file|env|secretsmanager):.+")
_QUEUE = re.compile(r"https?://[^/]+/\d{12}/[A-Za-z0-9_-]{1,80}(\.fifo)?")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")
_BUS = re.compile(r"(arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:event-bus/)?[A-Za-z0-9/._-]{1,256}")


class EventReceiver(Section):
    """A receiver of events: what it is, where, and which events it wants."""

    kind: Literal["file", "webhook", "slack", "eventbridge", "sns", "sqs"]
    """What it is."""
    address: str = Field(min_length=1)
    """Where it is: the path of a `file`; the URL of a `webhook`; the name or ARN of an `eventbridge` bus; the ARN of an
    `sns` topic; the URL of an `sqs` queue. The URL of `slack` is itself a secret, so that here is where it is kept:
    `file:PATH`, `env:NAME` or `secretsmanager:NAME`."""
    secret: str | None = None
    """Where the secret is kept that requests to a `webhook` are signed with: `file:PATH`, `env:NAME` or
    `secretsmanager:NAME`; `whsec_` and base64, one a line, of which each signs."""
    types: list[EventType] = []
    """Types of events that it wants; empty wants all."""
    outcomes: list[Literal["review", "decline"]] = []
    """Of events about a payment, those whose decision has one of these outcomes; empty wants all."""
    rules: list[str] = []
    """Of events about a payment, those on which one of these rules fired; empty wants all."""
    min_severity: int = Field(default=0, ge=0, le=100)
    """Of events about a payment, those of at least this severity."""
    min_billing_amount_minor: int | None = None
    """Of events about a payment, those of at least this amount, in minor units of the base currency; unset wants
    all."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> EventReceiver:
        if self.kind == "webhook":
            _is_address(self.address)
            if urlsplit(self.address).username is not None:
                raise ValueError("address holds a user, which would be shown; sign requests by secret instead")
            if self.secret is None:
                raise ValueError("secret is missing, by which the webhook knows that a request is ours")
        elif self.secret is not None:
            raise ValueError(f"secret is for a webhook; a receiver of kind {self.kind} has none")
        if self.secret is not None and not _SECRET.fullmatch(self.secret):
            raise ValueError("secret must say where it is kept: file:PATH, env:NAME or secretsmanager:NAME")
        if self.kind == "slack" and not _SECRET.fullmatch(self.address):
            raise ValueError("address must say where it is kept: file:PATH, env:NAME or secretsmanager:NAME")
        forms = {"sqs": (_QUEUE, "URL of a queue"), "sns": (_TOPIC, "ARN of a topic"), "eventbridge": (_BUS, "bus")}
        form, meant = forms.get(self.kind, (None, ""))
        if form is not None and not form.fullmatch(self.address):
            raise ValueError(f"address {self.address} is no {meant}")
        return self


_RECEIVER_NAME = re.compile(r"[a-z0-9-]{1,40}")


class Events(Section):
    """Events out: what other systems are sent of alerts, decisions, verdicts, lists and policy."""

    source: str = Field(default="card-fraud-streaming", min_length=1)
    """Name of this system in events. With an event's id it says which event it is: two systems need two names."""
    receivers: dict[str, EventReceiver] = {}
    """Who gets events, by name. Without any, none are collected."""
    start: Literal["latest", "earliest"] = "latest"
    """Where the first collection begins: with what happens from then on, or with the whole archive."""
    poll_ms: int = Field(default=500, ge=50)
    """Pause between two looks for what is new, and for another position of a receiver."""
    give_up_s: float = Field(default=600.0, gt=0)
    """Seconds for which events are sent again and again, before the receiver is paused."""
    pause_s: float = Field(default=300.0, gt=0)
    """Seconds until a paused receiver is tried once; if that succeeds, it goes on where it was."""

    @field_validator("receivers")
    @classmethod
    def _are_named(cls, receivers: dict[str, EventReceiver]) -> dict[str, EventReceiver]:
        for name in receivers:
            if not _RECEIVER_NAME.fullmatch(name):
                raise ValueError(
                    f"has a receiver {name!r}, whose name is not 1 to 40 lower-case letters, digits, dashes"
                )
        return receivers


class Log(Section):
    """Structured logging."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum severity to log."""
    format: Literal["json", "text"] = "json"
    """One JSON object a line, or text for people."""


class Settings(Section):
    """All settings."""

    aws: Aws = Aws()
    streams: Streams = Streams()
    source: Source = Source()
    archive: Archive = Archive()
    alerts: Alerts = Alerts()
    answers: Answers = Answers()
    decide: Decide = Decide()
    frauddetector: FraudDetector = FraudDetector()
    job: Job = Job()
    health: Health = Health()
    model: Model = Model()
    endpoint: Endpoint = Endpoint()
    drift: Drift = Drift()
    retraining: Retraining = Retraining()
    deployment: Deployment = Deployment()
    policy: Policy = Policy()
    lists: Lists = Lists()
    money: Money = Money()
    console: Console = Console()
    oidc: Oidc = Oidc()
    events: Events = Events()
    log: Log = Log()
