"""Where the time of decisions goes, by some of them."""

from __future__ import annotations

from itertools import count

from decision_service.engine import TIMED, Stages


def test_one_record_in_some_is_timed_and_stands_for_all() -> None:
    readings = count(0, 10)
    stages = Stages(lambda: next(readings))
    for _ in range(3 * TIMED):
        began = stages.next()
        began = stages.spend("decode", began)
        stages.spend("fold", began)
    assert next(readings) == 3 * 3 * 10  # the clock was read for three records, three times each
    assert stages.spent["decode"] == stages.spent["fold"] == 3 * 10 * TIMED
    assert stages.spent["decide"] == 0
