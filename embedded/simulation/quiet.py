"""Silences the log: a schedule's faults are logged by the classes that meet them, thousands of times."""

from __future__ import annotations

import logging

import structlog


def silence() -> None:
    """Logs nothing below the critical from here on, in this process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
