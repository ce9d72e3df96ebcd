"""The archive: objects that are written once, at keys that follow from what they hold."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.archive.layout import ArchiveKind
from adapters.archive.names import Names
from adapters.archive.tables import conform, parse_columns
from adapters.objects.folder import FolderObjects
from adapters.objects.s3 import S3Objects
from adapters.objects.store import ObjectStore, StoredObject, put_over
from fraud.errors import FatalError, MisconfiguredError, ServiceError
from fraud.records.fate import PLACE
from fraud.settings import Archive as ArchivePlace
from fraud.settings import Aws

PROBE_KEY = "probe/writable"
"""An empty object that shows the right to write."""

_FOOTER_BYTES = 32_768
_AT_A_TIME = 8
"""Objects copied at the same time."""


class Archive:
    """Tables and notes in a store of objects.

    Args:
        objects: the store.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    @property
    def address(self) -> str:
        """Where it lies."""
        return self._objects.address

    def require(self) -> None:
        """Stops a start without a bucket or the right to list it.

        Raises:
            MisconfiguredError: naming the store.
        """
        try:
            self._objects.require()
        except ServiceError as error:
            raise MisconfiguredError("archive.bucket", f"{self._objects.address} cannot be used: {error}") from None

    def require_writable(self) -> None:
        """Stops a start without the right to write, encrypt, tag and read: leaves an empty object and reads it.

        Raises:
            MisconfiguredError: naming the store; the error names the call that was refused.
        """
        self.require()
        try:
            self.put_new(PROBE_KEY, b"")
            self.get(PROBE_KEY)
        except ServiceError as error:
            where = self._objects.address
            raise MisconfiguredError("archive.bucket", f"{where} cannot be written to: {error}") from None

    def put_new(self, key: str, data: bytes) -> bool:
        """Writes an object unless one is there.

        Returns:
            Whether it was written; False where an object was there already, which then stays.
        """
        return self._objects.put_new(key, data)

    def get(self, key: str) -> bytes | None:
        """An object's bytes; None where there is none."""
        found = self._objects.get(key)
        return None if found is None else found.data

    def find(self, key: str) -> StoredObject | None:
        """An object with the tag of its content; None where there is none."""
        return self._objects.get(key)

    def replace_found(self, key: str, data: bytes, tag: str) -> bool:
        """Writes an object in place of the one found with this tag; False, and nothing done, where it has changed."""
        return self._objects.replace(key, data, tag)

    def put_over(self, key: str, data: bytes, tag: str | None) -> bool:
        """As `adapters.objects.store.put_over`."""
        return put_over(self._objects, key, data, tag)

    def put_table_once(self, key: str, table: pa.Table) -> pa.Table:
        """Writes a table as Parquet unless one is there; gives back the one that stands, with the given one's columns.

        Raises:
            MisconfiguredError: see `conform`.
        """
        return table if self.put_new(key, to_parquet(table)) else self._standing(key, table.schema)

    def put_records_once(self, key: str, table: pa.Table, program: str) -> pa.Table:
        """Writes records as `put_table_once` does, with names of them; one that stands must hold the same records.

        Args:
            key: where.
            table: with the columns of `fraud.records.arrival.ARRIVAL_FIELDS` among others.
            program: version of the program that writes.

        Raises:
            FatalError: another attempt stored other records there; nothing was written.
            MisconfiguredError: see `conform`.
        """
        names = Names.of(table, program)
        if self.put_new(key, to_parquet(names.written_to(table))):
            return table
        standing = self._standing(key, table.schema)
        held = Names.of(standing)
        if held.digest != names.digest:
            raise FatalError(
                f"{key} holds {held.named()}, this attempt has {names.named()}: nothing was written; start the job "
                "again, it then keeps what is stored and stores the rest (docs/sinks.md)"
            )
        return standing

    def _standing(self, key: str, schema: pa.Schema) -> pa.Table:
        standing = self.get(key)
        assert standing is not None, f"{key} was taken and is gone: nothing may delete from the archive while writing"
        return conform(pq.read_table(io.BytesIO(standing)), schema, key)

    def names(self, key: str) -> Names:
        """Which records an object holds, by its Parquet footer; one that does not say so is read.

        Raises:
            FileNotFoundError: there is none.
        """
        return Names.read(self._footer(key).metadata) or Names.of(self.read_table(key, PLACE))

    def replace_table(self, key: str, table: pa.Table) -> None:
        """Writes an object again, with other rows: for erasure alone, of what no batch can still ask for."""
        self._objects.put(key, to_parquet(table))

    def replace(self, key: str, data: bytes) -> None:
        """Writes an object again, with other content: for erasure alone."""
        self._objects.put(key, data)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Keys that begin with a prefix, in order, those after `after` only."""
        return self._objects.keys(prefix, after)

    def read_table(self, key: str, columns: Sequence[str]) -> pa.Table:
        """Reads columns of an archived object as today's schema has them, whenever it was written.

        Raises:
            FileNotFoundError: there is none.
            MisconfiguredError: see `conform`.
        """
        return parse_columns(self._require(key), key, columns)

    def read_stored(self, key: str) -> pa.Table:
        """Reads an archived object with the columns that it was written with.

        Raises:
            FileNotFoundError: there is none.
        """
        return pq.read_table(io.BytesIO(self._require(key)))

    def _require(self, key: str) -> bytes:
        data = self.get(key)
        if data is None:
            raise FileNotFoundError(key)
        return data

    def row_count(self, key: str) -> int:
        """How many rows a Parquet object says it has; only its end is read."""
        return int(self._footer(key).num_rows)

    def _footer(self, key: str) -> pq.FileMetaData:
        wanted = _FOOTER_BYTES
        while True:
            tail = self._objects.tail(key, wanted)
            if tail is None:
                raise FileNotFoundError(key)
            footer = int.from_bytes(tail[-8:-4], "little") + 8
            if footer <= len(tail):
                return pq.read_metadata(io.BytesIO(tail))
            wanted = footer

    def label(self, prefix: str, since: dt.datetime) -> None:
        """Puts the configured tags on objects below a prefix that were written since then by others than this class."""
        self._objects.label(prefix, since)

    def take_retries(self) -> int:
        """How many calls were tried again since the last time this was asked."""
        return self._objects.take_retries()

    def copy_to(self, other: Archive) -> int:
        """Copies every object that the other archive lacks; gives their number."""
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            return sum(pool.map(lambda key: other.put_new(key, self._require(key)), list(self.keys(""))))

    def tables(self, kind: ArchiveKind) -> Iterator[pa.Table]:
        """Every table of a kind as it is stored, in key order."""
        for key in self.keys(kind.prefix):
            yield self.read_stored(key)


def open_archive(place: ArchivePlace, aws: Aws, attempts: int = 5) -> Archive:
    """The archive below a bucket and prefix of S3, or in a folder.

    Args:
        place: the settings' section.
        aws: where S3 is.
        attempts: see `adapters.objects.s3.S3Objects`.
    """
    if place.folder is not None:
        return Archive(FolderObjects(Path(place.address)))
    return Archive(S3Objects(place.address, aws, attempts, place.kms_key, place.tags))


def to_parquet(table: pa.Table) -> bytes:
    """A table as Parquet bytes: zstd, dictionaries of strings; the same bytes for the same table."""
    # Numbers, most of them features, gain nothing from dictionaries: a third more time for a tenth more bytes. Nor is a
    # row group chosen by the bounds of a feature, which are a quarter of a small object.
    strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
    bounded = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, compression="zstd", compression_level=1, use_dictionary=strings, write_statistics=bounded
    )
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
