"""The model registry: versions of artifacts and their stages, in a folder or on S3.

registry.json           all versions with their stage; replaced only by a writer who has read the latest one
VERSION/model.tar.gz    the artifact's files, as SageMaker takes them; written once
"""

from __future__ import annotations

import datetime as dt
import enum
import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from adapters.objects.opening import open_objects
from adapters.objects.store import ObjectStore, StoredObject, put_over
from fraud.documents import explain
from fraud.errors import MisconfiguredError, ServiceError
from fraud.settings import Aws

PACKED = "model.tar.gz"
_INDEX = "registry.json"
_SUFFIXES = {".ubj", ".json", ".md"}
_ATTEMPTS = 5
_MAX_UNPACKED_BYTES = 1 << 30


class Stage(enum.StrEnum):
    """What a version is for."""

    CHAMPION = "champion"  # decides; one at most
    CHALLENGER = "challenger"  # scores without effect; one at most
    ARCHIVED = "archived"


class Staging(BaseModel):
    """A stage that a version took.

    Attributes:
        stage: which.
        at: when.
        by: who gave it; empty where not noted.
        note: why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    at: dt.datetime
    by: str = ""
    note: str = ""


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
        stagings: all stages that it took since it was registered, the latest last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    stage: Stage
    sha256: str
    registered_at: dt.datetime
    staged_at: dt.datetime
    metrics: dict[str, float]
    note: str = ""
    stagings: tuple[Staging, ...] = ()

    @property
    def staged_by(self) -> str:
        """Who gave it its stage; empty where that was not noted."""
        return self.stagings[-1].by if self.stagings else ""

    @property
    def was_champion(self) -> bool:
        """Whether it decides or has decided."""
        return Stage.CHAMPION in (self.stage, *(staging.stage for staging in self.stagings))

    def staged(self, staging: Staging) -> Entry:
        """The entry at another stage."""
        latest = {"stage": staging.stage, "staged_at": staging.at, "note": staging.note}
        return self.model_copy(update={**latest, "stagings": (*self.stagings, staging)})


_ENTRIES = TypeAdapter(list[Entry])


class ModelRegistry:
    """Versions and stages.

    Args:
        objects: where they lie.
    """

    def __init__(self, objects: ObjectStore) -> None:
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
        if not self._put(key, packed, None):
            standing = self._get(key)
            other = hashlib.sha256(standing.data).hexdigest() if standing else "nothing"
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

    def promote(self, version: str, stage: Stage, at: dt.datetime, by: str, note: str = "") -> Entry:
        """Gives a version a stage; the one that had it is archived in the same write.

        Args:
            version: of a registered artifact.
            stage: to take.
            at: now.
            by: who says so.
            note: why.
        """
        self.find(version)

        def move(entries: list[Entry]) -> list[Entry]:
            moved = []
            for entry in entries:
                if entry.version == version:
                    entry = entry.staged(Staging(stage=stage, at=at, by=by, note=note))
                elif entry.stage is stage is not Stage.ARCHIVED:
                    replaced = f"replaced by {version}"
                    entry = entry.staged(Staging(stage=Stage.ARCHIVED, at=at, by=by, note=replaced))
                moved.append(entry)
            return moved

        return _named(self._change(move), version)

    def fetch(self, name: str, folder: Path) -> Entry:
        """Unpacks a version, or the one at a stage, into a folder.

        Raises:
            MisconfiguredError: it is not there, or not what was registered; the message names both sides.
        """
        entry = self.find(name)
        found = self._get(f"{entry.version}/{PACKED}")
        if found is None:
            raise MisconfiguredError("model.registry", f"{entry.version}/{PACKED} is gone from {self._objects.address}")
        digest = hashlib.sha256(found.data).hexdigest()
        if digest != entry.sha256:
            raise MisconfiguredError(
                "model.registry",
                f"{entry.version}/{PACKED} has SHA-256 {digest}, registered was {entry.sha256}: it was changed",
            )
        unpack(found.data, folder)
        return entry

    def _read(self) -> tuple[list[Entry], str | None]:
        found = self._get(_INDEX)
        if found is None:
            return [], None
        try:
            return _ENTRIES.validate_json(found.data), found.tag
        except ValidationError as error:
            text = "; ".join(explain(error))
            raise MisconfiguredError("model.registry", f"{self._objects.address}/{_INDEX}: {text}") from None

    def _change(self, change: Callable[[list[Entry]], list[Entry]]) -> list[Entry]:
        for _ in range(_ATTEMPTS):
            entries, tag = self._read()
            changed = change(entries)
            content = json.dumps([entry.model_dump(mode="json") for entry in changed], indent=2) + "\n"
            if changed == entries or self._put(_INDEX, content.encode(), tag):
                return changed
        raise MisconfiguredError("model.registry", f"others keep changing {self._objects.address}; try again")

    def _get(self, key: str) -> StoredObject | None:
        with self._usable():
            return self._objects.get(key)

    def _put(self, key: str, data: bytes, tag: str | None) -> bool:
        """Writes in place of the object with this tag, or where there is none (None); False if it is not so."""
        with self._usable():
            return put_over(self._objects, key, data, tag)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except ServiceError as error:
            raise MisconfiguredError("model.registry", f"{self._objects.address} cannot be used: {error}") from None


def open_registry(address: str, aws: Aws) -> ModelRegistry:
    """The registry in a folder or at an `s3://` address."""
    return ModelRegistry(open_objects(address, aws))


def pack(folder: Path) -> bytes:
    """The files of an artifact as `model.tar.gz`: the same bytes for the same content.

    Raises:
        MisconfiguredError: a file is none of an artifact's, which could be one that executes on load.
    """
    files = sorted(file for file in folder.iterdir() if file.is_file())
    for file in files:
        if file.suffix not in _SUFFIXES:
            raise MisconfiguredError(str(file), f"does not belong in an artifact: {', '.join(sorted(_SUFFIXES))}")
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for file in files:
            data = file.read_bytes()
            member = tarfile.TarInfo(file.name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def unpack(packed: bytes, folder: Path, name: str = PACKED) -> None:
    """Writes the files of a `model.tar.gz`, of an artifact's kinds alone: nothing outside the folder, no links.

    Args:
        packed: its bytes.
        folder: to write to; made where it is not there.
        name: what people call it, for the error.

    Raises:
        MisconfiguredError: it is none, holds something else, or unpacks to more than any artifact.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            total = 0
            for member in archive:
                total += member.size
                place = PurePosixPath(member.name)
                if not (member.isdir() or (member.isfile() and place.suffix in _SUFFIXES)):
                    raise MisconfiguredError(name, f"holds {member.name!r}, which does not belong in an artifact")
                if total > _MAX_UNPACKED_BYTES:
                    raise MisconfiguredError(name, f"unpacks to more than {_MAX_UNPACKED_BYTES:,} bytes")
            folder.mkdir(parents=True, exist_ok=True)
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise MisconfiguredError(name, f"is not a model.tar.gz: {error}") from None


def _named(entries: list[Entry], version: str) -> Entry:
    return next(entry for entry in entries if entry.version == version)
