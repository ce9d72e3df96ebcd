"""The evaluation of a model: from scored cases to one HTML page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fraud.backtest.costs import CostSheet
from fraud.decision.record import ScoredBy
from fraud.decision.scorer import Contribution, Scores
from fraud.errors import MisconfiguredError
from fraud.records.schema import TIMESTAMP_MS
from ml_model.artifact import load_artifact
from ml_model.evaluate import Labelled, evaluation, score_cases
from ml_model.metrics import DAY_MS
from ml_model.report import print_report, render_report

SHIPPED = Path(__file__).parents[3] / "config" / "model" / "champion"
CARDS = 200


class Column:
    """A scorer that reads the score from a column."""

    def __init__(self, name: str) -> None:
        self._name = name

    def score(self, features: pa.RecordBatch) -> Scores:
        return Scores(features[self._name], ScoredBy.IN_PROCESS, "test")

    def explain(self, features: pa.RecordBatch) -> list[list[Contribution]]:
        return []


def cases(batches: int = 2, rows: int = 2_000, fraud_share: float = 0.05) -> Iterator[Labelled]:
    rng = np.random.default_rng(5)
    for batch in range(batches):
        fraud = rng.random(rows) < fraud_share
        yield Labelled(
            pa.RecordBatch.from_pydict(
                {
                    "transaction_id": [f"t{batch}-{row}" for row in range(rows)],
                    "card_token": [f"card-{card}" for card in rng.integers(0, CARDS, rows)],
                    "event_time": pa.array(rng.integers(0, 20 * DAY_MS, rows), pa.int64()).cast(TIMESTAMP_MS),
                    "billing_amount_minor": rng.integers(100, 200_000, rows),
                    "channel": ["pos", "ecommerce"] * (rows // 2),
                    "merchant_country": ["DE", "FR", None, "DE"] * (rows // 4),
                    "mcc": [f"{5000 + row % 40}" if row % 2 else "5411" for row in range(rows)],
                    "good": np.where(fraud, rng.beta(3, 3, rows), rng.beta(1, 30, rows)),
                    "poor": rng.random(rows),
                }
            ),
            fraud,
            ["card_testing" if one else "" for one in fraud],
        )


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    (scored,) = score_cases(cases(), [Column("good")])
    _, description = load_artifact(SHIPPED)
    moved = {"tx_amount": {"size": 1.25, "frauds": 2.0, "good": -0.5}}
    measured = evaluation(scored, description, CostSheet(), 5, np.random.default_rng(1))
    return {"source": "a <test>", "currency": "CHF"} | measured | {"contributions": moved}


def test_all_scorers_score_the_same_cases() -> None:
    good, poor = score_cases(cases(), [Column("good"), Column("poor")])
    assert len(good) == len(poor) == 4_000
    assert good.fraud.sum() == poor.fraud.sum()
    assert good.score[good.fraud].mean() > 0.4
    assert (np.diff(good.score) <= 0).all()


def test_too_few_frauds_are_refused() -> None:
    with pytest.raises(MisconfiguredError, match="frauds to measure on, needed: 20"):
        score_cases(cases(fraud_share=0.001), [Column("good")])


def test_every_number_carries_its_interval(figures: dict[str, Any]) -> None:
    auc = figures["headline"]["auc"]
    assert auc["interval"][0] <= auc["value"] <= auc["interval"][1]
    assert figures["alerting"]["20 alerts a day"]["alerts_per_day"]["value"] == pytest.approx(20, abs=0.1)
    assert list(figures["by"]) == [
        *("campaign", "channel", "merchant_country", "mcc", "amount_minor", "card_observed_days", "week")
    ]
    assert set(figures["by"]["card_observed_days"]) == {"not known"}, "these cases have no such feature"
    assert figures["data"] | {"from": "", "until": ""} == {
        "transactions": 4_000,
        "frauds": figures["data"]["frauds"],
        "cards": CARDS,
        "from": "",
        "until": "",
    }
    assert json.loads(json.dumps(figures, default=str))["headline"]["auc"]["value"] == auc["value"]


def test_parts_by_country_and_mcc_are_the_most_frequent_values_and_the_others(figures: dict[str, Any]) -> None:
    countries, mccs = figures["by"]["merchant_country"], figures["by"]["mcc"]
    assert {name: part["cases"]["value"] for name, part in countries.items()} == {
        "DE": 2_000,
        "FR": 1_000,
        "none": 1_000,
    }
    assert len(mccs) == 13
    assert mccs["5411"]["cases"]["value"] == 2_000
    assert sum(part["cases"]["value"] for part in mccs.values()) == 4_000


def test_the_report_says_how_many_cards_are_found_and_how_soon(figures: dict[str, Any]) -> None:
    few, many = (figures["finding"][f"{budget} alerts a day"] for budget in (5, 50))
    assert few["recall_by_card"]["value"] < many["recall_by_card"]["value"] <= 1
    assert many["cards_in_time"]["value"] <= many["recall_by_card"]["value"]
    assert many["hours_to_detect"]["value"] >= 0


def test_the_page_holds_the_figures_and_the_model_card_and_needs_nothing_beside_it(figures: dict[str, Any]) -> None:
    (scored,) = score_cases(cases(), [Column("good")])
    page = render_report(figures, scored)
    assert "<svg" in page
    assert "Model card" in page
    assert figures["model"]["version"] in page
    assert f"{figures['headline']['auc']['value']:.3f}" in page
    assert "<td>tx_amount</td><td>1.250</td><td>2.000</td><td>-0.500</td>" in page
    assert "amounts in CHF" in page
    assert "A &lt;test&gt;" in page, "text from outside is escaped"
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//|url\(\s*["']?https?:|@import|<script""", page)


def test_the_terminal_shows_the_same_figures(figures: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    print_report(figures)
    shown = capsys.readouterr().out
    assert f"{figures['headline']['average_precision']['value']:.3f}" in shown
    assert "worth a review" in shown
