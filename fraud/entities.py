"""The entities whose behaviour is measured: a row each, from which features, state, settings and texts derive.

A row is plain data. To measure another entity, declare one (docs/windows.md), or add a row here (docs/extend.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import ConfigDict

if TYPE_CHECKING:
    from fraud.settings import Job


LEAST_EVENTS, MOST_EVENTS = 16, 1 << 20
"""Bounds of how many events are kept of one. The upper one bounds memory: 70 MB for a single one that has as many."""


@dataclass(frozen=True)
class Velocity:
    """The features that every entity can have: how often, how much, by how many, how many declines and account checks.

    Attributes:
        windows: their lengths, as in `10m 1h 24h`.
        count: what the number of payments says about fraud.
        sum: what their sum says.
        others: what the number of different cards (of a card: merchants) says.
        declines: what the number of declined payments and account checks says.
        checks: what the number of account checks says.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    windows: str
    count: str = ""
    sum: str = ""
    others: str = ""
    declines: str = ""
    checks: str = ""


@dataclass(frozen=True)
class Entity:
    """A kind of thing whose behaviour is measured.

    Attributes:
        name: in settings, in names of features and columns, in keys of stored state.
        columns: the transaction's columns that identify it together; where one is null, a transaction has no such
            entity. None for the transaction itself, which has no state.
        label: what people call one, as in "cards of this IP address".
        events: how many events are kept of one, unless the settings say otherwise.
        other: the column whose different values are counted as `others`.
        others: what people call these.
        velocity: its standard features; None where the catalogue has others.
        leads: whether its state decides which transactions repeat an earlier one and which amounts are unusual.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    columns: tuple[str, ...]
    label: str
    events: int = MOST_EVENTS
    other: str = "card_token"
    others: str = "cards"
    velocity: Velocity | None = None
    leads: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def exact_column(self) -> str:
        """Name of the column that says whether its windows saw every transaction that belongs in them."""
        return f"exact_{self.name}"

    @property
    def observed_column(self) -> str:
        """Name of the feature that says for how long it has been observed: what its other features stand on.

        >>> CARD.observed_column
        'card_observed_days'
        """
        return f"{self.name}_observed_days"


TRANSACTION = Entity("transaction", (), "transaction", 0)
CARD = Entity("card", ("card_token",), "card", 16_384, other="merchant_id", others="merchants", leads=True)
MERCHANT = Entity("merchant", ("merchant_id",), "merchant")
DEVICE = Entity(
    "device",
    ("device_id",),
    "device",
    velocity=Velocity(
        windows="10m 1h 24h 7d",
        count="scripted use",
        sum="money leaving through one device",
        others="one device, many cards",
        declines="trying cards out",
        checks="asking which cards are alive",
    ),
)
BIN = Entity(
    "bin",
    ("bin",),
    "BIN",
    velocity=Velocity(
        windows="10m 1h",
        count="an attack on one issuer's numbers",
        sum="money leaving through one issuer's cards",
        others="numbers enumerated",
        declines="guessed numbers fail",
        checks="asking which numbers exist",
    ),
)
IP = Entity(
    "ip",
    ("ip_address",),
    "IP address",
    velocity=Velocity(
        windows="10m 1h 24h",
        count="scripted use",
        sum="money leaving through one address",
        others="one address, many cards",
        declines="trying cards out",
        checks="asking which cards are alive",
    ),
)
CARD_MERCHANT = Entity(
    "card_merchant",
    ("card_token", "merchant_id"),
    "card at this merchant",
    1_024,
    other="device_id",
    others="devices",
    velocity=Velocity(
        windows="24h 30d",
        count="a card that comes back",
        sum="what it usually spends here",
        others="a card shared or stolen",
        declines="trying until it works",
        checks="asked for again and again",
    ),
)

ENTITIES = (CARD, MERCHANT, DEVICE, BIN, IP, CARD_MERCHANT)
"""Those with state, in the order in which they are folded.

Cards come first: the others' features know which amounts were unusual for their cards, and none of them meets a
duplicate.
"""

BY_NAME = {entity.name: entity for entity in ENTITIES}
"""The entities with state, by name."""


def measured(job: Job) -> dict[Entity, int]:
    """The entities that are switched on or declared, in the order of folding, with how many events are kept of each.

    >>> from fraud.settings import Job
    >>> {entity.name: kept for entity, kept in measured(Job(entities={"device": {}, "card": {"events": 64}})).items()}
    {'card': 64, 'device': 1048576}
    """
    given = {name: bound.events for name, bound in job.entities.items()}
    shipped = [entity for entity in ENTITIES if entity.name in given]
    return {entity: given.get(entity.name) or entity.events for entity in (*shipped, *job.features.entities)}


def entity_after(entity: Entity, job: Job) -> Entity | None:
    """The one that is folded next; None after the last.

    >>> from fraud.settings import Job
    >>> entity_after(CARD, Job()).name, entity_after(DEVICE, Job())
    ('merchant', None)
    """
    return dict(pairwise(measured(job))).get(entity)
