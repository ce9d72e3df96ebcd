"""The card transaction: its one definition, from which the Arrow and JSON schemas derive.

The wire format is one JSON object a record, UTF-8, with the field names below. Unknown fields are ignored, so
that a producer may be newer than its consumer; a missing required field or a value outside its bounds makes the
record a dead letter. Version 1 never changes the meaning of a field; a change of meaning is a new version.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fraud.records.schema import arrow_schema, json_schema, whole

SCHEMA_VERSION = 1

TransactionType = Literal["purchase", "withdrawal", "refund", "reversal", "void", "account_check"]
AuthorisationResult = Literal["approved", "declined"]
Channel = Literal["pos", "atm", "ecommerce", "moto"]
EntryMode = Literal["chip", "contactless", "magstripe", "manual", "credential_on_file"]
Initiation = Literal["cardholder", "recurring", "merchant"]
CheckResult = Literal["match", "partial", "no_match", "unavailable"]
ThreeDsResult = Literal["authenticated", "attempted", "failed", "not_enrolled"]

Identifier = Annotated[str, Meta(min_length=1, max_length=64, pattern=whole(r"[\x21-\x7e]+"))]
Country = Annotated[str, Meta(pattern=whole("[A-Z]{2}"), description="ISO 3166-1 alpha-2")]
Currency = Annotated[str, Meta(pattern=whole("[A-Z]{3}"), description="ISO 4217")]
Time = Annotated[dt.datetime, Meta(tz=True, description="RFC 3339 with offset; kept as UTC milliseconds")]
MinorUnits = Annotated[int, Meta(ge=0, le=10**12, description="integer minor units of the currency")]
RECORDED_ARRIVAL = (
    "when the record arrived in a recording or a simulation, which a replay compresses; stands for the arrival where "
    "`job.recorded_arrival` is on, otherwise ignored"
)
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]


class Transaction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One authorisation request as the issuer saw it.

    A card is a token, never a number. `billing_amount_minor` is the amount in the configured base currency; all
    sums use it. `sent_at` is when the producer handed the record to the stream: latency is measured from it.
    """

    schema_version: Literal[1] = 1
    transaction_id: Annotated[Identifier, Meta(description="unique for its card within 24 hours")]
    event_time: Annotated[Time, Meta(description="when the card was used")]
    sent_at: Annotated[Time, Meta(description="when the producer wrote the record")]
    transaction_type: Annotated[
        TransactionType,
        Meta(description="refund, reversal and void give money back; an account_check, or an amount of 0, moves none"),
    ]
    authorisation_result: AuthorisationResult
    response_code: Annotated[str, Meta(pattern=whole("[0-9A-Z]{2}"), description="ISO 8583 field 39, e.g. 00, 51")]
    card_token: Annotated[Identifier, Meta(description="token of the card; a card number is refused")]
    customer_id: Identifier
    bin: Annotated[
        str, Meta(pattern=whole("[0-9]{6,8}"), description="first digits of the card: its issuer and product")
    ]
    card_last_four: (
        Annotated[str, Meta(pattern=whole("[0-9]{4}"), description="last digits of the card, to find it by")] | None
    ) = None
    issuer_country: Country
    merchant_id: Identifier
    merchant_name: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=128,
                pattern=whole(r"[^\x00-\x1f\x7f]+"),
                description="as customers know it, in any script",
            ),
        ]
        | None
    ) = None
    mcc: Annotated[str, Meta(pattern=whole("[0-9]{4}"), description="merchant category code, ISO 18245")]
    merchant_country: Country
    merchant_lat: Latitude | None = None
    merchant_lon: Longitude | None = None
    terminal_id: Identifier | None = None
    amount_minor: MinorUnits
    currency: Currency
    billing_amount_minor: MinorUnits
    channel: Channel
    entry_mode: EntryMode
    initiation: Initiation
    device_id: Identifier | None = None
    ip_address: Annotated[str, Meta(min_length=1, max_length=45, pattern=whole(r"[\x21-\x7e]+"))] | None = None
    shipping_address_hash: Identifier | None = None
    email_hash: (
        Annotated[
            str,
            Meta(
                min_length=16,
                max_length=64,
                pattern=whole("[0-9A-Za-z_-]+"),
                description="hash of the cardholder's e-mail address, never the address",
            ),
        ]
        | None
    ) = None
    avs_result: CheckResult | None = None
    cvv_result: CheckResult | None = None
    three_ds_result: ThreeDsResult | None = None
    home_lat: Latitude | None = None
    home_lon: Longitude | None = None
    recorded_arrival: Annotated[Time, Meta(description=RECORDED_ARRIVAL)] | None = None


TRANSACTION_SCHEMA = arrow_schema(Transaction)
TRANSACTION_JSON_SCHEMA = json_schema(Transaction, "urn:card-fraud-streaming:transaction:1")
