"""Tables of the archive that an older or a newer version wrote are read as today's code expects them."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from adapters.archive.archive import to_parquet
from adapters.archive.layout import ArchiveKind
from adapters.archive.tables import ARCHIVE_SCHEMAS, conform, parse_columns, today
from fraud.errors import MisconfiguredError
from fraud.records.schema import TIMESTAMP_MS
from tests.support.records import NOON

KEY = ArchiveKind.DECISIONS.key("fraud", 7, 0, 0)
WANTED = today(ArchiveKind.DECISIONS, ["score", "transaction_id", "event_time", "rules", "amount_minor"])
STORED = {
    "transaction_id": pa.array(["t-1", "t-2"]),
    "event_time": pa.array([NOON, NOON], TIMESTAMP_MS),
    "rules": pa.array([["r"], []]),
    "amount_minor": pa.array([1, 2]),
}


def test_columns_come_in_the_readers_order_with_nulls_for_younger_ones_and_without_unknown_ones() -> None:
    found = conform(pa.table(STORED | {"of_a_later_version": [1, 2]}), WANTED, KEY)
    assert found.schema.equals(WANTED)
    assert found["score"].to_pylist() == [None, None]
    assert found["transaction_id"].to_pylist() == ["t-1", "t-2"]


@pytest.mark.parametrize(
    "stored",
    [
        {"transaction_id": pa.array(["t-1", "t-2"], pa.large_string())},
        {"transaction_id": pa.array(["t-1", "t-2"]).dictionary_encode()},
        {"event_time": pa.array([NOON, NOON], pa.timestamp("us", "UTC"))},
        {"rules": pa.array([["r"], []], pa.large_list(pa.string()))},
        {"amount_minor": pa.array([1, 2], pa.int32())},
        {"score": pa.array([0, 1])},
        {"score": pa.nulls(2)},
    ],
)
def test_another_width_or_unit_of_the_same_kind_is_read(stored: dict[str, pa.Array]) -> None:
    found = conform(pa.table(STORED | stored), WANTED, KEY)
    assert found.schema.equals(WANTED)
    ((name, column),) = stored.items()
    assert found[name].to_pylist() == column.to_pylist()


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"amount_minor": pa.array(["1", "2"])}, "its column amount_minor is string, not int64"),
        ({"amount_minor": pa.array([1.0, 2.0])}, "its column amount_minor is double, not int64"),
        ({"score": pa.array(["0.5", "1"])}, "its column score is string, not double"),
        ({"event_time": pa.array([NOON, NOON], pa.timestamp("ms"))}, r"event_time is timestamp\[ms\], not"),
        ({"rules": pa.array(["r", ""])}, "its column rules is string, not list"),
        (
            {"event_time": pa.array([NOON + dt.timedelta(microseconds=1)] * 2, pa.timestamp("us", "UTC"))},
            r"event_time is timestamp\[us, tz=UTC\], not timestamp\[ms, tz=UTC\]",
        ),
    ],
)
def test_another_kind_of_value_is_refused_with_object_column_and_way_out(
    stored: dict[str, pa.Array], words: str
) -> None:
    with pytest.raises(
        MisconfiguredError, match=f"^{KEY}: .*{words}.*; read it with the version that wrote it"
    ) as found:
        conform(pa.table(STORED | stored), WANTED, KEY)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("missing", ["transaction_id", "event_time", "rules", "amount_minor"])
def test_a_missing_required_column_is_refused_by_name(missing: str) -> None:
    data = to_parquet(pa.table({name: column for name, column in STORED.items() if name != missing}))
    with pytest.raises(MisconfiguredError, match=f"^{KEY}: has no column {missing}, which is required; read it with"):
        parse_columns(data, KEY, WANTED.names)
    assert parse_columns(data, KEY, ["score"])["score"].to_pylist() == [None, None]


def test_every_column_that_any_release_added_is_nullable() -> None:
    """A new required column would shut out every archive before it; so this list may only ever get shorter."""
    required = {kind: [f.name for f in schema if not f.nullable] for kind, schema in ARCHIVE_SCHEMAS.items()}
    arrival = ["stream", "shard", "sequence_number", "sub_sequence", "arrival_ms"]
    assert required == {
        ArchiveKind.DECISIONS: [
            *arrival,
            *("schema_version", "transaction_id", "event_time", "sent_at", "transaction_type", "authorisation_result"),
            *("response_code", "card_token", "customer_id", "bin", "issuer_country", "merchant_id", "mcc"),
            *("merchant_country", "amount_minor", "currency", "billing_amount_minor", "channel", "entry_mode"),
            *("initiation", "outcome", "scored_by", "policy_version", "rules", "reason_codes", "reasons", "severity"),
            *("segment", "lists", "lists_outcome", "rules_outcome", "model_outcome", "silenced_rules"),
            *("undefined_rules", "shadow_rules", "shadow_outcome", "batch_id", "decided_at", "raw"),
        ],
        ArchiveKind.LABELS: [
            *arrival,
            *("schema_version", "transaction_id", "card_token", "merchant_id", "transaction_time"),
            *("billing_amount_minor", "verdict", "source", "label_time", "raw"),
        ],
        ArchiveKind.DEAD_LETTERS: [*arrival, "reason", "data", "replayable"],
    }
