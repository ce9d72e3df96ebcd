"""XGBoost beside LightGBM on recorded third-party transactions, by the handbook's protocol: each library's best of the
same number of random choices, and what training, scoring and exact contributions cost on one core.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from adapters.program.program import JsonOption, write_json
from benchmarks.machine import describe_machine

CHOICES = Path("config/model/handbook.yaml")
TREES = 150
BATCH = 500
EXPLAINED = 500
_LIBRARIES = ("xgboost-cpu", "lightgbm", "numpy")


class Library(Protocol):
    """A library under test."""

    def train(self, features: Any, fraud: Any, draw: Draw, seed: int) -> Any:
        """A model of `TREES` trees."""

    def score(self, model: Any, rows: Any) -> Any:
        """Probabilities, or what ranks as they do."""

    def explain(self, model: Any, rows: Any) -> Any:
        """Exact contributions."""

    def size(self, model: Any) -> int:
        """Bytes of the saved model."""


@dataclass(frozen=True)
class Draw:
    """Choices that both libraries understand.

    Attributes:
        leaves: of a tree; XGBoost takes the depth that allows as many.
        rate: learning rate.
        child_weight: least sum of second derivatives in a leaf.
        l2: penalty on leaf weights.
        rows_share: of the rows that each tree sees.
        columns_share: of the features that each tree sees.
    """

    leaves: int
    rate: float
    child_weight: float
    l2: float
    rows_share: float
    columns_share: float


class XGBoost:
    """XGBoost with histograms or exact splits."""

    def __init__(self, method: str) -> None:
        self._method = method

    def train(self, features: Any, fraud: Any, draw: Draw, seed: int) -> Any:
        import xgboost as xgb

        parameters = {
            "objective": "binary:logistic",
            "tree_method": self._method,
            "max_depth": draw.leaves.bit_length() - 1,
            "eta": draw.rate,
            "min_child_weight": draw.child_weight,
            "lambda": draw.l2,
            "subsample": draw.rows_share,
            "colsample_bytree": draw.columns_share,
            "base_score": float(fraud.mean()),
            "seed": seed,
            "nthread": 1,
        }
        return xgb.train(parameters, xgb.DMatrix(features, fraud, nthread=1), TREES)

    def score(self, model: Any, rows: Any) -> Any:
        return model.inplace_predict(rows)

    def explain(self, model: Any, rows: Any) -> Any:
        import xgboost as xgb

        return model.predict(xgb.DMatrix(rows, nthread=1), pred_contribs=True)

    def size(self, model: Any) -> int:
        return len(model.save_raw("ubj"))


class LightGBM:
    """LightGBM with its own way of growing: best leaf first."""

    def train(self, features: Any, fraud: Any, draw: Draw, seed: int) -> Any:
        import lightgbm as lgb

        parameters = {
            "objective": "binary",
            "num_leaves": draw.leaves,
            "learning_rate": draw.rate,
            "min_sum_hessian_in_leaf": draw.child_weight,
            "min_data_in_leaf": 1,
            "lambda_l2": draw.l2,
            "bagging_fraction": draw.rows_share,
            "bagging_freq": 1,
            "feature_fraction": draw.columns_share,
            "seed": seed,
            "num_threads": 1,
            "verbosity": -1,
        }
        return lgb.train(parameters, lgb.Dataset(features, fraud), TREES)

    def score(self, model: Any, rows: Any) -> Any:
        return model.predict(rows, num_threads=1)

    def explain(self, model: Any, rows: Any) -> Any:
        return model.predict(rows, pred_contrib=True, num_threads=1)

    def size(self, model: Any) -> int:
        return len(model.model_to_string().encode())


def command(
    data: Annotated[Path, typer.Option(help="Transactions in the handbook's format.")],
    first_training_week: Annotated[str, typer.Option(metavar="YYYY-MM-DD")] = "2018-06-20",
    folds: Annotated[int, typer.Option(min=1)] = 4,
    trials: Annotated[int, typer.Option(min=1, help="Random choices for each library, the same ones.")] = 8,
    seeds: Annotated[int, typer.Option(min=1, help="Models whose scores are averaged.")] = 2,
    json: JsonOption = None,
) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # before the libraries start their pools
    import numpy as np

    from cli.evaluate import handbook_features
    from ml_model import handbook
    from ml_model.bagging import load_choices

    machine = describe_machine(_LIBRARIES)
    print(machine)
    measured = handbook_features(data, "handbook", load_choices(CHOICES).features)
    start = dt.datetime.fromisoformat(first_training_week).replace(tzinfo=dt.UTC)
    chosen = list(handbook.folds(measured, round(start.timestamp() * 1000), folds))
    draws = _draws(trials, np.random.default_rng(11))
    libraries: dict[str, Library] = {
        "XGBoost, histograms": XGBoost("hist"),
        "LightGBM": LightGBM(),
        "XGBoost, exact": XGBoost("exact"),
    }
    figures: dict[str, Any] = {}
    for name, library in libraries.items():
        results = []
        for number, draw in enumerate(draws, 1):
            results.append(
                [fold["ap"] for fold in handbook.evaluate(measured, chosen, _averaged(library, draw, seeds))]
            )
            print(f"{name}: draw {number} of {trials}: average precision {np.mean(results[-1]):.4f}", flush=True)
        means = np.mean(results, axis=1)
        best = int(np.argmax(means))
        figures[name] = {
            "average_precision": float(means[best]),
            "folds": results[best],
            "median_draw": float(np.median(means)),
            "best": vars(draws[best]),
            **_costs(library, draws[best], measured, chosen[0]),
        }
    for name, found in figures.items():
        print(
            f"{name:20} AP {found['average_precision']:.4f} (median draw {found['median_draw']:.4f}), training "
            f"{found['training_s']:.1f} s, {found['rows_per_s']:,.0f} rows/s in batches of {BATCH}, "
            f"{found['explained_per_s']:,.0f} explained/s, {found['bytes']:,} bytes"
        )
    write_json(json, {"machine": machine, "trees": TREES, "seeds": seeds, "trials": trials, "libraries": figures})


def _draws(trials: int, rng: Any) -> list[Draw]:
    return [
        Draw(
            leaves=int(2 ** rng.integers(3, 8)),
            rate=float(_by_ratio(rng, 0.03, 0.2)),
            child_weight=float(_by_ratio(rng, 0.03, 3.0)),
            l2=float(_by_ratio(rng, 0.1, 10.0)),
            rows_share=float(rng.uniform(0.5, 1.0)),
            columns_share=float(rng.uniform(0.3, 1.0)),
        )
        for _ in range(trials)
    ]


def _by_ratio(rng: Any, low: float, high: float) -> float:
    """Drawn evenly by ratio."""
    return float(low * (high / low) ** rng.random())


def _averaged(library: Library, draw: Draw, seeds: int) -> Callable[[Any, Any], Callable[[Any], Any]]:
    """Models that differ by seed, whose scores are averaged: one week's frauds make single ones noisy."""

    def fit(features: Any, fraud: Any) -> Callable[[Any], Any]:
        models = [library.train(features, fraud, draw, seed) for seed in range(seeds)]
        return lambda rows: sum(library.score(model, rows) for model in models) / seeds

    return fit


def _costs(library: Library, draw: Draw, measured: Any, fold: Any) -> dict[str, float]:
    """By processor time of one thread, which others on the machine disturb least."""
    features, fraud = measured.features[fold.train], measured.fraud[fold.train]
    rows = measured.features[fold.test][:20_000]

    def seconds(work: Callable[[], object], repeats: int) -> float:
        best = float("inf")
        for _ in range(repeats):
            started = time.process_time()
            work()
            best = min(best, time.process_time() - started)
        return best

    model = library.train(features, fraud, draw, 0)
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    return {
        "training_s": seconds(lambda: library.train(features, fraud, draw, 0), 3),
        "rows_per_s": len(rows) / seconds(lambda: [library.score(model, batch) for batch in batches], 5),
        "explained_per_s": EXPLAINED / seconds(lambda: library.explain(model, rows[:EXPLAINED]), 3),
        "bytes": library.size(model),
    }


if __name__ == "__main__":
    typer.run(command)
