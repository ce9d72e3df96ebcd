"""Opens the store of objects that an address names."""

from __future__ import annotations

from pathlib import Path

from adapters.objects.folder import FolderObjects
from adapters.objects.s3 import S3Objects
from adapters.objects.store import ObjectStore
from fraud.settings import Aws


def open_objects(address: str, aws: Aws) -> ObjectStore:
    """The store at `s3://bucket/prefix`, or in a folder."""
    if address.startswith("s3://"):
        return S3Objects(f"{address.rstrip('/')}/", aws)
    return FolderObjects(Path(address))
