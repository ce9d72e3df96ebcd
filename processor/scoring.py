"""Opens the scorer that the settings ask for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from adapters.model.endpoint_scorer import EndpointScorer
from adapters.model.endpoint_usage import EndpointUsage
from fraud.decision.scorer import RulesOnly, Scorer, VersionedScorer
from fraud.errors import MisconfiguredError
from fraud.features import catalogue_of, definition_hash
from fraud.settings import Settings
from ml_model.predict import InProcessScorer


class Scoring(NamedTuple):
    """What scores a worker's transactions.

    Attributes:
        scorer: decides.
        challenger: scores without effect; None for none.
        usage: counts the scorer's calls of an endpoint.
    """

    scorer: VersionedScorer
    challenger: Scorer | None
    usage: EndpointUsage


def open_scoring(settings: Settings) -> Scoring:
    """Scorer and challenger that the settings ask for.

    Raises:
        MisconfiguredError: an artifact is missing or does not fit this program.
    """
    usage = EndpointUsage()
    return Scoring(open_scorer(settings, usage), _open_challenger(settings), usage)


def open_scorer(settings: Settings, usage: EndpointUsage) -> VersionedScorer:
    """The endpoint where one is named, with the model in process behind it.

    Raises:
        MisconfiguredError: the artifact is missing or does not fit this program.
    """
    model = open_model(settings)
    if settings.model.endpoint is None:
        return model
    if not isinstance(model, InProcessScorer):
        problem = "needs model.artifact: the version to expect, the fallback and the reasons come from there"
        raise MisconfiguredError("model.endpoint", problem)
    features, identity = model.description.features, model.identity
    return EndpointScorer(settings.model, settings.endpoint, settings.aws, model, features, identity, usage)


def open_model(settings: Settings) -> InProcessScorer | RulesOnly:
    """The model in process, or rules alone where no artifact is set.

    Raises:
        MisconfiguredError: the artifact is missing or does not fit this program.
    """
    if not settings.model.artifact:
        return RulesOnly()
    model = InProcessScorer.configured(settings.model)
    _require_features(model, settings)
    return model


def _require_features(model: InProcessScorer, settings: Settings) -> None:
    """Refuses a model that was trained on features which this deployment declares otherwise, or not at all."""
    description, catalogue = model.description, catalogue_of(settings)
    absent = sorted(set(description.features) - set(catalogue.names))
    if absent or definition_hash(catalogue.features_named(description.features)) != description.definition_hash:
        problem = f"needs {', '.join(absent)}" if absent else "was trained on other definitions of the same features"
        raise MisconfiguredError(
            "model.artifact", f"{settings.model.artifact} {problem}: name its file in job.features"
        )


def _open_challenger(settings: Settings) -> Scorer | None:
    model = settings.model
    if not model.challenger:
        return None
    challenger = InProcessScorer.load(Path(model.challenger), model.challenger_sha256)
    _require_features(challenger, settings)
    return challenger
