"""What a start of the job finds out before its first batch: whether it may go on, and what it has to finish first."""

from __future__ import annotations

import secrets

from adapters.archive.archive import Archive
from adapters.archive.batch_replay import keys_of_batches
from adapters.archive.layout import ArchiveKind
from adapters.archive.pins import Pin, Pins
from fraud.errors import MisconfiguredError
from fraud.pinned import with_pinned
from fraud.records.fate import ENDED
from fraud.settings import Settings
from processor.checkpoint import claim_checkpoint
from processor.checkpoint_folder import CheckpointFolder, Progress, unfinished
from processor.kinesis_source.offsets import Offsets
from processor.run import Resumed, Run

WAY_BACK = (
    "restore the checkpoint that belongs to it, or run `fraud state continue` (docs/runbooks/checkpoint-set-back.md)"
)


def begin(
    folder: CheckpointFolder, archive: Archive, settings: Settings, program: str, run_id: str | None = None
) -> Run:
    """Claims the checkpoint and looks at what an earlier run has left.

    Args:
        folder: of the checkpoint.
        archive: of the query.
        settings: of this start.
        program: version of this program.
        run_id: fresh for each start; None draws one.

    Raises:
        MisconfiguredError: the checkpoint is another one's, would be misread, lies behind the archive, or its state is
            between two places.
    """
    if (move := folder.unfinished_move()) is not None:
        raise MisconfiguredError("job.checkpoint", unfinished(settings.job.checkpoint, move[1]))
    claim_checkpoint(folder, archive, settings)
    progress = folder.progress()
    pins = Pins(archive, settings.job.query)
    refuse_set_back(progress, pins.newest(progress.number_of(progress.planned + 1) - 1), settings)
    return Run(
        settings=settings,
        id=run_id or secrets.token_hex(8),
        program=program,
        numberings=progress.numberings,
        resumed=_resumed(folder, progress, pins, archive, settings),
    )


def refuse_set_back(progress: Progress, newest: int | None, settings: Settings) -> None:
    """Stops where the archive holds batches that the checkpoint does not know.

    The query would read their records again, and take what stands under their numbers for its own.

    Args:
        progress: of the checkpoint.
        newest: the highest number, from the next batch's on, of a batch in the archive; None for none.
        settings: of this start.

    Raises:
        MisconfiguredError: saying how far both are.
    """
    if newest is not None:
        raise MisconfiguredError(
            "job.checkpoint",
            f"the next batch of {settings.job.checkpoint} is {progress.number_of(progress.planned + 1)}, but the "
            f"archive holds batches of {settings.job.query} up to {newest}: the checkpoint was set back, or another "
            f"job writes under this name; nothing was read or written; {WAY_BACK}",
        )


def _resumed(
    folder: CheckpointFolder, progress: Progress, pins: Pins, archive: Archive, settings: Settings
) -> Resumed | None:
    pending = progress.pending
    pin = None if pending is None else pins.read(progress.number_of(pending))
    if pending is None or pin is None:
        return None
    number = progress.number_of(pending)
    keys = objects_of_batch(archive, settings.job.query, number, pin)
    held = {key: archive.names(key).ranges for key in keys}
    refuse_others(held, folder.offsets(pending - 1), folder.offsets(pending), number, settings)
    return Resumed(batch_id=pending, settings=with_pinned(settings, pin.settings), run=pin.run, objects=held)


def objects_of_batch(archive: Archive, query: str, number: int, pin: Pin) -> list[str]:
    """Keys of what is stored of a batch."""
    if pin.arrival_ms is None:  # by a version that gave each partition an hour of its own: they may lie anywhere
        return [key for found, key in keys_of_batches(archive, query) if found == number]
    return [key for kind in ArchiveKind for key in archive.keys(kind.batch_prefix(query, number, pin.arrival_ms))]


def refuse_others(
    held: dict[str, dict[str, tuple[str, str]]], before: Offsets, until: Offsets, number: int, settings: Settings
) -> None:
    """Stops where what is stored of a batch is not among the records that the checkpoint has planned for it.

    Args:
        held: the records of each object, by key.
        before: how far the batch before it has read.
        until: how far it is to read.
        number: of the batch.
        settings: of this start.

    Raises:
        MisconfiguredError: naming the first object that holds other records.
    """
    planned = {
        "/".join(shard): (before[shard].sequence, position.sequence)
        for shard, position in until.items()
        if shard in before
    }
    for key, spans in sorted(held.items()):
        for shard, (first, last) in spans.items():
            if shard.endswith(f"/{ENDED}"):
                continue  # labels that were read long before
            start, end = planned.get(shard, (0, -1))
            if not (start < int(first) and int(last) <= end):
                raise MisconfiguredError(
                    "job.checkpoint",
                    f"batch {number} of {settings.job.checkpoint} reads {shard} from {start} to {end}, but {key} holds "
                    f"its records {first} to {last} under that number: the checkpoint was set back or copied; nothing "
                    f"was read or written; {WAY_BACK}",
                )
