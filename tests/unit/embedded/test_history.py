"""A generated run begins with history: folded, decided and archived as the job would have done."""

from __future__ import annotations

from itertools import islice

import pyarrow as pa
import pytest

from adapters.archive.archive import open_archive
from adapters.archive.batch_replay import archived_batches
from adapters.archive.decision_archive import open_decision_archive
from adapters.policy.source import open_policy, policy_files
from embedded.history import History, Population
from fraud.backtest.costs import CostSheet
from fraud.decision.rules.fields import fields_of
from fraud.features import CATALOGUE, SHIPPED
from fraud.features.parity import NOTHING, compare
from fraud.path import FeaturePath
from fraud.settings import Archive, Settings
from operations.backtest import run_backtest
from processor.keyed_state.backfill import backfill_id_of, history_of
from producer.campaigns.plan import load_plan
from producer.data_generator import generate
from producer.economy import draw_economy
from tests.support.calendar import FIRST_DAY

POPULATION = Population(11, 150, 60, FIRST_DAY)
DAYS = 50


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[History, Settings]:
    settings = Settings(archive=Archive(folder=str(tmp_path_factory.mktemp("archive"))))
    history = History(settings, POPULATION, DAYS)
    history.backfill(settings)
    history.keep(settings)
    return history, settings


def test_its_transactions_are_the_first_that_the_producer_would_send(begun: tuple[History, Settings]) -> None:
    history, settings = begun
    economy = draw_economy(POPULATION.seed, POPULATION.cards, POPULATION.merchants)
    days = list(islice(generate(economy, load_plan("default"), FIRST_DAY.toordinal() - 719_163), DAYS))
    ids = [name for day in days for name in day.transactions["transaction_id"].to_pylist()]
    kept = pa.concat_batches([records.transactions for records in history_of(settings)])
    assert kept["transaction_id"].to_pylist() == ids
    assert history.transactions == len(ids)
    assert history.labels == sum(day.labels.num_rows for day in days) > 0
    frauds = {card for day in days for card in day.truth["card_token"].filter(day.truth["is_fraud"]).to_pylist()}
    assert history.compromised == frauds != set()
    assert str(history).startswith(f"{len(ids):,} transactions of 150 cards from {FIRST_DAY}")


def test_what_is_archived_are_the_features_that_training_computes(begun: tuple[History, Settings]) -> None:
    history, settings = begun
    path, found = FeaturePath(settings), NOTHING
    archive = open_archive(settings.archive, settings.aws)
    for batch in archived_batches(archive, "fraud-history", stored=True):
        found += compare(batch.stored, path.advance(batch.records).transactions, SHIPPED)
    assert found.compared == history.transactions * len(SHIPPED.columns)
    assert not found.mismatched
    assert backfill_id_of(settings) == "history"  # the query finds the state


def test_rules_have_figures_from_its_matured_labels(begun: tuple[History, Settings]) -> None:
    _, settings = begun
    files = policy_files(settings.policy.path, settings.aws)
    policy = open_policy(files, settings.money.base_currency, fields_of(CATALOGUE)).current
    report = run_backtest(
        open_decision_archive(None, settings.archive, settings.aws),
        policy,
        policy,
        days=DAYS,
        maturity_days=10,
        costs=CostSheet(),
    )
    live = report["variants"]["live"]
    assert report["known_frauds"] > 0
    assert live["mature"] > 0
    # decided by this very policy, so a replay finds nothing else
    assert report["recorded_by_live_version"]["differing"] == 0 < report["recorded_by_live_version"]["decisions"]
