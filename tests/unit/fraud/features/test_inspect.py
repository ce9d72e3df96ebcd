"""State is shown as what was folded."""

from __future__ import annotations

import datetime as dt
import math

from fraud.entities import CARD
from fraud.features.inspect import STATE_SCHEMA, key_table, state_table
from fraud.path import FeaturePath
from tests.support.feature_streams import TRANSACTIONS, batch
from tests.support.records import NOON, transaction


def folded(*changes: dict[str, object]) -> FeaturePath:
    rows = []
    for number, changed in enumerate(changes):
        place = {"stream": "s", "shard": "0", "sequence_number": str(number), "sub_sequence": 0}
        plain = transaction(**({"transaction_id": f"t-{number}", "card_token": "card-1"} | changed))
        arrived = {"arrival_ms": round(plain["event_time"].timestamp() * 1000)}
        rows.append({name: plain.get(name) for name in TRANSACTIONS.names} | place | arrived)
    path = FeaturePath()
    path.featured(batch(rows, TRANSACTIONS))
    return path


def test_a_card_is_shown_with_its_history_and_events() -> None:
    path = folded(
        {
            "event_time": NOON,
            "billing_amount_minor": 999,
            "merchant_country": "FR",
            "mcc": "0742",
            "channel": "atm",
            "merchant_lat": 48.9,
            "merchant_lon": 2.4,
        },
        {
            "event_time": NOON + dt.timedelta(hours=1),
            "billing_amount_minor": 99,
            "channel": "ecommerce",
        },
        {"event_time": NOON + dt.timedelta(hours=2), "authorisation_result": "declined"},
        {
            "event_time": NOON + dt.timedelta(hours=3),
            "transaction_type": "void",
            "merchant_lat": 1.0,
            "merchant_lon": 2,
        },
    )
    (row,) = key_table(path.states[CARD], CARD, ["card-1"]).to_pylist()
    assert row["last_arrival_time"] == NOON + dt.timedelta(hours=3)
    assert row["first_arrival_time"] == NOON
    assert row["forgotten_until"] is None
    assert row["history_count"] == 2
    # Logarithms of 10.00 and 1.00 in minor units, plus one: ln 1000 and ln 100.
    assert math.isclose(row["amount_log_mean"], math.log(1000) / 2 + math.log(100) / 2)
    assert math.isclose(row["amount_log_std"], math.log(10) / math.sqrt(2))
    assert math.isclose(row["usual_hour"], 12.5)
    assert (row["last_place_time"], row["last_place_lat"], row["last_place_lon"]) == (NOON, 48.9, 2.4)
    first, second, third, fourth = row["events"]
    assert (first["country"], first["mcc"], first["channel"], first["amount_minor"]) == ("FR", "0742", "atm", 999)
    assert (second["channel"], second["declined"], third["declined"]) == ("ecommerce", False, True)
    assert (third["amount_minor"], fourth["amount_minor"]) == (0, 0)
    assert (third["money_back"], fourth["money_back"], fourth["account_check"]) == (False, True, False)
    assert first["other_hash"] == second["other_hash"] != 0


def test_what_fell_out_is_counted() -> None:
    path = folded({"event_time": NOON}, {"event_time": NOON + dt.timedelta(days=40)})
    (row,) = key_table(path.states[CARD], CARD, ["card-1"]).to_pylist()
    assert row["forgotten_until"] == NOON
    assert [event["event_time"] for event in row["events"]] == [NOON + dt.timedelta(days=40)]


def test_an_unknown_key_has_no_row_and_all_keys_have_one() -> None:
    path = folded({}, {"card_token": "card-2"}, {"card_token": "card-3"})
    assert key_table(path.states[CARD], CARD, ["card-9"]).num_rows == 0
    table = state_table(path.states[CARD])
    assert table.schema.equals(STATE_SCHEMA)
    assert table.num_rows == 3
    assert set(table["key_hash"].to_pylist()) == {
        key_table(path.states[CARD], CARD, [f"card-{number}"])["key_hash"][0].as_py() for number in (1, 2, 3)
    }
