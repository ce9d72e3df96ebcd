"""An S3 bucket in memory: the methods of a boto3 client that the product uses, their conditions and their errors."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from adapters.aws.errors import service_error


class InMemoryS3:
    """Objects by key; there is one bucket.

    Attributes:
        objects: what is there.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(
        self,
        Bucket: str,  # noqa: ARG002
        Key: str,
        Body: bytes,
        IfNoneMatch: str | None = None,
        IfMatch: str | None = None,
    ) -> dict[str, Any]:
        """Puts an object where its condition holds."""
        standing = self.objects.get(Key)
        if IfMatch is not None and standing is None:
            raise service_error("s3", "PutObject", "NoSuchKey", "there is none", 404)
        if (IfNoneMatch is not None and standing is not None) or (
            IfMatch is not None and standing is not None and _tag(standing) != IfMatch
        ):
            raise service_error("s3", "PutObject", "PreconditionFailed", "the condition does not hold", 412)
        self.objects[Key] = Body
        return {"ETag": _tag(Body)}

    def get_object(self, Bucket: str, Key: str, Range: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        """An object, or its end."""
        data = self.objects.get(Key)
        if data is None:
            raise service_error("s3", "GetObject", "NoSuchKey", "there is none", 404)
        part = data if Range is None else data[-int(Range.removeprefix("bytes=-")) :]
        return {"Body": io.BytesIO(part), "ETag": _tag(data)}

    def delete_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: ARG002
        """Removes an object, if it is there."""
        self.objects.pop(Key, None)
        return {}

    def list_objects_v2(
        self,
        Bucket: str,  # noqa: ARG002
        Prefix: str = "",
        StartAfter: str = "",
        MaxKeys: int = 1_000,
        ContinuationToken: str = "",
    ) -> dict[str, Any]:
        """Keys in the order of their bytes, a thousand a page."""
        after = ContinuationToken or StartAfter
        keys = sorted((key for key in self.objects if key.startswith(Prefix) and key > after), key=str.encode)
        page = {"Contents": [{"Key": key} for key in keys[:MaxKeys]]}
        return page | ({"NextContinuationToken": keys[MaxKeys - 1]} if len(keys) > MaxKeys else {})


def _tag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
