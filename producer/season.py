"""What the calendar does to spending and travel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_WEEKDAY = (0.93, 0.94, 0.97, 1.0, 1.14, 1.18, 0.84)
"""Activity by weekday, Monday first; the mean is 1."""

_CLOSED = {(1, 1): 0.45, (5, 1): 0.7, (10, 3): 0.7, (12, 25): 0.35, (12, 26): 0.5}
"""Fixed public holidays and what they leave of a day's activity."""

_TRAVEL = (0.7, 0.9, 0.8, 1.0, 1.1, 1.2, 1.6, 1.7, 1.2, 1.0, 0.7, 1.1)
"""Length of trips by month, January first."""


class Season(NamedTuple):
    """Factors of one day.

    Attributes:
        activity: on the number of transactions.
        travel: on the length of trips.
        weekend: whether it is Saturday or Sunday.
    """

    activity: float
    travel: float
    weekend: bool


def season_of(day: int) -> Season:
    """Factors of a day (days since 1970).

    >>> season_of(20_449).activity < season_of(20_443).activity  # 27 December against 21 December 2025
    True
    """
    date = np.datetime64(day, "D").item()
    weekday = date.weekday()
    activity = _WEEKDAY[weekday] * (1.12 if date.day >= 26 or date.day <= 3 else 0.98)  # pay day
    if date.month == 12 and date.day < 25:
        activity *= 1.0 + 0.012 * date.day
    activity *= _CLOSED.get((date.month, date.day), 1.0)
    return Season(activity, _TRAVEL[date.month - 1], weekday >= 5)
