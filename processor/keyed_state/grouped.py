"""The state of every key group in memory: what the job folds into, without its durability."""

from __future__ import annotations

from collections import defaultdict

from fraud.entities import Entity
from fraud.features.state import EntityState
from fraud.path import Step
from fraud.records import Records, joined
from processor.envelope import by_group


class GroupedStates:
    """Carries records through steps as the job does, key group by key group; for `fraud.path.FeaturePath`.

    Args:
        groups: number of key groups.

    Attributes:
        states: what was folded into, by entity and group.
    """

    def __init__(self, groups: int) -> None:
        self.states: dict[tuple[Entity, int], EntityState] = defaultdict(EntityState)
        self._groups = groups

    def carry(self, step: Step, records: Records) -> Records:
        """Takes columns of records through one step."""
        advanced = [records.outcomes]
        for group, part in by_group(records, step.entity, self._groups):
            concerned = step.concerns(part)
            advanced.append(step.advance(self.states[step.entity, group], part).records if concerned else part)
        return joined(advanced)
