"""The trees of a model, walked over their own arrays, compiled: the score of a row, the contributions of any number.

XGBoost's call costs some 0.14 ms for a row, nearly all of it on the way in and out. The walk takes the same turns (less
than the limit goes left, a missing value where the tree says) and adds the same single-precision numbers in the same
order. Before it is used, it must give the same bits as XGBoost on rows that lie on, beside and between the limits.

Contributions are Shapley values of the path-dependent game (TreeSHAP, Lundberg et al. 2020), as integrals of its
multilinear extension (Owen 1972) over the trees (Quadrature-TreeSHAP: Wettenstein, Mitchell and Yu 2026,
arXiv:2605.04497). Where each feature is known with probability q, a path leads to its leaf with the product over its
features of (1 - q) * share + q * taken; what a feature contributes is the slope of that in its own factor, times the
leaf, integrated over q. The product is a polynomial, so Gauss and Legendre's rule with half as many points as a path
has features is exact, and one sweep down the nodes and one up serve all features and leaves.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from ml_model.boosting import xgb

_PROBES = 256
_EXPLAINED = 8
"""Probes whose contributions are compared: XGBoost takes about a millisecond for each."""

_SAME = 1e-4
"""Most by which XGBoost's contributions, in single precision, may differ, in shares of the largest."""

_NEXT = np.uint32(1)

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.uint32]


class Nodes(NamedTuple):
    """The nodes of all trees, one tree after the other, each breadth first: the right of two stands behind the left.

    Attributes:
        starts: the root of each tree, and at the end how many nodes there are.
        left: the node to the left; 0, which is to the left of none, of a leaf.
        feature: which value a node looks at.
        limit: what it compares with; of a leaf its weight.
        missing_left: whether a missing value goes left.
    """

    starts: Places
    left: Places
    feature: Places
    limit: npt.NDArray[np.float32]
    missing_left: npt.NDArray[np.bool_]


class Paths(NamedTuple):
    """How training's rows came to each node, and where contributions are integrated.

    Attributes:
        before: where the last turn by the same feature ended, on the way to where this one does; the root for none.
        share: how much of the weight of training's rows took this turn, and all before it by the same feature; 1 of a
            root.
        points: values of q.
        weights: of the points.
    """

    before: Places
    share: Floats
    points: Floats
    weights: Floats


class Walk(NamedTuple):
    """A model's trees.

    Attributes:
        nodes: what a row meets.
        paths: what explains it.
        base: where the sum of weights begins.
        bias: the raw score of a row of which nothing is known.
    """

    nodes: Nodes
    paths: Paths
    base: np.float32
    bias: float

    @classmethod
    def of(cls, booster: xgb.Booster) -> Walk | None:
        """That of a model; None where its trees are of a kind that this cannot walk, or XGBoost says otherwise."""
        learner = json.loads(booster.save_raw("json"))["learner"]
        gradient_booster, model = learner["gradient_booster"], learner["learner_model_param"]
        if gradient_booster["name"] != "gbtree" or model["num_target"] != "1" or int(model["num_class"]) > 1:
            return None
        trees = gradient_booster["model"]["trees"]
        if learner["objective"]["name"] != "binary:logistic" or any(tree["categories_nodes"] for tree in trees):
            return None
        nodes, weight = _nodes_of(trees)
        if not (weight > 0).all():
            return None
        paths, expected = _paths_of(nodes, weight)
        half = np.float32(float(model["base_score"].strip("[]")))
        base = np.float32(-np.log(np.float32(1) / half - np.float32(1)))
        walk = cls(nodes, paths, base, float(base) + expected)
        rows = walk.probes(booster.num_features())
        wanted = booster.inplace_predict(rows, predict_type="margin")
        for near in (base, *(np.nextafter(base, np.float32(end)) for end in (-np.inf, np.inf))):
            tried = walk._replace(base=near)
            if np.array_equal(np.array([tried.margin(row) for row in rows.astype(np.float64)]), wanted):
                return tried if tried._explains_as(booster, rows[:_EXPLAINED]) else None
        return None

    def margin(self, row: Floats) -> np.float32:
        """The raw score of a row of the model's features, NaN for null; trees see them in single precision."""
        return np.float32(_margin(row, self.base, *self.nodes))

    def contributions(self, rows: npt.NDArray[np.float32]) -> Floats:
        """What each feature of each row contributes to its raw score; in the last column what none does."""
        found = np.zeros((len(rows), rows.shape[1] + 1))
        _contribute(rows, found, *self.nodes, *self.paths)
        found[:, -1] = self.bias
        return found

    def probes(self, features: int) -> npt.NDArray[np.float32]:
        """Rows whose values lie on, beside and between the limits of the trees, or are missing."""
        rng = np.random.default_rng(1)
        rows = np.full((_PROBES, features), np.nan, np.float32)
        inner = self.nodes.left > 0
        for place in range(features):
            limits = self.nodes.limit[inner & (self.nodes.feature == place)]
            if not len(limits):
                continue
            values = np.concatenate([limits, np.nextafter(limits, np.float32(-np.inf)), limits * 2, [np.nan]])
            rows[:, place] = rng.choice(values.astype(np.float32), _PROBES)
        return rows

    def _explains_as(self, booster: xgb.Booster, rows: npt.NDArray[np.float32]) -> bool:
        wanted = booster.predict(xgb.DMatrix(rows), pred_contribs=True, validate_features=False)
        return np.allclose(self.contributions(rows), wanted, rtol=0, atol=_SAME * np.abs(wanted).max())


def compile_walk() -> None:
    """Walks a made-up tree, so that what walks lies compiled in numba's cache on disk."""
    leaf = {"left_children": [-1], "right_children": [-1], "split_indices": [0], "split_conditions": [0.0]}
    nodes, weight = _nodes_of([leaf | {"default_left": [0], "sum_hessian": [1.0]}])
    paths, expected = _paths_of(nodes, weight)
    walk = Walk(nodes, paths, np.float32(0), expected)
    walk.margin(np.zeros(1))
    walk.contributions(np.zeros((1, 1), np.float32))


def _nodes_of(trees: list[dict[str, Any]]) -> tuple[Nodes, Floats]:
    """The nodes of trees as XGBoost writes them, without those that it pruned, and the weight that came to each."""
    starts, columns = [0], []
    for tree in trees:
        left, right, reached = tree["left_children"], tree["right_children"], [0]
        for node in reached:
            if left[node] >= 0:
                reached += (left[node], right[node])
        inner = np.array(left)[reached] >= 0
        to_left = np.where(inner, starts[-1] + 2 * np.cumsum(inner) - 1, 0)
        names = ("split_indices", "split_conditions", "default_left", "sum_hessian")
        columns.append((to_left, *(np.array(tree[name])[reached] for name in names)))
        starts.append(starts[-1] + len(reached))
    to_left, feature, limit, missing_left, weight = map(np.concatenate, zip(*columns, strict=True))
    nodes = Nodes(
        np.array(starts, np.uint32),
        to_left.astype(np.uint32),
        feature.astype(np.uint32),
        limit.astype(np.float32),
        missing_left.astype(np.bool_),
    )
    return nodes, weight.astype(np.float64)


def _paths_of(nodes: Nodes, weight: Floats) -> tuple[Paths, float]:
    """What explains rows, and the sum of the weights of leaves that is expected of one."""
    count = len(weight)
    inner = np.flatnonzero(nodes.left)
    above = np.arange(count)  # of a root itself
    above[nodes.left[inner]] = above[nodes.left[inner] + 1] = inner
    turns = weight / weight[above]
    share, chance = turns.copy(), turns.copy()
    before, known = above.copy(), np.zeros(count, np.int64)
    feature, up = nodes.feature.tolist(), above.tolist()
    for node, turned in enumerate(up):
        if turned == node:
            continue
        last = turned
        while up[last] != last and feature[up[last]] != feature[turned]:
            last = up[last]
        before[node] = last
        share[node] *= share[last]
        chance[node] *= chance[turned]
        known[node] = known[turned] + (up[last] == last)
    points, weights = np.polynomial.legendre.leggauss(max(1, (int(known.max()) + 1) // 2))
    leaves = np.flatnonzero(nodes.left == 0)
    paths = Paths(before.astype(np.uint32), share, (points + 1) / 2, weights / 2)
    return paths, float(chance[leaves] @ nodes.limit[leaves].astype(np.float64))


@nb.njit(cache=True)
def _margin(row, base, starts, left, feature, limit, missing_left):  # type: ignore[no-untyped-def]
    total = base
    for tree in range(starts.size - 1):
        node = starts[tree]
        while left[node]:
            value = np.float32(row[feature[node]])
            goes_left = missing_left[node] if np.isnan(value) else value < limit[node]
            node = left[node] if goes_left else left[node] + _NEXT
        total = np.float32(total + limit[node])
    return total


@nb.njit(cache=True, error_model="numpy")
def _contribute(rows, found, starts, left, feature, limit, missing_left, before, share, points, weights):  # type: ignore[no-untyped-def]
    taken, inverse, product, below = np.ones((4, left.size))
    for place in range(len(rows)):
        row, contributed = rows[place], found[place]
        for tree in range(starts.size - 1):
            root, end = np.intp(starts[tree]), np.intp(starts[tree + 1])
            for node in range(root, end):
                one, other = left[node], left[node] + _NEXT
                if one:
                    value = row[feature[node]]
                    goes_left = value < limit[node] or (missing_left[node] and np.isnan(value))
                    so_far = taken[before[one]]
                    taken[one], taken[other] = (so_far, 0.0) if goes_left else (0.0, so_far)
            for point, weight in zip(points, weights):  # noqa: B905 - numba
                product[root] = weight
                for node in range(root, end):
                    one, other = left[node], left[node] + _NEXT
                    if one:
                        # A turn's factor stands in place of that of the last turn by the same feature; the root's is 1.
                        others = product[node] * inverse[before[one]]
                        factor = (1.0 - point) * share[one] + point * taken[one]
                        inverse[one], product[one] = 1.0 / factor, others * factor
                        factor = (1.0 - point) * share[other] + point * taken[other]
                        inverse[other], product[other] = 1.0 / factor, others * factor
                    else:
                        below[node] = product[node] * limit[node]
                for node in range(end - 1, root - 1, -1):
                    one, other = left[node], left[node] + _NEXT
                    if one:
                        last = before[one]
                        below[node] = below[one] + below[other]
                        contributed[feature[node]] += (
                            below[one] * (taken[one] - share[one]) * inverse[one]
                            + below[other] * (taken[other] - share[other]) * inverse[other]
                            - below[node] * (taken[last] - share[last]) * inverse[last]
                        )
