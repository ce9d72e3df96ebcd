"""`fraud evaluate`: measures a model, on cases with known truth or by a published protocol."""

from __future__ import annotations

import datetime as dt
import enum
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    import pyarrow as pa

    from fraud.settings import Settings
    from ml_model.evaluate import Labelled
    from ml_model.handbook import Fit, Fold, LabelledFeatures
    from producer.data_generator import Generated

_CHOICES = Path("config/model/handbook.yaml")
_PUBLISHED = "published_features.parquet"
_CARDS = 800
_MERCHANTS = 400
_FIRST_DAY = 20_454  # 2026-01-01
_BURN_IN_DAYS = 30  # nothing has a history before
_DAY_MS = 86_400_000

DataOption = Annotated[Path | None, typer.Option(help="Recorded Parquet or CSV file instead of generated history.")]
MappingOption = Annotated[str | None, typer.Option(help="Of the file's columns: a name in config/mappings or a file.")]
ArchiveOption = Annotated[
    str | None, typer.Option(help="Folder or s3:// address of an archive with decisions/ and labels/ instead.")
]
SinceOption = Annotated[
    str | None,
    typer.Option(metavar="YYYY-MM-DD", help="Use transactions from here on; default: after what the model has seen."),
]
MaturityOption = Annotated[
    float, typer.Option(min=0, help="Archive: only older transactions count; without a label they are good.")
]


class Protocol(enum.StrEnum):
    """The protocols."""

    HANDBOOK = "handbook"


def command(
    model: Annotated[Path | None, typer.Option(help="Folder of the artifact; default: the settings'.")] = None,
    data: DataOption = None,
    mapping: MappingOption = None,
    archive: ArchiveOption = None,
    since: SinceOption = None,
    maturity_days: MaturityOption = 30,
    days: Annotated[int, typer.Option(min=45, help="Days of generated history, the first 30 not measured.")] = 120,
    histories: Annotated[int, typer.Option(min=1, help="Generated histories, each with cards of its own.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of histories and bootstrap; training begins at 1000.")] = 2_000,
    costs: Annotated[Path | None, typer.Option(help="Cost sheet (YAML), see docs/backtest.md.")] = None,
    draws: Annotated[int, typer.Option(min=0, help="Draws of the bootstrap by card; 0 gives no intervals.")] = 100,
    html: Annotated[Path | None, typer.Option(help="Write the report with model card as one HTML page.")] = None,
    protocol: Annotated[Protocol | None, typer.Option(help="A published protocol, which trains by itself.")] = None,
    first_training_week: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Protocol: start of the first training week.")
    ] = None,
    folds: Annotated[int, typer.Option(min=1, help="Protocol: folds, a week apart.")] = 4,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Evaluate a model on generated history, a recording or an archive: ranking, alerts, money, calibration.

    With --protocol handbook, features of the catalogue are measured fold by fold on a file in the handbook's format:
    AUC, AP, card precision at 100; where the file with the published features lies beside the data, a baseline is
    trained on them in the same run. The choices are those of config/model/handbook.yaml.

    \b
    Examples:
      fraud evaluate --html report.html --json figures.json
      fraud evaluate --model artifacts/handbook --data transactions.parquet --mapping handbook
      fraud evaluate --archive s3://fraud-archive --since 2026-03-01
      fraud evaluate --protocol handbook --data transactions.parquet --first-training-week 2018-06-20 --folds 4
    """
    settings = open_program("evaluate", config, assignments)
    if protocol is Protocol.HANDBOOK:
        _handbook(data, first_training_week, folds, mapping or "handbook", json)
        return
    import numpy as np

    from adapters.text_files import read_model
    from fraud.backtest.costs import CostSheet
    from ml_model.evaluate import evaluation, judge
    from ml_model.predict import InProcessScorer
    from ml_model.report import print_report, render_report

    scorer = InProcessScorer.load(model or Path(settings.model.artifact))
    seen_until = dt.datetime.fromisoformat(scorer.description.seen_until)
    source = Source(data, mapping, archive, since, maturity_days, days, histories, seed)
    (cases,) = judge(source.cases(settings, seen_until), [scorer])
    sheet = read_model(costs, CostSheet) if costs is not None else CostSheet()
    figures = {"source": source.name} | evaluation(cases, scorer.description, sheet, draws, np.random.default_rng(seed))
    print_report(figures, settings.money.base_currency)
    write_json(json, figures)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(render_report(figures, cases, settings.money.base_currency), encoding="utf-8")
        typer.echo(f"report: {html}")


@dataclass(frozen=True)
class Source:
    """Where cases with known truth come from; fields as the flags of `fraud evaluate`."""

    data: Path | None
    mapping: str | None
    archive: str | None
    since: str | None
    maturity_days: float
    days: int
    histories: int
    seed: int

    @property
    def name(self) -> str:
        """For the report."""
        if self.archive is not None:
            return f"archive {self.archive}"
        return f"recording {self.data.name}" if self.data is not None else f"generated history, seed {self.seed}"

    def cases(self, settings: Settings, seen_until: dt.datetime) -> Iterator[Labelled]:
        """Transactions with features and truth.

        Args:
            settings: of the program.
            seen_until: end of what the models have seen; recorded and archived cases begin after it unless `since`
                says otherwise.

        Raises:
            MisconfiguredError: the flags contradict each other, or nothing is there.
        """
        if self.data is not None and self.archive is not None:
            raise MisconfiguredError("--data, --archive", "give one of them")
        after = _day("--since", self.since) if self.since is not None else seen_until
        if self.archive is not None:
            return self._archived(settings, after)
        if self.data is None:
            return self._generated(settings.money.base_currency)
        if self.mapping is None:
            raise MisconfiguredError("--mapping", "--data needs one: a name in config/mappings or a YAML file")
        return self._recorded(self.data, self.mapping, after)

    def _generated(self, currency: str) -> Iterator[Labelled]:
        import pyarrow.compute as pc

        from producer.campaigns.plan import load_plan
        from producer.data_generator import generate
        from producer.economy import draw_economy

        for number in range(self.histories):
            economy = draw_economy(self.seed + number, _CARDS, _MERCHANTS)
            stream = itertools.islice(generate(economy, load_plan("default"), _FIRST_DAY, currency), self.days)
            for part in _featured(stream, (_FIRST_DAY + _BURN_IN_DAYS) * _DAY_MS):
                own = pc.binary_join_element_wise(part.transactions["card_token"], f"history-{number}", "-")
                where = part.transactions.schema.get_field_index("card_token")
                yield part._replace(transactions=part.transactions.set_column(where, "card_token", own))

    def _recorded(self, file: Path, mapping: str, after: dt.datetime) -> Iterator[Labelled]:
        from adapters.recorded import load_mapping
        from producer.source import recorded_stream

        return _featured(recorded_stream(file, load_mapping(mapping), None), _ms(after))

    def _archived(self, settings: Settings, after: dt.datetime) -> Iterator[Labelled]:
        from adapters.decision_archive import open_decision_archive
        from fraud.features import FEATURE_NAMES
        from ml_model.archived import labelled, labels_known_now
        from ml_model.evaluate import CASE_COLUMNS

        decisions = open_decision_archive(self.archive, settings)
        last = decisions.last_event()
        known = labels_known_now(decisions, last, self.maturity_days)
        return labelled(decisions.decisions([*CASE_COLUMNS, *FEATURE_NAMES], after, last), known)


def _featured(stream: Iterator[Generated], since_ms: int) -> Iterator[Labelled]:
    """Features of a stream from its beginning, cases from a time on."""
    import pyarrow as pa

    from fraud.features.offline import FeaturePath
    from ml_model.dataset import with_arrival
    from ml_model.evaluate import Labelled

    path = FeaturePath()
    for number, part in enumerate(stream):
        batch = path.run(
            with_arrival(_with_truth(part), "event_time", number), with_arrival(part.labels, "label_time", number)
        )
        batch = batch.filter(pa.compute.greater_equal(batch["event_time"].cast(pa.int64()), since_ms))
        if batch.num_rows:
            fraud = batch["is_fraud"].to_numpy(zero_copy_only=False)
            yield Labelled(batch, fraud, batch["campaign"].fill_null("").to_pylist())


def _with_truth(part: Generated) -> pa.RecordBatch:
    """Transactions with the truth as further columns, which the feature path passes through unread."""
    import pyarrow as pa

    truth = part.truth.select(["is_fraud", "campaign"])
    return pa.RecordBatch.from_arrays(
        [*part.transactions.columns, *truth.columns],
        schema=pa.schema([*part.transactions.schema, *truth.schema]),
    )


def _ms(time: dt.datetime) -> int:
    return round(time.timestamp() * 1000)


def _day(option: str, text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    except ValueError:
        raise typer.BadParameter("write YYYY-MM-DD", param_hint=option) from None


def _handbook(data: Path | None, first_training_week: str | None, folds: int, mapping: str, json: Path | None) -> None:
    from ml_model import handbook
    from ml_model.bagging import bagging, baseline, load_choices

    if data is None or first_training_week is None:
        raise MisconfiguredError("--protocol handbook", "needs --data and --first-training-week")
    start = _day("--first-training-week", first_training_week)
    choices = load_choices(_CHOICES)
    typer.echo("computing features")
    measured = handbook_features(data, mapping, choices.features)
    chosen = list(handbook.folds(measured, int(start.timestamp() * 1000), folds))
    results = _measure(measured, chosen, bagging(choices), "catalogue features")
    figures: dict[str, object] = {"folds": results, "mean": handbook.mean_of(results)}
    published = data.parent / _PUBLISHED
    if published.exists():
        others = _measure(_published(published, measured, data), chosen, baseline, "published features")
        figures["published_features"] = {"folds": others, "mean": handbook.mean_of(others)}
        gains = [mine["ap"] - other["ap"] for mine, other in zip(results, others, strict=True)]
        figures["folds_above_published"] = sum(gain > 0 for gain in gains)
        typer.echo("average precision above the published features, by fold: " + ", ".join(f"{g:+.4f}" for g in gains))
    write_json(json, figures)


def _measure(data: LabelledFeatures, chosen: list[Fold], fit: Fit, name: str) -> list[dict[str, float]]:
    from ml_model import handbook

    results = handbook.evaluate(data, chosen, fit)
    mean = handbook.mean_of(results)
    for number, result in enumerate([*results, mean], 1):
        label = f"fold {number}" if number <= len(results) else "mean"
        typer.echo(f"{name}, {label}: " + ", ".join(f"{metric} {value:.4f}" for metric, value in result.items()))
    return results


def handbook_features(file: Path, mapping: str, names: tuple[str, ...]) -> LabelledFeatures:
    """Catalogue features of a recording, computed in its order, with the truth.

    Args:
        file: of transactions.
        mapping: of its columns: a name in config/mappings or a file.
        names: of the features, in the order wanted.
    """
    import numpy as np
    import pyarrow as pa

    from adapters.recorded import load_mapping
    from fraud.features.offline import FeaturePath
    from ml_model.dataset import with_arrival
    from ml_model.handbook import LabelledFeatures
    from producer.source import recorded_stream

    path = FeaturePath()
    matrices, cards, times, frauds = [], [], [], []
    for number, part in enumerate(recorded_stream(file, load_mapping(mapping), None)):
        batch = path.run(
            with_arrival(part.transactions, "event_time", number), with_arrival(part.labels, "label_time", number)
        )
        if batch.num_rows != part.truth.num_rows:
            raise typer.BadParameter("the file repeats transaction ids", param_hint="--data")
        columns = [batch[name].to_numpy(zero_copy_only=False) for name in names]
        matrices.append(np.column_stack(columns).astype(np.float32))
        cards.extend(batch["card_token"].to_pylist())
        times.append(batch["event_time"].cast(pa.int64()).to_numpy())
        frauds.append(part.truth["is_fraud"].to_numpy(zero_copy_only=False))
    card = np.unique(cards, return_inverse=True)[1]
    return LabelledFeatures(np.concatenate(matrices), np.concatenate(frauds), card, np.concatenate(times))


def _published(file: Path, measured: LabelledFeatures, data: Path) -> LabelledFeatures:
    """The published features in the rows of `measured`; missing where they were not published."""
    import dataclasses

    import polars as pl

    order = pl.read_parquet(data, columns=["TRANSACTION_ID", "TX_DATETIME", "TX_AMOUNT"])
    order = order.sort("TX_DATETIME", maintain_order=True)
    features = pl.read_parquet(file)
    names = ["TX_AMOUNT", *(name for name in features.columns if name != "TRANSACTION_ID")]
    joined = order.join(features, on="TRANSACTION_ID", how="left", maintain_order="left")
    return dataclasses.replace(measured, features=joined.select(names).to_numpy().astype("float32"))
