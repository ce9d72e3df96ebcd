"""A model of the size that the project trains, on random data: for benchmarks only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xgboost as xgb

from fraud.decision.record import ScoredBy
from fraud.decision.scorer import Contribution, Scores
from fraud.features import FEATURE_NAMES

ROWS = 20_000


@dataclass(frozen=True)
class TreeScorer:
    """Scores by gradient-boosted trees; the highest `alert_share` of scores are rescaled above the thresholds."""

    booster: xgb.Booster
    cut: float

    @classmethod
    def trained(cls, trees: int, alert_share: float, measured: pa.RecordBatch) -> TreeScorer:
        """Trains on random features, of which one decides the label; the share of alerts is that of `measured`."""
        rng = np.random.default_rng(5)
        features = rng.gamma(1.0, 4.0, (ROWS, len(FEATURE_NAMES)))
        label = features[:, 3] + rng.normal(0, 3, ROWS) > 16
        data = xgb.DMatrix(features, label)
        booster = xgb.train({"objective": "binary:logistic", "max_depth": 6, "nthread": 1}, data, trees)
        return cls(booster, float(np.quantile(booster.inplace_predict(_matrix(measured)), 1 - alert_share)))

    def score(self, features: pa.RecordBatch) -> Scores:
        """See `fraud.decision.scorer.Scorer`."""
        raw = self.booster.inplace_predict(_matrix(features))
        return Scores(pa.array(np.where(raw > self.cut, 0.95, 0.02 * raw)), ScoredBy.IN_PROCESS, "benchmark")

    def explain(self, features: pa.RecordBatch) -> list[list[Contribution]]:
        """Exact contributions (TreeSHAP), what moved a score most first."""
        matrix = _matrix(features)
        shares = self.booster.predict(xgb.DMatrix(matrix), pred_contribs=True)[:, :-1]
        order = np.argsort(-np.abs(shares), axis=1)
        return [
            [Contribution(FEATURE_NAMES[i], float(row[i]), float(share[i])) for i in places if share[i]]
            for row, share, places in zip(matrix, shares, order, strict=True)
        ]


def _matrix(features: pa.RecordBatch) -> npt.NDArray[np.float64]:
    return np.column_stack([features[name].to_numpy(zero_copy_only=False) for name in FEATURE_NAMES])
