"""Structured logging for every program; card numbers never reach a log, nor do card tokens in full."""

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
        structlog.processors.format_exc_info,
        _redact_card_numbers,
        _shorten_tokens,
    ]
    as_json = settings.format == "json"
    renderer = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    level = logging.getLevelName(settings.level.upper())
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_StandardError()),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,  # a cached logger keeps the configuration of its first line
    )
    structlog.contextvars.bind_contextvars(program=program)
    handler = logging.StreamHandler(_StandardError())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler])


class _StandardError:
    """Whatever standard error is when a line is written; a test runner exchanges it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_TOKENS = {"card_token", "alert_id"}
"""What names a card: kept to its last characters, which is enough to find a case and too little to use."""

_KEPT = 4


def _shorten_tokens(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in _TOKENS & event.keys():
        token, colon, transaction = str(event[key]).partition(":")
        event[key] = f"…{token[-_KEPT:]}{colon}{transaction}"
    return event


def _redact_card_numbers(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value.encode()).decode()
    return event
