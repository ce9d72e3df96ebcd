"""An attack is fraud alone, of one campaign, on the cards of a population."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fraud.errors import MisconfiguredError
from producer.attack import attack
from producer.campaigns import CAMPAIGNS
from producer.data_generator import Generated
from producer.economy import draw_economy

START_MS = 1_768_478_400_000  # 15 January 2026, 12:00 UTC
ECONOMY = draw_economy(7, 60, 60)


def sent(name: str, start_ms: int = START_MS) -> tuple[pa.Table, pa.Table]:
    parts: list[Generated] = list(attack(ECONOMY, name, 3, start_ms, "EUR"))
    return pa.Table.from_batches(p.transactions for p in parts), pa.Table.from_batches(p.truth for p in parts)


@pytest.mark.parametrize("name", [campaign.name for campaign in CAMPAIGNS])
def test_all_of_it_is_fraud_of_the_campaign_in_order_on_known_cards(name: str) -> None:
    transactions, truth = sent(name)
    assert set(truth["campaign"].to_pylist()) == {name}
    assert len(set(truth["case_id"].to_pylist())) == 3
    assert truth["is_fraud"].to_pylist() == [True] * len(truth)
    ids = transactions["transaction_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    assert ids == truth["transaction_id"].to_pylist()
    times = transactions["event_time"].cast(pa.int64()).to_pylist()
    assert times == sorted(times)
    assert times[0] >= START_MS
    days = {time // 86_400_000 for time in times}
    known = {token for day in days for token in ECONOMY.cards.tokens(day).to_pylist()}
    assert set(transactions["card_token"].to_pylist()) <= known


def test_attacks_repeat_and_share_no_ids_with_others() -> None:
    first, second = sent("card_testing")[0], sent("card_testing")[0]
    assert first == second
    for other in (sent("card_testing", START_MS + 1_000)[0], sent("stolen_card")[0]):
        assert not set(first["transaction_id"].to_pylist()) & set(other["transaction_id"].to_pylist())


def test_unknown_campaign_is_refused_by_name() -> None:
    with pytest.raises(MisconfiguredError, match="nothing"):
        sent("nothing")
