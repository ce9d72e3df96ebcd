"""Drives a check with drawn cases, a number of them or for a time, and counts them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

Case = TypeVar("Case")


class Target(NamedTuple, Generic[Case]):
    """What is driven.

    Attributes:
        cases: where they come from.
        check: fails where a case is not borne.
        quick: how many cases a short run tries.
    """

    cases: st.SearchStrategy[Case]
    check: Callable[[Case], None]
    quick: int


def fuzz(target: Target[Any], cases: int, first: int = 0) -> int:
    """Tries so many cases, others for each `first`; how many they were."""
    tried = 0

    @seed(first)
    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(target.cases)
    def run(case: object) -> None:
        nonlocal tried
        tried += 1
        target.check(case)

    run()
    return tried


def fuzz_for(target: Target[Any], seconds: float) -> int:
    """Tries cases for so long; how many they were."""
    until, tried = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        tried += fuzz(target, target.quick, first=tried)
    return tried
