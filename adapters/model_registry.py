"""The model registry: versions of artifacts and their stages, in a folder or on S3.

registry.json           all versions with their stage; replaced only by a writer who has read the latest one
VERSION/model.tar.gz    the artifact's files, as SageMaker takes them; written once
"""

from __future__ import annotations

import datetime as dt
import enum
import fcntl
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.aws import LOST_RACE, aws_client
from fraud.errors import MisconfiguredError
from fraud.settings import Aws

PACKED = "model.tar.gz"
_INDEX = "registry.json"
_SUFFIXES = {".ubj", ".json", ".md"}
_ATTEMPTS = 5


class Stage(enum.StrEnum):
    """What a version is for."""

    CHAMPION = "champion"  # decides; one at most
    CHALLENGER = "challenger"  # scores without effect; one at most
    ARCHIVED = "archived"


class Entry(BaseModel):
    """A version in the registry.

    Attributes:
        version: of the artifact.
        stage: what it is for.
        sha256: of `model.tar.gz`.
        registered_at: when it came.
        staged_at: when it took its stage.
        metrics: of its training.
        note: why it took its stage.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    stage: Stage
    sha256: str
    registered_at: dt.datetime
    staged_at: dt.datetime
    metrics: dict[str, float]
    note: str = ""


class Objects(Protocol):
    """Where the registry's objects lie."""

    address: str

    def get(self, key: str) -> tuple[bytes, str] | None:
        """An object with the tag of its content; None where there is none."""

    def put(self, key: str, data: bytes, replaces: str | None) -> bool:
        """Writes an object in place of the one with this tag, or where there is none (None); False if it is not so."""


class LocalObjects:
    """Objects as files below a folder."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self._folder = folder

    def get(self, key: str) -> tuple[bytes, str] | None:
        """See `Objects`."""
        try:
            data = (self._folder / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MisconfiguredError("model.registry", f"{self.address}: {error.strerror}") from None
        return data, hashlib.sha256(data).hexdigest()

    def put(self, key: str, data: bytes, replaces: str | None) -> bool:
        """See `Objects`."""
        file = self._folder / key
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with (self._folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                standing = self.get(key)
                if (standing[1] if standing else None) != replaces:
                    return False
                half = file.with_name(f".{file.name}")
                half.write_bytes(data)
                half.replace(file)
        except OSError as error:
            raise MisconfiguredError("model.registry", f"{self.address}: {error.strerror}") from None
        return True


class S3Objects:
    """Objects below `s3://bucket/prefix`."""

    def __init__(self, address: str, aws: Aws) -> None:
        self.address = address.rstrip("/")
        parts = urlsplit(self.address)
        self._bucket, self._prefix = parts.netloc, parts.path.lstrip("/")
        self._client = aws_client("s3", aws)

    def get(self, key: str) -> tuple[bytes, str] | None:
        """See `Objects`."""
        try:
            found: Any = self._client.get_object(Bucket=self._bucket, Key=self._key(key))
            return bytes(found["Body"].read()), str(found["ETag"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise self._refused(error) from None
        except BotoCoreError as error:
            raise self._refused(error) from None

    def put(self, key: str, data: bytes, replaces: str | None) -> bool:
        """See `Objects`."""
        condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=data, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in LOST_RACE:
                return False
            raise self._refused(error) from None
        except BotoCoreError as error:
            raise self._refused(error) from None
        return True

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _refused(self, error: Exception) -> MisconfiguredError:
        return MisconfiguredError("model.registry", f"{self.address} cannot be used: {error}")


class ModelRegistry:
    """Versions and stages.

    Args:
        objects: where they lie.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def entries(self) -> list[Entry]:
        """All versions, in the order in which they came."""
        return self._read()[0]

    def find(self, name: str) -> Entry:
        """The version, or the one at the stage, of this name.

        Raises:
            MisconfiguredError: there is none.
        """
        entries = self.entries()
        for entry in entries:
            if name in (entry.version, entry.stage.value) and name != Stage.ARCHIVED:
                return entry
        known = ", ".join(entry.version for entry in entries) or "none"
        raise MisconfiguredError("model.registry", f"{self._objects.address} holds no {name}; versions: {known}")

    def register(self, folder: Path, version: str, metrics: dict[str, float], at: dt.datetime) -> Entry:
        """Takes an artifact in, archived until it is promoted; the same one again changes nothing.

        Args:
            folder: the artifact.
            version: of it.
            metrics: of its training.
            at: now.

        Raises:
            MisconfiguredError: another artifact has this version, or the folder holds files that do not belong.
        """
        packed = pack(folder)
        digest = hashlib.sha256(packed).hexdigest()
        key = f"{version}/{PACKED}"
        if not self._objects.put(key, packed, None):
            standing = self._objects.get(key)
            other = hashlib.sha256(standing[0]).hexdigest() if standing else "nothing"
            if other != digest:
                raise MisconfiguredError(
                    "model.registry", f"{folder} has SHA-256 {digest}, version {version} in the registry {other}"
                )
        new = Entry(
            version=version, stage=Stage.ARCHIVED, sha256=digest, registered_at=at, staged_at=at, metrics=metrics
        )

        def add(entries: list[Entry]) -> list[Entry]:
            return entries if any(entry.version == version for entry in entries) else [*entries, new]

        return _named(self._change(add), version)

    def promote(self, version: str, stage: Stage, at: dt.datetime, note: str = "") -> Entry:
        """Gives a version a stage; the one that had it is archived in the same write.

        Args:
            version: of a registered artifact.
            stage: to take.
            at: now.
            note: why.
        """
        self.find(version)

        def move(entries: list[Entry]) -> list[Entry]:
            moved = []
            for entry in entries:
                if entry.version == version:
                    entry = entry.model_copy(update={"stage": stage, "staged_at": at, "note": note})
                elif entry.stage is stage is not Stage.ARCHIVED:
                    entry = entry.model_copy(
                        update={"stage": Stage.ARCHIVED, "staged_at": at, "note": f"replaced by {version}"}
                    )
                moved.append(entry)
            return moved

        return _named(self._change(move), version)

    def fetch(self, name: str, folder: Path) -> Entry:
        """Unpacks a version, or the one at a stage, into a folder.

        Raises:
            MisconfiguredError: it is not there, or not what was registered; the message names both sides.
        """
        entry = self.find(name)
        found = self._objects.get(f"{entry.version}/{PACKED}")
        if found is None:
            raise MisconfiguredError("model.registry", f"{entry.version}/{PACKED} is gone from {self._objects.address}")
        digest = hashlib.sha256(found[0]).hexdigest()
        if digest != entry.sha256:
            raise MisconfiguredError(
                "model.registry",
                f"{entry.version}/{PACKED} has SHA-256 {digest}, registered was {entry.sha256}: it was changed",
            )
        unpack(found[0], folder)
        return entry

    def _read(self) -> tuple[list[Entry], str | None]:
        found = self._objects.get(_INDEX)
        if found is None:
            return [], None
        try:
            return [Entry.model_validate(entry) for entry in json.loads(found[0])], found[1]
        except (ValueError, ValidationError) as error:
            text = " ".join(str(error).split())
            raise MisconfiguredError("model.registry", f"{self._objects.address}/{_INDEX}: {text}") from None

    def _change(self, change: Callable[[list[Entry]], list[Entry]]) -> list[Entry]:
        for _ in range(_ATTEMPTS):
            entries, tag = self._read()
            changed = change(entries)
            content = json.dumps([entry.model_dump(mode="json") for entry in changed], indent=2) + "\n"
            if changed == entries or self._objects.put(_INDEX, content.encode(), tag):
                return changed
        raise MisconfiguredError("model.registry", f"others keep changing {self._objects.address}; try again")


def open_registry(address: str, aws: Aws) -> ModelRegistry:
    """The registry in a folder or at an `s3://` address."""
    return ModelRegistry(S3Objects(address, aws) if address.startswith("s3://") else LocalObjects(Path(address)))


def pack(folder: Path) -> bytes:
    """The files of an artifact as `model.tar.gz`: the same bytes for the same content.

    Raises:
        MisconfiguredError: a file is none of an artifact's, which could be one that executes on load.
    """
    files = sorted(file for file in folder.iterdir() if file.is_file())
    for file in files:
        if file.suffix not in _SUFFIXES:
            raise MisconfiguredError(str(file), f"does not belong into an artifact: {', '.join(sorted(_SUFFIXES))}")
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for file in files:
            data = file.read_bytes()
            member = tarfile.TarInfo(file.name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """Writes the files of a `model.tar.gz`; nothing outside the folder, no links."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        archive.extractall(folder, filter="data")


def _named(entries: list[Entry], version: str) -> Entry:
    return next(entry for entry in entries if entry.version == version)
