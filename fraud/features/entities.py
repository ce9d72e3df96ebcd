"""Which entities a job measures, and how much is remembered of each."""

from __future__ import annotations

from itertools import pairwise

from fraud.features.catalogue import DAY_MS, KEYED_ENTITIES, Entity
from fraud.features.fold import EntityFold
from fraud.settings import Job


def events_kept(job: Job) -> dict[Entity, int]:
    """The entities that are switched on, in the order of folding, with the most events kept of one of each.

    >>> events_kept(Job(entities=("device", "card")))
    {<Entity.CARD: 'card'>: 1024, <Entity.DEVICE: 'device'>: 1024}
    """
    most = {
        Entity.CARD: job.card_events,
        Entity.MERCHANT: job.merchant_events,
        Entity.DEVICE: job.device_events,
        Entity.BIN: job.bin_events,
    }
    return {entity: most[entity] for entity in KEYED_ENTITIES if entity.value in job.entities}


def entity_fold(entity: Entity, job: Job) -> EntityFold:
    """The fold of an entity that is switched on, bounded as the settings say."""
    return EntityFold(entity, events_kept(job)[entity], job.state_expiry_days * DAY_MS)


def entity_after(entity: Entity, job: Job) -> Entity | None:
    """The one that is folded next; None after the last.

    >>> entity_after(Entity.CARD, Job()), entity_after(Entity.MERCHANT, Job())
    (<Entity.MERCHANT: 'merchant'>, None)
    """
    return dict(pairwise(events_kept(job))).get(entity)
