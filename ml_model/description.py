"""What is known of a model without loading its trees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict


class Calibration(BaseModel):
    """Platt's scaling of the raw score: log-odds = slope * raw + intercept (Platt 1999)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float
    intercept: float

    def probability(self, raw: npt.NDArray[np.floating] | np.floating) -> npt.NDArray[np.float64]:
        """Probabilities of fraud from raw scores in log-odds, or the probability from a single one."""
        return 1.0 / (1.0 + np.exp(-(self.slope * raw.astype(np.float64) + self.intercept)))


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

    @property
    def seen_until(self) -> str:
        """Last event time that had a part in making the model."""
        return self.held_out_until or self.trained_until
