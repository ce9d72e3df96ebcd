"""XGBoost without its scikit-learn interface, which nothing here uses: `from ml_model.boosting import xgb`.

Where scikit-learn is installed, XGBoost imports it, and SciPy's statistics with it. That takes longer than all else
that the job, its workers, the endpoint and the commands import together.
"""

from __future__ import annotations

import sys

_loaded = "sklearn" in sys.modules
if not _loaded:
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # to XGBoost as if it were not installed
try:
    import xgboost as xgb
finally:
    if not _loaded:
        del sys.modules["sklearn"]

__all__ = ["xgb"]
