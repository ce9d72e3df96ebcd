"""What a run of the producer is asked to do."""

from __future__ import annotations

import datetime as dt
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from adapters.recordings.bad_rows import OnBadRow
from fraud.errors import MisconfiguredError


@dataclass(frozen=True)
class Ask:
    """What is asked of a decision service.

    Attributes:
        url: its address, without path.
        key: an API key with the scope `decide`.
        share: of the cards whose payments are asked about, above 0 and at most 1.
        file: gets a JSON line for each answer, see `adapters.files.asked`; None for none.

    Raises:
        MisconfiguredError: there is no such address, or no key.
    """

    url: str
    key: str
    share: float
    file: Path | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise MisconfiguredError(f"--ask {self.url}", "must be an address such as http://127.0.0.1:8095")
        if not self.key:
            raise MisconfiguredError(
                "DECISIONS_API_KEY", "must hold an API key: 'fraud decide --add-key NAME' prints one"
            )

    def is_of(self, card_token: str) -> bool:
        """Whether payments of a card are asked about."""
        return zlib.crc32(card_token.encode()) % _SHARES < self.share * _SHARES


LOCAL_ENDPOINT = "http://127.0.0.1:4566"
"""Where a local emulator usually listens; used without --use-aws and without the setting aws.endpoint_url."""

DEFAULT_TRANSACTIONS = 1_000

_SHARES = 10_000


class Target(StrEnum):
    """Where transactions go."""

    KINESIS = "kinesis"
    PARQUET = "parquet"
    JSONL = "jsonl"
    STDOUT = "stdout"


def default_batch_size(to: Target) -> int:
    """Transactions written at once: ten PutRecords calls, so that few are partly filled, or a row group of a file."""
    return 10_000 if to in (Target.PARQUET, Target.JSONL) else 5_000


@dataclass(frozen=True)
class ProducerConfig:
    """The flags of `python -m producer.main`, checked.

    Attributes:
        num_transactions: how many; 0 runs for ever.
        skip: leave out so many of the stream's first.
        batch_size: most records written at once.
        rate: transactions a second; None writes as fast as the destination takes them.
        burst: written at once, in bursts of so many; None spreads them evenly.
        speed: so many times event time; None without regard to it.
        live: event times follow the wall clock, from now on.
        seed: of population and fraud.
        cards: size of the population.
        merchants: its merchants.
        campaigns: name or file of the campaign plan.
        attack: a campaign whose fraud alone is sent, instead of the plan; None sends the population's traffic.
        cases: of the attack.
        start_ms: event time at which the attack begins.
        start_date: first day of generated event times.
        days: ends after so many days of event time; None without regard to it.
        replay: a recording instead of generated transactions: a file, a folder of files or a pattern.
        mapping: of its columns.
        on_bad_row: what becomes of its rows that cannot be read.
        bad_rows: file that gets a JSON line for each of them, where they do not end the run.
        ground_truth: file that gets a JSON line for every transaction before it is sent.
        to: where transactions go.
        output: folder of the files, where they go to files.
        dry_run: do everything but write.
        ask: a decision service to ask about the payments of some cards; None puts all on the stream.

    Raises:
        MisconfiguredError: flags contradict each other or one lacks another.
    """

    num_transactions: int
    skip: int
    batch_size: int
    rate: float | None
    burst: int | None
    speed: float | None
    live: bool
    seed: int
    cards: int
    merchants: int
    campaigns: str
    attack: str | None
    cases: int
    start_ms: int
    start_date: dt.date
    days: int | None
    replay: Path | None
    mapping: str | None
    on_bad_row: OnBadRow
    bad_rows: Path | None
    ground_truth: Path | None
    to: Target
    output: Path | None
    dry_run: bool
    ask: Ask | None = None

    def __post_init__(self) -> None:
        files = self.to in (Target.PARQUET, Target.JSONL)
        contradictions = (
            (files and self.output is None, "--output", f"--to {self.to} needs a folder"),
            (not files and self.output is not None, "--output", f"is not used by --to {self.to}"),
            (
                self.replay is not None and self.mapping is None,
                "--mapping",
                "a replay needs one; 'fraud inspect FILE --write mapping.yaml' writes it",
            ),
            (self.replay is None and self.mapping is not None, "--mapping", "only a --replay uses one"),
            (
                self.bad_rows is not None and self.on_bad_row is OnBadRow.FAIL,
                "--bad-rows",
                "is written with --on-bad-row dead-letter only",
            ),
            (self.live and self.replay is not None, "--live", "a recording has times of its own; use --speed"),
            (self.live and (self.speed or self.rate), "--live", "paces by the clock; leave --rate and --speed out"),
            (
                self.burst is not None and self.rate is None,
                "--burst",
                "needs a --rate, which its bursts keep on average",
            ),
            (
                self.attack is not None and (self.replay is not None or self.live),
                "--attack",
                "is generated and not live",
            ),
            (
                self.ask is not None and (self.to is not Target.KINESIS or self.dry_run),
                "--ask",
                "goes with --to kinesis",
            ),
            (self.days is not None and self.replay is not None, "--days", "ends generated runs only"),
        )
        for wrong, flag, problem in contradictions:
            if wrong:
                raise MisconfiguredError(flag, problem)

    @property
    def first_day(self) -> int:
        """`start_date` as days since 1970."""
        return (self.start_date - dt.date(1970, 1, 1)).days
