"""`fraud evaluate`: measures a model by a published protocol."""

from __future__ import annotations

import datetime as dt
import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, write_json

if TYPE_CHECKING:
    from ml_model.handbook import Fit, Fold, LabelledFeatures

_CHOICES = Path("config/model/handbook.yaml")
_PUBLISHED = "published_features.parquet"


class Protocol(enum.StrEnum):
    """The protocols."""

    HANDBOOK = "handbook"


def command(
    data: Annotated[Path, typer.Option(help="Transactions in the handbook's format, Parquet or CSV.")],
    first_training_week: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Start of the first training week.")],
    protocol: Annotated[  # noqa: ARG001 - one protocol so far; the flag keeps commands explicit
        Protocol, typer.Option(help="How to evaluate.")
    ] = Protocol.HANDBOOK,
    folds: Annotated[int, typer.Option(min=1, help="Folds, a week apart.")] = 4,
    mapping: Annotated[str, typer.Option(help="Of the file's columns.")] = "handbook",
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Evaluate features of the catalogue on recorded transactions, fold by fold: AUC, AP, card precision at 100.

    Where the file with the published features lies beside the data, a baseline is trained on them in the same run.
    The model's choices are those of config/model/handbook.yaml.

    \b
    Example:
      fraud evaluate --protocol handbook --data transactions.parquet --first-training-week 2018-06-20 --folds 4
    """
    open_program("evaluate", config, assignments)
    from ml_model import handbook
    from ml_model.bagging import baseline, load_choices

    try:
        start = dt.datetime.fromisoformat(first_training_week).replace(tzinfo=dt.UTC)
    except ValueError:
        raise typer.BadParameter("write YYYY-MM-DD", param_hint="--first-training-week") from None
    typer.echo("computing features")
    measured = _features(data, mapping)
    chosen = list(handbook.folds(measured, int(start.timestamp() * 1000), folds))
    figures = {"catalogue": _measure(measured, chosen, load_choices(_CHOICES), "catalogue features")}
    published = data.parent / _PUBLISHED
    if published.exists():
        figures["published"] = _measure(_published(published, measured, data), chosen, baseline, "published features")
    write_json(json, {**figures.pop("catalogue"), **{f"{name}_features": value for name, value in figures.items()}})


def _measure(data: LabelledFeatures, chosen: list[Fold], fit: Fit, name: str) -> dict[str, object]:
    from ml_model import handbook

    results = handbook.evaluate(data, chosen, fit)
    mean = handbook.mean_of(results)
    for number, result in enumerate([*results, mean], 1):
        label = f"fold {number}" if number <= len(results) else "mean"
        typer.echo(f"{name}, {label}: " + ", ".join(f"{metric} {value:.4f}" for metric, value in result.items()))
    return {"folds": results, "mean": mean}


def _features(file: Path, mapping: str) -> LabelledFeatures:
    import numpy as np
    import pyarrow as pa

    from adapters.recorded import load_mapping
    from fraud.features import FEATURE_NAMES
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
        columns = [batch[name].to_numpy(zero_copy_only=False) for name in FEATURE_NAMES]
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
