"""The label: what became known of a transaction later. It travels on a stream of its own."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fraud.schema import arrow_schema, json_schema
from fraud.transaction import Identifier, MinorUnits, Time

Verdict = Literal["fraud", "legitimate"]
LabelSource = Literal["chargeback", "disposition"]


class Label(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A verdict on one transaction. It repeats the transaction's keys, so that it is foldable without a look-up."""

    schema_version: Literal[1] = 1
    transaction_id: Identifier
    card_token: Identifier
    merchant_id: Identifier
    terminal_id: Identifier | None = None
    transaction_time: Annotated[Time, Meta(description="event_time of the transaction")]
    billing_amount_minor: MinorUnits
    verdict: Verdict
    source: Annotated[LabelSource, Meta(description="chargeback: from the scheme; disposition: by an analyst")]
    label_time: Annotated[Time, Meta(description="when the verdict became known")]


LABEL_SCHEMA = arrow_schema(Label)
LABEL_JSON_SCHEMA = json_schema(Label, "urn:card-fraud-streaming:label:1")
