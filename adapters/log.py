"""Structured logging for every program; card numbers never reach a log."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from fraud.card_number import redact
from fraud.settings import Log


def configure_logging(settings: Log, program: str) -> None:
    """Sends structlog and standard logging to standard error, one event a line.

    Args:
        settings: level and format.
        program: name that each line carries.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact_card_numbers,
    ]
    if settings.format == "json":
        renderers: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        renderers = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    level = logging.getLevelName(settings.level.upper())
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_StandardError()),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,  # a cached logger keeps the configuration of its first line
    )
    structlog.contextvars.bind_contextvars(program=program)
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format="%(name)s: %(message)s")


class _StandardError:
    """Whatever standard error is when a line is written; a test runner exchanges it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _redact_card_numbers(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value.encode()).decode()
    return event
