"""Counts what stored decisions were, for the metrics; apart from the report, which the driver reads without Arrow."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.program.metrics import EVENT_TO_DECISION_S
from processor.sink.report import Committed, Latencies, Moments

_DAY_MS = 86_400_000
_EXACT = "exact_"  # before the name of an entity
_RULE_COLUMNS = {
    "fired": "rules",
    "shadow": "shadow_rules",
    "silenced": "silenced_rules",
    "undefined": "undefined_rules",
}


class Times(NamedTuple):
    """When a partition's transactions passed each place, in UTC milliseconds; see `Moments`."""

    featured: int
    decided: int
    stored: int
    alerted: int


def account(decisions: pa.Table, times: Times) -> Committed:
    """What a partition's decisions add to the metrics: outcomes, what scored, rules, windows, times.

    Args:
        decisions: as they stand in the archive.
        times: of this attempt.
    """
    count, waited = decisions.num_rows, waited_ms(decisions, times.stored)
    return Committed(
        outcomes=Counter(decisions["outcome"].to_pylist()),
        answered=count - decisions["answered_by"].null_count,
        scored_by=Counter(decisions["scored_by"].to_pylist()),
        inexact={
            name.removeprefix(_EXACT): pc.sum(pc.invert(decisions[name]), min_count=0).as_py()
            for name in decisions.schema.names
            if name.startswith(_EXACT)
        },
        rules={
            result: Counter(pc.list_flatten(decisions[column]).to_pylist()) for result, column in _RULE_COLUMNS.items()
        },
        decision=Latencies.of(EVENT_TO_DECISION_S, waited),
        moments=Moments(
            transactions=count,
            sent=times.stored * count - int(waited.sum()),
            arrived=pc.sum(decisions["arrival_ms"]).as_py(),
            featured=times.featured * count,
            decided=times.decided * count,
            stored=times.stored * count,
            alerted=times.alerted * count,
        ),
    )


def waited_ms(decisions: pa.Table, until_ms: int) -> Any:
    """How long after `sent_at` it was, a NumPy array; from nothing to a day.

    Senders' clocks are wrong by up to centuries, and one such record would make the mean of all latencies nonsense.
    """
    return np.clip(until_ms - decisions["sent_at"].cast(pa.int64()).to_numpy(), 0, _DAY_MS)
