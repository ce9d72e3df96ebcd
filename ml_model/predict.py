"""Scores in process: the model as a `fraud.decision.scorer.Scorer`."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import structlog

from adapters.model.invocation import ModelIdentity
from fraud.decision.record import ScoredBy
from fraud.decision.scorer import Contribution, RulesOnly, Scores, require_probabilities, rows_of
from fraud.entities import CARD
from fraud.records import Row
from fraud.settings import Model
from ml_model.artifact import load_artifact
from ml_model.boosting import xgb
from ml_model.description import Description

if TYPE_CHECKING:
    from ml_model.walk import Walk

log = structlog.get_logger()

_NAN = math.nan


def _size(contribution: Contribution) -> float:
    return -abs(contribution.log_odds)


class InProcessScorer:
    """A loaded model.

    Args:
        booster: the trees.
        description: of the model.
    """

    def __init__(self, booster: xgb.Booster, description: Description) -> None:
        self.description = description
        self._booster = booster
        self._features = description.features

    @classmethod
    def load(cls, folder: Path, sha256: str | None = None) -> InProcessScorer:
        """Loads an artifact; raises MisconfiguredError where it does not fit, or has another SHA-256 than wanted."""
        return cls(*load_artifact(folder, sha256))

    @classmethod
    def configured(cls, model: Model) -> InProcessScorer:
        """Loads the artifact that the settings name; raises MisconfiguredError where it does not fit."""
        return cls.load(Path(model.artifact), model.artifact_sha256)

    @property
    def model_version(self) -> str | None:
        """Of the model."""
        return self.description.version

    @property
    def identity(self) -> ModelIdentity:
        """Of the model."""
        return ModelIdentity(self.description.version, self.description.definition_hash)

    @cached_property
    def _walk(self) -> Walk | None:
        """What scores single rows and explains any; None where XGBoost has to."""
        from ml_model.walk import Walk  # compiles, which no process that only scores batches needs

        return Walk.of(self._booster)

    def score(self, features: pa.RecordBatch | Row) -> Scores:
        """Calibrated probabilities of fraud, in the order of the rows; none where the trees give no number."""
        if isinstance(features, Row):
            return self._score_row(features)
        matrix = self._matrix(features)
        score = pa.array(
            self.description.calibration.probability(self._raw(matrix), self._observed_days(matrix)), pa.float64()
        )
        try:
            require_probabilities(score, rows_of(features))
        except ValueError as error:
            log.error("model_did_not_score", model=self.description.version, problem=str(error))
            return RulesOnly().score(features)
        return Scores(score, ScoredBy.IN_PROCESS, self.description.version)

    def _score_row(self, row: Row) -> Scores:
        """The same of a single row, without what a batch needs."""
        walk, values = self._walk, np.array(self._values(row), np.float64)
        raw = self._raw(self._as_floats(values[np.newaxis]))[0] if walk is None else walk.margin(values)
        observed = np.float32(np.nan if self._observed_place is None else values[self._observed_place])
        score = float(self.description.calibration.probability(raw, observed))
        if not 0.0 <= score <= 1.0:
            log.error("model_did_not_score", model=self.description.version, problem=f"a score of {score}")
            return RulesOnly().score(row)
        return Scores(score, ScoredBy.IN_PROCESS, self.description.version)

    def explain(self, features: pa.RecordBatch | Row) -> list[list[Contribution]]:
        """Exact contributions of the trees (TreeSHAP, Lundberg et al. 2020).

        What the calibration has beyond them for a new card is a contribution of how long the card has been observed.
        """
        matrix, calibration = self._matrix(features), self.description.calibration
        raw = self._contributions(matrix)
        shares = raw * calibration.slope
        if self._observed_place is not None:
            shares[:, self._observed_place] += calibration.of_new(raw.sum(axis=1), self._observed_days(matrix))
        return [
            self._moved(values, given) for values, given in zip(matrix.tolist(), shares[:, :-1].tolist(), strict=True)
        ]

    def _moved(self, values: list[float], shares: list[float]) -> list[Contribution]:
        """The features that have a share in a score, the largest first."""
        moved = [
            Contribution(name, value if value == value else None, share)
            for name, value, share in zip(self.description.features, values, shares, strict=True)
            if share
        ]
        moved.sort(key=_size)
        return moved

    def _contributions(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        """Of each feature to the raw score, in the last column what none contributes."""
        if self._walk is not None:
            return self._walk.contributions(matrix)
        # The columns are in the model's order; having XGBoost compare their names takes longer than making the matrix.
        return self._booster.predict(xgb.DMatrix(matrix), pred_contribs=True, validate_features=False)  # type: ignore[no-any-return]

    def _raw(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Raw scores by XGBoost."""
        return self._booster.inplace_predict(matrix, predict_type="margin")  # type: ignore[no-any-return]

    @cached_property
    def _observed_place(self) -> int | None:
        """Place of the feature that says for how long the card has been observed; None where the model lacks it."""
        features = self.description.features
        return features.index(CARD.observed_column) if CARD.observed_column in features else None

    def _observed_days(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """For how long each card has been observed; NaN where that is not known."""
        if self._observed_place is None:
            return np.full(len(matrix), np.nan, np.float32)
        return matrix[:, self._observed_place]

    def _values(self, row: Row) -> list[float]:
        """The model's features of a row, NaN for null."""
        return [_NAN if value is None else value for value in map(row.get, self._features)]

    def _matrix(self, features: pa.RecordBatch | Row) -> npt.NDArray[np.float32]:
        if isinstance(features, Row):
            return self._as_floats(np.array([self._values(features)], np.float64))
        chosen = features.select(list(self.description.features))
        matrix: npt.NDArray[np.floating] = chosen.to_tensor(null_to_nan=True, row_major=True).to_numpy()
        return self._as_floats(matrix)

    @staticmethod
    def _as_floats(matrix: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        with np.errstate(over="ignore"):  # beyond what float32 holds is infinitely large to the trees as well
            return matrix.astype(np.float32, copy=False)
