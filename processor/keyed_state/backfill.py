"""State that a new query begins with: folded from history, kept in the archive, read at a key group's first batch.

The checkpoint of a query that has not begun cannot be written from outside. So the state waits in the archive under the
query's name, and a key group without a log begins its log with it. The manifest is written last and once: state without
a manifest is never read, and what a group begins with is the same in every attempt.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.archive.archive import Archive, open_archive
from adapters.archive.batch_replay import archived_batches
from adapters.archive.layout import backfill_key, backfill_manifest_key, checkpoint_key
from fraud.entities import Entity
from fraud.errors import MisconfiguredError
from fraud.path import FeaturePath
from fraud.records import Records
from fraud.settings import Settings
from processor.checkpoint import fixed_settings
from processor.keyed_state.grouped import GroupedStates
from processor.keyed_state.log import snapshot_entries

_ENTRIES = pa.schema([("entry", pa.large_binary())])


class Manifest(msgspec.Struct):
    """What a query begins with.

    Attributes:
        backfill_id: part of the keys of the state.
        fixed: what the state is laid out by; the query must be started with the same.
        source: whose history it is, and how far it reaches.
    """

    backfill_id: str
    fixed: dict[str, Any]
    source: dict[str, Any]


class Backfilled(NamedTuple):
    """What was folded of an entity."""

    keys: int
    bytes: int


class Backfill:
    """Folds history into the state of every key group, as the query would have.

    Args:
        settings: of the query that will begin with it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._groups = GroupedStates(settings.job.key_groups)
        self._path = FeaturePath(settings, self._groups.carry)

    def fold(self, records: Records) -> Records:
        """Folds one batch of history: arrival and transaction columns, and labels that arrived with them.

        Returns:
            See `fraud.path.FeaturePath.advance`: the transactions with their features.
        """
        return self._path.advance(records)

    def write(self, archive: Archive, backfill_id: str, source: dict[str, Any]) -> dict[Entity, Backfilled]:
        """Puts the state where the query will find it.

        Args:
            archive: of the query.
            backfill_id: never used before for this query.
            source: noted in the manifest.

        Raises:
            MisconfiguredError: the query has begun, or was backfilled already.
        """
        query = self._settings.job.query
        written = {step.entity: Backfilled(0, 0) for step in self._path.steps}
        for (entity, group), state in sorted(
            self._groups.states.items(), key=lambda item: (item[0][0].name, item[0][1])
        ):
            entries = snapshot_entries(state)
            table = pa.table({"entry": pa.array(entries, pa.large_binary())}, schema=_ENTRIES)
            archive.put_table_once(backfill_key(query, backfill_id, entity.name, group), table)
            so_far = written[entity]
            written[entity] = Backfilled(so_far.keys + state.keys, so_far.bytes + sum(map(len, entries)))
        require_unbegun(archive, query)
        manifest = Manifest(backfill_id, fixed_settings(self._settings), source)
        if not archive.put_new(backfill_manifest_key(query), msgspec.json.encode(manifest)):
            raise _already_backfilled(query)
        return written


def require_unbegun(archive: Archive, query: str) -> None:
    """Refuses to backfill a query that would not read it.

    Raises:
        MisconfiguredError: the query has begun, or was backfilled already.
    """
    if archive.get(checkpoint_key(query)) is not None:
        raise MisconfiguredError("job.query", f"{query} has already started; backfill a query with a new name")
    if archive.get(backfill_manifest_key(query)) is not None:
        raise _already_backfilled(query)


def _already_backfilled(query: str) -> MisconfiguredError:
    return MisconfiguredError("job.query", f"{query} was backfilled already; backfill a query with a new name")


def read_manifest(archive: Archive, query: str) -> Manifest | None:
    """What a query begins with; None where it begins with nothing."""
    stored = archive.get(backfill_manifest_key(query))
    return None if stored is None else msgspec.json.decode(stored, type=Manifest)


def history_of(settings: Settings) -> Iterator[Records]:
    """The records that a query's state was folded from before it began, batch by batch; none where it began with none.

    Raises:
        MisconfiguredError: they are not in the archive.
    """
    archive = open_archive(settings.archive, settings.aws)
    manifest = read_manifest(archive, settings.job.query)
    if manifest is None:
        return
    source, prefix = str(manifest.source["query"]), manifest.source.get("prefix", settings.archive.prefix)
    place = settings.archive.model_copy(update={"prefix": prefix})
    found = 0
    for batch in archived_batches(open_archive(place, settings.aws), source):
        found += 1
        yield batch.records
    if not found:
        where = f"{settings.job.query} began with the history of {source}, which is not in {place.address}"
        raise MisconfiguredError("job.query", where)


def log_entries(settings: Settings, backfill_id: str, entity: Entity, group: int) -> list[bytes]:
    """The log entries that a key group begins with; none where history had none of its keys."""
    key = backfill_key(settings.job.query, backfill_id, entity.name, group)
    stored = open_archive(settings.archive, settings.aws).get(key)
    if stored is None:
        return []
    return [bytes(entry) for entry in pq.read_table(io.BytesIO(stored))["entry"].to_pylist()]


def backfill_id_of(settings: Settings) -> str | None:
    """Which state a query begins with; None for none.

    Raises:
        MisconfiguredError: the state is laid out by other settings than those of this start.
    """
    manifest = read_manifest(open_archive(settings.archive, settings.aws), settings.job.query)
    if manifest is None:
        return None
    refuse_mismatch(manifest, settings)
    return manifest.backfill_id


def refuse_mismatch(manifest: Manifest, settings: Settings) -> None:
    """Compares what backfilled state is laid out by with the settings of a start.

    Raises:
        MisconfiguredError: naming what differs.
    """
    for name, value in fixed_settings(settings).items():
        if manifest.fixed.get(name) != value:
            raise MisconfiguredError(
                name,
                f"is {value}, but {settings.job.query} was backfilled with {manifest.fixed.get(name)}; keep that, or "
                "backfill a query with a new name",
            )
