"""Opens the scorer that the settings ask for."""

from __future__ import annotations

from pathlib import Path

from fraud.scorer import RulesOnly, Scorer
from fraud.settings import Settings
from ml_model.predict import InProcessScorer


def open_scorer(settings: Settings) -> Scorer:
    """The scorer of the sink's workers: the model in process, or rules alone where no artifact is set.

    Raises:
        MisconfiguredError: the artifact is missing or does not fit this program.
    """
    if not settings.model.artifact:
        return RulesOnly()
    return InProcessScorer.load(Path(settings.model.artifact))


def open_challenger(settings: Settings) -> Scorer | None:
    """The scorer whose scores are recorded without effect, or None where none is set.

    Raises:
        MisconfiguredError: the artifact is missing or does not fit this program.
    """
    return InProcessScorer.load(Path(settings.model.challenger)) if settings.model.challenger else None
