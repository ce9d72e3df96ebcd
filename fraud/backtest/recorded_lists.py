"""Living lists as each archived decision saw them: who is on one now may not have been then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fraud.decision.policy.compiled import LIST_IN_SHADOW, CompiledPolicy
from fraud.decision.policy.evaluation import Findings
from fraud.decision.policy.lists import NEVER_MS, flat

COLUMNS = ("lists", "shadow_rules")
"""Of the archive: the names of the live lists that a decision found its transaction on, and of those in shadow."""


def living(policy: CompiledPolicy) -> dict[int, str]:
    """The lists of a policy that act and change by themselves: names by their place."""
    acting = policy.acting_lists.items()
    return {place: entities.name for place, entities in acting if entities.name in policy.bundle.lists.by_name}


def with_lists_as_recorded(policy: CompiledPolicy, findings: Findings, decisions: pa.Table) -> Findings:
    """Findings in which living lists have whom they had when each decision was made.

    Args:
        policy: that found them.
        findings: on `decisions`.
        decisions: archived ones, with `COLUMNS` where the policy has living lists.
    """
    known = living(policy)
    if not known:
        return findings
    listed = findings.listed.copy()
    listed[list(known)] = False
    for column, sign in zip(COLUMNS, ("", LIST_IN_SHADOW), strict=True):
        recorded = flat(decisions[column])
        names, rows = recorded.flatten(), pc.list_parent_indices(recorded)
        for place, name in known.items():
            listed[place, rows.filter(pc.equal(names, sign + name)).to_numpy()] = True
    return replace(findings, listed=listed)


def policy_as_recorded(policy: CompiledPolicy, decision: Mapping[str, Any]) -> CompiledPolicy:
    """A policy whose living lists have of one decision what they had when it was made, and nothing else."""
    known = living(policy)
    if not known:
        return policy
    live, in_shadow = (decision[column] or () for column in COLUMNS)
    on = {*live, *(name.removeprefix(LIST_IN_SHADOW) for name in in_shadow if name.startswith(LIST_IN_SHADOW))}
    lists = [
        replace(entities, expires_ms={decision[entities.field]: NEVER_MS} if entities.name in on else {}, ranges=None)
        if place in known
        else entities
        for place, entities in enumerate(policy.lists)
    ]
    return replace(policy, lists=lists)
