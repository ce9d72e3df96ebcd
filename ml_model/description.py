"""What is known of a model without loading its trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from fraud.declared import NOTHING_DECLARED, Declared

Floats = npt.NDArray[np.floating]


_CERTAIN = 100.0
"""Log-odds beyond which a probability is as good as 0 or 1."""

NEW_DAYS = 7.0
"""How long a card has been observed when what its calibration has of a new card's is half."""


class Calibration(BaseModel):
    """Platt's scaling of the raw score: log-odds = slope * raw + intercept (Platt 1999).

    What a score stands for depends on how much history it stands on, so a new card has a slope and an intercept of its
    own. They fade into those of a well-known card as it is observed.

    Attributes:
        slope: of a card that has long been observed.
        intercept: likewise.
        new_slope: what a card's first transaction has beyond it.
        new_intercept: likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float
    intercept: float
    new_slope: float = 0.0
    new_intercept: float = 0.0

    def probability(self, raw: Floats | np.floating, observed_days: Floats | np.floating) -> npt.NDArray[np.float64]:
        """Probabilities of fraud from raw scores in log-odds, or the probability from a single one.

        Args:
            raw: scores.
            observed_days: for how long the card of each had been observed; NaN where that is not known.
        """
        if isinstance(raw, np.floating):
            return self._probability_of_one(float(raw), observed_days)  # type: ignore[no-any-return]
        known = self.slope * raw.astype(np.float64) + self.intercept
        return 1.0 / (1.0 + np.exp(-(known + self.of_new(raw, observed_days))))

    def _probability_of_one(self, raw: float, observed_days: Any) -> Any:
        """The same bits from Python's floats, whose arithmetic takes a fraction of numpy's for one number."""
        newness_of_one = 1.0 / (1.0 + observed_days / NEW_DAYS) if observed_days >= 0.0 else 0.0
        bounded = min(max(raw, -_CERTAIN), _CERTAIN)
        of_new = float(newness_of_one) * (self.new_slope * bounded + self.new_intercept)
        return 1.0 / (1.0 + np.exp(-(self.slope * raw + self.intercept + of_new)))

    def of_new(self, raw: Floats | np.floating, observed_days: Floats | np.floating) -> npt.NDArray[np.float64]:
        """The part of the log-odds that is due to how new the cards are: 0 for those that have long been observed."""
        # None of an infinite score is no number.
        bounded = np.minimum(
            np.maximum(raw.astype(np.float64), -_CERTAIN), _CERTAIN
        )  # np.clip takes four times as long
        return newness(observed_days) * (self.new_slope * bounded + self.new_intercept)


def newness(observed_days: Floats | np.floating) -> npt.NDArray[np.float64]:
    """How much of its calibration is a new card's: 1 at its first transaction, half after `NEW_DAYS`, 0 if not known.

    >>> newness(np.array([0.0, 7.0, 28.0, np.nan])).tolist()
    [1.0, 0.5, 0.2, 0.0]
    """
    return np.where(observed_days >= 0.0, 1.0 / (1.0 + observed_days / NEW_DAYS), 0.0)


class Description(BaseModel):
    """A model's description.

    Attributes:
        version: first 12 hexadecimal digits of the SHA-256 of trees and calibration.
        features: input columns in order.
        definition_hash: of their entries in the catalogue that computed them.
        calibration: from raw score to probability.
        trained_from: first event time of the training data, RFC 3339.
        trained_until: last.
        held_out_until: last of the stretch that stopped the training early and calibrated; None where not noted.
        rows: training transactions.
        frauds: of these, known as fraud.
        choices: of the training, by name; empty where not noted.
        metrics: on the later stretch that training did not see.
        libraries: versions that made it, and the program's with a digest of its code.
        data_sha256: of the data that training was given; empty where not noted.
        declared: the rows of `job.features` that its data were computed by, so that it can be checked anywhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    features: tuple[str, ...]
    definition_hash: str
    calibration: Calibration
    trained_from: str
    trained_until: str
    held_out_until: str | None = None
    rows: int
    frauds: int
    choices: dict[str, float] = {}
    metrics: dict[str, float]
    libraries: dict[str, str]
    data_sha256: str = ""
    declared: Declared = NOTHING_DECLARED

    @property
    def seen_until(self) -> str:
        """Last event time that had a part in making the model."""
        return self.held_out_until or self.trained_until
