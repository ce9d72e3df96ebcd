"""`fraud train`: builds a model artifact from generated history or a recorded file."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from adapters.recordings.bad_rows import OnBadRow
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    import pyarrow as pa

    from fraud.settings import Settings
    from ml_model.dataset import Dataset
    from ml_model.retraining import ArchiveTrainer

_CARDS = 800
_MERCHANTS = 400
_PORTFOLIO_FRAUD_RATE = 0.002  # of config/campaigns/default.yaml
_CALIBRATION_HISTORIES = 4
_FIRST_DAY = 20_454  # 2026-01-01

TrainUntilOption = Annotated[
    dt.datetime | None,
    typer.Option(metavar="YYYY-MM-DD", formats=["%Y-%m-%d"], help="Recording: train on what lies before this day."),
]
LabelDelayOption = Annotated[
    float | None,
    typer.Option(min=0, help="Recording: days after which a label becomes known; default: what the mapping says."),
]

OnBadRowOption = Annotated[
    OnBadRow, typer.Option(help="A row of the recording that cannot be read is refused, or counted and left out.")
]


def command(
    out: Annotated[Path, typer.Option(help="Folder of the artifact.")] = Path("config/model/champion"),
    data: Annotated[
        Path | None, typer.Option(help="Recording instead of generated history: a file, a folder or a pattern.")
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="Mapping of its columns: a name in config/mappings or a file.")
    ] = None,
    train_until: TrainUntilOption = None,
    label_delay_days: LabelDelayOption = None,
    on_bad_row: OnBadRowOption = OnBadRow.FAIL,
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
    """Train the model point-in-time: features as they were then, labels as they are known now.

    Generated history has more fraud than a real portfolio, so that each kind occurs often enough; the scores are
    calibrated on further histories that have as much as the default campaigns. From an archive, the features that the
    job decided on are used, for the days that the settings `retraining` name; the latest mature days are left for
    evaluation.

    \b
    Examples:
      fraud train
      fraud train --data transactions.parquet --mapping handbook --out artifacts/handbook
      fraud train --data fraudTrain.csv --mapping sparkov --train-until 2020-06-21 --label-delay-days 0
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

    def progress(line: str) -> None:
        typer.echo(f"{time.monotonic() - started:5.0f} s  {line}")

    if archive is not None:
        trees, description = _trainer(archive, settings).train(progress, TrainingChoices(seed=seed))
    else:
        parts = []
        calibration: list[Dataset] = []
        sources: Iterator[Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]]
        if data is not None:
            recorded = _recorded(data, mapping, settings.money.base_currency, label_delay_days, train_until, on_bad_row)
            sources, choices = iter([recorded]), TrainingChoices(seed=seed).with_label_delay(label_delay_days)
        else:
            currency, choices = settings.money.base_currency, TrainingChoices(seed=seed)
            sources = _generated(days, histories, fraud_rate, seed, currency)
            alike = _generated(days, _CALIBRATION_HISTORIES, _PORTFOLIO_FRAUD_RATE, seed + histories, currency)
            calibration = [build_dataset(source, currency) for source in alike]
            progress(f"to calibrate on: {sum(map(len, calibration)):,} transactions")
        for number, source in enumerate(sources, 1):
            parts.append(build_dataset(source, settings.money.base_currency))
            frauds = int(parts[-1].known_fraud.sum())
            progress(f"history {number}: {len(parts[-1]):,} transactions, {frauds:,} known frauds")
        apart = join(calibration) if calibration else None
        trees, description = train_within(settings.retraining, join(parts), choices, progress, apart)
    save_artifact(out, trees, description)
    progress(f"wrote version {description.version} to {out}, {len(trees) / 1e6:.1f} MB")
    write_json(json, description.model_dump() | {"seconds": time.monotonic() - started})


def _trainer(archive: str, settings: Settings) -> ArchiveTrainer:
    from adapters.archive.decision_archive import open_decision_archive
    from fraud.features import catalogue_of
    from ml_model.retraining import ArchiveTrainer

    decisions = open_decision_archive(archive, settings.archive, settings.aws, catalogue_of(settings))
    return ArchiveTrainer(decisions, settings.retraining, settings.job.features)


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


def _recorded(
    file: Path,
    mapping: str | None,
    currency: str,
    label_delay_days: float | None,
    until: dt.datetime | None,
    on_bad_row: OnBadRow,
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    from producer.source import open_recorded

    if mapping is None:
        raise MisconfiguredError("--mapping", "--data needs one: a name in config/mappings or a YAML file")
    until_ms = None if until is None else round(until.replace(tzinfo=dt.UTC).timestamp() * 1000)
    stream = open_recorded(file, mapping, currency, label_delay_days, until_ms, on_bad_row)
    return ((part.transactions, part.labels) for part in stream)
