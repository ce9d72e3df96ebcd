"""The options of the source, checked when the stream is loaded."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from fraud.errors import MisconfiguredError

T = TypeVar("T")

READERS = ("shared", "fan_out", "executors")


@dataclass(frozen=True)
class Options:
    """The options of `docs/kinesis-source.md`.

    Attributes:
        streams: streams to read (`streamName`, comma-separated).
        region: AWS region (`region`).
        endpoint_url: address of an emulator (`endpointUrl`); None is AWS.
        start: `earliest`, `latest`, or a start time in UTC milliseconds (`startingPosition`).
        max_records: most records of a micro-batch (`maxRecordsPerTrigger`).
        max_bytes: most bytes of a micro-batch (`maxBytesPerTrigger`).
        poll_ms: least time between two reads of a shard (`pollIntervalMs`).
        buffer_bytes: fetched bytes at which fetching pauses (`bufferBytes`).
        fail_on_data_loss: stop when records were trimmed before they were read (`failOnDataLoss`).
        shard_bytes_per_s: most bytes a second read of a shard, 0 is unlimited (`shardBytesPerSecond`).
        stall_s: fail when no read of a shard is answered for so long (`stallTimeoutSeconds`).
        reader: `shared` polls, `fan_out` has a consumer of its own pushed to, `executors` has the executors poll
            (`reader`).
        consumer: name of that consumer (`consumerName`).
        pause_file: while the driver has this file, batches get no more records (`pauseFile`); None for never.
    """

    streams: tuple[str, ...]
    region: str
    endpoint_url: str | None = None
    start: str | int = "latest"
    max_records: int = 100_000
    max_bytes: int = 64 << 20
    poll_ms: int = 200
    buffer_bytes: int = 128 << 20
    fail_on_data_loss: bool = True
    shard_bytes_per_s: int = 2 << 20
    stall_s: int = 60
    reader: str = "shared"
    consumer: str = "fraud-job"
    pause_file: str | None = None


def parse_options(given: Mapping[str, str]) -> Options:
    """Reads Spark's string options, whose names ignore case.

    Raises:
        MisconfiguredError: an option is missing, unknown or out of bounds; the message names it and what is allowed.
    """
    rest = {name.lower(): value for name, value in given.items()}

    def take(name: str, parse: Callable[[str], T], default: T | None, allowed: str) -> T:
        text = rest.pop(name.lower(), None)
        if text is None:
            if default is None:
                raise MisconfiguredError(name, f"is required: {allowed}")
            return default
        try:
            return parse(text)
        except ValueError:
            raise MisconfiguredError(name, f"must be {allowed}, got {text!r}") from None

    start = take("startingPosition", _start, _start("latest"), "earliest, latest or an RFC 3339 time with offset")
    options = Options(
        streams=take("streamName", _names, None, "one or more stream names, separated by commas"),
        region=take("region", _word, None, "an AWS region"),
        endpoint_url=take("endpointUrl", _word, "", "an address") or None,
        start=cast("str | int", start),
        max_records=take("maxRecordsPerTrigger", _at_least(1), Options.max_records, "a number of at least 1"),
        max_bytes=take("maxBytesPerTrigger", _at_least(1), Options.max_bytes, "a number of at least 1"),
        poll_ms=take("pollIntervalMs", _at_least(200), Options.poll_ms, "at least 200 (five reads a second a shard)"),
        buffer_bytes=take("bufferBytes", _at_least(1 << 20), Options.buffer_bytes, "at least 1048576"),
        fail_on_data_loss=take("failOnDataLoss", _boolean, True, "true or false"),
        shard_bytes_per_s=take(
            "shardBytesPerSecond", _at_least(0), Options.shard_bytes_per_s, "a number of at least 0 (0 is unlimited)"
        ),
        stall_s=take("stallTimeoutSeconds", _at_least(1), Options.stall_s, "a number of at least 1"),
        reader=take("reader", _one_of(*READERS), Options.reader, "shared, fan_out or executors"),
        consumer=take("consumerName", _consumer, Options.consumer, "up to 128 letters, digits, dots, - or _"),
        pause_file=take("pauseFile", str, "", "a path on the driver's machine") or None,
    )
    if rest:
        raise MisconfiguredError(sorted(rest)[0], "is not an option of the kinesis source (docs/kinesis-source.md)")
    return options


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise ValueError
    return names


def _word(text: str) -> str:
    return text.strip()


def _start(text: str) -> str | int:
    if text in ("earliest", "latest"):
        return text
    time = dt.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError
    return int(time.timestamp() * 1000)


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if int(text) < least:
            raise ValueError
        return int(text)

    return parse


def _one_of(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return parse


def _consumer(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,128}", text):
        raise ValueError
    return text


def _boolean(text: str) -> bool:
    known = {"true": True, "false": False}
    if text.lower() not in known:
        raise ValueError
    return known[text.lower()]
