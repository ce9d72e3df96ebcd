"""Objects below `s3://bucket/prefix`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from adapters.aws.backoff import Backoff
from adapters.aws.clients import Retries, aws_client
from adapters.aws.errors import translated
from adapters.objects.store import StoredObject
from fraud.errors import RefusedError, UnavailableError
from fraud.settings import Aws

_MISSING = {"NoSuchKey", "NotFound", "404"}
_STANDS = {"PreconditionFailed", "412"}
_OVERTAKEN = {"ConditionalRequestConflict", "409"}
"""Another write of the key was under way and nothing was stored: whether the condition holds is open, so S3 asks to put
again (S3 user guide, conditional writes). 412 in contrast is an answer: the condition does not hold."""


class S3Objects:
    """See `adapters.objects.store.ObjectStore`.

    Args:
        address: `s3://bucket/` and what stands in front of every key, with the `/` at its end if there is to be one.
        aws: where S3 is.
        attempts: most attempts of a call, with growing pauses; 5 give up after some 5 s, 10 after some 60 s.
        kms_key: that objects are encrypted with; None leaves it to the bucket.
        labels: tags of every object written.
        client: an S3 client; None makes one.
        backoff: makes the pauses between attempts.
    """

    def __init__(
        self,
        address: str,
        aws: Aws,
        attempts: int = 5,
        kms_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        client: Any = None,
        backoff: Callable[..., Backoff] = Backoff,
    ) -> None:
        self.address = address
        parts = urlsplit(address)
        self._bucket, self._prefix = parts.netloc, parts.path.removeprefix("/")
        self._attempts = attempts
        self._backoff = backoff
        self._client = aws_client("s3", aws, max_attempts=attempts) if client is None else client
        self._retries = Retries(self._client)
        self._labels = dict(labels or {})
        self._options: dict[str, str] = {}
        if kms_key is not None:
            self._options |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}
        if self._labels:
            self._options["Tagging"] = urlencode(self._labels)

    def require(self) -> None:
        """See `ObjectStore`."""
        self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)

    def get(self, key: str) -> StoredObject | None:
        """See `ObjectStore`."""
        return self._get(key)

    def tail(self, key: str, size: int) -> bytes | None:
        """See `ObjectStore`."""
        found = self._get(key, Range=f"bytes=-{size}")
        return None if found is None else found.data

    def put(self, key: str, data: bytes) -> None:
        """See `ObjectStore`."""
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data, **self._options)

    def put_new(self, key: str, data: bytes) -> bool:
        """See `ObjectStore`."""
        return self._put_if(key, data, IfNoneMatch="*")

    def replace(self, key: str, data: bytes, tag: str) -> bool:
        """See `ObjectStore`."""
        return self._put_if(key, data, IfMatch=tag)

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def keys(self, prefix: str = "", after: str = "") -> Iterator[str]:
        """See `ObjectStore`."""
        for entry in self._entries(prefix, StartAfter=self._prefix + after if after else ""):
            yield entry["Key"].removeprefix(self._prefix)

    def label(self, prefix: str, since: dt.datetime) -> None:
        """See `ObjectStore`."""
        if not self._labels:
            return
        labels = {"TagSet": [{"Key": name, "Value": value} for name, value in self._labels.items()]}
        for entry in self._entries(prefix):
            if entry["LastModified"] >= since:
                self._client.put_object_tagging(Bucket=self._bucket, Key=entry["Key"], Tagging=labels)

    def take_retries(self) -> int:
        """See `ObjectStore`."""
        return self._retries.take()

    def _get(self, key: str, **part: str) -> StoredObject | None:
        try:
            found: Any = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key, **part)
        except RefusedError as error:
            if error.code in _MISSING:
                return None
            raise
        with translated("s3", "GetObject"):
            return StoredObject(bytes(found["Body"].read()), str(found["ETag"]))

    def _put_if(self, key: str, data: bytes, **condition: str) -> bool:
        backoff = self._backoff(0.05, 2.0, attempts=self._attempts)
        while True:
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=self._prefix + key, Body=data, **condition, **self._options
                )
            except RefusedError as error:
                # What was to be replaced may be gone.
                if error.code in _STANDS or ("IfMatch" in condition and error.code in _MISSING):
                    return False
                raise
            except UnavailableError as error:
                if error.code not in _OVERTAKEN or not backoff.pause():
                    raise
                self._retries.add(1)
            else:
                return True

    def _entries(self, prefix: str, **more: str) -> Iterator[Any]:
        for page in self._client.pages("list_objects_v2", Bucket=self._bucket, Prefix=self._prefix + prefix, **more):
            yield from page.get("Contents", [])
