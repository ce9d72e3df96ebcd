"""`fraud evaluate`: measures a model, on cases with known truth or by a published protocol."""

from __future__ import annotations

import datetime as dt
import enum
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from adapters.recordings.bad_rows import OnBadRow
from cli.train import LabelDelayOption, OnBadRowOption
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    import pyarrow as pa

    from fraud.settings import Settings
    from ml_model.evaluate import Labelled
    from ml_model.handbook import Fit, Fold, LabelledFeatures
    from ml_model.predict import InProcessScorer
    from producer.data_generator import Generated

_CHOICES = Path("config/model/handbook.yaml")
_PUBLISHED = "published_features.parquet"
_CARDS = 800
_MERCHANTS = 400
_FIRST_DAY = 20_454  # 2026-01-01
_BURN_IN_DAYS = 30  # nothing has a history before
_DAY_MS = 86_400_000

DataOption = Annotated[
    Path | None, typer.Option(help="Recording instead of generated history: a file, a folder or a pattern.")
]
MappingOption = Annotated[
    str | None, typer.Option(help="Mapping of the file's columns: a name in config/mappings or a file.")
]
ArchiveOption = Annotated[
    str | None, typer.Option(help="Folder or s3:// address of an archive with decisions/ and labels/ instead.")
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        metavar="YYYY-MM-DD", help="Use transactions from this day on; default: after the model's training data."
    ),
]
MaturityOption = Annotated[
    float,
    typer.Option(min=0, help="Archive: use only transactions older than this; without a label they count as good."),
]


class Protocol(enum.StrEnum):
    """The protocols."""

    HANDBOOK = "handbook"
    SPARKOV = "sparkov"
    SYNCCFD = "synccfd"


class PublishedSplit(NamedTuple):
    """What a protocol says that trains before a day and measures from it on.

    Attributes:
        mapping: of the recording.
        train_until: the day.
        label_delay_days: after which a label is known.
    """

    mapping: str
    train_until: dt.datetime
    label_delay_days: float


PUBLISHED_SPLITS = {
    Protocol.SPARKOV: PublishedSplit("sparkov_v05", dt.datetime(2020, 6, 21, tzinfo=dt.UTC), 0),
    Protocol.SYNCCFD: PublishedSplit("synccfd", dt.datetime(2018, 9, 1, tzinfo=dt.UTC), 7),
}


def command(
    model: Annotated[Path | None, typer.Option(help="Folder of the artifact; default: the settings'.")] = None,
    data: DataOption = None,
    mapping: MappingOption = None,
    archive: ArchiveOption = None,
    since: SinceOption = None,
    train_until: Annotated[
        dt.datetime | None,
        typer.Option(
            metavar="YYYY-MM-DD",
            formats=["%Y-%m-%d"],
            help="Recording: train a model on what lies before this day, and evaluate that.",
        ),
    ] = None,
    test_from: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="With --train-until: use transactions from this day on; default: it."),
    ] = None,
    label_delay_days: LabelDelayOption = None,
    on_bad_row: OnBadRowOption = OnBadRow.FAIL,
    maturity_days: MaturityOption = 30,
    days: Annotated[int, typer.Option(min=45, help="Days of generated history; the first 30 are not measured.")] = 120,
    histories: Annotated[int, typer.Option(min=1, help="Generated histories, each with cards of its own.")] = 2,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of histories and bootstrap; training uses seeds from 1000.")
    ] = 2_000,
    costs: Annotated[Path | None, typer.Option(help="Cost sheet (YAML), see docs/backtest.md.")] = None,
    draws: Annotated[int, typer.Option(min=0, help="Draws of the bootstrap by card; 0 gives no intervals.")] = 100,
    html: Annotated[Path | None, typer.Option(help="Write the report with model card as one HTML page.")] = None,
    protocol: Annotated[
        Protocol | None, typer.Option(help="A published protocol, which trains its own models on --data.")
    ] = None,
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
    AUC, AP, card precision at 100; if the file with the published features lies beside the data, a baseline is
    trained on them in the same run. The choices are those of config/model/handbook.yaml. The other protocols are a
    mapping, a day and a label delay; what is given beside them counts instead.

    \b
    Examples:
      fraud evaluate --html report.html --json figures.json
      fraud evaluate --model artifacts/handbook --data transactions.parquet --mapping handbook
      fraud evaluate --data fraudTrain.csv --mapping sparkov --train-until 2020-06-21 --label-delay-days 0
      fraud evaluate --archive s3://fraud-archive --since 2026-03-01
      fraud evaluate --protocol handbook --data transactions.parquet --first-training-week 2018-06-20 --folds 4
      fraud evaluate --protocol sparkov --data sparkov/
    """
    settings = open_program("evaluate", config, assignments)
    if protocol is Protocol.HANDBOOK:
        _handbook(data, first_training_week, folds, mapping or "handbook", json)
        return
    if protocol is not None:
        if data is None:
            raise MisconfiguredError(f"--protocol {protocol}", "needs --data")
        split = PUBLISHED_SPLITS[protocol]
        mapping, train_until = mapping or split.mapping, train_until or split.train_until
        label_delay_days = split.label_delay_days if label_delay_days is None else label_delay_days
    import numpy as np

    from adapters.files.text_files import read_model
    from fraud.backtest.costs import CostSheet
    from ml_model.contributions import Sample, summary
    from ml_model.evaluate import evaluation, score_cases
    from ml_model.predict import InProcessScorer
    from ml_model.report import print_report, render_report

    source = CaseSource(
        data, mapping, archive, test_from or since, label_delay_days, on_bad_row, maturity_days, days, histories, seed
    )
    if train_until is not None:
        if model is not None or since is not None:
            raise MisconfiguredError("--train-until", "trains its own model and goes with --test-from, not --since")
        scorer, seen_until = source.trained(settings, train_until.replace(tzinfo=dt.UTC)), train_until
    elif test_from is not None:
        raise MisconfiguredError("--test-from", "goes with --train-until; a given model is evaluated --since a day")
    else:
        scorer = InProcessScorer.configured(settings.model) if model is None else InProcessScorer.load(model)
        seen_until = dt.datetime.fromisoformat(scorer.description.seen_until)
    seen_until = seen_until.replace(tzinfo=seen_until.tzinfo or dt.UTC)
    typer.echo(source.protocol(scorer.description.version, train_until, seen_until))
    sample = Sample(scorer.description.features, np.random.default_rng(seed))
    (cases,) = score_cases(sample.passing(source.cases(settings, seen_until)), [scorer])
    sheet = read_model(costs, CostSheet) if costs is not None else CostSheet()
    figures = {
        "source": source.name,
        "currency": settings.money.base_currency,
        **evaluation(cases, scorer.description, sheet, draws, np.random.default_rng(seed)),
        "contributions": summary(sample, scorer),
    }
    print_report(figures)
    write_json(json, figures)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(render_report(figures, cases), encoding="utf-8")
        typer.echo(f"report: {html}")


@dataclass(frozen=True)
class CaseSource:
    """Where cases with known truth come from; fields as the flags of `fraud evaluate`."""

    data: Path | None
    mapping: str | None
    archive: str | None
    since: str | None
    label_delay_days: float | None
    on_bad_row: OnBadRow
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

    def protocol(self, version: str, train_until: dt.datetime | None, seen_until: dt.datetime) -> str:
        """What is measured on what, in one line."""
        own = "" if train_until is None else f" trained on what lies before {train_until:%Y-%m-%d}"
        if self.data is None and self.archive is None:
            span = f"{self.histories} generated histories of {self.days} days, the first {_BURN_IN_DAYS} not measured"
        else:
            span = f"{self.name}, transactions from {self.since or f'{seen_until:%Y-%m-%d %H:%M}'} on"
        delay = "" if self.label_delay_days is None else f", labels known after {self.label_delay_days:g} days"
        warm = ", features warmed by all that lies before" if self.data is not None else ""
        return f"protocol: model {version}{own}; {span}{delay}{warm}"

    def trained(self, settings: Settings, until: dt.datetime) -> InProcessScorer:
        """A model trained on the recording before a day."""
        import tempfile

        from ml_model.artifact import save_artifact
        from ml_model.dataset import build_dataset
        from ml_model.predict import InProcessScorer
        from ml_model.search import train_within
        from ml_model.train import TrainingChoices
        from producer.source import open_recorded

        if self.data is None or self.mapping is None:
            raise MisconfiguredError("--train-until", "needs --data and --mapping")
        currency = settings.money.base_currency
        stream = open_recorded(self.data, self.mapping, currency, self.label_delay_days, _ms(until), self.on_bad_row)
        known = build_dataset(((part.transactions, part.labels) for part in stream), currency)
        choices = TrainingChoices(seed=self.seed).with_label_delay(self.label_delay_days)
        trees, description = train_within(settings.retraining, known, choices, typer.echo)
        with tempfile.TemporaryDirectory() as folder:
            save_artifact(Path(folder), trees, description)
            return InProcessScorer.load(Path(folder))

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
        currency = settings.money.base_currency
        if self.data is None:
            return self._generated(currency)
        if self.mapping is None:
            raise MisconfiguredError("--mapping", "--data needs one: a name in config/mappings or a YAML file")
        return self._recorded(self.data, self.mapping, after, currency)

    def _generated(self, currency: str) -> Iterator[Labelled]:
        import pyarrow.compute as pc

        from producer.campaigns.plan import load_plan
        from producer.data_generator import generate
        from producer.economy import draw_economy

        for number in range(self.histories):
            economy = draw_economy(self.seed + number, _CARDS, _MERCHANTS)
            stream = itertools.islice(generate(economy, load_plan("default"), _FIRST_DAY, currency), self.days)
            for part in _featured(stream, (_FIRST_DAY + _BURN_IN_DAYS) * _DAY_MS, currency):
                own = pc.binary_join_element_wise(part.transactions["card_token"], f"history-{number}", "-")
                where = part.transactions.schema.get_field_index("card_token")
                yield part._replace(transactions=part.transactions.set_column(where, "card_token", own))

    def _recorded(self, file: Path, mapping: str, after: dt.datetime, currency: str) -> Iterator[Labelled]:
        from producer.source import open_recorded

        stream = open_recorded(file, mapping, currency, self.label_delay_days, on_bad_row=self.on_bad_row)
        return _featured(stream, _ms(after), currency)

    def _archived(self, settings: Settings, after: dt.datetime) -> Iterator[Labelled]:
        from adapters.archive.decision_archive import open_decision_archive
        from fraud.features import catalogue_of
        from ml_model.archived import labelled, labels_known_now
        from ml_model.evaluate import CASE_COLUMNS

        decisions = open_decision_archive(self.archive, settings.archive, settings.aws, catalogue_of(settings))
        last = decisions.last_event()
        known = labels_known_now(decisions, self.maturity_days)
        return labelled(decisions.decisions([*CASE_COLUMNS, *catalogue_of(settings).names], after, last), known)


def _featured(stream: Iterator[Generated], since_ms: int, base_currency: str) -> Iterator[Labelled]:
    """Features of a stream from its beginning, cases from a time on."""
    import pyarrow as pa

    from fraud.path import FeaturePath
    from fraud.records.arrival import with_arrival
    from fraud.settings import Money, Settings
    from ml_model.evaluate import Labelled

    path = FeaturePath(Settings(money=Money(base_currency=base_currency)))
    for number, part in enumerate(stream):
        arrived = with_arrival(_with_truth(part), "event_time", number), with_arrival(part.labels, "label_time", number)
        batch = path.featured(*arrived)
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
    figures: dict[str, object] = _pooled(results)
    published = data.parent / _PUBLISHED
    if published.exists():
        others = _measure(_published(published, measured, data), chosen, baseline, "published features")
        figures["published_features"] = _pooled(others)
        gains = [mine["ap"] - other["ap"] for mine, other in zip(results, others, strict=True)]
        figures["folds_above_published"] = sum(gain > 0 for gain in gains)
        typer.echo("average precision above the published features, by fold: " + ", ".join(f"{g:+.4f}" for g in gains))
    write_json(json, figures)


def _pooled(results: list[dict[str, float]]) -> dict[str, object]:
    from ml_model import handbook

    return {"folds": results, "mean": handbook.mean_of(results), "standard_error": handbook.error_of(results)}


def _measure(data: LabelledFeatures, chosen: list[Fold], fit: Fit, name: str) -> list[dict[str, float]]:
    from ml_model import handbook

    results = handbook.evaluate(data, chosen, fit)
    for label, row in {
        **{f"fold {number}": result for number, result in enumerate(results, 1)},
        "mean": handbook.mean_of(results),
        "standard error": handbook.error_of(results),
    }.items():
        typer.echo(f"{name}, {label}: " + ", ".join(f"{metric} {value:.4f}" for metric, value in row.items()))
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

    from fraud.path import FeaturePath
    from fraud.records.arrival import with_arrival
    from fraud.settings import Settings
    from ml_model.handbook import LabelledFeatures
    from producer.source import open_recorded

    path = FeaturePath()
    matrices, cards, times, frauds = [], [], [], []
    for number, part in enumerate(open_recorded(file, mapping, Settings().money.base_currency)):
        arrived = with_arrival(part.transactions, "event_time", number), with_arrival(part.labels, "label_time", number)
        batch = path.featured(*arrived)
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
