"""What the processes of a start import: Spark runs most of them one after the other, and each imports for itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"boto3", "numba", "pandas", "polars", "sklearn", "xgboost"}


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("processor.kinesis_source", set()),  # asked for its schema
        ("processor.kinesis_source.reader", {"boto3"}),  # planning a read
        ("processor.keyed_state.stateful", set()),  # declaring the state
        ("processor.sink.writer", set()),  # planning and committing a write
        ("ml_model.predict", {"xgboost", "pandas"}),  # checking the model; XGBoost takes pandas where it is installed
    ],
)
def test_a_process_imports_only_what_it_needs(module: str, needed: set[str]) -> None:
    assert imported(module) & HEAVY <= needed


def test_the_daemon_leaves_out_what_starts_threads() -> None:
    from processor.daemon import NEEDED

    assert {"polars", "xgboost"}.isdisjoint(imported(*NEEDED))


def imported(*modules: str) -> set[str]:
    """Names of all modules that a process has after importing these."""
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
