"""State that a new query begins with: folded from history, kept in the archive, read at a key group's first batch.

The checkpoint of a query that has not begun cannot be written from outside. So the state waits in the archive under the
query's name, and a key group without a log begins its log with it. The manifest is written last and once: state without
a manifest is never read, and what a group begins with is the same in every attempt.
"""

from __future__ import annotations

import io
from collections import defaultdict
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.archive import Archive
from fraud.archive_layout import checkpoint_key, primed_key, primed_manifest_key
from fraud.errors import MisconfiguredError
from fraud.features import kernel
from fraud.features.catalogue import Entity
from fraud.features.entities import entity_fold, events_kept
from fraud.features.stage import run_stage
from fraud.features.state import EntityState
from fraud.settings import Settings
from processor.checkpoint import fixed_settings
from processor.envelope import entity_groups, split
from processor.keyed_state.log import snapshot_entries

_ENTRIES = pa.schema([("entry", pa.large_binary())])


class Manifest(msgspec.Struct):
    """What a query begins with.

    Attributes:
        prime_id: part of the keys of the state.
        fixed: what the state is laid out by; the query must be started with the same.
        source: whose history it is, and how far it reaches.
    """

    prime_id: str
    fixed: dict[str, Any]
    source: dict[str, Any]


class Primed(NamedTuple):
    """What was folded of an entity kind."""

    keys: int
    bytes: int


class Primer:
    """Folds history into the state of every key group, as the query would have.

    Args:
        settings: of the query that will begin with it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folds = {entity: entity_fold(entity, settings.job) for entity in events_kept(settings.job)}
        self._states: dict[tuple[Entity, int], EntityState] = defaultdict(EntityState)

    def fold(self, transactions: pa.RecordBatch | None, labels: pa.RecordBatch | None) -> None:
        """Folds one batch of history.

        Args:
            transactions: arrival and transaction columns; None without any.
            labels: arrival and label columns that came with them; None without any.
        """
        for entity, fold in self._folds.items():
            parts = self._parts(entity, transactions)
            judged = self._parts(entity, labels if fold.uses_labels else None)
            staged = [
                run_stage(fold, self._states[entity, group], parts.get(group), judged.get(group)).transactions
                for group in sorted({*parts, *judged})
            ]
            kept = [part for part in staged if part is not None]
            transactions = pa.concat_batches(kept) if kept else None

    def _parts(self, entity: Entity, records: pa.RecordBatch | None) -> dict[int, pa.RecordBatch]:
        if records is None:
            return {}
        return dict(split(records, entity_groups(entity, records, self._settings.job.key_groups)))

    def write(self, archive: Archive, prime_id: str, source: dict[str, Any]) -> dict[Entity, Primed]:
        """Puts the state where the query will find it.

        Args:
            archive: of the query.
            prime_id: never used before for this query.
            source: noted in the manifest.

        Raises:
            MisconfiguredError: the query has begun, or was primed already.
        """
        query = self._settings.job.query
        written = {entity: Primed(0, 0) for entity in self._folds}
        for (entity, group), state in sorted(self._states.items()):
            entries = snapshot_entries(state, kernel.NO_TIME)
            table = pa.table({"entry": pa.array(entries, pa.large_binary())}, schema=_ENTRIES)
            archive.put_table_once(primed_key(query, prime_id, entity, group), table)
            so_far = written[entity]
            written[entity] = Primed(so_far.keys + state.keys, so_far.bytes + sum(map(len, entries)))
        require_unbegun(archive, query)
        manifest = Manifest(prime_id, fixed_settings(self._settings), source)
        if not archive.put_new(primed_manifest_key(query), msgspec.json.encode(manifest)):
            raise _already_primed(query)
        return written


def require_unbegun(archive: Archive, query: str) -> None:
    """Refuses to prime a query that would not read it.

    Raises:
        MisconfiguredError: the query has begun, or was primed already.
    """
    if archive.get(checkpoint_key(query)) is not None:
        raise MisconfiguredError("job.query", f"{query} has begun already; prime a query with a new name")
    if archive.get(primed_manifest_key(query)) is not None:
        raise _already_primed(query)


def _already_primed(query: str) -> MisconfiguredError:
    return MisconfiguredError("job.query", f"{query} was primed already; prime a query with a new name")


def read_manifest(archive: Archive, query: str) -> Manifest | None:
    """What a query begins with; None where it begins with nothing."""
    stored = archive.get(primed_manifest_key(query))
    return None if stored is None else msgspec.json.decode(stored, type=Manifest)


def primed_entries(settings: Settings, prime_id: str, entity: Entity, group: int) -> list[bytes]:
    """The log entries that a key group begins with; none where history had none of its keys."""
    key = primed_key(settings.job.query, prime_id, entity, group)
    stored = Archive(settings).get(key)
    if stored is None:
        return []
    return [bytes(entry) for entry in pq.read_table(io.BytesIO(stored))["entry"].to_pylist()]


def prime_id_of(settings: Settings) -> str | None:
    """Which state a query begins with; None for none.

    Raises:
        MisconfiguredError: the state is laid out by other settings than those of this start.
    """
    manifest = read_manifest(Archive(settings), settings.job.query)
    if manifest is None:
        return None
    refuse_mismatch(manifest, settings)
    return manifest.prime_id


def refuse_mismatch(manifest: Manifest, settings: Settings) -> None:
    """Compares what primed state is laid out by with the settings of a start.

    Raises:
        MisconfiguredError: naming what differs.
    """
    for name, value in fixed_settings(settings).items():
        if manifest.fixed.get(name) != value:
            raise MisconfiguredError(
                name,
                f"is {value}, but {settings.job.query} was primed with {manifest.fixed.get(name)}; keep that, or "
                "prime a query with a new name",
            )
