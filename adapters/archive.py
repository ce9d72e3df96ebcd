"""The S3 archive: objects that are written once, at keys that follow from what they hold."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import BotoCoreError, ClientError

from adapters.aws import LOST_RACE, Retries, aws_client
from fraud.archive_layout import ArchiveKind
from fraud.errors import MisconfiguredError
from fraud.settings import Settings

PROBE_KEY = "probe/writable"
"""An empty object that shows the right to write."""

_FOOTER_BYTES = 32_768
_MISSING = {"NoSuchKey", "404", "NotFound"}


class Archive:
    """Objects below the configured bucket and prefix.

    Args:
        settings: where they are.
        attempts: most attempts of a call, with growing pauses; 5 give up after some 5 s, 10 after some 60 s.

    Attributes:
        retries: calls tried again.
    """

    def __init__(self, settings: Settings, attempts: int = 5) -> None:
        self._bucket = settings.archive.bucket
        self._prefix = settings.archive.prefix
        self._client = aws_client("s3", settings.aws, max_attempts=attempts)
        self.retries = Retries(self._client)
        self._tags = settings.archive.tags
        self._put_options: dict[str, str] = {}
        if settings.archive.kms_key is not None:
            self._put_options |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": settings.archive.kms_key}
        if settings.archive.tags:
            self._put_options["Tagging"] = urlencode(settings.archive.tags)

    def require(self) -> None:
        """Stops a start without a bucket or the right to list it.

        Raises:
            MisconfiguredError: naming the bucket.
        """
        try:
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        except (BotoCoreError, ClientError) as error:
            raise MisconfiguredError("archive.bucket", f"{self._bucket} cannot be used: {error}") from None

    def require_writable(self) -> None:
        """Stops a start without the right to write, encrypt, tag and read: leaves an empty object and reads it.

        Raises:
            MisconfiguredError: naming the bucket; the error names the call that was refused.
        """
        self.require()
        try:
            self.put_new(PROBE_KEY, b"")
            self.get(PROBE_KEY)
        except (BotoCoreError, ClientError) as error:
            raise MisconfiguredError("archive.bucket", f"{self._bucket} cannot be written to: {error}") from None

    def put_new(self, key: str, data: bytes) -> bool:
        """Writes an object unless one is there (`If-None-Match: *`).

        Returns:
            Whether it was written; False where an object was there already, which then stays.
        """
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=data, IfNoneMatch="*", **self._put_options
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in LOST_RACE:
                return False
            raise
        return True

    def get(self, key: str) -> bytes | None:
        """An object's bytes; None where there is none."""
        try:
            body: Any = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"]
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
        return bytes(body.read())

    def put_table_once(self, key: str, table: pa.Table) -> pa.Table:
        """Writes a table as Parquet unless one is there; gives back the one that stands."""
        if self.put_new(key, to_parquet(table)):
            return table
        standing = self.get(key)
        assert standing is not None, f"{key} was taken and is gone: nothing may delete from the archive while writing"
        return pq.read_table(io.BytesIO(standing))

    def replace_table(self, key: str, table: pa.Table) -> None:
        """Writes an object anew, with other rows: for erasure alone, of what no batch can still ask for."""
        self._client.put_object(
            Bucket=self._bucket, Key=self._prefix + key, Body=to_parquet(table), **self._put_options
        )

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Keys that begin with a prefix, in order, those after `after` only."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix, StartAfter=self._prefix + after if after else ""
        )
        for page in pages:
            for entry in page.get("Contents", []):
                yield entry["Key"].removeprefix(self._prefix)

    def read_table(self, key: str, columns: list[str] | None = None) -> pa.Table:
        """Reads a Parquet object, all columns or some."""
        data = self.get(key)
        if data is None:
            raise FileNotFoundError(key)
        return pq.read_table(io.BytesIO(data), columns=columns)

    def row_count(self, key: str) -> int:
        """How many rows a Parquet object says it has; only its end is read."""
        wanted = _FOOTER_BYTES
        while True:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key, Range=f"bytes=-{wanted}")
            tail = answer["Body"].read()
            footer = int.from_bytes(tail[-8:-4], "little") + 8
            if footer <= len(tail):
                return int(pq.read_metadata(io.BytesIO(tail)).num_rows)
            wanted = footer

    def tag(self, prefix: str, since: dt.datetime) -> None:
        """Puts the configured tags on objects below a prefix that were written since then by others than this class."""
        if not self._tags:
            return
        tags = {"TagSet": [{"Key": name, "Value": value} for name, value in self._tags.items()]}
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        for page in pages:
            for entry in page.get("Contents", []):
                if entry["LastModified"] >= since:
                    self._client.put_object_tagging(Bucket=self._bucket, Key=entry["Key"], Tagging=tags)

    def tables(self, kind: ArchiveKind, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Every table of a kind, in key order."""
        for key in self.keys(kind.prefix):
            yield self.read_table(key, columns)


def to_parquet(table: pa.Table) -> bytes:
    """A table as Parquet bytes: zstd, dictionaries of strings; the same bytes for the same table."""
    # Numbers, most of them features, gain nothing from dictionaries: a third more time for a tenth more bytes.
    strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=strings)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
