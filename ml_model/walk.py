"""The trees of a model for one row at a time: a walk over their own arrays, compiled, with XGBoost's bits.

XGBoost's call costs some 0.14 ms for a row, nearly all of it on the way in and out. The walk takes the same turns (less
than the limit goes left, a missing value where the tree says) and adds the same single-precision numbers in the same
order. Before it is used, it must give the same bits as XGBoost on rows that lie on, beside and between the limits.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from ml_model.boosting import xgb

_PROBES = 256
_LEAF = -1


class Walk(NamedTuple):
    """The nodes of all trees, one after the other.

    Attributes:
        roots: the first node of each tree.
        left: the node to the left; -1 where a node is a leaf.
        right: the node to the right.
        feature: which value a node looks at.
        limit: what it compares with; of a leaf its weight.
        missing_left: whether a missing value goes left.
        base: where the sum begins.
    """

    roots: npt.NDArray[np.int32]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int32]
    limit: npt.NDArray[np.float32]
    missing_left: npt.NDArray[np.bool_]
    base: np.float32

    @classmethod
    def of(cls, booster: xgb.Booster) -> Walk | None:
        """That of a model; None where its trees are of a kind that this cannot walk, or the bits differ."""
        learner = json.loads(booster.save_raw("json"))["learner"]
        gradient_booster, model = learner["gradient_booster"], learner["learner_model_param"]
        if gradient_booster["name"] != "gbtree" or model["num_target"] != "1" or int(model["num_class"]) > 1:
            return None
        trees = gradient_booster["model"]["trees"]
        if learner["objective"]["name"] != "binary:logistic" or any(tree["categories_nodes"] for tree in trees):
            return None
        sizes = [len(tree["left_children"]) for tree in trees]
        starts = np.cumsum([0, *sizes[:-1]])

        def joined(name: str, kind: Any, moves: bool = False) -> Any:
            parts = [np.array(tree[name], kind) for tree in trees]
            if moves:
                parts = [np.where(part < 0, part, part + start) for part, start in zip(parts, starts, strict=True)]
            return np.concatenate(parts).astype(kind)

        half = np.float32(float(model["base_score"].strip("[]")))
        walk = cls(
            starts.astype(np.int32),
            joined("left_children", np.int32, moves=True),
            joined("right_children", np.int32, moves=True),
            joined("split_indices", np.int32),
            joined("split_conditions", np.float32),
            joined("default_left", np.bool_),
            np.float32(-np.log(np.float32(1) / half - np.float32(1))),
        )
        rows = walk.probes(booster.num_features())
        wanted = booster.inplace_predict(rows, predict_type="margin")
        for base in (walk.base, *(np.nextafter(walk.base, np.float32(end)) for end in (-np.inf, np.inf))):
            tried = walk._replace(base=base)
            if np.array_equal(np.array([tried.margin(row) for row in rows.astype(np.float64)]), wanted):
                return tried
        return None

    def margin(self, row: npt.NDArray[np.float64]) -> np.float32:
        """The raw score of a row of the model's features, NaN for null; trees see them in single precision."""
        return np.float32(_margin(row, *self))

    def probes(self, features: int) -> npt.NDArray[np.float32]:
        """Rows whose values lie on, beside and between the limits of the trees, or are missing."""
        rng = np.random.default_rng(1)
        rows = np.full((_PROBES, features), np.nan, np.float32)
        inner = self.left != _LEAF
        for place in range(features):
            limits = self.limit[inner & (self.feature == place)]
            if not len(limits):
                continue
            values = np.concatenate([limits, np.nextafter(limits, np.float32(-np.inf)), limits * 2, [np.nan]])
            rows[:, place] = rng.choice(values.astype(np.float32), _PROBES)
        return rows


@nb.njit(cache=True)
def _margin(row, roots, left, right, feature, limit, missing_left, base):  # type: ignore[no-untyped-def]
    total = base
    for tree in range(roots.shape[0]):
        node = roots[tree]
        while left[node] != _LEAF:
            value = np.float32(row[feature[node]])
            if np.isnan(value):
                node = left[node] if missing_left[node] else right[node]
            elif value < limit[node]:
                node = left[node]
            else:
                node = right[node]
        total = np.float32(total + limit[node])
    return total
