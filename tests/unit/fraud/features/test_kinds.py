"""What gives money back, what moves none and what was declined is no spending; each is counted as what it is."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from fraud.entities import ENTITIES
from fraud.path import FeaturePath
from tests.support.feature_streams import TRANSACTIONS, batch
from tests.support.paths import settings_keeping
from tests.support.records import NOON, transaction

USUAL = [990, 1_000, 1_010, 1_000, 990, 1_010, 1_000]
"""What the card spends, once a day."""

REFUND, REVERSAL, VOID = ({"transaction_type": name} for name in ("refund", "reversal", "void"))
CHECK = {"transaction_type": "account_check", "billing_amount_minor": 0}
PURCHASE_OF_NOTHING = {"billing_amount_minor": 0}
DECLINED = {"authorisation_result": "declined", "response_code": "51"}
NO_PAYMENTS = [REFUND, REVERSAL, VOID, CHECK, PURCHASE_OF_NOTHING]

LAST = NOON + dt.timedelta(days=len(USUAL))


def measured(*extra: dict[str, Any]) -> list[dict[str, Any]]:
    """Features after a week of the card's usual spending: of records a minute apart, each of 500.00 where it has an
    amount, and then of one more usual payment."""
    week = [
        {"event_time": NOON + dt.timedelta(days=day), "billing_amount_minor": amount}
        for day, amount in enumerate(USUAL)
    ]
    odd = [
        {"billing_amount_minor": 50_000, "merchant_id": "merchant-2", "device_id": "d"}
        | {"event_time": LAST + dt.timedelta(minutes=minute)}
        | changed
        for minute, changed in enumerate(extra)
    ]
    last = {"event_time": LAST + dt.timedelta(minutes=len(extra)), "billing_amount_minor": 1_000, "device_id": "d"}
    rows = []
    for number, changed in enumerate([*week, *odd, last]):
        place = {"stream": "s", "shard": "0", "sequence_number": str(number), "sub_sequence": 0, "arrival_ms": number}
        plain = transaction(**({"transaction_id": f"t-{number}"} | changed))
        rows.append({name: plain.get(name) for name in TRANSACTIONS.names} | place)
    path = FeaturePath(settings_keeping(dict.fromkeys(ENTITIES, 64)))
    found: list[dict[str, Any]] = path.featured(batch(rows, TRANSACTIONS)).to_pylist()
    return found[len(week) :]


SPENDING = [
    "card_sum_24h", "card_mean_7d", "card_std_30d", "card_max_24h", "card_amount_ratio_30d", "card_amount_log_z",
    "card_amount_robust_z", "card_amount_unusual", "card_unusual_7d", "card_decayed_sum_3d", "card_hour_deviation_h",
    "card_new_merchant_30d",
]  # fmt: skip
VELOCITY = [
    "card_count_1h", "card_count_30d", "card_merchants_24h", "card_countries_24h", "card_devices_24h",
    "card_decayed_count_6h", "card_since_last_s",
]  # fmt: skip


@pytest.mark.parametrize("kind", NO_PAYMENTS, ids=str)
def test_what_takes_no_money_changes_neither_spending_nor_velocity_of_what_follows(kind: dict[str, Any]) -> None:
    (without,) = measured()
    odd = measured(*[kind] * 3)[-1]

    minutes = odd["card_since_last_s"] - without["card_since_last_s"]
    assert minutes == 3 * 60  # from the last payment, not from the last record
    same = [
        name for name in (*SPENDING, *VELOCITY) if "decayed" not in name and "since" not in name and "hour" not in name
    ]
    assert {name: odd[name] for name in same} == {name: without[name] for name in same}
    assert odd["card_decayed_count_6h"] == pytest.approx(without["card_decayed_count_6h"], rel=0.02)


@pytest.mark.parametrize("kind", NO_PAYMENTS, ids=str)
def test_what_takes_no_money_has_no_unusual_amount(kind: dict[str, Any]) -> None:
    odd = measured(kind)[0]

    assert odd["card_amount_unusual"] == 0
    assert [odd[name] for name in ("card_amount_ratio_30d", "card_amount_robust_z", "card_amount_log_z")] == [None] * 3
    assert (odd["merchant_amount_ratio_30d"], odd["card_speed_kmh"]) == (None, None)


@pytest.mark.parametrize(
    ("kind", "money_back", "checks"),
    [(kind, 3, 0) for kind in NO_PAYMENTS[:3]] + [(kind, 0, 3) for kind in NO_PAYMENTS[3:]],
    ids=str,
)
def test_each_kind_has_a_count_of_its_own(kind: dict[str, Any], money_back: int, checks: int) -> None:
    first, *_, last = measured(*[kind] * 3)

    assert (first["tx_is_money_back"], first["tx_is_account_check"]) == (money_back > 0, checks > 0)
    assert (last["tx_is_money_back"], last["tx_is_account_check"], last["tx_is_declined"]) == (0, 0, 0)
    assert (last["card_money_back_24h"], last["card_checks_1h"], last["device_checks_1h"]) == (
        money_back,
        checks,
        checks,
    )


def test_a_declined_payment_was_tried_but_not_spent() -> None:
    first, *_, last = measured(*[DECLINED] * 3)

    assert (first["tx_is_declined"], first["card_amount_unusual"]) == (1, 1)  # somebody tried 500.00
    assert first["card_amount_ratio_30d"] == 50
    assert (last["card_count_1h"], last["card_declines_1h"], last["card_merchants_1h"]) == (3, 3, 1)
    # Of the last 24 hours only the payment of the day before counts as spent, and that was exactly 24 hours before.
    assert (last["card_sum_1h"], last["card_mean_24h"], last["card_max_30d"]) == (0, None, 10.10)
    assert last["card_mean_7d"] == pytest.approx((10.00 + 10.10 + 10.00 + 9.90 + 10.10 + 10.00) / 6)


def test_account_checks_are_refused_like_payments_and_refunds_are_not() -> None:
    assert measured(CHECK | DECLINED)[-1]["card_declines_1h"] == 1
    assert measured(REFUND | DECLINED)[-1]["card_declines_1h"] == 0
