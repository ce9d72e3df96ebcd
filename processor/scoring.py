"""Opens the scorer that the settings ask for."""

from __future__ import annotations

from pathlib import Path

from adapters.endpoint_scorer import EndpointScorer
from adapters.endpoint_usage import EndpointUsage
from fraud.errors import MisconfiguredError
from fraud.scorer import RulesOnly, Scorer, VersionedScorer
from fraud.settings import Settings
from ml_model.predict import InProcessScorer


def open_scorer(settings: Settings, usage: EndpointUsage | None = None) -> VersionedScorer:
    """The scorer of the sink's workers: the endpoint where one is named, with the model in process behind it.

    Args:
        settings: `model.endpoint` switches between the two.
        usage: takes the counts of endpoint calls.

    Raises:
        MisconfiguredError: the artifact is missing or does not fit this program.
    """
    model = open_model(settings)
    if settings.model.endpoint is None:
        return model
    if not isinstance(model, InProcessScorer):
        problem = "needs model.artifact: the version to expect, the fallback and the reasons come from there"
        raise MisconfiguredError("model.endpoint", problem)
    return EndpointScorer(settings, model, model.description.features, model.identity, usage or EndpointUsage())


def open_model(settings: Settings) -> InProcessScorer | RulesOnly:
    """The model in process, or rules alone where no artifact is set.

    Raises:
        MisconfiguredError: the artifact is missing or does not fit this program.
    """
    return InProcessScorer.load(Path(settings.model.artifact)) if settings.model.artifact else RulesOnly()


def open_challenger(settings: Settings) -> Scorer | None:
    """The scorer whose scores are recorded without effect, or None where none is set.

    Raises:
        MisconfiguredError: the artifact is missing or does not fit this program.
    """
    return InProcessScorer.load(Path(settings.model.challenger)) if settings.model.challenger else None
