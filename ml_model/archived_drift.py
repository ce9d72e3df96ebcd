"""Drift measured on the archive: what the command and the console share."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from adapters.archive.decision_archive import DecisionArchive
from fraud.errors import MisconfiguredError
from fraud.settings import Drift
from ml_model.archived import window
from ml_model.drift import DriftReport, measure_drift
from ml_model.predict import InProcessScorer

_INSTANT = dt.timedelta(milliseconds=1)


class ArchivedDrift(NamedTuple):
    """What moved, and between which windows.

    Attributes:
        report: what moved.
        windows: `reference` and `live`, each with `from`, `until` and `transactions`.
    """

    report: DriftReport
    windows: dict[str, dict[str, Any]]


def measure_archived_drift(archive: DecisionArchive, scorer: InProcessScorer, settings: Drift) -> ArchivedDrift:
    """Compares the latest days of an archive with the days before, or with those that the model was trained on.

    Raises:
        MisconfiguredError: the archive has nothing to compare with.
    """
    last, declared = archive.last_event(), scorer.description.declared
    since = last - dt.timedelta(days=settings.days)
    if settings.reference_days is not None:
        begin, end = since - dt.timedelta(days=settings.reference_days), since
    else:
        trained = scorer.description
        begin, end = (dt.datetime.fromisoformat(time) for time in (trained.trained_from, trained.trained_until))
    reference = window(archive, scorer, begin, min(end, since - _INSTANT), settings.rows, declared)
    if reference is None:
        raise MisconfiguredError(
            "drift.reference_days",
            f"no decisions archived from {begin:%Y-%m-%d} to {end:%Y-%m-%d}"
            + ("" if settings.reference_days else f", on which model {scorer.description.version} was trained")
            + "; choose how many days before the live window to compare with",
        )
    live = window(archive, scorer, since, last, settings.rows, declared)
    assert live is not None  # the latest decision is in it
    windows = {
        "reference": {"from": begin, "until": end, "transactions": len(reference)},
        "live": {"from": since, "until": last, "transactions": len(live)},
    }
    return ArchivedDrift(measure_drift(reference, live, settings), windows)
