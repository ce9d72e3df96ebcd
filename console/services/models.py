"""The models: who decides, how well, and whether the world still looks as it did in training."""

from __future__ import annotations

from typing import Any, Protocol

from console.services.background import Background, Job, Progress

WORTH = "model worth"
DRIFT = "drift"
_AGE_MS = 10 * 60_000


class Overview(Protocol):
    """See `ml_model.overview.ModelOverview`."""

    def models(self) -> list[dict[str, Any]]: ...  # noqa: D102

    def versions(self) -> list[dict[str, Any]]: ...  # noqa: D102

    def worth(self, days: int, maturity_days: float, progress: Progress) -> dict[str, Any]: ...  # noqa: D102

    def drift(self, reference_days: int | None) -> dict[str, Any]: ...  # noqa: D102


class ModelDesk:
    """What is known of the models; what takes long is measured in the background, at most every ten minutes.

    Args:
        overview: knows and measures them.
        background: where it measures.
    """

    def __init__(self, overview: Overview, background: Background) -> None:
        self._overview = overview
        self._background = background

    def models(self) -> dict[str, Any]:
        """Champion and challenger of the job, and the registry's versions."""
        return {"models": self._overview.models(), "versions": self._overview.versions()}

    def worth(self, days: int, maturity_days: float) -> Job:
        """Reliability, precision and recall over matured weeks."""
        return self._background.latest(
            f"{WORTH} {days} {maturity_days}",
            lambda progress: self._overview.worth(days, maturity_days, progress),
            _AGE_MS,
        )

    def drift(self, reference_days: int | None) -> Job:
        """What moved since training, or since the days before."""
        return self._background.latest(
            f"{DRIFT} {reference_days}", lambda _: self._overview.drift(reference_days), _AGE_MS
        )
