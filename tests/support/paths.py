"""Settings of jobs by what they measure, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fraud.entities import Entity
from fraud.settings import Job, Measured, Money, Settings


def settings_keeping(events: Mapping[Entity, int], currency: str = "EUR", **job: Any) -> Settings:
    """Settings of a job that measures these entities and keeps so many events of one of each."""
    measured = Job(entities={entity.name: Measured(events=kept) for entity, kept in events.items()}, **job)
    return Settings(job=measured, money=Money(base_currency=currency))
