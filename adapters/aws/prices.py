"""The cost of a load on AWS list prices: eu-central-1, on demand, without discounts, tax and support."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

PRICES_AS_OF = "2025-06"
"""Month in which the list prices below were noted; check them before a decision."""

SHARD_HOUR = 0.018
PUT_UNITS_PER_MILLION = 0.0175  # Kinesis PUT payload units of 25 KB
DYNAMODB_WRITES_PER_MILLION = 0.7625  # write request units, on demand
S3_PUTS_PER_THOUSAND = 0.0054
S3_GETS_PER_THOUSAND = 0.00043
S3_GB_MONTH = 0.0245
CORE_HOUR = 0.0489  # half of an m7g.large
EKS_CLUSTER_HOUR = 0.10
ENDPOINT_HOUR = 0.1392  # ml.c6g.large

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

ITEM_WRITE_UNITS = 4
"""Write units of an alert item of up to 4 KB; one with all features and five reasons has 3.4 KB."""

INDEXES = 4
"""Secondary indexes of the alert table, each written with every alert."""

ARCHIVED_BYTES = 430
"""Stored bytes of a decision with features and raw record, compressed, in objects of 500; 330 in objects of 4,000."""

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
        partitions: sink partitions, each writing one object of decisions a batch.
    """

    tps: float
    alert_share: float
    tps_per_core: float
    batch_core_s: float
    partition_core_s: float
    trigger_s: float
    partitions: int


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
            "dollars_per_month": round(self.dollars_per_month, 2),
            "dollars_per_million": round(self.dollars_per_million, 4),
            "items": {item.name: round(item.dollars_per_month, 2) for item in self.items},
        }


def cost_sheet(load: Load) -> CostSheet:
    """Prices a load."""
    seconds = HOURS_PER_MONTH * 3600
    millions = load.tps * seconds / 1e6
    shards = math.ceil(load.tps / (SHARD_TPS * UTILISATION))
    batch_core_s = load.batch_core_s + load.partitions * load.partition_core_s
    busy_cores = load.tps / load.tps_per_core + batch_core_s / load.trigger_s
    cores = 1 + math.ceil(busy_cores / UTILISATION)
    batches = seconds / load.trigger_s
    puts = batches * (load.partitions * (1 + STATE_FILES_PER_PARTITION) + BATCH_FILES)
    write_units = millions * load.alert_share * ITEM_WRITE_UNITS * (1 + INDEXES)
    stored_gb = millions * 1e6 * ARCHIVED_BYTES / 1e9
    return CostSheet(
        load,
        (
            Item(
                "Kinesis shards",
                shards * SHARD_HOUR * HOURS_PER_MONTH,
                f"{shards} shards at {UTILISATION:.0%} of {SHARD_TPS:,} records/s",
            ),
            Item("Kinesis puts", millions * PUT_UNITS_PER_MILLION, "one payload unit a transaction (up to 25 KB)"),
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
            Item("S3 storage", stored_gb * S3_GB_MONTH, f"{stored_gb:,.0f} GB a month, {ARCHIVED_BYTES} B a decision"),
            Item(
                "Pods",
                cores * CORE_HOUR * HOURS_PER_MONTH,
                f"{cores} cores: 1 driver, {busy_cores:.2f} busy at {UTILISATION:.0%}; {load.tps_per_core:,.0f} tx/s a "
                f"core and {batch_core_s:g} core s a batch",
            ),
            Item("EKS control plane", EKS_CLUSTER_HOUR * HOURS_PER_MONTH, "one cluster"),
            Item("Model endpoint", ENDPOINT_HOUR * HOURS_PER_MONTH * 2, "2 instances of ml.c6g.large in two zones"),
        ),
    )
