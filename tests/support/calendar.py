"""The first day of generated traffic: fixed, so that no test depends on the day on which it runs.

The environment variable `TEST_DAYS_LATER` moves it, which shows that no test depends on the day that is fixed either.
"""

from __future__ import annotations

import datetime as dt
import os

DAYS_LATER = int(os.environ.get("TEST_DAYS_LATER", "0"))
FIRST_DAY = dt.date(2026, 3, 2) + dt.timedelta(days=DAYS_LATER)
FROM_FIRST_DAY = ("--start-date", FIRST_DAY.isoformat())
"""Arguments of the producer and of every command that starts one."""
