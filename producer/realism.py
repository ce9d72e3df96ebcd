"""How hard a generated history is: what each field alone says of fraud, and what behaviour adds.

Raw fields are what one transaction says by itself; window features are those of `fraud.features`. The name of a card,
merchant, device or address says nothing by itself, only what was seen of it before does, and that is behaviour: the
catalogue has the same as features (a merchant's fraud so far, a card's first use of a device). So names are no raw
fields for a model; for the limit on single fields they count, by the share of fraud that they had before.

A field of categories is turned into the share of fraud that its value had in the first third of the history
(smoothed, so that rare values say little); every number is measured on the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fraud.features.catalogue import FEATURE_NAMES
from fraud.path import compute_features
from fraud.records.schema import names
from fraud.records.transaction import TRANSACTION_SCHEMA, Transaction
from fraud.settings import Money, Settings
from producer.data_generator import Generated

LEARN_SHARE = 1 / 3
_SMOOTHING = 50

_LEFT_OUT = {
    "schema_version",
    "transaction_id",  # counts them
    "event_time",  # counts by its hour and weekday
    "sent_at",
    "authorisation_result",  # the response code says as much
    "issuer_country",  # the same for all
    "amount_minor",  # the billing amount in other currencies
}
_FIELDS = [field for field in TRANSACTION_SCHEMA if field.name not in _LEFT_OUT]

NUMBERS = tuple(f.name for f in _FIELDS if pa.types.is_integer(f.type) or pa.types.is_floating(f.type))
IDENTITIES = tuple(field.name for field in _FIELDS if field.name in names(Transaction))
"""Names: no raw fields for a model, see above."""

CATEGORIES = tuple(field.name for field in _FIELDS if field.name not in {*NUMBERS, *IDENTITIES})

Floats = npt.NDArray[np.float64]


class Separability(NamedTuple):
    """How well one field alone orders fraud before the rest, in whichever direction.

    Attributes:
        name: of the field or feature.
        auc: area under the ROC curve, .5 to 1; rows without a value count as its median.
        window: whether it is a window feature.
    """

    name: str
    auc: float
    window: bool


class History:
    """A stretch of generated transactions with their features and truth, by time.

    Args:
        parts: as generated.
        currency: the base currency.
    """

    def __init__(self, parts: list[Generated], currency: str) -> None:
        truth = pl.DataFrame(pa.Table.from_batches([part.truth for part in parts]))
        transactions = _arrived(pa.Table.from_batches([part.transactions for part in parts]), "event_time")
        labels = _arrived(pa.Table.from_batches([part.labels for part in parts]), "label_time")
        features = pl.DataFrame(compute_features(transactions, labels, Settings(money=Money(base_currency=currency))))
        self.frame = features.join(truth, on=["card_token", "transaction_id", "event_time"], maintain_order="left")
        self.is_fraud: npt.NDArray[np.bool_] = self.frame["is_fraud"].to_numpy()
        self.learned = int(self.frame.height * LEARN_SHARE)

    def raw_fields(self) -> dict[str, Floats]:
        """A number for each field that says something by itself, missing ones NaN."""
        hours = {
            "event_hour": self.frame["event_time"].dt.hour().cast(pl.Float64),
            "event_weekday": self.frame["event_time"].dt.weekday().cast(pl.Float64),
        }
        numbers = {name: self.frame[name].cast(pl.Float64) for name in NUMBERS}
        columns = {name: column.fill_null(np.nan).to_numpy() for name, column in (numbers | hours).items()}
        return columns | {name: self._share_of_fraud(name) for name in CATEGORIES}

    def identities(self) -> dict[str, Floats]:
        """The share of fraud that each card, merchant, device and address had before."""
        return {name: self._share_of_fraud(name) for name in IDENTITIES}

    def window_features(self) -> dict[str, Floats]:
        """Values of every feature of the catalogue, missing ones NaN."""
        return {name: self.frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in FEATURE_NAMES}

    def separability(self) -> list[Separability]:
        """Every field and feature that has values, the most predictive first."""
        fields = self.raw_fields() | self.identities()
        found = [Separability(name, self._auc(values), False) for name, values in fields.items()]
        found += [Separability(name, self._auc(values), True) for name, values in self.window_features().items()]
        return sorted(found, key=lambda entry: -entry.auc)

    def average_precision(self, columns: dict[str, Floats]) -> float:
        """Of a gradient-boosted model on these columns, fitted to the first two thirds, measured on the last.

        0 where the last third has no fraud to find.
        """
        import xgboost as xgb  # by its own interface: the other is missing once `ml_model.boosting` was imported
        from sklearn.metrics import average_precision_score

        cut = 2 * self.learned
        if not self.is_fraud[cut:].any():
            return 0.0
        values = np.column_stack(list(columns.values()))
        parameters = {
            "objective": "binary:logistic",
            "max_depth": 4,
            "learning_rate": 0.1,
            "subsample": 0.8,
            "colsample_bytree": 0.5,
            "min_child_weight": 0.1,  # the usual 1 hides leaves of rare fraud
            "base_score": float(self.is_fraud[:cut].mean()),
            "seed": 1,
            "nthread": 1,
        }
        learned = xgb.QuantileDMatrix(values[:cut], self.is_fraud[:cut])
        scores = xgb.train(parameters, learned, num_boost_round=100).inplace_predict(values[cut:])
        return float(average_precision_score(self.is_fraud[cut:], scores))

    def _share_of_fraud(self, name: str) -> Floats:
        keyed = pl.DataFrame(
            {"key": self.frame[name].cast(pl.String).fill_null(""), "fraud": self.is_fraud.astype(float)}
        )
        learned = keyed.head(self.learned)
        usual = float(learned["fraud"].to_numpy().mean())
        share = (pl.col("fraud").sum() + usual * _SMOOTHING) / (pl.len() + _SMOOTHING)
        shares = learned.group_by("key").agg(share.alias("share"))
        return keyed.join(shares, on="key", how="left", maintain_order="left")["share"].fill_null(usual).to_numpy()

    def _auc(self, values: Floats) -> float:
        from sklearn.metrics import roc_auc_score

        values, is_fraud = values[self.learned :], self.is_fraud[self.learned :]
        known = ~np.isnan(values)
        if not known.any() or is_fraud.all() or not is_fraud.any():
            return 0.5
        auc = float(roc_auc_score(is_fraud, np.where(known, values, np.median(values[known]))))
        return max(auc, 1 - auc)


def _arrived(table: pa.Table, time: str) -> pa.Table:
    """With arrival columns, as if every record had arrived at its time."""
    n = table.num_rows
    arrival = {
        "stream": pa.repeat(pa.scalar(time), n),
        "shard": pa.repeat(pa.scalar("0"), n),
        "sequence_number": pc.cast(pa.array(np.arange(n)), pa.string()),
        "sub_sequence": pa.array(np.zeros(n, np.int64)),
        "arrival_ms": table[time].cast(pa.int64()),
    }
    return pa.table(arrival | {name: table[name] for name in table.column_names})
