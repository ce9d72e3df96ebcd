"""Trains on the archive, and compares a challenger with the champion on what the archive learnt after that."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.archive.decision_archive import DecisionArchive
from fraud.backtest.costs import CostSheet
from fraud.backtest.labels import KnownLabels
from fraud.declared import NOTHING_DECLARED, Declared
from fraud.settings import Retraining
from ml_model.archived import labels_known_now, matured_cases, matured_until, training_set
from ml_model.dataset import Dataset
from ml_model.description import Description
from ml_model.evaluate import SLICE_FPR, score_cases
from ml_model.gate import Comparison, compare
from ml_model.metrics import slices, threshold_at_fpr
from ml_model.predict import InProcessScorer
from ml_model.search import train_within
from ml_model.train import TrainingChoices, recalibrated

_SEED = 7


@dataclass(frozen=True)
class GateResult:
    """What the gate says.

    Attributes:
        since: first event time of the comparison.
        until: last event time that is mature.
        transactions: number compared on.
        frauds: of these.
        comparison: None where there was too little to compare on.
        objections: why the challenger is not promoted; empty where it wins.
    """

    since: dt.datetime
    until: dt.datetime
    transactions: int
    frauds: int
    comparison: Comparison | None
    objections: tuple[str, ...]

    @property
    def wins(self) -> bool:
        """Whether the challenger may become the champion."""
        return not self.objections


class ArchiveTrainer:
    """An archive with its labels, as far as they are known now.

    Args:
        archive: of decisions and labels.
        settings: windows, margin and sizes.
        declared: features of the deployment's own, to train on too.
    """

    def __init__(self, archive: DecisionArchive, settings: Retraining, declared: Declared = NOTHING_DECLARED) -> None:
        self._declared = declared
        self._archive = archive
        self._settings = settings
        self._known: KnownLabels = labels_known_now(archive, settings.maturity_days)
        self._until = matured_until(self._known)

    def train(self, progress: Callable[[str], None], choices: TrainingChoices) -> tuple[bytes, Description]:
        """Trains on mature transactions, but for the latest, which are left to compare models on.

        Args:
            progress: called with each line of progress.
            choices: of the training, or where a search begins; maturity and share of fraud follow from the archive.

        Raises:
            MisconfiguredError: too little known fraud to learn from.
        """
        data, fraud_rate = self._training_set()
        progress(f"archive: {len(data):,} mature transactions, {int(data.known_fraud.sum()):,} frauds")
        choices = dataclasses.replace(choices, maturity_days=0, expected_fraud_rate=fraud_rate)
        return train_within(self._settings, data, choices, progress)

    def recalibrate(self, trees: bytes, description: Description) -> Description:
        """The same trees, calibrated on the transactions that `train` would train on.

        Raises:
            MisconfiguredError: too little known fraud to calibrate on.
        """
        data, fraud_rate = self._training_set()
        return recalibrated(trees, description, data, fraud_rate)

    def said_of_seen(self, models: Sequence[InProcessScorer]) -> list[dict[str, dict[str, float | None]]]:
        """By how long cards had been observed, how much fraud each model says of what there is.

        Measured on the latest mature days, which are left out of `train` and `recalibrate`. For the keys and figures
        see `ml_model.metrics.slices`.
        """
        since = self._until - dt.timedelta(days=self._settings.evaluation_days)
        cases, _ = matured_cases(self._archive, self._known, since, self._settings.rows, self._declared)
        scored = score_cases(cases, models)
        return [slices(found, threshold_at_fpr(found, SLICE_FPR))["card_observed_days"] for found in scored]

    def _training_set(self) -> tuple[Dataset, float | None]:
        until = self._until - dt.timedelta(days=self._settings.evaluation_days)
        since = until - dt.timedelta(days=self._settings.training_days)
        return training_set(self._archive, self._known, since, until, self._settings.rows, self._declared)

    def compare(
        self, champion: InProcessScorer, challenger: InProcessScorer, costs: CostSheet, currency: str
    ) -> GateResult:
        """Compares two models on the latest mature transactions that neither has seen.

        Args:
            champion: decides now.
            challenger: might.
            costs: for the money saved.
            currency: of the money saved.
        """
        settings = self._settings
        seen_until = max(dt.datetime.fromisoformat(model.description.seen_until) for model in (champion, challenger))
        begin = self._until - dt.timedelta(days=settings.evaluation_days)
        since = max(begin, seen_until + dt.timedelta(milliseconds=1))
        cases, share = matured_cases(self._archive, self._known, since, settings.rows, self._declared)
        transactions, frauds = (sum(len(part.fraud) for part in cases), sum(int(part.fraud.sum()) for part in cases))
        if frauds < settings.min_frauds:
            objection = (
                f"{frauds} frauds among matured transactions that neither model has seen, needed are "
                f"{settings.min_frauds} (retraining.min_frauds)"
            )
            return GateResult(since, self._until, transactions, frauds, None, (objection,))
        before, after = score_cases(cases, [champion, challenger])
        comparison = compare(before, after, costs, settings.draws, np.random.default_rng(_SEED), share)
        objections = tuple(comparison.objections(settings, currency))
        return GateResult(since, self._until, transactions, frauds, comparison, objections)
