"""Where things lie in the archive: every key follows from the query, the batch and the partition that wrote it."""

from __future__ import annotations

import datetime as dt
import enum

from fraud.decision.policy.bundle import files_version


class ArchiveKind(enum.StrEnum):
    """What a table of the archive holds; the value is its folder."""

    DECISIONS = "decisions"
    LABELS = "labels"
    DEAD_LETTERS = "dead-letters"

    @property
    def prefix(self) -> str:
        """The beginning of every key of this kind."""
        return f"{self.value}/"

    def key(self, query: str, batch_id: int, partition: int, arrival_ms: int, part: int = 0) -> str:
        """The key of one table.

        Args:
            query: name of the streaming query.
            batch_id: its micro-batch, as the archive numbers it.
            partition: the sink partition.
            arrival_ms: that the batch is pinned with: it names the hour below which all its tables lie.
            part: how many tables earlier attempts left for this partition, whose rest this one holds.

        >>> ArchiveKind.DECISIONS.key("fraud", 7, 1, 1_768_478_400_000)
        'decisions/date=2026-01-15/hour=12/fraud-000000000007-0001.parquet'
        >>> ArchiveKind.DECISIONS.key("fraud", 7, 1, 1_768_478_400_000, 2)
        'decisions/date=2026-01-15/hour=12/fraud-000000000007-0001.2.parquet'
        """
        table = f"{partition:04d}.{part}" if part else f"{partition:04d}"
        return f"{self.batch_prefix(query, batch_id, arrival_ms)}{table}.parquet"

    def batch_prefix(self, query: str, batch_id: int, arrival_ms: int) -> str:
        """The beginning of the keys of all tables of a batch; see `key`."""
        arrived = dt.datetime.fromtimestamp(arrival_ms / 1000, dt.UTC)
        return f"{self.prefix}date={arrived:%Y-%m-%d}/hour={arrived:%H}/{query}-{batch_id:012d}-"


def kind_of_key(key: str) -> ArchiveKind:
    """What an archived table holds.

    >>> kind_of_key("labels/date=2026-01-15/hour=12/fraud-000000000007-0001.parquet").name
    'LABELS'
    """
    return ArchiveKind(key.split("/", 1)[0])


def batch_of_key(key: str) -> int:
    """The batch that wrote a table.

    >>> batch_of_key("decisions/date=2026-01-15/hour=12/fraud-000000000007-0001.parquet")
    7
    """
    return int(key.rsplit("-", 2)[1])


def partition_of_key(key: str) -> int:
    """The sink partition that wrote a table.

    >>> partition_of_key("decisions/date=2026-01-15/hour=12/fraud-000000000007-0001.2.parquet")
    1
    """
    return int(key.rsplit("-", 1)[1].split(".", 1)[0])


def query_of_key(key: str) -> str:
    """The query that wrote a table.

    >>> query_of_key("decisions/date=2026-01-15/hour=12/fraud-2-000000000007-0001.parquet")
    'fraud-2'
    """
    return key.rsplit("/", 1)[1].rsplit("-", 2)[0]


def checkpoint_key(query: str) -> str:
    """The key of the note that says which checkpoint, with which fixed settings, a query's name belongs to."""
    return f"checkpoints/{query}.json"


def lease_key(query: str) -> str:
    """The key of the note that says which process goes on from a query's checkpoint."""
    return f"leases/{query}.json"


def backfill_manifest_key(query: str) -> str:
    """The key of the note that says with which state a query begins, if with any."""
    return f"primed/{query}/manifest.json"


def backfill_key(query: str, backfill_id: str, entity: str, group: int) -> str:
    """The key of the state that a key group of a query begins with.

    >>> backfill_key("fraud-2", "9f3c", "card", 3)
    'primed/fraud-2/9f3c/card-0003.parquet'
    """
    return f"primed/{query}/{backfill_id}/{entity}-{group:04d}.parquet"


def continuation_key(query: str, number: int) -> str:
    """The key of the note that a query went on from a checkpoint that lay behind its archive, for the n-th time.

    >>> continuation_key("fraud", 1)
    'continuations/fraud/0001.json'
    """
    return f"continuations/{query}/{number:04d}.json"


def pins_prefix(query: str) -> str:
    """The beginning of the keys of a query's pins."""
    return f"pins/{query}/"


def pin_key(query: str, batch_id: int) -> str:
    """The key of a batch's pin: what all its attempts decide by.

    >>> pin_key("fraud", 7)
    'pins/fraud/000000000007.json'
    """
    return f"{pins_prefix(query)}{batch_id:012d}.json"


OFFSETS_PREFIX = "offsets/"


def offsets_key(query: str, batches: int) -> str:
    """The key of the note that says how many records a query's first batches have read.

    >>> offsets_key("fraud", 7)
    'offsets/fraud/000000000007.json'
    """
    return f"{OFFSETS_PREFIX}{query}/{batches:012d}.json"


def replayed_key(dead_letter_id: str) -> str:
    """The key that marks a dead letter as replayed."""
    return f"dead-letters-replayed/{dead_letter_id}.json"


POLICIES = "policies/"
"""Prefix of the policy versions that decided something."""


def policy_key(version: str) -> str:
    """The key under which a pinned policy version keeps its files; versions that differ in living lists share it.

    >>> policy_key("1d80ef23b0c9+12-pfjcihab")
    'policies/1d80ef23b0c9.json'
    """
    return f"{POLICIES}{files_version(version)}.json"


ERASED = "erased/"
"""Prefix of the notes that say which rows of an object were erased, by their places."""


def erased_prefix(key: str) -> str:
    """The beginning of the keys of all notes on an object.

    >>> erased_prefix("labels/date=2026-01-15/hour=12/fraud-000000000007-0001.parquet")
    'erased/labels/date=2026-01-15/hour=12/fraud-000000000007-0001-'
    """
    return f"{ERASED}{key.removesuffix('.parquet')}-"


def erased_key(key: str, mark: str) -> str:
    """The key of the note that rows of an object were erased, under a mark that distinguishes erasures.

    >>> erased_key("labels/date=2026-01-15/hour=12/fraud-000000000007-0001.parquet", "5f1c")
    'erased/labels/date=2026-01-15/hour=12/fraud-000000000007-0001-5f1c.json'
    """
    return f"{erased_prefix(key)}{mark}.json"


EVENTS = "events/"
"""Prefix of the outbox of events."""


def outbox_key(number: int) -> str:
    """The key of one entry of the outbox.

    >>> outbox_key(7)
    'events/log/000000000007.json'
    """
    return f"{EVENTS}log/{number:012d}.json"


OUTBOX_HEAD = f"{EVENTS}head.json"
"""The key of the note near which number the outbox ends, so that nobody has to look from the first on."""


def receiver_key(name: str) -> str:
    """The key of the note how far a receiver of events is.

    >>> receiver_key("siem")
    'events/receivers/siem.json'
    """
    return f"{EVENTS}receivers/{name}.json"
