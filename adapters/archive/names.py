"""What an archived table says of itself: which records it holds, and which program wrote it."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from fraud.records.fate import digest, ranges

_KEY = b"fraud.records"


class Names(msgspec.Struct, frozen=True):
    """Names the records of an object, in its Parquet metadata under `fraud.records`.

    Attributes:
        digest: of their places in the streams, in their order.
        ranges: the first and the last sequence number of each `stream/shard`.
        program: version of the program that wrote it; empty where that is not known.
    """

    digest: str
    ranges: dict[str, tuple[str, str]]
    program: str = ""

    @classmethod
    def of(cls, table: pa.Table, program: str = "") -> Names:
        """Names the records of a table."""
        return cls(digest(table), ranges(table), program)

    @classmethod
    def read(cls, metadata: dict[bytes, bytes] | None) -> Names | None:
        """What Parquet metadata says; None for an object of a version that did not name its records."""
        stored = (metadata or {}).get(_KEY)
        return None if stored is None else msgspec.json.decode(stored, type=cls)

    def written_to(self, table: pa.Table) -> pa.Table:
        """The table with these names in its metadata."""
        return table.replace_schema_metadata({_KEY: msgspec.json.encode(self)})

    def named(self) -> str:
        """In words, for messages."""
        spans = ", ".join(f"{place} {first} to {last}" for place, (first, last) in sorted(self.ranges.items()))
        return f"{spans or 'no records'} (digest {self.digest[:8]})"
