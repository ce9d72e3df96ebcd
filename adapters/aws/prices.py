"""The cost of a load on AWS list prices: eu-central-1, on demand, without discounts, tax and support."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from fraud.errors import MisconfiguredError

PRICES_AS_OF = "2025-06"
"""Month in which the list prices below were noted; check them before a decision."""

SHARD_HOUR = 0.018
FAN_OUT_SHARD_HOUR, FAN_OUT_GB = 0.018, 0.0156
"""Of a consumer of its own; estimated: the prices of us-east-1, and the region's usual fifth on top."""

PUT_UNITS_PER_MILLION = 0.0175  # Kinesis PUT payload units of 25 KB
DYNAMODB_WRITES_PER_MILLION = 0.7625  # write request units, on demand
S3_PUTS_PER_THOUSAND = 0.0054
S3_GETS_PER_THOUSAND = 0.00043
S3_GB_MONTH = 0.0245
CORE_HOUR = 0.0604  # a quarter of an m7i.xlarge: images are built for x86-64
DISK_GB_MONTH = 0.0952  # gp3
EKS_CLUSTER_HOUR = 0.10
ENDPOINT_HOUR = 0.233  # ml.c6i.xlarge, estimated: EC2's price of the machine and SageMaker's usual fifth on top

TPS_PER_CORE = 10_000.0
"""Transactions that a core carries in a second, besides the fixed work of each micro-batch: see `BATCH_CORE_S`."""

BATCH_CORE_S, PARTITION_CORE_S = 0.06, 0.12
"""Core seconds of a micro-batch with next to no transactions: as such, and for each partition.

Measured on two cores, scoring in process: docs/benchmarks.md, Cost of a micro-batch.
"""

HOURS_PER_MONTH = 730
SHARD_TPS = 1_000
"""Records a second that a shard takes (Kinesis quotas)."""

UTILISATION = 0.6
"""Share of a shard or core that a steady load may use, so that bursts and restarts have room."""

READER_TPS = 30_000.0
"""Records of 600 bytes a second that fill the one Python process of a driver's reader, nearly all of it by fetching
(docs/benchmarks.md, Kinesis source)."""

ENDPOINT_TPS = 20_000.0
"""Rows a second and instance that an endpoint is held to (docs/benchmarks.md, Scoring)."""

DECIDE_TPS = 320.0
"""Decisions that a core answers in the call in a second (docs/decisions-api.md)."""

RECORD_BYTES, ANSWERED_BYTES = 600, 3_000
"""Bytes of a record on the stream, and of one with its answer."""

ANSWER_GB_PER_MILLION, ANSWER_DAYS = 1.3, 2
"""What an instance keeps of its answers, and how long (`decide.keep_hours`)."""

STATE_BYTES, STATE_DAYS, STATE_ENTITIES = 37, 31, 3
"""Bytes of an event in the local copy (docs/features.md, What an event takes); days of the longest window; kinds of
entity by default. An upper bound: busy entities keep their latest events only."""

ITEM_WRITE_UNITS = 4
"""Write units of an alert item of up to 4 KB; one with all features and five reasons has 3.4 KB."""

INDEXES = 4
"""Secondary indexes of the alert table, each written with every alert."""

ARCHIVED_BYTES = 430
"""Stored bytes of a decision with features and raw record, compressed, in objects of 500; 330 in objects of 4,000."""

FOLDED_GETS = 2
"""Reads of an object of decisions by `fraud maintain`: its rows, and the end that it is verified by."""

LISTED_DAYS, KEYS_PER_LIST = 8, 1_000
"""Days that each hourly maintenance and each erasure list (`archive.settled_days`); keys of one request."""

TABLE_FILE_GB, FILE_GETS = 0.1, 2
"""A file of a compacted table; reads of it for one column: its end, and the column."""

CARD_PAYMENTS = 2_200
"""Payments of a card in a year, each in an object of its own: 185 in 31 days (docs/features.md)."""

STATE_FILES_PER_PARTITION = 4
"""Objects that a micro-batch writes for the state of a partition: change log and its checksum, of two stages."""

BATCH_FILES = 3
"""Objects that a micro-batch writes besides: offsets, commit, pin."""


@dataclass(frozen=True)
class Load:
    """What is to be carried.

    Attributes:
        tps: transactions a second.
        alert_share: share that becomes alerts.
        tps_per_core: what a core carries besides the fixed work of each micro-batch.
        batch_core_s: core seconds of that fixed work, apart from partitions.
        partition_core_s: core seconds of that fixed work for each partition.
        trigger_s: time between micro-batches.
        partitions: of a job, each writing one object of decisions a batch.
        answered_share: share that is answered in the call.
    """

    tps: float
    alert_share: float
    tps_per_core: float
    batch_core_s: float
    partition_core_s: float
    trigger_s: float
    partitions: int
    answered_share: float = 0.0
    fan_out: int = 0
    """Registered consumers of each stream: the job, instances of the decision service."""
    jobs: int = 1
    """Jobs that share the load, each with a stream, a query and a checkpoint of its own."""
    erasures: int = 10
    """Cards erased in a month, from an archive of a year."""


@dataclass(frozen=True)
class Resources:
    """What carries a load.

    Attributes:
        jobs: as given.
        job_tps: transactions a second of each job.
        shards: of all streams of transactions.
        busy_cores: cores that are busy all the time.
        cores: with those of drivers and room for bursts.
        puts_per_s: objects written to S3 a second.
        state_gb: of all executors' local copies, at most.
        endpoints: instances of the model endpoint.
    """

    jobs: int
    job_tps: float
    shards: int
    busy_cores: float
    cores: int
    puts_per_s: float
    state_gb: float
    endpoints: int


def resources(load: Load) -> Resources:
    """What a load needs.

    Raises:
        MisconfiguredError: no job of this design carries its share; naming the limit and the jobs that would.
    """
    job_tps = load.tps / load.jobs
    if job_tps > READER_TPS:
        raise MisconfiguredError(
            "--tps",
            f"is {job_tps:,.0f} a job, but fetching some {READER_TPS:,.0f} transactions a second fills one driver's "
            f"reader: split the cards among several streams, each with a job of its own: --jobs "
            f"{math.ceil(load.tps / READER_TPS)} or more (docs/sizing-aws.md#beyond-one-driver)",
        )
    batch_core_s = load.batch_core_s + load.partitions * load.partition_core_s
    busy_cores = load.tps / load.tps_per_core + load.jobs * batch_core_s / load.trigger_s
    return Resources(
        jobs=load.jobs,
        job_tps=job_tps,
        shards=load.jobs * math.ceil(job_tps / (SHARD_TPS * UTILISATION)),
        busy_cores=busy_cores,
        cores=load.jobs + math.ceil(busy_cores / UTILISATION),
        puts_per_s=load.jobs * (load.partitions * (1 + STATE_FILES_PER_PARTITION) + BATCH_FILES) / load.trigger_s,
        state_gb=load.tps * 86_400 * STATE_DAYS * STATE_BYTES * STATE_ENTITIES / 1e9,
        endpoints=max(2, math.ceil(load.tps / (ENDPOINT_TPS * UTILISATION))),
    )


@dataclass(frozen=True)
class Item:
    """One line of the sheet."""

    name: str
    dollars_per_month: float
    assumption: str


@dataclass(frozen=True)
class CostSheet:
    """All lines."""

    load: Load
    items: tuple[Item, ...]

    @property
    def dollars_per_month(self) -> float:
        """Sum of all lines."""
        return sum(item.dollars_per_month for item in self.items)

    @property
    def dollars_per_million(self) -> float:
        """Dollars per million transactions."""
        return self.dollars_per_month / (self.load.tps * 3600 * HOURS_PER_MONTH / 1e6)

    def figures(self) -> dict[str, Any]:
        """The figures for `--json`."""
        return {
            "tps": self.load.tps,
            "prices_as_of": PRICES_AS_OF,
            "tps_per_core": self.load.tps_per_core,
            "batch_core_s": self.load.batch_core_s,
            "partition_core_s": self.load.partition_core_s,
            "trigger_s": self.load.trigger_s,
            "resources": asdict(resources(self.load)),
            "dollars_per_month": round(self.dollars_per_month, 2),
            "dollars_per_million": round(self.dollars_per_million, 4),
            "items": {item.name: round(item.dollars_per_month, 2) for item in self.items},
        }


def cost_sheet(load: Load) -> CostSheet:
    """Prices a load.

    Raises:
        MisconfiguredError: no job of this design carries it; naming the limit.
    """
    needs = resources(load)
    seconds = HOURS_PER_MONTH * 3600
    millions = load.tps * seconds / 1e6
    batches = load.jobs * seconds / load.trigger_s
    puts = needs.puts_per_s * seconds
    batch_core_s = load.batch_core_s + load.partitions * load.partition_core_s
    write_units = millions * load.alert_share * ITEM_WRITE_UNITS * (1 + INDEXES)
    answered_tps = load.tps * load.answered_share
    instances = max(2, math.ceil(answered_tps / (DECIDE_TPS * UTILISATION))) if answered_tps else 0
    answers_gb = answered_tps * 86_400 * ANSWER_DAYS / 1e6 * ANSWER_GB_PER_MILLION
    record_bytes = RECORD_BYTES + load.answered_share * (ANSWERED_BYTES - RECORD_BYTES)
    pushed_gb = load.fan_out * millions * 1e6 * record_bytes / 1e9
    stored_gb = millions * 1e6 * ARCHIVED_BYTES / 1e9
    objects_per_day = load.jobs * load.partitions / load.trigger_s * 86_400
    list_dollars = objects_per_day * LISTED_DAYS / KEYS_PER_LIST / 1000 * S3_PUTS_PER_THOUSAND
    folded = objects_per_day * HOURS_PER_MONTH / 24
    card_dollars = CARD_PAYMENTS / 1000 * (S3_GETS_PER_THOUSAND + S3_PUTS_PER_THOUSAND)
    year_dollars = stored_gb * 12 / TABLE_FILE_GB * FILE_GETS / 1000 * S3_GETS_PER_THOUSAND
    return CostSheet(
        load,
        (
            Item(
                "Kinesis shards",
                needs.shards * SHARD_HOUR * HOURS_PER_MONTH,
                f"{needs.shards} shards at {UTILISATION:.0%} of {SHARD_TPS:,} records/s",
            ),
            Item("Kinesis puts", millions * PUT_UNITS_PER_MILLION, "one payload unit a transaction (up to 25 KB)"),
            Item(
                "Kinesis fan-out",
                load.fan_out * needs.shards * FAN_OUT_SHARD_HOUR * HOURS_PER_MONTH + pushed_gb * FAN_OUT_GB,
                f"{load.fan_out} consumers of {needs.shards} shards, {pushed_gb:,.0f} GB pushed",
            ),
            Item(
                "DynamoDB writes",
                write_units * DYNAMODB_WRITES_PER_MILLION,
                f"{load.alert_share:.2%} alerts of {ITEM_WRITE_UNITS} units, item and {INDEXES} indexes",
            ),
            Item(
                "S3 requests",
                puts / 1000 * S3_PUTS_PER_THOUSAND + batches / 1000 * S3_GETS_PER_THOUSAND,
                f"a batch every {load.trigger_s:g} s, {puts / batches:.0f} puts each: decisions, state, commit",
            ),
            Item(
                "Maintenance",
                list_dollars * HOURS_PER_MONTH + folded * FOLDED_GETS / 1000 * S3_GETS_PER_THOUSAND,
                f"hourly: {LISTED_DAYS} days listed, each of {folded / 1e6:,.1f} million objects read once",
            ),
            Item(
                "Erasures",
                load.erasures * (list_dollars + card_dollars + year_dollars),
                f"{load.erasures} cards of {CARD_PAYMENTS:,} payments, from a table of a year",
            ),
            Item("S3 storage", stored_gb * S3_GB_MONTH, f"{stored_gb:,.0f} GB a month, {ARCHIVED_BYTES} B a decision"),
            Item(
                "Pods",
                needs.cores * CORE_HOUR * HOURS_PER_MONTH,
                f"{needs.cores} cores: {load.jobs} of drivers, {needs.busy_cores:.2f} busy at {UTILISATION:.0%}; "
                f"{load.tps_per_core:,.0f} tx/s a core and {batch_core_s:g} core s a batch",
            ),
            Item("EKS control plane", EKS_CLUSTER_HOUR * HOURS_PER_MONTH, "one cluster"),
            Item(
                "State volumes",
                needs.state_gb * DISK_GB_MONTH,
                f"{needs.state_gb:,.0f} GB at most: {STATE_BYTES} B an event, {STATE_DAYS} days, "
                f"{STATE_ENTITIES} kinds of entity",
            ),
            Item(
                "Model endpoint",
                ENDPOINT_HOUR * HOURS_PER_MONTH * needs.endpoints,
                f"{needs.endpoints} instances of ml.c6i.xlarge, at least two for two zones; none where the job scores",
            ),
            Item(
                "Decision service",
                instances * CORE_HOUR * HOURS_PER_MONTH + answers_gb * DISK_GB_MONTH,
                f"{instances} instances of a core for {answered_tps:,.0f} answers/s, {answers_gb:,.0f} GB of answers",
            ),
        ),
    )
