"""The rule as its author writes it."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fraud.decision.record import Outcome

Identifier = Annotated[str, Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
ReasonCode = Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$", max_length=48)]


class RuleState(enum.StrEnum):
    """Where a rule is in its life. Only live rules decide."""

    DRAFT = "draft"  # checked, not evaluated
    SHADOW = "shadow"  # evaluated and recorded, without effect
    LIVE = "live"
    RETIRED = "retired"  # kept for the record


About = Literal["payments", "money_back", "account_checks"]

CONDITIONS: dict[About, str] = {
    "payments": "transaction_type IN ('purchase', 'withdrawal') AND billing_amount_minor > 0",
    "money_back": "transaction_type IN ('refund', 'reversal', 'void')",
    "account_checks": "transaction_type = 'account_check'"
    " OR transaction_type IN ('purchase', 'withdrawal') AND billing_amount_minor = 0",
}
"""What a rule may be about, as a condition on the transaction's own fields: archives of any age have them."""


Purpose = Literal["campaign", "regulation", "hygiene"]


class Measured(BaseModel):
    """What `fraud backtest` measured of a rule."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    data: Annotated[str, Field(min_length=1)]
    """The data: what, and how long."""
    cases: Annotated[int, Field(ge=0)]
    """Cases with an alert of it: cards and UTC days."""
    true_cases: Annotated[int, Field(ge=0)]
    """Of these, cases in which it fired on a fraud."""
    only_cases: Annotated[int, Field(ge=0)]
    """Cases that neither the model nor other live rules open."""
    only_true_cases: Annotated[int, Field(ge=0)]
    """Of these, cases in which it fired on a fraud."""


class Rule(BaseModel):
    """One rule."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: Identifier
    """Its name in decisions and reports; never reused for another rule."""
    description: Annotated[str, Field(min_length=1)]
    """What it looks for and why, for people."""
    when: Annotated[str, Field(min_length=1)]
    """SQL condition over transaction fields and features; the rule fires if it is true, not if it is null."""
    about: tuple[About, ...] = ()
    """payments, money_back (refunds, reversals, voids), account_checks; without it, every transaction."""
    outcome: Literal["review", "decline"]
    """Outcome if it fires."""
    severity: Annotated[int, Field(ge=1, le=100)] = 50
    """Its weight among reasons and in the queue of alerts, 1 to 100; it does not change the outcome."""
    suppressible: bool = True
    """Whether an allow list suppresses it."""
    reason: ReasonCode
    """Reason code."""
    text: Annotated[str, Field(min_length=1)]
    """The reason in words; `{field}` or `{field:format}` is filled in."""
    rollout: Annotated[float, Field(gt=0, lt=100)] | None = None
    """Percent of cards that it is about, always the same ones, for a rule that is brought in step by step; without it,
    all."""
    purpose: Purpose = "hygiene"
    """What it is for. campaign: a known kind of fraud; regulation: the law or the scheme asks for it, so it stays live
    whatever it finds; hygiene: what nobody wants to overlook."""
    measured: Measured | None = None
    """What a backtest measured of it."""
    owner: str = ""
    """Who is responsible for it."""
    tags: tuple[str, ...] = ()
    """Keywords to find it by."""
    state: RuleState = RuleState.LIVE
    """draft, shadow, live or retired."""

    @property
    def about_condition(self) -> str | None:
        """`about` as a condition; None where the rule is about every transaction."""
        return " OR ".join(f"({CONDITIONS[kind]})" for kind in self.about) or None

    @property
    def rollout_condition(self) -> str | None:
        """`rollout` as a condition; None where the rule is about all cards."""
        return None if self.rollout is None else f"bucket(card_token, '{self.id}') < {self.rollout:.15g}"

    @property
    def asks_for(self) -> Outcome:
        """`outcome` as the ordered value."""
        return Outcome[self.outcome.upper()]
