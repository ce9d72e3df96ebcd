"""Going on from a checkpoint that lies behind its archive: numbered on, noted, and no record twice.

A checkpoint that was set back (a restored backup, lost last writes) reads again what is stored already. Its batches get
numbers above all that the archive holds, and a note lists the objects of the batches that it lacks. What these hold is
folded again into the state, and neither decided nor stored a second time; the rest is decided as if nothing had been.
"""

from __future__ import annotations

import msgspec

from adapters.archive.archive import Archive
from adapters.archive.batch_replay import keys_of_batches
from adapters.archive.layout import continuation_key
from adapters.archive.pins import Pins
from fraud.errors import FatalError, MisconfiguredError
from fraud.settings import Settings
from processor.checkpoint import claim_checkpoint
from processor.checkpoint_folder import CheckpointFolder, Numbering
from processor.run import Ranges


class Continuation(msgspec.Struct, frozen=True, kw_only=True):
    """The note that a query went on from a checkpoint that lay behind its archive. It is written once and stays.

    Attributes:
        number: the how many-th time.
        checkpoint_id: of the checkpoint.
        committed: the last batch that the checkpoint had committed, as Spark numbers it.
        first: the number in the archive of the next batch.
        objects: what the archive held of the batches that the checkpoint lacks.
        reason: in the words of who did it.
        by: who did it: the user of the operating system.
        at_ms: when, UTC epoch.
        program: version of the program.
    """

    number: int
    checkpoint_id: str
    committed: int
    first: int
    objects: dict[str, Ranges]
    reason: str
    by: str
    at_ms: int
    program: str


def continued_objects(archive: Archive, key: str) -> dict[str, Ranges]:
    """The objects of a continuation."""
    place = (archive.address, key)
    if place not in _continued:
        stored = archive.get(key)
        if stored is None:
            raise FatalError(f"{key} is gone: it says which records are read again; restore it")
        _continued[place] = msgspec.json.decode(stored, type=Continuation).objects
    return _continued[place]


_continued: dict[tuple[str, str], dict[str, Ranges]] = {}
"""Kept by a worker over its tasks: a note never changes."""


def continue_from(
    folder: CheckpointFolder, archive: Archive, settings: Settings, reason: str, by: str, at_ms: int, program: str
) -> Continuation:
    """Lets a query go on from a checkpoint behind its archive, or finish a batch that this version cannot resume.

    The job must not run meanwhile.

    Args:
        folder: of the checkpoint.
        archive: of the query.
        settings: of the query.
        reason: why, for the note.
        by: who decides so.
        at_ms: now, UTC epoch.
        program: version of this program.

    Raises:
        MisconfiguredError: the checkpoint is another one's, would be misread, or has nothing to continue from.
    """
    query = settings.job.query
    checkpoint_id = claim_checkpoint(folder, archive, settings)
    progress = folder.progress()
    pins = Pins(archive, query)
    known = progress.number_of(progress.committed)
    newest = pins.newest(known)
    if newest is None:
        raise MisconfiguredError(
            "job.checkpoint",
            f"{settings.job.checkpoint} and the archive both end with batch {known}: there is nothing to continue; "
            "start the job",
        )
    numbered = sorted((number, key) for number, key in keys_of_batches(archive, query) if number > known)
    objects = {key: archive.names(key).ranges for _, key in numbered}
    for numbering in progress.numberings[-1:]:  # the checkpoint may not have passed what it was to read again before
        objects = continued_objects(archive, numbering.continuation) | objects
    first = max(newest, *(number for number, _ in numbered), known) + 1
    notes = list(archive.keys(continuation_key(query, 0).removesuffix("0000.json")))
    number = len(notes) + 1
    note = Continuation(
        number=number,
        checkpoint_id=checkpoint_id,
        committed=progress.committed,
        first=first,
        objects=objects,
        reason=reason,
        by=by,
        at_ms=at_ms,
        program=program,
    )
    key = continuation_key(query, number)
    if not archive.put_new(key, msgspec.json.encode(note)):
        raise MisconfiguredError("job.query", f"{query} was continued by somebody else meanwhile ({key}); look again")
    folder.number_on(Numbering(note.committed + 1, note.first - note.committed - 1, key))
    return note
