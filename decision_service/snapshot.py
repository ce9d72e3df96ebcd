"""Snapshots of the state on the local disk: a start goes on from the newest, and from what followed it."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import structlog

from fraud.errors import FraudError

log = structlog.get_logger()

_PIECE = struct.Struct("<II")
_KEPT = 2


class Meta(msgspec.Struct, frozen=True):
    """What a snapshot says of itself.

    Attributes:
        journal: place in the journal up to which its state goes.
        positions: by stream and shard, what of the streams it holds: the stored form of the source's offsets.
        definition: what its values depend on; one of another is not taken.
        taken_ms: when, UTC milliseconds.
    """

    journal: int
    positions: dict[str, dict[str, dict[str, Any]]]
    definition: str
    taken_ms: int


def write(folder: Path, meta: Meta, pieces: Iterator[tuple[str, bytes]]) -> Path:
    """Writes a snapshot; it is there whole or not at all, and older ones but one go."""
    draft = folder / f"draft-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    with (draft / "state").open("wb") as state:
        for entity, piece in pieces:
            content = entity.encode().ljust(32) + piece
            state.write(_PIECE.pack(len(content), zlib.crc32(content)))
            state.write(content)
        state.flush()
        os.fsync(state.fileno())
    with (draft / "meta.json").open("wb") as described:
        described.write(msgspec.json.encode(meta))
        described.flush()
        os.fsync(described.fileno())
    return draft


def publish(folder: Path, draft: Path, meta: Meta) -> None:
    """Makes a written snapshot the newest."""
    place = folder / f"{meta.taken_ms:015d}"
    shutil.rmtree(place, ignore_errors=True)
    draft.rename(place)
    for old in sorted(folder.glob("[0-9]*"))[:-_KEPT]:
        shutil.rmtree(old)


def newest(folder: Path, definition: str) -> tuple[Meta, Iterator[tuple[str, bytes]]] | None:
    """The newest snapshot that is whole and fits; None where there is none, and why is said."""
    for draft in folder.glob("draft-*"):
        shutil.rmtree(draft, ignore_errors=True)
    for place in sorted(folder.glob("[0-9]*"), reverse=True):
        try:
            meta = msgspec.json.decode((place / "meta.json").read_bytes(), type=Meta)
            if meta.definition != definition:
                raise FraudError("it was taken with other features, entities or bounds")
            pieces = list(_pieces(place / "state"))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, FraudError) as error:
            log.error("snapshot_not_taken", snapshot=str(place), problem=str(error))
            continue
        return meta, iter(pieces)
    return None


def _pieces(file: Path) -> Iterator[tuple[str, bytes]]:
    with file.open("rb") as state:
        while head := state.read(_PIECE.size):
            if len(head) < _PIECE.size:
                raise FraudError("its state is cut off")
            length, checksum = _PIECE.unpack(head)
            content = state.read(length)
            if len(content) != length or zlib.crc32(content) != checksum:
                raise FraudError("its state is damaged")
            yield content[:32].decode().strip(), content[32:]
