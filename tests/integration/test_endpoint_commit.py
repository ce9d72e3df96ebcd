"""Partitions committed while the endpoint goes away and comes back: every transaction decided once, with one score."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import structlog

from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind
from adapters.model.invocation import ModelIdentity
from adapters.program.telemetry import Telemetry
from fraud.errors import MisconfiguredError
from fraud.path import FeaturePath
from fraud.records import Records, decode
from fraud.records.intake import decode_records
from fraud.settings import Archive as ArchiveSettings
from fraud.settings import Endpoint, Model, Settings
from ml_model.predict import InProcessScorer
from processor.progress import record_committed
from processor.run import Run
from processor.scoring import open_scoring
from processor.sink.compose import open_committer
from processor.sink.report import Committed
from tests.support.emulators import provisioned
from tests.support.records import NOON, stream_records, transaction, wire
from tests.support.scripted_endpoint import Answer, ScriptedEndpoint

SHIPPED = Path(__file__).parents[2] / "config" / "model" / "champion"
ROWS = 20
PATIENT = {"budget_ms": 60_000, "connect_timeout_ms": 60_000, "read_timeout_ms": 60_000}
AT_ONCE = Endpoint(attempts=1, breaker_failures=1, breaker_pause_s=1e-6, **PATIENT)
"""One failure opens the circuit, and the next batch tries again."""


@pytest.fixture(scope="module")
def model() -> InProcessScorer:
    return InProcessScorer.load(SHIPPED)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Settings]:
    with provisioned() as settings:
        yield settings


def serving(model: InProcessScorer, port: int = 0) -> ScriptedEndpoint:
    return ScriptedEndpoint(model, model.description.features, model.identity, port)


def settings_for(emulator: Settings, url: str, prefix: str) -> Settings:
    return emulator.model_copy(
        update={
            "archive": ArchiveSettings(prefix=f"{prefix}/"),
            "model": Model(artifact=str(SHIPPED), endpoint="fraud", endpoint_url=url),
            "endpoint": AT_ONCE,
        }
    )


def partition(batch: int) -> Records:
    """Transactions of one card, of growing amounts."""
    records = stream_records(
        [
            wire(
                transaction(
                    transaction_id=f"t-{batch}-{n}",
                    card_token=f"card-{batch}",
                    amount_minor=500 * 2**n % 1_000_000,
                    event_time=NOON + dt.timedelta(seconds=n),
                )
            )
            for n in range(ROWS)
        ]
    )
    transactions, _ = decode_records(decode.TRANSACTIONS, records)
    return Records(FeaturePath().featured(transactions))


def stored(settings: Settings) -> pa.Table:
    return pa.concat_tables(open_archive(settings.archive, settings.aws).tables(ArchiveKind.DECISIONS)).sort_by(
        "transaction_id"
    )


def test_an_endpoint_gone_and_back_loses_and_doubles_nothing(emulator: Settings, model: InProcessScorer) -> None:
    total = Committed()
    with serving(model) as first:
        port, settings = first.port, settings_for(emulator, first.url, "gone-and-back")
        committer = open_committer(Run(settings=settings))
        for batch in range(3):
            total = total.plus(committer.commit(batch, 0, partition(batch)))
    for batch in range(3, 6):
        total = total.plus(committer.commit(batch, 0, partition(batch)))
    with serving(model, port):
        for batch in range(6, 9):
            total = total.plus(committer.commit(batch, 0, partition(batch)))
    assert total.scored_by == {"endpoint": 6 * ROWS, "in_process": 3 * ROWS}
    assert (sum(total.endpoint.fallbacks.values()), sum(total.endpoint.answered.counts)) == (3, 6)
    decisions = stored(settings)
    assert decisions["transaction_id"].to_pylist() == sorted(f"t-{b}-{n}" for b in range(9) for n in range(ROWS))
    (rows,) = decisions.combine_chunks().to_batches()
    assert rows["score"].equals(model.score(rows).score)
    assert set(decisions["model_version"].to_pylist()) == {model.description.version}


def test_a_repeated_batch_keeps_what_the_endpoint_decided_though_it_is_gone(
    emulator: Settings, model: InProcessScorer
) -> None:
    with serving(model) as endpoint:
        settings = settings_for(emulator, endpoint.url, "repeated")
        open_committer(Run(settings=settings)).commit(1, 0, partition(1))
    again = open_committer(Run(settings=settings)).commit(1, 0, partition(1))
    assert again.scored_by == {"endpoint": ROWS}
    assert stored(settings)["scored_by"].to_pylist() == ["endpoint"] * ROWS


def test_fallbacks_and_latency_become_metrics(emulator: Settings, model: InProcessScorer) -> None:
    telemetry = Telemetry()
    with serving(model) as endpoint:
        committer = open_committer(Run(settings=settings_for(emulator, endpoint.url, "metrics")))
        record_committed(telemetry, committer.commit(1, 0, partition(1)))
        endpoint.script = lambda _: endpoint.honest._replace(identity=ModelIdentity("another", "model"))
        record_committed(telemetry, committer.commit(2, 0, partition(2)))
        endpoint.script = lambda _: Answer(status=500)
        record_committed(telemetry, committer.commit(3, 0, partition(3)))
    lines = telemetry.exposition().decode().splitlines()
    assert "fraud_endpoint_seconds_count 1.0" in lines
    assert 'fraud_endpoint_fallbacks_total{reason="wrong_model"} 1.0' in lines
    assert 'fraud_endpoint_fallbacks_total{reason="failed"} 1.0' in lines
    assert f'fraud_scored_total{{scored_by="endpoint"}} {ROWS}.0' in lines
    assert f'fraud_scored_total{{scored_by="in_process"}} {2 * ROWS}.0' in lines


def test_a_batch_pinned_to_another_model_is_logged(emulator: Settings, model: InProcessScorer) -> None:
    settings = settings_for(emulator, "http://127.0.0.1:9", "pinned")
    in_process = settings.model_copy(update={"model": Model(artifact=str(SHIPPED))})
    rules_alone = settings.model_copy(update={"model": Model(artifact="")})
    open_committer(Run(settings=in_process)).commit(1, 0, partition(1))
    with structlog.testing.capture_logs() as logs:
        open_committer(Run(settings=rules_alone)).commit(1, 1, partition(2))
    (entry,) = [entry for entry in logs if entry["event"] == "model_is_not_the_pinned"]
    assert (entry["pinned"], entry["scoring"]) == (model.description.version, None)


def test_an_endpoint_without_an_artifact_is_refused_at_the_start() -> None:
    with pytest.raises(MisconfiguredError, match=r"model\.endpoint: needs model\.artifact"):
        open_scoring(Settings(model=Model(artifact="", endpoint="fraud")))
