"""Rows of features and entities as files declare them: the shipped catalogue's own, and those of a deployment.

A row is text that a person wrote. What it means, and whether it holds, `fraud.features.catalogue` says.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from fraud.entities import Entity


@dataclass(frozen=True)
class FeatureRow:
    """A feature, or the same feature over several windows.

    Attributes:
        entity: whose behaviour, by its name.
        name: what its columns are called behind the entity's name.
        aggregate: what is computed, by the name in `fraud.features.aggregates`.
        windows: lengths, as in `10m 1h 24h`: a feature for each, which has the window at the end of its name.
        window: the length of the only one, where its name does not end with it.
        input: the attribute of events whose different values are counted or compared.
        flag: the flag of the events that count.
        delay: how far the windows end before the event.
        unit: of the values; that of amounts where the aggregate's values are amounts.
        why: what it says about fraud.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    entity: str
    name: str
    aggregate: str
    windows: str = ""
    window: str = ""
    input: str = ""
    flag: str = ""
    delay: str = ""
    unit: str = ""
    why: str = ""


class Declared(BaseModel):
    """A file of features.

    Attributes:
        entities: beside those of `fraud.entities`; all of them are measured.
        features: beside those that `velocity` of the entities stands for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entities: tuple[Entity, ...] = Field(default=(), max_length=16)
    features: tuple[FeatureRow, ...] = Field(default=(), max_length=500)


NOTHING_DECLARED = Declared()
"""What a deployment without features of its own declares."""
