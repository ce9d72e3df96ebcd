"""The history that a generated run begins with: in the job's state, in the archive, with the labels that came of it."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind
from adapters.archive.tables import ARCHIVE_SCHEMAS, decision_table
from adapters.policy.source import open_policy, policy_files
from adapters.program.version import program_version
from fraud.decision.answers import decide_unanswered
from fraud.decision.decide import decide
from fraud.decision.rules.fields import fields_of
from fraud.features import catalogue_of
from fraud.records import Records
from fraud.records.arrival import RAW_FIELD, arrival_order, with_arrival
from fraud.records.encode import encode
from fraud.records.label import LABEL_SCHEMA
from fraud.records.schema import TIMESTAMP_MS
from fraud.records.transaction import TRANSACTION_SCHEMA
from fraud.settings import Settings
from processor.keyed_state.backfill import Backfill
from processor.scoring import open_model
from producer.campaigns.plan import load_plan
from producer.data_generator import Generated, generate
from producer.economy import draw_economy

HISTORY_DAYS = 90
"""Long enough for the longest window, and for a month behind it whose labels have matured."""

_PLAN = "default"
_DAYS_AT_ONCE = 15
"""Days of a batch of history, which becomes one object of the archive."""

_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class Population:
    """Whom a run generates transactions of, and from when on.

    Attributes:
        seed: of population and fraud.
        cards: their number.
        merchants: their number.
        start_date: the first day of event times, on which its history begins.
    """

    seed: int
    cards: int
    merchants: int
    start_date: dt.date

    @property
    def arguments(self) -> list[str]:
        """The same for `python -m producer.main`."""
        size = ["--cards", str(self.cards), "--merchants", str(self.merchants), "--campaigns", _PLAN]
        return ["--seed", str(self.seed), *size, "--start-date", self.start_date.isoformat()]


class History:
    """Days of a population, generated and folded as the job would have done.

    Nothing of it is on a stream: it arrived when it happened, and was decided at once.

    Args:
        settings: of the query that begins with it.
        population: whose.
        days: how many.

    Attributes:
        query: that it is archived as.
        transactions: their number: so many of the population's first need not be sent.
        labels: that came due within the days.
        compromised: cards with a fraud in it.
    """

    def __init__(self, settings: Settings, population: Population, days: int = HISTORY_DAYS) -> None:
        self.query = f"{settings.job.query}-history"
        self._population, self._days = population, days
        self._backfill = Backfill(settings)
        self._folded: list[Records] = []
        self.transactions = self.labels = 0
        self.compromised: set[str] = set()
        first_day = (population.start_date - _EPOCH).days
        economy = draw_economy(population.seed, population.cards, population.merchants)
        stream = generate(economy, load_plan(_PLAN), first_day, settings.money.base_currency)
        while some := list(itertools.islice(stream, min(days, _DAYS_AT_ONCE))):
            self._fold(some)
            days -= len(some)

    def _fold(self, days: list[Generated]) -> None:
        number = len(self._folded)
        transactions = pa.concat_batches([day.transactions for day in days])
        labels = pa.concat_batches([day.labels for day in days])
        arrived = with_arrival(transactions, "event_time", number), with_arrival(labels, "label_time", number)
        folded = self._backfill.fold(Records(*arrived))  # key group by key group
        kinds = Records(folded.transactions, folded.labels).kinds()
        self._folded.append(Records(**{kind: part.take(arrival_order(part)) for kind, part in kinds}))
        self.transactions += transactions.num_rows
        self.labels += labels.num_rows
        for day in days:
            self.compromised.update(day.truth["card_token"].filter(day.truth["is_fraud"]).to_pylist())

    def __str__(self) -> str:
        """In words, for people."""
        of = self._population
        last = of.start_date + dt.timedelta(days=self._days - 1)
        return (
            f"{self.transactions:,} transactions of {of.cards:,} cards from {of.start_date} to {last}, "
            f"{self.labels:,} labels"
        )

    def backfill(self, settings: Settings) -> None:
        """Puts the state where the query finds it when it starts.

        Args:
            settings: of the query, with the archive.

        Raises:
            MisconfiguredError: the query has begun already.
        """
        archive = open_archive(settings.archive, settings.aws)
        source = {"query": self.query, "batches": len(self._folded)}
        self._backfill.write(archive, "history", source | {"transactions": self.transactions, "labels": self.labels})

    def keep(self, settings: Settings) -> None:
        """Decides the history and archives it, with its labels, as a query of its own.

        Args:
            settings: the archive, and the policy and the model that decide.
        """
        archive = open_archive(settings.archive, settings.aws)
        files = policy_files(settings.policy.path, settings.aws, settings.lists.path)
        policy = open_policy(files, settings.money.base_currency, fields_of(catalogue_of(settings).features)).current
        scorer = open_model(settings)
        program = program_version()
        for number, records in enumerate(self._folded):
            decided = _with_raw(records.transactions, TRANSACTION_SCHEMA)
            first_ms = decided["arrival_ms"][0].as_py()
            at = decided["arrival_ms"].cast(TIMESTAMP_MS)
            verdicts = decide_unanswered(decided, partial(decide, scorer=scorer, policy=policy))
            table = decision_table(decided, verdicts, number, at, catalogue_of(settings))
            archive.put_records_once(ArchiveKind.DECISIONS.key(self.query, number, 0, first_ms), table, program)
            if records.labels is not None and records.labels.num_rows:
                labels = _with_raw(records.labels, LABEL_SCHEMA).select(ARCHIVE_SCHEMAS[ArchiveKind.LABELS].names)
                key = ArchiveKind.LABELS.key(self.query, number, 0, first_ms)
                archive.put_records_once(key, pa.Table.from_batches([labels]), program)


def _with_raw(records: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The records with the bytes that a stream would have carried."""
    return records.append_column(RAW_FIELD, pa.array(encode(records.select(schema.names)), RAW_FIELD.type))
