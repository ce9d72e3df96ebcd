"""Where things lie in the archive: every key follows from the query, the batch and the partition that wrote it."""

from __future__ import annotations

import datetime as dt
import enum


class ArchiveKind(enum.StrEnum):
    """What a table of the archive holds; the value is its folder."""

    DECISIONS = "decisions"
    LABELS = "labels"
    DEAD_LETTERS = "dead-letters"

    @property
    def prefix(self) -> str:
        """The beginning of every key of this kind."""
        return f"{self.value}/"

    def key(self, query: str, batch_id: int, partition: int, arrival_ms: int) -> str:
        """The key of one table.

        Args:
            query: name of the streaming query.
            batch_id: its micro-batch.
            partition: the sink partition.
            arrival_ms: the partition's first arrival, which is the same in every attempt of the batch.

        >>> ArchiveKind.DECISIONS.key("fraud", 7, 1, 1_768_478_400_000)
        'decisions/date=2026-01-15/hour=12/fraud-000000000007-0001.parquet'
        """
        arrived = dt.datetime.fromtimestamp(arrival_ms / 1000, dt.UTC)
        return f"{self.prefix}date={arrived:%Y-%m-%d}/hour={arrived:%H}/{query}-{batch_id:012d}-{partition:04d}.parquet"


def batch_of_key(key: str) -> int:
    """The batch that wrote a table.

    >>> batch_of_key("decisions/date=2026-01-15/hour=12/fraud-000000000007-0001.parquet")
    7
    """
    return int(key.rsplit("-", 2)[1])


def query_of_key(key: str) -> str:
    """The query that wrote a table.

    >>> query_of_key("decisions/date=2026-01-15/hour=12/fraud-2-000000000007-0001.parquet")
    'fraud-2'
    """
    return key.rsplit("/", 1)[1].rsplit("-", 2)[0]


def checkpoint_key(query: str) -> str:
    """The key of the note that says which checkpoint, with which fixed settings, a query's name belongs to."""
    return f"checkpoints/{query}.json"


def primed_manifest_key(query: str) -> str:
    """The key of the note that says with which state a query begins, if with any."""
    return f"primed/{query}/manifest.json"


def primed_key(query: str, prime_id: str, entity: str, group: int) -> str:
    """The key of the state that a key group of a query begins with.

    >>> primed_key("fraud-2", "9f3c", "card", 3)
    'primed/fraud-2/9f3c/card-0003.parquet'
    """
    return f"primed/{query}/{prime_id}/{entity}-{group:04d}.parquet"


def pin_key(query: str, batch_id: int) -> str:
    """The key of a batch's pin: which policy and model version it uses.

    >>> pin_key("fraud", 7)
    'pins/fraud/000000000007.json'
    """
    return f"pins/{query}/{batch_id:012d}.json"


OFFSETS_PREFIX = "offsets/"


def offsets_key(query: str, batches: int) -> str:
    """The key of the note that says how many records a query's first batches have read.

    >>> offsets_key("fraud", 7)
    'offsets/fraud/000000000007.json'
    """
    return f"{OFFSETS_PREFIX}{query}/{batches:012d}.json"


def replayed_key(letter_id: str) -> str:
    """The key that marks a dead letter as replayed."""
    return f"dead-letters-replayed/{letter_id}.json"


def policy_key(version: str) -> str:
    """The key under which a pinned policy version keeps its files."""
    return f"policies/{version}.json"


ERASED = "erased/"
"""Prefix of the notes that say how many rows of an object were erased."""


def erased_key(key: str, mark: str) -> str:
    """The key of the note that rows of an object were erased, under a mark that tells erasures apart.

    >>> erased_key("labels/date=2026-01-15/hour=12/fraud-000000000007-0001.parquet", "5f1c")
    'erased/labels/date=2026-01-15/hour=12/fraud-000000000007-0001-5f1c.json'
    """
    return f"{ERASED}{key.removesuffix('.parquet')}-{mark}.json"
