"""A single transaction or label as a row of Python values: the same as `fraud.features.columns`, without Arrow.

One record at a time, Arrow's calls would cost more than all else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fraud.entities import Entity
from fraud.features.catalogue import Catalogue
from fraud.features.events import (
    ECOMMERCE,
    MONEY_BACK,
    MOTO,
    PAYING,
    Events,
    Facts,
    Ints,
    OwnFacts,
    codes_of,
    hash_string,
    label_hashes,
    transaction_events,
)
from fraud.features.fold import Folded
from fraud.features.kernel.geography import great_circle_km
from fraud.features.kernel.layout import REPEATED
from fraud.features.waiting import WaitingLabel
from fraud.records import Row
from fraud.records.arrival import ARRIVAL_COLUMNS, Place, arrival_ms_of
from fraud.records.dead_letter import Reject, dead_letter
from fraud.records.notes import Note
from fraud.records.schema import milliseconds_of


def in_arrival_order(record: Row) -> Row:
    """The record, which is alone."""
    return record


def facts_of(row: Row) -> Facts:
    """The facts of a single transaction, worked out once: see `with_every_feature`."""
    return _facts(row) if row.facts is None else row.facts


def _facts(row: Row) -> Facts:
    country: str = row["merchant_country"]
    channel = ord(row["channel"][0])
    amount_minor: int = row["billing_amount_minor"]
    transaction_type = row["transaction_type"]
    money_back = transaction_type in MONEY_BACK
    check = not money_back and (transaction_type not in PAYING or amount_minor == 0)
    declined = row["authorisation_result"] == "declined"
    lat, lon = row.get("merchant_lat"), row.get("merchant_lon")
    if lat is None or lon is None or money_back or channel in (ECOMMERCE, MOTO):  # half a place is none
        lat = lon = None
    time_ms = milliseconds_of(row["event_time"])
    return Facts(
        hash_of=lambda column: hash_string(row.get(column)),
        time_ms=time_ms,
        delay_ms=arrival_ms_of(row) - time_ms,
        amount_minor=amount_minor,
        money_back=money_back,
        check=check,
        declined=declined,
        channel=channel,
        codes=codes_of(ord(country[0]) << 8 | ord(country[1]), int(row["mcc"]), channel, declined, money_back, check),
        present_at=np.array([(_number(lat), _number(lon))]),
        own=lambda: OwnFacts(
            graded=lambda column, values, otherwise: values.get(row.get(column) or "", otherwise),
            cross_border=country != row["issuer_country"],
            distance_home_km=_distance_km(row.get("home_lat"), row.get("home_lon"), lat, lon),
        ),
    )


def _distance_km(*places: float | None) -> float:
    return np.nan if None in places else great_circle_km(*places)


def lacks(transaction: Row, entity: Entity) -> bool:
    """Whether the transaction has no such entity, so that nothing is folded."""
    return any(transaction.get(column) is None for column in entity.columns)


def events_of(entity: Entity, transaction: Row, facts: Facts) -> Events:
    """The event of a transaction."""
    deviation = None if entity.leads else transaction["card_amount_robust_z"]
    return transaction_events(entity, facts, None, np.nan if deviation is None else deviation)


def places_in_order(record: Row) -> list[Place]:
    """The place of the record in arrival order; of one that was on no stream, its arrival alone."""
    digits = record.get("sequence_number") or ""
    stream, shard = record.get("stream") or "", record.get("shard") or ""
    return [(record["arrival_ms"], stream, shard, len(digits), digits, record.get("sub_sequence") or 0)]


def waiting_labels(entity: Entity, label: Row) -> list[WaitingLabel]:
    """The label as an entity's state keeps it until its turn."""
    values = (
        *(label[name] for name in ARRIVAL_COLUMNS),
        arrival_ms_of(label),
        *label_hashes(entity, lambda column: hash_string(label.get(column))),
        milliseconds_of(label["transaction_time"]),
        label.get("transaction_time_precision_ms") or 1,
        label["verdict"] == "fraud",
        label.get("raw", b""),
    )
    return [WaitingLabel(*values)]


def with_values(transaction: Row, names: Sequence[str], values: Sequence[Any]) -> Row:
    """The same row, in which numbers are filled in; NaN becomes None."""
    transaction.update(zip(names, [value if value == value else None for value in values], strict=True))
    return transaction


def with_features(
    transaction: Row, names: Sequence[str], exact_name: str, folded: Folded, events: Events, places: Ints
) -> tuple[Row | None, Row | None, list[bool]]:
    """Fills in what folding the event gave; see `fraud.features.columns.with_features`."""
    at = places.item()
    how = folded.duplicate.item(at)
    if how:
        return None, transaction, [how == REPEATED and transaction.get("answered", False)]
    with_values(transaction, names, folded.values[at].tolist())
    transaction[exact_name] = folded.exact.item(at) if events.key.item(at) else None
    return transaction, None, []


def with_every_feature(transaction: Row, catalogue: Catalogue) -> Row:
    """A row of its own with every feature, None at first: the steps fill them in.

    Its facts look at the row that came in, not at itself: a cycle of row and facts would stay until a collection, which
    takes tens of milliseconds and falls upon one caller.
    """
    every = Row(catalogue.no_values)
    every.update(transaction)
    every.facts = _facts(transaction)
    return every


def noted(before: Row | None, counts: Mapping[Note, int]) -> Row | None:
    """Notes with those that there were before."""
    return Row((before or {}) | {note.value: count for note, count in counts.items()}) if before or counts else None


def refused(transaction: Row, rejects: Sequence[Reject], before: Row | None) -> Row:
    """The dead letter of the transaction."""
    assert before is None
    (reject,) = rejects
    return dead_letter(transaction, reject)


def unmatched(labels: Sequence[tuple[WaitingLabel, Reject]], before: Row | None) -> Row:
    """The dead letter of a label; a single record lets at most one go."""
    ((label, reject),) = labels
    assert before is None
    return dead_letter(Row(label.arrival, raw=label.data), reject)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
