"""A bad option fails with its name and what is allowed."""

from __future__ import annotations

import pytest

from fraud.errors import MisconfiguredError
from processor.kinesis_source.options import parse_options

GOOD = {"streamName": "a,b", "region": "eu-central-1"}


def test_names_ignore_case_and_streams_keep_their_order() -> None:
    options = parse_options({"STREAMNAME": "b, a", "Region": "eu-central-1", "maxrecordspertrigger": "5"})
    assert (options.streams, options.max_records, options.start) == (("b", "a"), 5, "latest")


def test_a_start_time_is_kept_in_milliseconds() -> None:
    assert parse_options(GOOD | {"startingPosition": "1970-01-01T01:00:01+01:00"}).start == 1000


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("streamName", "a,,b", "one or more stream names"),
        ("streamName", "a,a", "one or more stream names"),
        ("startingPosition", "yesterday", "earliest, latest or an RFC 3339 time"),
        ("startingPosition", "2026-01-01T00:00:00", "earliest, latest or an RFC 3339 time"),
        ("maxRecordsPerTrigger", "0", "at least 1"),
        ("pollIntervalMs", "50", "at least 200"),
        ("bufferBytes", "some", "at least 1048576"),
        ("failOnDataLoss", "perhaps", "true or false"),
    ],
)
def test_a_bad_value_names_the_option_and_what_is_allowed(option: str, value: str, allowed: str) -> None:
    with pytest.raises(MisconfiguredError, match=allowed) as caught:
        parse_options(GOOD | {option: value})
    assert caught.value.setting == option


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(MisconfiguredError, match="startposition: is not an option"):
        parse_options(GOOD | {"startPosition": "latest"})


@pytest.mark.parametrize("missing", ["streamName", "region"])
def test_a_missing_option_is_named(missing: str) -> None:
    with pytest.raises(MisconfiguredError, match="is required"):
        parse_options({name: value for name, value in GOOD.items() if name != missing})
