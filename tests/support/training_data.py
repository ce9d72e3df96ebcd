"""Small training data with a signal in one feature."""

from __future__ import annotations

import numpy as np

from fraud.features import FEATURE_NAMES
from ml_model.dataset import Dataset

DAY_MS = 86_400_000
SIGNAL = FEATURE_NAMES.index("card_count_10m")


def signal_data(rows: int = 6_000, days: float = 100.0, fraud_rate: float = 0.1, seed: int = 5) -> Dataset:
    """Transactions spread evenly over some days; frauds have a higher `card_count_10m`, and all else is noise."""
    rng = np.random.default_rng(seed)
    fraud = rng.random(rows) < fraud_rate
    features = rng.normal(size=(rows, len(FEATURE_NAMES))).astype(np.float32)
    features[:, SIGNAL] += 1.5 * fraud
    return Dataset(features, fraud, np.linspace(0, days * DAY_MS, rows).astype(np.int64))
