"""Transactions and labels as Arrow columns: how a step reads them and appends to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraud.entities import Entity
from fraud.features.catalogue import Catalogue
from fraud.features.events import (
    ECOMMERCE,
    MONEY_BACK,
    MOTO,
    PAYING,
    Events,
    Facts,
    Floats,
    Ints,
    OwnFacts,
    characters,
    codes_of,
    hash_strings,
    label_hashes,
    transaction_events,
)
from fraud.features.fold import Folded
from fraud.features.kernel.geography import distances_km
from fraud.features.kernel.layout import REPEATED
from fraud.features.waiting import WaitingLabel
from fraud.records import arrival
from fraud.records.answered import answered_among
from fraud.records.arrival import ARRIVAL_COLUMNS, RECORD_SCHEMA, arrival_order, arrivals_ms
from fraud.records.dead_letter import Reject, dead_letters
from fraud.records.notes import Note, notes
from fraud.records.schema import milliseconds


def in_arrival_order(records: pa.RecordBatch) -> pa.RecordBatch:
    """The records sorted by arrival; as they are where they lie so already, which is the rule."""
    if records.num_rows < 2:
        return records
    order = arrival_order(records)
    places = order.to_numpy()
    return records if bool((places[1:] > places[:-1]).all()) else records.take(order)


def facts_of(batch: pa.RecordBatch) -> Facts:
    """The facts of transactions as columns (`TRANSACTION_SCHEMA`)."""
    country, channel = batch["merchant_country"], _letter(batch["channel"], 0)
    amount_minor, transaction_type = batch["billing_amount_minor"].to_numpy(), batch["transaction_type"]
    money_back, paying = _is_in(transaction_type, MONEY_BACK), _is_in(transaction_type, PAYING)
    absent = (channel == ECOMMERCE) | (channel == MOTO) | money_back
    lat, lon = _floats(batch["merchant_lat"]), _floats(batch["merchant_lon"])
    unknown = absent | np.isnan(lat + lon)  # half a place is none
    lat, lon = np.where(unknown, np.nan, lat), np.where(unknown, np.nan, lon)
    time_ms = milliseconds(batch["event_time"])
    check = ~money_back & (~paying | (amount_minor == 0))
    declined = _equals(batch["authorisation_result"], "declined")
    mcc = batch["mcc"].cast(pa.int64()).to_numpy()
    return Facts(
        hash_of=lambda column: hash_strings(batch[column]),
        time_ms=time_ms,
        delay_ms=arrivals_ms(batch) - time_ms,
        amount_minor=amount_minor,
        money_back=money_back,
        check=check,
        declined=declined,
        channel=channel,
        codes=codes_of(_letter(country, 0) << 8 | _letter(country, 1), mcc, channel, declined, money_back, check),
        present_at=(lat, lon),
        own=lambda: OwnFacts(
            graded=lambda column, values, otherwise: _graded(batch[column], values, otherwise),
            cross_border=pc.not_equal(country, batch["issuer_country"]).to_numpy(zero_copy_only=False),
            distance_home_km=distances_km(_floats(batch["home_lat"]), _floats(batch["home_lon"]), lat, lon),
        ),
    )


def lacks(transactions: pa.RecordBatch, entity: Entity) -> bool:  # noqa: ARG001 - as for a row
    """Whether there is nothing to fold: transactions without such an entity are folded with the others."""
    return False


def events_of(entity: Entity, transactions: pa.RecordBatch, facts: Facts) -> Events:
    """The events of transactions.

    Args:
        entity: whose.
        transactions: in arrival order; for all but cards with `card_amount_robust_z`.
        facts: of the transactions.
    """
    deviation = None
    if not entity.leads:
        deviation = transactions["card_amount_robust_z"].to_numpy(zero_copy_only=False)
    return transaction_events(entity, facts, transactions.num_rows, deviation)


places_in_order = arrival.places_in_order


def waiting_labels(entity: Entity, labels: pa.RecordBatch) -> list[WaitingLabel]:
    """The labels as an entity's state keeps them until their turn."""
    hashes = label_hashes(entity, lambda column: hash_strings(labels[column]))
    key, id_hash, other = (np.broadcast_to(each, labels.num_rows).tolist() for each in hashes)
    columns = (
        *(labels[name].to_pylist() for name in ARRIVAL_COLUMNS),
        arrivals_ms(labels).tolist(),
        key,
        id_hash,
        other,
        milliseconds(labels["transaction_time"]).tolist(),
        labels["transaction_time_precision_ms"].fill_null(1).to_pylist(),
        _equals(labels["verdict"], "fraud").tolist(),
        labels["raw"].to_pylist() if "raw" in labels.schema.names else [b""] * labels.num_rows,
    )
    return [WaitingLabel(*values) for values in zip(*columns, strict=True)]


def with_values(transactions: pa.RecordBatch, names: Sequence[str], columns: Sequence[Floats]) -> pa.RecordBatch:
    """Appends columns of numbers; NaN becomes null."""
    return _with_arrays(transactions, names, [pa.array(column, pa.float64(), from_pandas=True) for column in columns])


def _with_arrays(transactions: pa.RecordBatch, names: Sequence[str], arrays: Sequence[pa.Array]) -> pa.RecordBatch:
    schema = pa.schema([*transactions.schema, *_numbers_named(tuple(names))])
    return pa.RecordBatch.from_arrays([*transactions.columns, *arrays], schema=schema)


@lru_cache(maxsize=64)
def _numbers_named(names: tuple[str, ...]) -> list[pa.Field]:
    return [pa.field(name, pa.float64()) for name in names]


def with_features(
    transactions: pa.RecordBatch, names: Sequence[str], exact_name: str, folded: Folded, events: Events, places: Ints
) -> tuple[pa.RecordBatch, pa.RecordBatch | None, list[bool]]:
    """Appends what folding the events gave.

    Args:
        transactions: n of them.
        names: of the features.
        exact_name: name of the column for `exact`; null where the transaction has no such entity.
        folded: what the events gave.
        events: of the transactions and of labels.
        places: of each transaction among the events (n).

    Returns:
        The transactions with their features; as they were those that are duplicates, None where there is none; and of
        each of these whether it carries an answer other than the one that was folded.
    """
    how = folded.duplicate[places]
    duplicate, repeated, conflicting = how > 0, None, list[bool]()
    if duplicate.any():
        repeated = transactions.take(pa.array(np.flatnonzero(duplicate)))
        conflicting = ((how[duplicate] == REPEATED) & answered_among(repeated)).tolist()
        transactions, places = transactions.take(pa.array(np.flatnonzero(~duplicate))), places[~duplicate]
    count = len(places)
    # All values at once, cut into columns: with few records, a conversion for each takes longer than the fold.
    values = pa.array(folded.values[places].T.ravel(), pa.float64(), from_pandas=True)
    cut = [values.slice(number * count, count) for number in range(len(names))]
    extended = _with_arrays(transactions, names, cut)
    exact = pa.array(folded.exact[places], mask=events.key[places] == 0)
    return extended.append_column(pa.field(exact_name, pa.bool_()), exact), repeated, conflicting


def with_every_feature(transactions: pa.RecordBatch, catalogue: Catalogue) -> pa.RecordBatch:
    """Appends as null whatever columns of the feature path are missing: those of entities that are switched off."""
    present = set(transactions.schema.names)
    missing = [field for field in catalogue.columns if field.name not in present]
    nulls = [pa.nulls(transactions.num_rows, field.type) for field in missing]
    schema = pa.schema([*transactions.schema, *missing])
    return pa.RecordBatch.from_arrays([*transactions.columns, *nulls], schema=schema)


def refused(transactions: pa.RecordBatch, rejects: Sequence[Reject], before: pa.RecordBatch | None) -> pa.RecordBatch:
    """Dead letters of all these transactions, each with its reason, after those that there were before."""
    found = dead_letters(transactions, rejects)
    return found if before is None else pa.concat_batches([before, found])


def unmatched(labels: Sequence[tuple[WaitingLabel, Reject]], before: pa.RecordBatch | None) -> pa.RecordBatch:
    """Dead letters of these labels, after those that there were before."""
    rows = [label.arrival | {"data": label.data} for label, _ in labels]
    found = dead_letters(pa.RecordBatch.from_pylist(rows, RECORD_SCHEMA), [reject for _, reject in labels])
    return found if before is None else pa.concat_batches([before, found])


def noted(before: pa.RecordBatch | None, counts: Mapping[Note, int]) -> pa.RecordBatch | None:
    """Notes after those that there were before."""
    found = [part for part in (before, notes(counts)) if part is not None]
    return pa.concat_batches(found) if found else None


def _letter(column: pa.Array, place: int) -> Ints:
    """The code of each string's letter at a place; strings are not null and long enough."""
    offsets, data = characters(column)
    return data[offsets[:-1] + place].astype(np.int64)


def _is_in(column: pa.Array, values: Sequence[str]) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.is_in(column, pa.array(values)).to_numpy(zero_copy_only=False), bool)


def _equals(column: pa.Array, value: str) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.equal(column, value).to_numpy(zero_copy_only=False), bool)


def _graded(column: pa.Array, values: Mapping[str, float], otherwise: float) -> Floats:
    places = pc.index_in(column, value_set=pa.array(values)).fill_null(len(values)).to_numpy(zero_copy_only=False)
    return np.asarray(np.array([*values.values(), otherwise])[places], np.float64)


def _floats(column: pa.Array) -> Floats:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
