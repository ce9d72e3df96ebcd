"""The policy as its authors write it: `policy.yaml` and the rule files it names."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from fraud.decision.rules.rule import About, Identifier, Measured, Purpose, ReasonCode, Rule, RuleState
from fraud.records.label import LabelSource

VariableName = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z_0-9]*$", max_length=64)]
CONFIRMABLE = ("card", "device", "merchant", "terminal")
"""What lists of confirmed fraud may be of: what a label, or its payment, names."""

Probability = Annotated[float, Field(ge=0, le=1)]


class ListKind(enum.StrEnum):
    """What being on a list does."""

    BLOCK = "block"  # declines, whatever else is found
    WATCH = "watch"  # asks for review
    ALLOW = "allow"  # silences the model and the suppressible rules
    NAMED = "named"  # nothing by itself: rules ask it with in_list(field, 'name')


ENTITY_FIELDS = {
    "card": "card_token",
    "customer": "customer_id",
    "merchant": "merchant_id",
    "terminal": "terminal_id",
    "device": "device_id",
    "ip": "ip_address",
    "bin": "bin",
    "mcc": "mcc",
    "merchant_country": "merchant_country",
    "issuer_country": "issuer_country",
    "shipping_address": "shipping_address_hash",
}
"""What lists may be of, and the transaction field that is looked up."""

TEXT = "text"
"""What a named list may be of besides: any text, of whichever field or variable a rule asks it for."""

LISTED = (*ENTITY_FIELDS, TEXT)
"""All that lists may be of."""

EntityName = Literal[
    "card",
    "customer",
    "merchant",
    "terminal",
    "device",
    "ip",
    "bin",
    "mcc",
    "merchant_country",
    "issuer_country",
    "shipping_address",
    "text",
]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class ListEntry(_Document):
    """One entry of a list."""

    value: Annotated[str, Field(min_length=1)]
    """The card token, merchant id, country, ...; of ip also a network such as `10.1.0.0/16`, of bin a range such as
    `411111-411199`."""
    expires: AwareDatetime | None = None
    """Event time from which the entry no longer counts; without it the entry never expires."""
    note: str = ""
    """Why it is on the list."""

    @property
    def expires_at(self) -> dt.datetime | None:
        """`expires` in UTC."""
        return None if self.expires is None else self.expires.astimezone(dt.UTC)


class EntityList(_Document):
    """A list of entities."""

    name: Identifier
    """Its name in decisions and in `in_list`."""
    kind: ListKind
    """block, watch, allow or named."""
    of: EntityName
    """Kind of its entries."""
    state: RuleState = RuleState.LIVE
    """draft, shadow, live or retired, as of a rule. A list in shadow is looked up and recorded, without effect."""
    entries: tuple[ListEntry | str, ...] = ()
    """Entries; a plain value never expires."""
    file: str | None = None
    """CSV file beside the policy with the columns value, expires, note, for long lists; added to `entries`."""

    @model_validator(mode="after")
    def _asked(self) -> EntityList:
        if problem := kind_problem(self.kind, self.of):
            raise ValueError(problem)
        if self.kind is ListKind.NAMED and self.state is not RuleState.LIVE:
            raise ValueError("a named list has no effect by itself; the rules that ask it have a state")
        return self


def kind_problem(kind: ListKind, of: str) -> str | None:
    """Why a list cannot act by itself on what it is of; None where it can, or need not."""
    if of == TEXT and kind is not ListKind.NAMED:
        return f"a list of text is asked by rules alone: it is named, not a {kind} list"
    return None


class Thresholds(_Document):
    """The minimum scores for an outcome; without one, the model never asks for it."""

    review: Probability | None = None
    """Minimum score for review."""
    decline: Probability | None = None
    """Minimum score for decline."""

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if self.review is not None and self.decline is not None and self.review > self.decline:
            raise ValueError(f"review ({self.review}) must not be above decline ({self.decline})")
        return self


class Segment(Thresholds):
    """Transactions with thresholds of their own. The first segment whose condition is true applies."""

    name: Identifier
    """Its name in decisions and reports."""
    when: Annotated[str, Field(min_length=1)]
    """SQL condition, as in a rule."""


class VelocityLimit(_Document):
    """Short form of a rule: too much of something in a window."""

    id: Identifier
    """Id of the rule."""
    feature: str
    """A feature of the catalogue."""
    above: float
    """The rule fires if the feature is greater."""
    when: str | None = None
    """Further condition."""
    about: tuple[About, ...] = ("payments",)
    """As in a rule, but without it, payments."""
    outcome: Literal["review", "decline"]
    """Outcome if it fires."""
    severity: Annotated[int, Field(ge=1, le=100)] = 50
    """As in a rule."""
    reason: ReasonCode = "VELOCITY"
    """Reason code."""
    text: str | None = None
    """Reason in words; by default those of the feature with its value, and the limit."""
    suppressible: bool = True
    """As in a rule."""
    state: Literal["draft", "shadow", "live", "retired"] = "live"
    """As in a rule."""
    rollout: Annotated[float, Field(gt=0, lt=100)] | None = None
    """As in a rule."""
    purpose: Purpose = "hygiene"
    """As in a rule."""
    measured: Measured | None = None
    """As in a rule."""
    owner: str = ""
    """As in a rule."""
    tags: tuple[str, ...] = ()
    """As in a rule."""

    def as_rule(self) -> Rule:
        """The rule it stands for."""
        condition = f"{self.feature} > {self.above:.15g}"
        return Rule.model_validate(
            {
                **self.model_dump(exclude={"feature", "above", "when", "text"}),
                "description": f"{self.feature} above {self.above:g}",
                "when": f"{condition} AND ({self.when})" if self.when else condition,
                "text": self.text or f"{{{self.feature}:words}}; the limit is {self.above:g}",
            }
        )


class RuleFile(_Document):
    """A file of rules."""

    rules: tuple[Rule, ...] = ()
    """Rules."""
    velocity: tuple[VelocityLimit, ...] = ()
    """Velocity limits."""


class ConfirmedList(_Document):
    """A list that confirmed fraud is put on."""

    list: Identifier
    """Name of a list of cards, devices, merchants or terminals: those of the payment are put on it."""
    days: Annotated[int, Field(ge=1, le=3650)] = 180
    """Days after the label's time from which the entry no longer counts."""
    sources: tuple[LabelSource, ...] = ("chargeback", "disposition")
    """Labels that count: `chargeback`, from the scheme or a file, and `disposition`, by an analyst."""


class PolicyDocument(RuleFile):
    """`policy.yaml`."""

    variables: dict[VariableName, Literal["text", "number", "boolean", "time"]] = {}
    """Kinds, by name, of values that records carry under `event.variables` beside the fields of a transaction. Rules
    use them like fields; null where a record does not carry them or holds another kind."""

    thresholds: Thresholds
    """Thresholds if no segment applies."""
    segments: tuple[Segment, ...] = ()
    """Segments, the most specific first."""
    shadow_thresholds: dict[Identifier, Thresholds] = {}
    """Thresholds that are tried, by name of the segment, of the general ones under `default`: what the score would ask
    for at them is recorded, without effect."""
    lists: tuple[EntityList, ...] = ()
    """Lists."""
    confirmed_fraud: tuple[ConfirmedList, ...] = ()
    """Lists that labels of fraud put entries on; labels that take the fraud back take theirs off again."""
    rule_files: tuple[str, ...] = ()
    """Files of rules, beside the policy; their rules are added to those in this file."""
