"""Compiles all kernels ahead: those of features and those of trees."""

from __future__ import annotations

from fraud.features import warm_up
from ml_model.walk import compile_walk


def compile_kernels() -> None:
    """Leaves them in numba's cache on disk, for every process that comes later."""
    warm_up.compile_kernels()
    compile_walk()
