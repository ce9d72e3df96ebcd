"""Kinds of card fraud as issuers report them, with the codes of the schemes' fraud reports."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

FraudType = Literal[
    "lost",
    "stolen",
    "never_received",
    "fraudulent_application",
    "counterfeit",
    "account_takeover",
    "card_not_present",
    "account_holder_manipulated",
    "other",
]


class SchemeCodes(NamedTuple):
    """How schemes call a kind of fraud.

    Attributes:
        visa: fraud type of a TC 40 report.
        mastercard: fraud type code of the Fraud and Loss Database (formerly SAFE); None where it has none.
    """

    visa: str
    mastercard: str | None


SCHEME_CODES: dict[FraudType, SchemeCodes] = {
    "lost": SchemeCodes("0", "00"),
    "stolen": SchemeCodes("1", "01"),
    "never_received": SchemeCodes("2", "02"),
    "fraudulent_application": SchemeCodes("3", "03"),
    "counterfeit": SchemeCodes("4", "04"),
    "account_takeover": SchemeCodes("B", "05"),
    "card_not_present": SchemeCodes("6", "06"),
    "account_holder_manipulated": SchemeCodes("D", "56"),
    "other": SchemeCodes("5", None),
}

assert set(SCHEME_CODES) == set(get_args(FraudType))
