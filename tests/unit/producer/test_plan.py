from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from fraud.errors import MisconfiguredError
from producer.campaigns import CAMPAIGNS
from producer.campaigns.plan import CAMPAIGN_FOLDER, CampaignPlan, Stretch, fraud_of_day, load_plan
from producer.data_generator import generate
from producer.economy import draw_economy

DAY = 20_450
ECONOMY = draw_economy(3, 2_000, 400)


def campaigns_on(plan: CampaignPlan, day: int) -> set[str]:
    rows = fraud_of_day(ECONOMY, plan, day, DAY, 200_000)
    return {CAMPAIGNS[number - 1].name for number in rows.campaign}


def test_a_campaign_runs_on_its_days_only() -> None:
    plan = CampaignPlan(
        rate=0.01,
        campaigns=(Stretch(name="counterfeit", weight=1), Stretch(name="card_testing", weight=1, from_day=5, days=3)),
    )
    assert campaigns_on(plan, DAY + 4) == {"counterfeit"}
    assert campaigns_on(plan, DAY + 5) == campaigns_on(plan, DAY + 7) == {"counterfeit", "card_testing"}
    assert campaigns_on(plan, DAY + 8) == {"counterfeit"}


def test_weight_divides_fraud_and_spread_stretches_cases() -> None:
    def fraud(spread: float) -> tuple[Counter[int], float]:
        plan = CampaignPlan(
            rate=0.05,
            campaigns=(
                Stretch(name="account_takeover", weight=3, spread=spread),
                Stretch(name="stolen_card", weight=1),
            ),
        )
        rows = fraud_of_day(ECONOMY, plan, DAY, DAY, 200_000)
        takeover = rows.take(rows.campaign == 4)
        lengths = [np.ptp(takeover.time_ms[takeover.case == case]) for case in np.unique(takeover.case)]
        return Counter(rows.campaign.tolist()), float(np.mean(lengths))

    counts, length = fraud(1.0)
    _, longer = fraud(3.0)
    assert counts[4] / counts[2] == pytest.approx(3.0, rel=0.15)
    assert longer == pytest.approx(3 * length)


def test_the_drift_campaign_changes_tactics_half_way() -> None:
    drift = next(campaign for campaign in CAMPAIGNS if campaign.name == "drift")
    early, late = (drift.case(np.random.default_rng(1), ECONOMY, 0, progress) for progress in (0.2, 0.8))
    assert (early.device >= 0).all()  # somebody else's device
    assert (late.device < 0).all()  # the cardholder's own
    assert np.median(early.amount_cents) > 3 * np.median(late.amount_cents)


def test_every_campaign_is_in_the_default_plan() -> None:
    assert {stretch.name for stretch in load_plan("default").campaigns} == {campaign.name for campaign in CAMPAIGNS}


def share_of_fraud(name: str, boost: float, days: int) -> tuple[float, float]:
    """Fraud's share of transactions and of value; with `boost` times the fraud, for fewer days."""
    plan = load_plan(name)
    stream = generate(draw_economy(3, 12_000, 2_000), plan.model_copy(update={"rate": plan.rate * boost}), DAY)
    amounts, fraud = [], []
    for part in islice(stream, days):
        amounts.append(part.transactions["billing_amount_minor"].to_numpy())
        fraud.append(part.truth["is_fraud"].to_numpy(zero_copy_only=False))
    amount, is_fraud = np.concatenate(amounts), np.concatenate(fraud)
    return float(is_fraud.mean()) / boost, float(amount[is_fraud].sum() / amount[~is_fraud].sum()) / boost


def test_the_default_plan_makes_a_five_hundredth_of_transactions_fraudulent() -> None:
    by_number, _ = share_of_fraud("default", boost=5, days=20)
    assert by_number == pytest.approx(0.002, rel=0.15)


def test_the_published_plan_matches_the_published_share_of_value() -> None:
    _, by_value = share_of_fraud("published", boost=40, days=25)
    assert by_value == pytest.approx(0.00036, rel=0.25)  # ECB: .036 % in 2019


@pytest.mark.parametrize("name", sorted(file.stem for file in CAMPAIGN_FOLDER.glob("*.yaml")))
def test_every_shipped_plan_is_well_formed(name: str) -> None:
    assert load_plan(name).rate > 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rate: 2", "rate"),
        ("rate: 0.1\ncampaigns: [{name: arson, weight: 1}]", "no campaign arson; available: card_testing"),
        ("rate: 0.1\ncampaigns: [{name: drift, weight: 1, colour: red}]", "colour"),
    ],
)
def test_a_plan_at_fault_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    with pytest.raises(MisconfiguredError, match=problem) as refused:
        load_plan(str(file))
    assert "\n" not in str(refused.value)
