"""An attack: the fraud of one campaign alone, from a given time on, against a population that another run streams."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from fraud.errors import MisconfiguredError
from fraud.records.arrival import recorded_clock
from fraud.records.label import LABEL_SCHEMA
from producer.campaigns import CAMPAIGNS
from producer.campaigns.base import DAY_MS, HOUR_MS
from producer.columns import transaction_columns, truth_columns
from producer.data_generator import Generated, arriving
from producer.economy import Economy
from producer.ids import counting_ids
from producer.rows import checked, concat

MAX_CASES = 1_000


def attack(economy: Economy, name: str, cases: int, start_ms: int, currency: str) -> Iterator[Generated]:
    """The transactions of an attack by event time, a day at a time; without labels, which come due after its end.

    Args:
        economy: the population; cards and merchants have the ids that a run of the same one gives them.
        name: the campaign, of `CAMPAIGNS`.
        cases: how many; the first begins at `start_ms`, the others within an hour.
        start_ms: event time. Ids carry its second and the campaign, so attacks that differ in either share none.
        currency: the base currency.

    Raises:
        MisconfiguredError: there is no such campaign.
    """
    names = [campaign.name for campaign in CAMPAIGNS]
    if name not in names:
        raise MisconfiguredError(f"--attack {name}", f"no such campaign; available: {', '.join(names)}")
    number = names.index(name) + 1
    campaign = CAMPAIGNS[number - 1]
    second = start_ms // 1000
    parts = []
    for case in range(cases):
        dice = np.random.default_rng([economy.seed, 5, second, number, case])
        begin_ms = start_ms + int(case and dice.integers(HOUR_MS))
        rows = checked(dice, campaign.case(dice, economy, begin_ms, 0.0), campaign.knows)
        parts.append(rows.but(campaign=number, case=start_ms // HOUR_MS * MAX_CASES + case))
    rows = concat(parts)
    rows = rows.take(np.argsort(rows.time_ms, kind="stable"))
    none = pa.RecordBatch.from_pylist([], schema=LABEL_SCHEMA)
    clock_ms = recorded_clock(rows.time_ms)
    sent = 0
    for day in np.unique(rows.time_ms // DAY_MS).tolist():
        today = rows.take(rows.time_ms // DAY_MS == day)
        ids = counting_ids(f"x{economy.seed:x}.{number}-{second:x}", sent, len(today))
        transactions = transaction_columns(economy, today, day, ids, currency)
        part = Generated(transactions, truth_columns(transactions, today), none)
        yield arriving(part, clock_ms[sent : sent + len(today)], None)
        sent += len(today)
