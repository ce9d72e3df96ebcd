"""Guards a checkpoint: its query's name is used by no other one, and what it was laid out by has not changed.

Object keys in the archive follow from query and batch number. A second checkpoint under the same name would count its
batches from nothing and find "its" objects written already. So a name is claimed before its first batch, by a write
that only one of two checkpoints can make.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.archive.archive import Archive
from adapters.archive.layout import checkpoint_key
from fraud.entities import measured
from fraud.errors import MisconfiguredError
from fraud.features.catalogue import catalogue_of, definition_hash
from fraud.features.state import STATE_VERSION
from fraud.money import minor_digits
from fraud.settings import Settings
from processor.checkpoint_folder import CheckpointFolder
from processor.envelope import spread_groups

MIGRATE = (
    "start a new query: set a new job.query and job.checkpoint, and give it the old one's state by "
    "`fraud state backfill` or let it begin where job.start says (docs/upgrade.md)"
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
    kept = measured(job)
    return {
        "version of the state": STATE_VERSION,  # first: no setting puts that right
        "job.key_groups": job.key_groups,
        "numbers of key groups": spread_groups(job.key_groups).tolist(),
        "job.entities": [entity.name for entity in kept],
        **{f"job.{entity}_events": most for entity, most in kept.items()},
        "streams.transactions": settings.streams.transactions,
        "streams.labels": settings.streams.labels,
        "money.base_currency": settings.money.base_currency,
        "feature definitions": definition_hash(catalogue_of(settings).features_of(*kept)),
    }


def claim_checkpoint(folder: CheckpointFolder, archive: Archive, settings: Settings) -> str:
    """Claims the query's name for a checkpoint, before the query starts; Spark's id of the checkpoint.

    Raises:
        MisconfiguredError: the name belongs to another checkpoint, or the checkpoint would be misread: naming what
            changed and how to migrate.
    """
    found = folder.id()
    refuse_changes(_claims(archive), found, settings)
    partitions = folder.partitions()
    if partitions not in (None, settings.job.partitions):
        raise MisconfiguredError(
            "job.partitions",
            f"is {settings.job.partitions}, but the state of {settings.job.checkpoint} lies in {partitions}; keep "
            f"that, or move it: fraud rescale --partitions {settings.job.partitions}",
        )
    checkpoint_id = found or folder.make()
    claim = Claim(checkpoint_id, fixed_settings(settings))
    if not archive.put_new(checkpoint_key(settings.job.query), msgspec.json.encode(claim)):
        refuse_changes(_claims(archive), checkpoint_id, settings)  # claimed before, or by another start meanwhile
    return checkpoint_id


def _claims(archive: Archive) -> dict[str, Claim]:
    prefix, suffix = checkpoint_key("*").split("*")
    stored = {key.removeprefix(prefix).removesuffix(suffix): archive.get(key) for key in archive.keys(prefix)}
    return {query: msgspec.json.decode(data, type=Claim) for query, data in stored.items() if data is not None}


def refuse_changes(claims: Mapping[str, Claim], checkpoint_id: str | None, settings: Settings) -> None:
    """Compares what queries have claimed with the checkpoint found and the settings given.

    Args:
        claims: by the query's name.
        checkpoint_id: of the checkpoint; None where there is none yet.
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
                f"is {settings.job.query}, but the checkpoint {settings.job.checkpoint} belongs to {owner}, whose last "
                f"batch would be stored again under another name; keep {owner}, or {MIGRATE}",
            )
        return
    if checkpoint_id != claim.checkpoint_id:
        raise MisconfiguredError(
            "job.query",
            f"{settings.job.query} belongs to a checkpoint other than {settings.job.checkpoint}, and its batches are "
            f"in the archive; restore that checkpoint, or {MIGRATE}",
        )
    now = fixed_settings(settings)
    noted = _noted(claim, settings.money.base_currency)
    for name in now:
        if now[name] != noted.get(name):
            raise MisconfiguredError(
                name, f"is {now[name]}, but the checkpoint was created with {noted.get(name)}; keep that, or {MIGRATE}"
            )


def _noted(claim: Claim, base_currency: str) -> dict[str, Any]:
    """What a claim holds fixed.

    Claims of versions that did not note the currency are of states whose amounts are scaled by two decimals, whatever
    the currency was; those that did not note the version of the state are of an older one.
    """
    fixed = {"version of the state": "4 or older"} | claim.fixed
    if minor_digits(base_currency) != 2:
        return fixed
    return {"money.base_currency": base_currency} | fixed
