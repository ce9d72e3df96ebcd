"""Guards a checkpoint: its query's name is used by no other one, and what it was laid out by has not changed.

Object keys in the archive follow from query and batch number. A second checkpoint under the same name would count its
batches from nothing and find "its" objects written already.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from pyspark.sql import SparkSession
from pyspark.sql.streaming import StreamingQuery

from adapters.archive import Archive
from fraud.archive_layout import checkpoint_key
from fraud.errors import MisconfiguredError
from fraud.features.catalogue import definition_hash, features_of
from fraud.features.entities import events_kept
from fraud.settings import Settings
from processor.envelope import spread_groups

MIGRATE = (
    "start a new query: set a new job.query and job.checkpoint, and give it the old one's state by `fraud state prime` "
    "or let it begin where job.start says (docs/upgrade.md)"
)


class Claim(msgspec.Struct):
    """Which checkpoint a query's name belongs to, and what is fixed for its life.

    Attributes:
        checkpoint_id: Spark's id of the query, kept in the checkpoint.
        fixed: settings and definitions that the state is laid out by.
    """

    checkpoint_id: str
    fixed: dict[str, Any]


def fixed_settings(settings: Settings) -> dict[str, Any]:
    """What must not change while a checkpoint is used: each decides where state lies or what it means."""
    job = settings.job
    kept = events_kept(job)
    return {
        "job.key_groups": job.key_groups,
        "numbers of key groups": spread_groups(job.key_groups).tolist(),
        "job.partitions": job.partitions,
        "job.entities": [entity.value for entity in kept],
        **{f"job.{entity}_events": most for entity, most in kept.items()},
        "streams.transactions": settings.streams.transactions,
        "streams.labels": settings.streams.labels,
        "feature definitions": definition_hash(features_of(*kept)),
    }


def require_compatible(spark: SparkSession, settings: Settings) -> None:
    """Stops a start that would misread a checkpoint or write over another one's batches.

    Raises:
        MisconfiguredError: naming what changed and how to migrate.
    """
    refuse_changes(_claims(Archive(settings)), stored_id(spark, settings.job.checkpoint), settings)


def _claims(archive: Archive) -> dict[str, Claim]:
    prefix, suffix = checkpoint_key("*").split("*")
    stored = {key.removeprefix(prefix).removesuffix(suffix): archive.get(key) for key in archive.keys(prefix)}
    return {query: msgspec.json.decode(data, type=Claim) for query, data in stored.items() if data is not None}


def refuse_changes(claims: Mapping[str, Claim], checkpoint_id: str | None, settings: Settings) -> None:
    """Compares what queries have claimed with the checkpoint found and the settings given.

    Args:
        claims: by the query's name.
        checkpoint_id: of the checkpoint; None where it is new.
        settings: of this start.

    Raises:
        MisconfiguredError: naming what changed and how to migrate.
    """
    claim = claims.get(settings.job.query)
    if claim is None:
        owner = next((name for name, other in claims.items() if other.checkpoint_id == checkpoint_id), None)
        if owner is not None:
            raise MisconfiguredError(
                "job.query",
                f"is {settings.job.query}, but the checkpoint {settings.job.checkpoint} is that of {owner}, whose last "
                f"batch would be stored again under another name; keep {owner}, or {MIGRATE}",
            )
        return
    if checkpoint_id != claim.checkpoint_id:
        raise MisconfiguredError(
            "job.query",
            f"{settings.job.query} belongs to another checkpoint than {settings.job.checkpoint}, and its batches are "
            f"in the archive; restore that checkpoint, or {MIGRATE}",
        )
    now = fixed_settings(settings)
    for name in now:
        if now[name] != claim.fixed.get(name):
            raise MisconfiguredError(
                name,
                f"is {now[name]}, but the checkpoint was made with {claim.fixed.get(name)}; keep that, or {MIGRATE}",
            )


def claim_checkpoint(query: StreamingQuery, settings: Settings) -> None:
    """Notes which checkpoint the query's name belongs to, where it is not noted yet."""
    claim = Claim(str(query.id), fixed_settings(settings))
    Archive(settings).put_new(checkpoint_key(settings.job.query), msgspec.json.encode(claim))


def stored_id(spark: SparkSession, checkpoint: str) -> str | None:
    """Spark's id of the query that a checkpoint belongs to; None where there is no checkpoint yet."""
    jvm: Any = spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(f"{checkpoint}/metadata")
    files = path.getFileSystem(spark._jsc.hadoopConfiguration())
    if not files.exists(path):
        return None
    with_content = files.open(path)
    try:
        text = jvm.org.apache.commons.io.IOUtils.toString(with_content, "UTF-8")
    finally:
        with_content.close()
    return str(json.loads(text)["id"])
