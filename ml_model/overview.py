"""What the console shows of the models: who they are, what they are worth on matured decisions, what drifts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.archive.decision_archive import DecisionArchive
from adapters.model.registry import ModelRegistry
from fraud.errors import MisconfiguredError
from fraud.settings import Drift, Model
from ml_model.archived import labels_known_now, matured_until
from ml_model.archived_drift import measure_archived_drift
from ml_model.artifact import load_artifact
from ml_model.boosting import xgb
from ml_model.card import card_entries
from ml_model.metrics import SCORE_BINS, THURSDAY_MS, WEEK_MS
from ml_model.predict import InProcessScorer

IMPORTANT = 15
"""Features whose importance is shown."""

_COLUMNS = ["transaction_id", "card_token", "event_time", "score", "outcome", "billing_amount_minor"]

Progress = Callable[[int], None]


class ModelOverview:
    """The job's models and those of the registry, measured on the archive.

    Args:
        model: the job's model and its challenger.
        drift: what counts as a shift.
        registry: of models.
        decisions: opens the archive; raises MisconfiguredError while there are no decisions.
    """

    def __init__(
        self, model: Model, drift: Drift, registry: ModelRegistry, decisions: Callable[[], DecisionArchive]
    ) -> None:
        self._model = model
        self._drift = drift
        self._registry = registry
        self._decisions = decisions

    def models(self) -> list[dict[str, Any]]:
        """The job's model and its challenger, each with its description and most important features."""
        found = []
        for role, folder, sha256 in (
            ("champion", self._model.artifact, self._model.artifact_sha256),
            ("challenger", self._model.challenger, self._model.challenger_sha256),
        ):
            if folder:
                booster, description = load_artifact(Path(folder), sha256)
                known = {"importance": _importance(booster), "card": card_entries(description)}
                found.append({"role": role, **known, **description.model_dump(mode="json")})
        return found

    def versions(self) -> list[dict[str, Any]]:
        """All versions of the registry with their stage and who gave it, the latest first."""
        latest = sorted(self._registry.entries(), key=lambda entry: entry.registered_at, reverse=True)
        hidden = {"sha256", "stagings"}
        return [entry.model_dump(mode="json", exclude=hidden) | {"staged_by": entry.staged_by} for entry in latest]

    def worth(self, days: int, maturity_days: float, progress: Progress) -> dict[str, Any]:
        """Reliability of the scores that decided, and precision and recall of alerts by week.

        Args:
            days: to look back from the latest mature decision.
            maturity_days: age from which a decision without a label counts as good.
            progress: called with the number of decisions read so far.

        Raises:
            MisconfiguredError: no decision is old enough.
        """
        archive = self._decisions()
        known = labels_known_now(archive, maturity_days)
        until = matured_until(known)
        tally = _Tally()
        for chunk in archive.decisions(_COLUMNS, until - dt.timedelta(days=days), until):
            truth = known.look_up(chunk)
            tally.add(chunk.filter(pa.array(truth.mature)), truth.fraud[truth.mature])
            progress(tally.decisions)
        if not tally.decisions:
            raise MisconfiguredError(
                "maturity", f"no decision of these {days} days is {maturity_days:g} days old; evaluate younger ones"
            )
        return {"until": until, "maturity_days": maturity_days, **tally.figures()}

    def drift(self, reference_days: int | None) -> dict[str, Any]:
        """What moved; see `ml_model.archived_drift`.

        Args:
            reference_days: days before the live window to compare with; None is as the settings say.
        """
        chosen = self._drift
        if reference_days is not None:
            chosen = chosen.model_copy(update={"reference_days": reference_days})
        scorer = InProcessScorer.configured(self._model)
        report, windows = measure_archived_drift(self._decisions(), scorer, chosen)
        return {
            "model": scorer.description.version,
            "watch_index": chosen.watch_index,
            "shifted_index": chosen.shifted_index,
            **windows,
            **asdict(report),
            "shifted": report.shifted,
        }


class _Tally:
    """Sums over decisions, by bin of the score and by week."""

    def __init__(self) -> None:
        self.decisions = 0
        self._bins = np.zeros((len(SCORE_BINS) - 1, 3))
        self._weeks: dict[int, np.ndarray[Any, np.dtype[np.float64]]] = {}

    def add(self, decisions: pa.Table, fraud: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        self.decisions += len(decisions)
        score = decisions["score"].to_numpy()
        scored = ~np.isnan(score)
        number = np.digitize(score[scored], SCORE_BINS[1:-1])
        for column, weights in enumerate((np.ones(int(scored.sum())), score[scored], fraud[scored])):
            self._bins[:, column] += np.bincount(number, weights, len(self._bins))
        money = decisions["billing_amount_minor"].to_numpy()
        alerted = np.asarray(decisions["outcome"]) != "approve"
        marks = np.stack(
            [np.ones(len(fraud)), alerted, fraud, alerted & fraud, money * fraud, money * (alerted & fraud)]
        )
        week = (decisions["event_time"].cast(pa.int64()).to_numpy() + THURSDAY_MS) // WEEK_MS
        for each in np.unique(week):
            sums = marks[:, week == each].sum(axis=1)
            self._weeks[int(each)] = self._weeks.get(int(each), np.zeros(len(sums))) + sums

    def figures(self) -> dict[str, Any]:
        bins = [
            {"from": low, "to": high, "cases": int(cases), "mean_score": total / cases, "fraud_rate": frauds / cases}
            for low, high, (cases, total, frauds) in zip(SCORE_BINS[:-1], SCORE_BINS[1:], self._bins, strict=True)
            if cases
        ]
        weeks = []
        for week, (decisions, alerts, frauds, caught, lost, saved) in sorted(self._weeks.items()):
            weeks.append(
                {
                    "week_ms": week * WEEK_MS - THURSDAY_MS,
                    "decisions": int(decisions),
                    "alerts": int(alerts),
                    "frauds": int(frauds),
                    "precision": caught / alerts if alerts else None,
                    "recall": caught / frauds if frauds else None,
                    "recall_by_money": saved / lost if lost else None,
                }
            )
        return {"decisions": self.decisions, "reliability": bins, "weeks": weeks}


def _importance(booster: xgb.Booster) -> list[dict[str, Any]]:
    """Share of the total gain of all splits, for the features with most of it."""
    gains = booster.get_score(importance_type="total_gain")
    total = sum(float(np.sum(gain)) for gain in gains.values()) or 1.0
    shares = sorted(((float(np.sum(gain)) / total, name) for name, gain in gains.items()), reverse=True)
    return [{"feature": name, "share": share} for share, name in shares[:IMPORTANT]]
