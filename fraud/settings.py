"""Every setting of every program: typed, frozen, unknown keys refused.

Values come from `config/config.yaml`, then the environment (`FRAUD_JOB__TRIGGER_MS=200`), then flags; the later wins
(`adapters.configuration` loads them). Nothing else reads the environment. Each field's description is its reference
documentation: `docs/reference/settings.md` is generated from here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Section(BaseModel):
    """Base of all setting groups."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Aws(Section):
    """Where the AWS services are."""

    endpoint_url: str | None = None
    """Address of a local AWS stand-in, e.g. `http://127.0.0.1:4566`; unset means AWS itself."""
    kinesis_endpoint_url: str | None = None
    """Address of Kinesis where it is another than `aws.endpoint_url`."""
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


class Archive(Section):
    """The S3 archive."""

    bucket: str = "fraud-archive"
    """Bucket of decisions, labels, dead letters, pins and models."""
    prefix: str = ""
    """Key prefix in front of everything we write, without a leading slash."""
    kms_key: str | None = None
    """KMS key that objects are encrypted with; unset leaves it to the bucket's default."""
    tags: dict[str, str] = {}
    """Tags of every object we write."""
    retention_days: int | None = Field(default=None, ge=1)
    """Days that `fraud maintain` keeps in the Delta tables; unset keeps all."""


class Alerts(Section):
    """The DynamoDB table of alerts."""

    table: str = "fraud-alerts"
    """Table of alerts."""
    retention_days: int = Field(default=400, ge=1)
    """Days until an alert expires (DynamoDB TTL)."""


class Job(Section):
    """The streaming job."""

    query: str = Field(default="fraud", pattern="^[a-z0-9-]+$")
    """Name of the query: part of every object key it writes. A new checkpoint needs a new name."""
    checkpoint: str = ".local/checkpoint"
    """Folder or `s3a://` URL of Spark's checkpoint."""
    state_folder: str = ".local/state"
    """Local folder of the disposable copy of keyed state; fast ephemeral storage in a cluster."""
    trigger_ms: int = Field(default=200, ge=0)
    """Least time between the starts of two micro-batches; 0 starts the next at once."""
    key_groups: int = Field(default=2, ge=1, le=1024)
    """Key groups of each kind of entity; fixed for the life of a checkpoint. As many as `job.partitions`
    are best; a multiple of them gives each as many."""
    entities: tuple[Literal["card", "merchant", "device", "bin"], ...] = ("card", "merchant")
    """Whose behaviour is measured; cards always. Features of the others are null. Each is a stage of its own, with its
    share of every trigger; fixed for the life of a checkpoint."""
    card_events: int = Field(default=1_024, ge=16, le=32_768)
    """Events kept of a card; its windows are exact while it has no more in 30 days."""
    merchant_events: int = Field(default=16_384, ge=16, le=32_768)
    """Events kept of a merchant; its windows are exact while it has no more in 37 days."""
    device_events: int = Field(default=1_024, ge=16, le=32_768)
    """Events kept of a device; its windows are exact while it has no more in 7 days."""
    bin_events: int = Field(default=16_384, ge=16, le=32_768)
    """Events kept of a BIN; its windows are exact while it has no more in an hour."""
    state_expiry_days: int = Field(default=400, ge=60)
    """Days without a transaction after which a card or another entity is forgotten."""
    partitions: int = Field(default=2, ge=1, le=1024)
    """Parallel tasks of the stateful stages; fixed for the life of a checkpoint."""
    max_records_per_trigger: int = Field(default=20_000, ge=1)
    """Most records a micro-batch takes from each stream."""
    start: Literal["earliest", "latest"] = "earliest"
    """Where a new query starts in the streams."""
    max_age_s: int | None = Field(default=None, ge=1)
    """Refuse transactions whose event time lies further before their arrival; unset accepts any age (replay)."""
    max_ahead_s: int | None = Field(default=None, ge=1)
    """Refuse transactions whose event time lies further after their arrival; unset accepts any."""
    stop_timeout_s: int = Field(default=60, ge=0)
    """Longest time that a stop waits for the running batch; an interrupted batch is repeated at the next start."""
    master: str = "local[2,4]"
    """Spark master where none is given by spark-submit; the second number of a local one is the attempts of a task."""
    driver_memory: str = "2g"
    """JVM heap of a local driver."""

    @field_validator("entities")
    @classmethod
    def _with_cards(cls, entities: tuple[str, ...]) -> tuple[str, ...]:
        if "card" not in entities:
            raise ValueError("must hold card: its state finds duplicates and unusual amounts")
        return entities


class Health(Section):
    """The job's health and metrics address."""

    port: int | None = Field(default=None, ge=0, le=65_535)
    """Port of `/live`, `/ready`, `/lag` and `/metrics`; unset serves none, 0 takes a free one and logs it."""
    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` in a pod."""
    stall_s: int = Field(default=180, ge=1)
    """Seconds without a sign of life from the query after which `/live` fails."""


class Model(Section):
    """The model and who serves it."""

    artifact: str = "config/model/champion"
    """Folder of the model artifact; empty decides by rules alone."""
    endpoint: str | None = None
    """SageMaker endpoint that scores, with the model of `model.artifact` as fallback; unset scores in process."""
    endpoint_url: str | None = None
    """Address of a local model server that answers the SageMaker Runtime path; unset means AWS."""
    challenger: str = ""
    """Folder of another artifact that scores without effect, for comparison; empty for none."""
    registry: str = ".local/models"
    """Folder or `s3://` address of the model registry: versions and their stages."""


class Endpoint(Section):
    """How the job calls the endpoint of `model.endpoint`."""

    rows: int = Field(default=500, ge=1, le=10_000)
    """Most transactions of one call; SageMaker takes 6 MB."""
    concurrency: int = Field(default=4, ge=1, le=64)
    """Calls at the same time, for each Python worker of the job."""
    budget_ms: int = Field(default=1_000, ge=10)
    """Longest time that the endpoint may take for a task's share of a micro-batch, all calls and attempts together;
    then the model scores in process."""
    connect_timeout_ms: int = Field(default=250, ge=1)
    """Longest time to connect, for each attempt."""
    read_timeout_ms: int = Field(default=500, ge=1)
    """Longest wait for an answer, for each attempt."""
    attempts: int = Field(default=3, ge=1, le=10)
    """Most attempts of a call, where time-outs, throttling and server errors are tried again within the budget."""
    backoff_ms: int = Field(default=25, ge=0)
    """Longest pause before the second attempt; doubles for each further one, and is drawn at random below that."""
    breaker_failures: int = Field(default=3, ge=1)
    """Batches in a row that the endpoint fails, after which a worker stops calling it."""
    breaker_pause_s: float = Field(default=10.0, gt=0)
    """Seconds that it then waits before one batch tries the endpoint again."""


class Drift(Section):
    """`fraud drift`: what counts as a shift."""

    days: int = Field(default=7, ge=1)
    """Days of the live window, up to the latest decision."""
    reference_days: int | None = Field(default=None, ge=1)
    """Days before the live window to compare with; unset takes the time range that the model was trained on."""
    watch_index: float = Field(default=0.1, gt=0)
    """Population stability index from which on a feature is worth a look."""
    shifted_index: float = Field(default=0.25, gt=0)
    """Population stability index from which on a feature has shifted."""
    alert_rate_ratio: float = Field(default=1.5, gt=1)
    """The share of alerts has shifted when it is more than this times what it was, or less than the reciprocal."""
    rows: int = Field(default=1_000_000, ge=1_000)
    """Most transactions of a window; of more, some cards are taken."""
    pushgateway: str | None = None
    """`http://host:port` of a Prometheus Pushgateway that takes the figures; unset pushes none."""


class Retraining(Section):
    """`fraud models challenge` and `retrain`: how a challenger is trained, and when it becomes the champion."""

    trials: int = Field(default=0, ge=0, le=1_000)
    """Random choices of training (depth, rate, weights, shares) that are tried before a model is trained, also by
    `fraud train`; 0 takes the defaults."""
    search_s: int = Field(default=900, ge=1)
    """Seconds after which no further trial begins."""

    training_days: int = Field(default=180, ge=45)
    """Days of the archive that a new model is trained on, before those it is judged on."""
    evaluation_days: int = Field(default=30, ge=1)
    """Days of matured transactions that both models are judged on: the latest."""
    maturity_days: float = Field(default=30, ge=0)
    """Age from which a transaction without a label counts as good."""
    margin: float = Field(default=0.01, ge=0)
    """Average precision that the challenger must gain."""
    least_frauds: int = Field(default=100, ge=20)
    """Frauds among the transactions judged, below which nothing is promoted."""
    draws: int = Field(default=200, ge=20)
    """Draws of the bootstrap by card."""
    rows: int = Field(default=2_000_000, ge=1_000)
    """Most transactions of training, frauds not counted, and of the judgement; of more, some cards are taken."""


class Deployment(Section):
    """`fraud models deploy`: the SageMaker endpoint `model.endpoint`."""

    image: str | None = None
    """URI of the endpoint's image in ECR."""
    role: str | None = None
    """ARN of the role that the endpoint runs as: reads the model, writes what is captured, reads the alarms."""
    instance_type: str = "ml.c6i.xlarge"
    """SageMaker instance type."""
    instances: int = Field(default=2, ge=1)
    """Instances to begin with, and the fewest that scaling leaves."""
    most_instances: int = Field(default=4, ge=1)
    """The most instances that scaling adds; not above `instances` turns scaling off."""
    calls_per_instance: float = Field(default=3_000, gt=0)
    """Calls an instance and minute that scaling aims at."""
    capture_url: str | None = Field(default=None, pattern="^s3://[^/]+")
    """Where requests and answers are captured; unset captures none."""
    capture_percent: int = Field(default=5, ge=0, le=100)
    """Share of calls that is captured."""
    alarms: tuple[str, ...] = ()
    """Names of CloudWatch alarms, any of which takes an update back."""
    canary_percent: int = Field(default=20, ge=1, le=50)
    """Share of the new fleet that takes traffic first; one instance takes all at once."""
    bake_s: int = Field(default=300, ge=0, le=3_600)
    """Seconds for which alarms are watched after traffic was moved: for the canary, and for the whole fleet."""
    timeout_s: int = Field(default=3_600, ge=600, le=14_400)
    """Seconds after which SageMaker takes an update back that is not done, and after which we wait no longer."""
    subnets: tuple[str, ...] = ()
    """Subnets of the endpoint; empty leaves it outside of the VPC."""
    security_groups: tuple[str, ...] = ()
    """Security groups of the endpoint."""
    kms_key: str | None = None
    """KMS key of the instances' volumes and of what is captured."""


class Policy(Section):
    """Rules, lists and thresholds."""

    path: str = "config/policy.yaml"
    """File or `s3://` URL of the policy."""


class Console(Section):
    """The analyst's web application."""

    folder: str = ".local/console"
    """Local folder of the index over the archive; disposable, on a disk that is fast at random reads."""
    history_days: int = Field(default=90, ge=1)
    """Days of the archive that the index holds: what a case shows of its card, device and merchant."""
    sla_minutes: int = Field(default=60, ge=1)
    """Age from which an alert counts as waiting too long."""
    job_url: str | None = Field(default=None, pattern="^https?://[^/]+$")
    """Health and metrics address of the job, e.g. `http://127.0.0.1:9090`; unset takes `health.port` on this
    machine, and without that the console tells nothing of the job."""
    ground_truth: str | None = None
    """Folder in which producers write `NAME-truth.jsonl`; unset where nobody knows which transactions are fraud."""
    lab: bool = False
    """Offer the page that starts fraud campaigns; only with `aws.endpoint_url` on this machine's loopback."""
    lab_seed: int = Field(default=7, ge=0)
    """Seed of the generated population that the lab's campaigns attack: that of the running producer."""
    lab_cards: int = Field(default=5_000, ge=20)
    """Its cards."""
    lab_merchants: int = Field(default=1_000, ge=20)
    """Its merchants."""


class Money(Section):
    """Currencies."""

    base_currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")
    """ISO 4217 code of `billing_amount_minor`."""


class Log(Section):
    """Structured logging."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is written."""
    format: Literal["json", "text"] = "json"
    """One JSON object a line, or text for people."""


class Settings(Section):
    """All settings."""

    aws: Aws = Aws()
    streams: Streams = Streams()
    archive: Archive = Archive()
    alerts: Alerts = Alerts()
    job: Job = Job()
    health: Health = Health()
    model: Model = Model()
    endpoint: Endpoint = Endpoint()
    drift: Drift = Drift()
    retraining: Retraining = Retraining()
    deployment: Deployment = Deployment()
    policy: Policy = Policy()
    money: Money = Money()
    console: Console = Console()
    log: Log = Log()
