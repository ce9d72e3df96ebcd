"""How well a merchant's trade turns a card into money, by merchant category code (ISO 18245)."""

from __future__ import annotations

_CASH = ("6010", "6011")
_RESOLD = (
    "4511", "4722", "4814", "5045", "5309", "5310", "5311", "5533", "5571", "5651", "5661", "5691", "5699", "5712",
    "5722", "5732", "5733", "5734", "5944", "5945", "5946", "5977", "7011",
)  # fmt: skip
_HIGH = (
    "4816", "4829", "5122", "5815", "5816", "5817", "5818", "5947", "5962", "5966", "5967", "5968", "5993", "6012",
    "6051", "6211", "6538", "6540", "7273", "7801", "7802", "7994", "7995",
)  # fmt: skip

MCC_RISK: dict[str, float] = {
    **dict.fromkeys(_CASH, 1.0),
    **dict.fromkeys(_RESOLD, 2.0),
    **dict.fromkeys(_HIGH, 3.0),
}
"""1: cash, which asks for a PIN. 2: goods, journeys and nights that are resold. 3: what can be had at once and from
anywhere: quasi-cash, stored value, bets, digital goods, and the trades that card networks list as high-risk without the
card. All others are everyday trades: 0. A prior, not a measurement: the model learns what each is worth, and
`merchant_fraud_rate_*` what each merchant is."""
