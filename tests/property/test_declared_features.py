"""Features that a deployment declares, against the same oracle as the shipped ones, in batches and one by one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings

from embedded.simulation.feature_oracle import fold
from fraud.declared import Declared
from fraud.documents import parse_yaml
from fraud.entities import measured
from fraud.features import SHIPPED, Catalogue, catalogue_of
from fraud.path import FeaturePath, compute_features
from fraud.records import Records, Row
from fraud.settings import Job, Settings
from tests.support.feature_streams import Stream, differences, never_seen, streams, tables

ROWS = """
entities:
  - {name: customer, columns: [customer_id], label: customer, velocity: {windows: 10m 7d}}
  - {name: card_ip, columns: [card_token, ip_address], label: card at this address, other: merchant_id,
     others: merchants, events: 32}
  - {name: bin_merchant, columns: [bin, merchant_id], label: BIN at this merchant}
features:
  - {entity: customer, name: mean, aggregate: mean, windows: 36h}
  - {entity: customer, name: std, aggregate: std, windows: 3d}
  - {entity: customer, name: max, aggregate: max, windows: 1h 14d}
  - {entity: customer, name: ratio, aggregate: amount ratio, windows: 14d, unit: ratio}
  - {entity: customer, name: countries, aggregate: distinct, input: country, windows: 7d, unit: countries}
  - {entity: customer, name: devices, aggregate: distinct, input: device, windows: 1h 7d, unit: devices}
  - {entity: customer, name: new_mcc, aggregate: is new, input: mcc, windows: 14d, unit: flag}
  - {entity: customer, name: new_channel, aggregate: is new, input: channel, windows: 14d, unit: flag}
  - {entity: customer, name: since_last_s, aggregate: since last, unit: seconds}
  - {entity: customer, name: since_decline_s, aggregate: since flagged, flag: declined, window: 14d, unit: seconds}
  - {entity: customer, name: pace, aggregate: decayed count, windows: 12h, unit: payments}
  - {entity: customer, name: spent_lately, aggregate: decayed sum, windows: 2d}
  - {entity: customer, name: unusual_lately, aggregate: decayed unusual, windows: 2d, unit: payments}
  - {entity: customer, name: hour_deviation_h, aggregate: hour deviation, unit: hours}
  - {entity: customer, name: weekday_deviation_d, aggregate: weekday deviation, unit: days}
  - {entity: customer, name: amount_log_z, aggregate: log z, unit: deviations}
  - {entity: customer, name: amount_robust_z, aggregate: robust z, unit: deviations}
  - {entity: customer, name: amount_unusual, aggregate: unusual, unit: flag}
  - {entity: customer, name: distance_last_km, aggregate: distance last, unit: km}
  - {entity: customer, name: speed_kmh, aggregate: speed, unit: km/h}
  - {entity: card_ip, name: merchants, aggregate: distinct, input: other, windows: 10m 30d, unit: merchants}
  - {entity: card_ip, name: failures, aggregate: flagged, flag: declined, windows: 1h 45d, unit: declines}
  - {entity: bin_merchant, name: unusual_share, aggregate: flagged share, flag: unusual, windows: 7d, unit: share}
  - {entity: bin_merchant, name: money_back, aggregate: flagged, flag: money_back, windows: 7d, unit: refunds}
  - {entity: bin_merchant, name: yesterday, aggregate: count, windows: 24h, delay: 1d, unit: payments}
  - {entity: card, name: count, aggregate: count, windows: 5m 2d, unit: payments}
  - {entity: card, name: max, aggregate: max, windows: 45d}
  - {entity: merchant, name: frauds, aggregate: flagged, flag: fraud, windows: 14d, delay: 7d, unit: frauds}
"""
"""Every aggregate over entities, windows, inputs and flags that the shipped catalogue does not have."""

SETTINGS = Settings(job=Job(features=Declared.model_validate(parse_yaml("rows", ROWS)), entities=["card", "merchant"]))
CATALOGUE = catalogue_of(SETTINGS)
DECLARED = [name for name in CATALOGUE.names if name not in SHIPPED.names]


def wanted_of(stream: Stream, catalogue: Catalogue = CATALOGUE) -> list[dict[str, Any]]:
    return [values for values in fold(stream, measured(SETTINGS.job), catalogue) if values is not None]


@settings(max_examples=40, deadline=None)
@given(streams())
def test_every_value_equals_the_oracles(stream: Stream) -> None:
    transactions, labels = tables(stream)
    assert differences(compute_features(transactions, labels, SETTINGS).to_pylist(), wanted_of(stream)) == []


@settings(max_examples=8, deadline=None)
@given(streams(most=20))
def test_one_record_at_a_time_gives_the_same_bits(stream: Stream) -> None:
    path, alone = FeaturePath(SETTINGS), list[dict[str, Any]]()
    for kind, row in stream:
        record = Records(Row(row)) if kind == "transaction" else Records(labels=Row(row))
        advanced = path.advance(record)
        if advanced.transactions is not None:
            alone.append(advanced.transactions)
    together = compute_features(*tables(stream), SETTINGS)
    columns = [field.name for field in CATALOGUE.columns]
    assert [{name: row[name] for name in columns} for row in alone] == together.select(columns).to_pylist()


def test_every_declared_feature_is_somewhere_neither_null_nor_zero() -> None:
    assert never_seen(DECLARED, SETTINGS) == set()


def test_what_is_declared_changes_no_shipped_value() -> None:
    assert CATALOGUE.features[: len(SHIPPED.features)] == SHIPPED.features
    assert CATALOGUE.entities[: len(SHIPPED.entities)] == SHIPPED.entities
    assert pa.schema(CATALOGUE.columns).names[: len(SHIPPED.names)] == list(SHIPPED.names)
