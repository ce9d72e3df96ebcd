"""A bad option fails with its name and what is allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fraud.errors import MisconfiguredError
from fraud.settings import Job, Settings, Source, Streams
from processor.kinesis_source import options_from, pause_file
from processor.kinesis_source.options import Options, parse_options

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
        ("reader", "both", "shared, fan_out or executors"),
        ("consumerName", "a b", "up to 128 letters"),
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


def test_every_option_is_a_setting_of_the_job() -> None:
    source = Source(
        max_bytes_per_trigger=1_000,
        poll_ms=1_000,
        buffer_bytes=2 << 30,
        shard_bytes_per_s=1 << 20,
        fail_on_data_loss=False,
        stall_s=30,
        reader="fan_out",
        consumer="another",
    )
    job = Job(start="earliest", max_records_per_trigger=7)
    settings = Settings(streams=Streams(transactions="t", labels="l"), source=source, job=job)
    expected = Options(
        streams=("t", "l"),
        region=settings.aws.region,
        start="earliest",
        max_records=7,
        max_bytes=1_000,
        poll_ms=1_000,
        buffer_bytes=2 << 30,
        shard_bytes_per_s=1 << 20,
        fail_on_data_loss=False,
        stall_s=30,
        reader="fan_out",
        consumer="another",
        pause_file=str(pause_file(settings)),
    )
    assert parse_options(options_from(settings)) == expected


def test_settings_that_are_not_given_are_the_options_defaults() -> None:
    given = parse_options(options_from(Settings()))
    usual = Options(streams=given.streams, region=given.region, start=given.start, max_records=given.max_records)
    assert replace(given, pause_file=None) == usual
