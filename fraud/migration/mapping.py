"""Which of our fields a variable stands for, what outcomes and labels mean: guessed first, then corrected by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fraud.decision.rules.fields import fields_of
from fraud.migration.shapes import Detector, Variable
from fraud.records.label import Verdict

OutcomeName = Literal["approve", "review", "decline"]
EntityField = Literal["customer_id", "card_token", "merchant_id", "terminal_id", "device_id"]


class Binding(BaseModel):
    """What a variable stands for."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    field: str
    """Our transaction field or feature."""
    scale: Annotated[float, Field(gt=0)] = 1
    """Our value divided by this is theirs: 100 where theirs is in major units and ours in minor ones."""


class NameMapping(BaseModel):
    """The mapping, as `mapping.yaml` holds it. What is missing from it does not carry over."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    variables: dict[str, Binding] = {}
    """By variable name."""
    outcomes: dict[str, OutcomeName] = {}
    """By outcome name."""
    labels: dict[str, Verdict] = {}
    """By label name."""
    entities: dict[str, EntityField] = {}
    """The field that an entity's id is, by entity type."""
    constants: dict[str, str] = {}
    """What holds for all events and stands in none of them, by our field: a shop's merchant_id, currency, mcc."""
    rates: dict[str, Annotated[float, Field(gt=0)]] = {}
    """What one unit of a currency is in the base currency, for events whose amounts are in others."""


_FIELD_OF_TYPE: Mapping[str, Binding] = {
    "PRICE": Binding(field="amount_minor", scale=100),
    "CURRENCY_CODE": Binding(field="currency"),
    "CARD_BIN": Binding(field="bin"),
    "IP_ADDRESS": Binding(field="ip_address"),
    "FINGERPRINT": Binding(field="device_id"),
    "ORDER_ID": Binding(field="transaction_id"),
    "BILLING_COUNTRY": Binding(field="issuer_country"),
}
"""Fields by the service's variable type; its other types have no counterpart."""

_FIELD_OF_NAME: Mapping[str, Binding] = {
    "card": Binding(field="card_token"),
    "card_id": Binding(field="card_token"),
    "merchant": Binding(field="merchant_id"),
    "customer": Binding(field="customer_id"),
    "category_code": Binding(field="mcc"),
    "merchant_category_code": Binding(field="mcc"),
    "terminal": Binding(field="terminal_id"),
    "device": Binding(field="device_id"),
    "amount": Binding(field="amount_minor", scale=100),
    "transaction_amount": Binding(field="amount_minor", scale=100),
}

_FIELD_OF_ENTITY: tuple[tuple[str, EntityField], ...] = (
    ("customer", "customer_id"),
    ("account", "customer_id"),
    ("user", "customer_id"),
    ("card", "card_token"),
    ("merchant", "merchant_id"),
    ("terminal", "terminal_id"),
    ("device", "device_id"),
)

_WORDS: tuple[tuple[OutcomeName, tuple[str, ...]], ...] = (
    ("decline", ("block", "decline", "deny", "reject", "stop")),
    ("review", ("review", "verify", "investigat", "challenge", "hold", "suspicious", "check")),
    ("approve", ("approve", "allow", "accept", "pass", "legit", "low_risk")),
)


def guess_mapping(detector: Detector) -> NameMapping:
    """What follows from types and names."""
    bound = {variable.name: _binding(variable) for variable in detector.variables}
    return NameMapping(
        variables={name: binding for name, binding in bound.items() if binding is not None},
        outcomes={o.name: meaning for o in detector.outcomes for meaning in _meanings(o.name)},
        labels={label.name: verdict for label in detector.labels for verdict in _verdicts(label.name)},
        entities={e.name: field for e in detector.entity_types for word, field in _FIELD_OF_ENTITY if word == e.name},
    )


def _binding(variable: Variable) -> Binding | None:
    if variable.data_source != "EVENT":
        return None
    if variable.name in fields_of([]):
        return Binding(field=variable.name)
    return _FIELD_OF_NAME.get(variable.name) or _FIELD_OF_TYPE.get(variable.variable_type or "")


def _meanings(outcome: str) -> Iterable[OutcomeName]:
    return [meaning for meaning, words in _WORDS if any(word in outcome for word in words)][:1]


def _verdicts(label: str) -> Iterable[Verdict]:
    if label.lower() in ("fraud", "1", "true", "bad"):
        return ["fraud"]
    return ["legitimate"] if label.lower() in ("legit", "legitimate", "0", "false", "good", "genuine") else []
