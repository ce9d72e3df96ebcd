"""What a run of the producer is asked to do."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

LOCAL_ENDPOINT = "http://127.0.0.1:4566"
"""Where a local stand-in usually listens; used without --use-aws and without the setting aws.endpoint_url."""


@dataclass(frozen=True)
class ProducerConfig:
    """The flags of `python -m producer.main`, checked.

    Attributes:
        num_transactions: how many; 0 runs for ever.
        skip: leave out so many of the stream's first.
        batch_size: most records written at once.
        rate: transactions a second; None writes as fast as the stream takes them.
        speed: replay at so many times event time; None without regard to it.
        seed: of population and fraud.
        cards: size of the population.
        merchants: its merchants.
        campaigns: name or file of the campaign plan.
        start_date: first day of generated event times.
        replay: a recorded file instead of generated transactions.
        mapping: of its columns.
        ground_truth: file that gets a JSON line for every transaction sent.
    """

    num_transactions: int
    skip: int
    batch_size: int
    rate: float | None
    speed: float | None
    seed: int
    cards: int
    merchants: int
    campaigns: str
    start_date: dt.date
    replay: Path | None
    mapping: str | None
    ground_truth: Path | None

    @property
    def first_day(self) -> int:
        """`start_date` as days since 1970."""
        return (self.start_date - dt.date(1970, 1, 1)).days
