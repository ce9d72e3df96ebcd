"""Structured logging for every program; card numbers never reach a log, nor do card tokens in full."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from fraud.records.card_number import redact_text
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
        _shorten_tokens,
    ]
    as_json = settings.format == "json"
    renderer = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    level = logging.getLevelName(settings.level.upper())
    structlog.configure(
        processors=[*shared, renderer, _redact_card_numbers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_StandardError()),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,  # a cached logger keeps the configuration of its first line
    )
    structlog.contextvars.bind_contextvars(program=program)
    handler = logging.StreamHandler(_StandardError())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _redact_card_numbers],
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
    return {key: _without_tokens(value, key) for key, value in event.items()}


def _without_tokens(value: Any, key: object) -> Any:
    """A value under a key, with the tokens in it shortened at any depth."""
    if isinstance(value, Mapping):
        return {name: _without_tokens(each, name) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_tokens(each, key) for each in value]
    if key not in _TOKENS or value is None:
        return value
    token, colon, transaction = str(value).partition(":")
    return f"…{token[-_KEPT:]}{colon}{transaction}"


def _redact_card_numbers(_: Any, __: str, line: Any) -> str:
    """The line as it would be written: whatever was logged, at any depth and of any type, is text by now."""
    return redact_text(line)
