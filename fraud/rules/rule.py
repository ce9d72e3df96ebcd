"""The rule as its author writes it."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fraud.decision import Outcome

Identifier = Annotated[str, Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
ReasonCode = Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$", max_length=48)]


class RuleState(enum.StrEnum):
    """Where a rule is in its life. Only live rules decide."""

    DRAFT = "draft"  # checked, not evaluated
    SHADOW = "shadow"  # evaluated and recorded, without effect
    LIVE = "live"
    RETIRED = "retired"  # kept for the record


class Rule(BaseModel):
    """One rule."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: Identifier
    """Its name in decisions and reports; never used again for another rule."""
    description: Annotated[str, Field(min_length=1)]
    """What it looks for and why, for people."""
    when: Annotated[str, Field(min_length=1)]
    """SQL condition over transaction fields and features; the rule fires where it is true, not where it is null."""
    outcome: Literal["review", "decline"]
    """What it asks for where it fires."""
    severity: Annotated[int, Field(ge=1, le=100)] = 50
    """Its weight among reasons and in the queue of alerts, 1 to 100; it does not change the outcome."""
    suppressible: bool = True
    """Whether an allow-list silences it."""
    reason: ReasonCode
    """Reason code that it gives."""
    text: Annotated[str, Field(min_length=1)]
    """The reason in words; `{field}` or `{field:format}` is filled in."""
    owner: str = ""
    """Who answers for it."""
    tags: tuple[str, ...] = ()
    """Free words to find it by."""
    state: RuleState = RuleState.LIVE
    """draft, shadow, live or retired."""

    @property
    def asks_for(self) -> Outcome:
        """`outcome` as the ordered value."""
        return Outcome[self.outcome.upper()]
