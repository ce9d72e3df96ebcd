"""`fraud train`: builds a model artifact from generated history or a recorded file."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    import pyarrow as pa

    from fraud.settings import Settings
    from ml_model.retraining import ArchiveSchool

_CARDS = 800
_MERCHANTS = 400
_PORTFOLIO_FRAUD_RATE = 0.002  # of config/campaigns/default.yaml
_FIRST_DAY = 20_454  # 2026-01-01


def command(
    out: Annotated[Path, typer.Option(help="Folder of the artifact.")] = Path("config/model/champion"),
    data: Annotated[
        Path | None, typer.Option(help="Recorded Parquet or CSV file instead of generated history.")
    ] = None,
    mapping: Annotated[str | None, typer.Option(help="Of its columns: a name in config/mappings or a file.")] = None,
    archive: Annotated[
        str | None, typer.Option(help="Folder or s3:// address of an archive with decisions/ and labels/ instead.")
    ] = None,
    days: Annotated[int, typer.Option(min=45, help="Days of each generated history.")] = 120,
    histories: Annotated[int, typer.Option(min=1, help="Generated histories, each with cards of its own.")] = 3,
    fraud_rate: Annotated[float, typer.Option(min=0.0005, max=0.2, help="Share of fraud in generated history.")] = 0.01,
    seed: Annotated[int, typer.Option(min=0, help="Seed of histories, search and training.")] = 1_000,
    trials: Annotated[
        int | None, typer.Option(help="retraining.trials: random choices of training to try first; 0 for none.")
    ] = None,
    search_s: Annotated[
        int | None, typer.Option(help="retraining.search_s: seconds after which no further trial begins.")
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Train the model, point in time: features as they were, labels as they are known.

    Generated history holds more fraud than a portfolio has, so that each kind of it is seen often enough; the scores
    are calibrated to the rate of the default campaigns. From an archive, the features that the job decided by are
    taken, for the days that the settings `retraining` name; the latest matured days are left to judge on.

    \b
    Examples:
      fraud train
      fraud train --data transactions.parquet --mapping handbook --out artifacts/handbook
      fraud train --trials 20 --search-s 600 --out artifacts/searched
      fraud train --archive s3://fraud-archive --out artifacts/next
    """
    from ml_model.artifact import save_artifact
    from ml_model.dataset import build_dataset, join
    from ml_model.search import train_within
    from ml_model.train import TrainingChoices

    overrides = {"retraining.trials": trials, "retraining.search_s": search_s}
    given = {key: value for key, value in overrides.items() if value is not None}
    settings = open_program("train", config, assignments, given)
    if data is not None and archive is not None:
        raise MisconfiguredError("--data, --archive", "give one of them")
    started = time.monotonic()

    def tell(line: str) -> None:
        typer.echo(f"{time.monotonic() - started:5.0f} s  {line}")

    if archive is not None:
        trees, description = _school(archive, settings).train(tell, TrainingChoices(seed=seed))
    else:
        parts = []
        sources: Iterator[Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]]
        if data is not None:
            sources, choices = iter([_recorded(data, mapping)]), TrainingChoices(seed=seed)
        else:
            sources = _generated(days, histories, fraud_rate, seed, settings.money.base_currency)
            choices = TrainingChoices(seed=seed, expected_fraud_rate=_PORTFOLIO_FRAUD_RATE)
        for number, source in enumerate(sources, 1):
            parts.append(build_dataset(source))
            frauds = int(parts[-1].known_fraud.sum())
            tell(f"history {number}: {len(parts[-1]):,} transactions, {frauds:,} known frauds")
        trees, description = train_within(settings.retraining, join(parts), choices, tell)
    save_artifact(out, trees, description)
    tell(f"wrote version {description.version} to {out}, {len(trees) / 1e6:.1f} MB")
    write_json(json, description.model_dump() | {"seconds": time.monotonic() - started})


def _school(archive: str, settings: Settings) -> ArchiveSchool:
    from adapters.decision_archive import open_decision_archive
    from ml_model.retraining import ArchiveSchool

    return ArchiveSchool(open_decision_archive(archive, settings), settings.retraining)


def _generated(
    days: int, histories: int, fraud_rate: float, seed: int, currency: str
) -> Iterator[Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]]:
    from producer.campaigns.plan import load_plan
    from producer.data_generator import generate
    from producer.economy import draw_economy

    plan = load_plan("default").model_copy(update={"rate": fraud_rate})
    for number in range(histories):
        economy = draw_economy(seed + number, _CARDS, _MERCHANTS)
        stream = itertools.islice(generate(economy, plan, _FIRST_DAY, currency), days)
        yield ((part.transactions, part.labels) for part in stream)


def _recorded(file: Path, mapping: str | None) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    from adapters.recorded import load_mapping
    from producer.source import recorded_stream

    if mapping is None:
        raise MisconfiguredError("--mapping", "--data needs one: a name in config/mappings or a YAML file")
    return ((part.transactions, part.labels) for part in recorded_stream(file, load_mapping(mapping), None))
