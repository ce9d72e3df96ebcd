"""Measures a model on transactions with known truth: the figures of `fraud evaluate`."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from fraud.backtest.costs import CostSheet
from fraud.decision.scorer import Scorer
from fraud.entities import CARD
from fraud.errors import MisconfiguredError
from ml_model.description import Description
from ml_model.metrics import (
    BUDGETS,
    Bools,
    Coded,
    ScoredCases,
    alerting,
    bootstrap,
    found_cards,
    headline,
    reliability,
    slices,
    threshold_at_budget,
    threshold_at_fpr,
    worth_a_review,
)

KINDS = ("channel", "merchant_country", "mcc")
"""Columns whose values parts are formed by."""

CASE_COLUMNS = ("transaction_id", "card_token", "event_time", "billing_amount_minor", *KINDS)
"""What is needed of a transaction beside its features."""

_MOST_PARTS = 12
_OTHERS = "others"
"""Values beyond the most frequent ones, which would be too small to measure."""

SLICE_FPR = 0.01
"""Share of good transactions alerted at the threshold that the parts are measured at."""

_MIN_FRAUDS = 20


class Labelled(NamedTuple):
    """Transactions with their truth.

    Attributes:
        transactions: `CASE_COLUMNS` and the features.
        fraud: whether each is fraud.
        campaign: kind of fraud; empty where good or unknown.
    """

    transactions: pa.RecordBatch
    fraud: Bools
    campaign: Sequence[str]


def score_cases(parts: Iterable[Labelled], scorers: Sequence[Scorer]) -> list[ScoredCases]:
    """Scores the same cases with each scorer.

    Raises:
        MisconfiguredError: too few frauds to measure anything.
    """
    scores: list[list[Any]] = [[] for _ in scorers]
    cards, campaigns = list[str](), list[str]()
    kinds: dict[str, list[str | None]] = {name: [] for name in KINDS}
    columns: list[tuple[Any, ...]] = []
    for part in parts:
        rows = part.transactions
        for given, scorer in zip(scores, scorers, strict=True):
            given.append(scorer.score(rows).score.to_numpy(zero_copy_only=False))
        cards.extend(rows["card_token"].to_pylist())
        for name, values in kinds.items():
            values.extend(rows[name].to_pylist())
        campaigns.extend(part.campaign)
        columns.append(
            (
                part.fraud,
                rows["event_time"].cast(pa.int64()).to_numpy(),
                rows["billing_amount_minor"].to_numpy(),
                _observed_days(rows),
            )
        )
    frauds = int(sum(column[0].sum() for column in columns))
    if frauds < _MIN_FRAUDS:
        raise MisconfiguredError("evaluation data", f"{frauds} frauds to measure on, needed: {_MIN_FRAUDS}")
    fraud, time_ms, amount_minor, observed = (np.concatenate(column) for column in zip(*columns, strict=True))
    card = np.unique(cards, return_inverse=True)[1]
    campaign, parted = _coded(campaigns), {name: _coded(_frequent(values)) for name, values in kinds.items()}
    scored = [
        ScoredCases(np.concatenate(given), fraud, card, time_ms, amount_minor, observed, campaign, parted)
        for given in scores
    ]
    # Highest score first: what sorts again, in every draw of a bootstrap, then takes half the time.
    return [cases.take(np.argsort(-cases.score, kind="stable")) for cases in scored]


def _coded(values: Sequence[str]) -> Coded:
    names, code = np.unique(values, return_inverse=True)
    return Coded(code, tuple(map(str, names)))


def _frequent(values: Sequence[str | None]) -> list[str]:
    """The values, rare ones as one."""
    counted = Counter(values)
    kept = {value: value or "none" for value, _ in counted.most_common(_MOST_PARTS)}
    return [kept.get(value, _OTHERS) for value in values]


def _observed_days(rows: pa.RecordBatch) -> Any:
    """How long each card had been observed; NaN where the features do not say."""
    if CARD.observed_column not in rows.schema.names:
        return np.full(rows.num_rows, np.nan)
    return rows[CARD.observed_column].cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)


def evaluation(
    cases: ScoredCases, description: Description, costs: CostSheet, draws: int, rng: np.random.Generator
) -> dict[str, Any]:
    """All figures, each number with its interval; see `ml_model.metrics`.

    Thresholds are those of the cases as they are, also where cards are resampled.

    Args:
        cases: what was scored.
        description: of the model.
        costs: for money saved.
        draws: of the bootstrap.
        rng: source of chance.
    """
    thresholds = {f"{budget} alerts a day": threshold_at_budget(cases, budget) for budget in BUDGETS}
    part_threshold = threshold_at_fpr(cases, SLICE_FPR)

    def figures(drawn: ScoredCases) -> dict[str, Any]:
        choices = {name: drawn.score >= threshold for name, threshold in thresholds.items()}
        choices["worth a review"] = worth_a_review(drawn, costs)
        return {
            "headline": headline(drawn),
            "alerting": {name: alerting(drawn, alerted, costs) for name, alerted in choices.items()},
            "finding": {name: found_cards(drawn, alerted) for name, alerted in choices.items()},
            "reliability": reliability(drawn),
            "by": slices(drawn, part_threshold),
        }

    return {
        "model": description.model_dump(),
        "data": {
            "transactions": len(cases),
            "frauds": int(cases.fraud.sum()),
            "cards": int(cases.card.max()) + 1,
            "from": _date(int(cases.time_ms.min())),
            "until": _date(int(cases.time_ms.max())),
        },
        "costs": costs.model_dump(),
        "draws": draws,
        "thresholds": thresholds | {"parts": part_threshold},
        **bootstrap(cases, figures, draws, rng),
    }


def _date(time_ms: int) -> str:
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).date().isoformat()
