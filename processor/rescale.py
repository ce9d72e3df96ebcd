"""Moves the state of a stopped query to another number of partitions; Spark does so, key group by key group.

Nothing is folded again: a key group's log is moved as it is, and so is the version that its local copies name. Spark
numbers the move as a batch, which reads nothing; the archive has none of that number.
"""

from __future__ import annotations

from pyspark.sql import SparkSession

from adapters.archive.archive import Archive
from fraud.errors import MisconfiguredError
from fraud.settings import Settings
from processor.checkpoint import claim_checkpoint
from processor.checkpoint_folder import CheckpointFolder, unfinished


def rescale(
    spark: SparkSession, folder: CheckpointFolder, archive: Archive, settings: Settings, partitions: int
) -> int:
    """Moves state to so many partitions; how many it lay in before. The job must not run meanwhile.

    Args:
        spark: a session.
        folder: of the checkpoint.
        archive: of the query.
        settings: of the query, whatever its `job.partitions`.
        partitions: that the state is to lie in.

    Raises:
        MisconfiguredError: there is nothing to move, the query has to finish a batch first, there are fewer key
            groups, or a move to another number was interrupted.
    """
    job = settings.job
    before = folder.partitions()
    if before is None:
        raise MisconfiguredError("job.checkpoint", f"{job.checkpoint} holds no state yet: set job.partitions and start")
    if partitions > job.key_groups:
        raise MisconfiguredError(
            "--partitions",
            f"{partitions} would leave some empty: the state has {job.key_groups} key groups (job.key_groups)",
        )
    as_it_is = settings.model_copy(update={"job": job.model_copy(update={"partitions": before})})
    claim_checkpoint(folder, archive, as_it_is)
    move = folder.unfinished_move()
    if move is not None:
        before, begun = move
        if partitions != begun:
            raise MisconfiguredError("--partitions", unfinished(job.checkpoint, begun))
    elif folder.progress().pending is not None:
        raise MisconfiguredError(
            "job.checkpoint",
            f"{job.checkpoint} has a batch that was begun: start the job with job.partitions={before}, stop it with "
            "SIGTERM, which lets it finish, and try again",
        )
    if partitions != before or move is not None:
        spark._streamingCheckpointManager.repartition(folder.address, partitions)
    return before
