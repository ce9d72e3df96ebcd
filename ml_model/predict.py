"""Scores in process: the model as a `fraud.scorer.Scorer`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraud.decision import ScoredBy
from fraud.invocation import ModelIdentity
from fraud.scorer import Contribution, Scores
from ml_model.artifact import load_artifact
from ml_model.boosting import xgb
from ml_model.description import Description


class InProcessScorer:
    """A loaded model.

    Args:
        booster: the trees.
        description: of the model.
    """

    def __init__(self, booster: xgb.Booster, description: Description) -> None:
        self.description = description
        self._booster = booster

    @classmethod
    def load(cls, folder: Path) -> InProcessScorer:
        """Loads an artifact; raises MisconfiguredError where it does not fit."""
        return cls(*load_artifact(folder))

    @property
    def model_version(self) -> str | None:
        """Of the model."""
        return self.description.version

    @property
    def identity(self) -> ModelIdentity:
        """Of the model."""
        return ModelIdentity(self.description.version, self.description.definition_hash)

    def score(self, features: pa.RecordBatch) -> Scores:
        """Calibrated probabilities of fraud, in the order of the rows."""
        raw = self._booster.inplace_predict(self._matrix(features), predict_type="margin")
        probability = self.description.calibration.probability(raw)
        return Scores(pa.array(probability, pa.float64()), ScoredBy.IN_PROCESS, self.description.version)

    def explain(self, features: pa.RecordBatch) -> list[list[Contribution]]:
        """Exact tree contributions (TreeSHAP, Lundberg et al. 2020) of each row, largest first."""
        matrix = self._matrix(features)
        names = self.description.features
        shares = self._booster.predict(xgb.DMatrix(matrix, feature_names=list(names)), pred_contribs=True)
        slope = self.description.calibration.slope
        return [
            sorted(
                (
                    Contribution(name, None if np.isnan(value) else float(value), float(share) * slope)
                    for name, value, share in zip(names, row, contributions, strict=False)
                ),
                key=lambda contribution: -contribution.log_odds,
            )
            for row, contributions in zip(matrix, shares, strict=True)
        ]

    def _matrix(self, features: pa.RecordBatch) -> npt.NDArray[np.float32]:
        chosen = features.select(list(self.description.features))
        matrix: npt.NDArray[np.floating] = chosen.to_tensor(null_to_nan=True, row_major=True).to_numpy()
        return matrix.astype(np.float32, copy=False)
