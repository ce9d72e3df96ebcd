"""The features once more, as plainly as they can be written: lists, loops and no state but what has happened.

Every transaction's values follow from the whole list of what arrived before it. Slow on purpose.
"""

from __future__ import annotations

import bisect
import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fraud.features.catalogue import (
    CATALOGUE,
    DAY_MS,
    KEYED_ENTITIES,
    UNUSUAL_Z,
    USUAL_Z,
    Aggregate,
    Entity,
    Feature,
    Flag,
    Input,
)

LEAST_HISTORY = 5
LEAST_SPREAD = 0.1
BINS = 64
COLUMN = {
    Input.COUNTRY: "merchant_country",
    Input.DEVICE: "device_id",
    Input.MCC: "mcc",
    Input.CHANNEL: "channel",
}

Row = Mapping[str, Any]


def ms(time: dt.datetime) -> int:
    return (time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


@dataclass
class Event:
    """One transaction of an entity, as it is remembered."""

    row: Row
    unusual: bool
    high: bool = False
    fraud: bool = False
    time: int = field(init=False)
    amount: int = field(init=False)

    def __post_init__(self) -> None:
        self.time = ms(self.row["event_time"])
        self.amount = 0 if self.row["transaction_type"] in ("refund", "reversal") else self.row["billing_amount_minor"]

    @property
    def declined(self) -> bool:
        return self.row["authorisation_result"] == "declined"  # type: ignore[no-any-return]

    @property
    def place(self) -> tuple[float, float] | None:
        if self.row["channel"] in ("ecommerce", "moto") or self.row["merchant_lat"] is None:
            return None
        return self.row["merchant_lat"], self.row["merchant_lon"]

    def value(self, column: Input, entity: Entity) -> str | None:
        if column is Input.OTHER:
            return self.row["merchant_id" if entity is Entity.CARD else "card_token"]  # type: ignore[no-any-return]
        return self.row[COLUMN[column]]  # type: ignore[no-any-return]


@dataclass
class Key:
    """Everything that is known of one card, merchant, device or BIN."""

    all: list[Event] = field(default_factory=list)  # in arrival order
    kept: list[Event] = field(default_factory=list)  # by event time; equal times in arrival order
    dropped_until: float = -math.inf


def position(amount: int) -> float:
    return min(BINS - 1e-9, 2 * math.log2(amount + 1.0))


def quantile(positions: list[float], share: float) -> float:
    counts = [0] * BINS
    for p in positions:
        counts[int(p)] += 1
    wanted, below = share * len(positions), 0
    for number, count in enumerate(counts):
        if count and below + count >= wanted:
            return number + (wanted - below) / count
        below += count
    return float(BINS)


def robust_z(past: list[Event], amount: int) -> float | None:
    positions = [position(e.amount) for e in past if e.amount > 0]
    if amount <= 0 or len(positions) < LEAST_HISTORY:
        return None
    spread = (quantile(positions, 0.75) - quantile(positions, 0.25)) / 1.349
    return (position(amount) - quantile(positions, 0.5)) / max(spread, LEAST_SPREAD * 2 / math.log(2))


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    lat_a, lon_a, lat_b, lon_b = map(math.radians, (*a, *b))
    half = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(min(1.0, half)))


def angle(time: int) -> float:
    return time % DAY_MS / DAY_MS * 2 * math.pi


def weekday(time: int) -> int:
    return dt.datetime.fromtimestamp(time / 1000, dt.UTC).weekday()


class Oracle:
    """Folds transactions and labels one by one; entities without an entry in `most` are switched off."""

    def __init__(self, most: Mapping[Entity, int], lateness_ms: int = DAY_MS) -> None:
        self.most = most
        self.lateness_ms = lateness_ms
        self.keys: dict[tuple[Entity, str], Key] = {}

    def label(self, row: Row) -> None:
        for entity in (Entity.CARD, Entity.MERCHANT):
            key = self.keys.setdefault((entity, row[entity.key]), Key())
            for event in key.kept:
                same = event.row["transaction_id"] == row["transaction_id"]
                if same and event.time == ms(row["transaction_time"]):
                    event.fraud = row["verdict"] == "fraud"

    def transaction(self, row: Row) -> dict[str, float | bool | None] | None:
        """The features and `exact_*` of a transaction; None for a duplicate."""
        event = Event(row, unusual=False)
        card = self.keys.setdefault((Entity.CARD, row["card_token"]), Key())
        if any(
            e.row["transaction_id"] == row["transaction_id"] and event.time - DAY_MS < e.time <= event.time + DAY_MS
            for e in card.kept
        ):
            return None
        z = robust_z(card.all, event.amount)
        event.unusual = z is not None and z > UNUSUAL_Z
        event.high = z is not None and z > USUAL_Z
        values: dict[str, float | bool | None] = {
            f.name: transaction_value(f.value, event) for f in CATALOGUE if f.entity is Entity.TRANSACTION
        }
        for entity in KEYED_ENTITIES:
            if entity not in self.most or row[entity.key] is None:
                values |= {f"exact_{entity}": None} | {f.name: None for f in CATALOGUE if f.entity is entity}
                continue
            key = self.keys.setdefault((entity, row[entity.key]), Key())
            horizon = max(f.window_ms + f.delay_ms for f in CATALOGUE if f.entity is entity and windowed(f))
            values[f"exact_{entity}"] = key.dropped_until <= event.time - horizon
            values |= {f.name: value_of(f, key, event) for f in CATALOGUE if f.entity is entity}
            remembered = Event(row, event.unusual, event.high)
            key.all.append(remembered)
            bisect.insort_right(key.kept, remembered, key=lambda e: e.time)
            newest = key.kept[-1].time
            while len(key.kept) > self.most[entity] or key.kept[0].time <= newest - horizon - self.lateness_ms:
                key.dropped_until = max(key.dropped_until, key.kept.pop(0).time)
        return values


def windowed(feature: Feature) -> bool:
    return feature.aggregate <= Aggregate.SINCE_FRAUD_NORMAL


def transaction_value(name: str, event: Event) -> float | None:
    row, time = event.row, ms(event.row["event_time"])
    home = (row["home_lat"], row["home_lon"])
    value: dict[str, Callable[[], float | None]] = {
        "amount": lambda: row["billing_amount_minor"] / 100,
        "hour": lambda: time % DAY_MS / 3_600_000,
        "is_night": lambda: float(row["event_time"].hour < 7),
        "is_weekend": lambda: float(row["event_time"].weekday() >= 5),
        "is_ecommerce": lambda: float(row["channel"] == "ecommerce"),
        "is_atm": lambda: float(row["channel"] == "atm"),
        "is_magstripe": lambda: float(row["entry_mode"] == "magstripe"),
        "is_cross_border": lambda: float(row["merchant_country"] != row["issuer_country"]),
        "distance_home_km": lambda: distance_km(home, event.place) if event.place and home[0] is not None else None,
    }
    return value[name]()


def value_of(feature: Feature, key: Key, event: Event) -> float | None:
    """One feature of an entity at an event that is not yet part of its history."""
    end = event.time - feature.delay_ms
    window = [e for e in key.kept if end - feature.window_ms < e.time <= end]
    amounts = [e.amount for e in window]
    past = [e for e in key.all if e.amount > 0]
    match feature.aggregate:
        case Aggregate.COUNT:
            return len(window)
        case Aggregate.SUM:
            return sum(amounts) / 100
        case Aggregate.MEAN:
            return sum(amounts) / 100 / len(window) if window else None
        case Aggregate.STD:
            if len(window) < 2:
                return None
            mean = sum(amounts) / len(amounts)
            return math.sqrt(sum((a - mean) ** 2 for a in amounts) / len(amounts)) / 100
        case Aggregate.MAX:
            return max(amounts) / 100 if amounts else None
        case Aggregate.DISTINCT:
            return len({e.value(feature.input, feature.entity) for e in window} - {None})
        case Aggregate.IS_NEW:
            mine = event.value(feature.input, feature.entity)
            return None if mine is None else float(all(e.value(feature.input, feature.entity) != mine for e in window))
        case Aggregate.FLAGGED | Aggregate.FLAGGED_SHARE:
            flagged = sum(
                {Flag.DECLINED: e.declined, Flag.UNUSUAL: e.unusual, Flag.FRAUD: e.fraud}[feature.flag] for e in window
            )
            if feature.aggregate is Aggregate.FLAGGED:
                return flagged
            return flagged / len(window) if window else None
        case Aggregate.FRAUD_NORMAL_SHARE:
            return sum(e.fraud and not e.high for e in window) / len(window) if window else None
        case Aggregate.SINCE_FLAGGED:
            assert feature.flag is Flag.UNUSUAL
            return since([e for e in window if e.unusual], event)
        case Aggregate.SINCE_FRAUD_NORMAL:
            return since([e for e in window if e.fraud and not e.high], event)
        case Aggregate.AMOUNT_RATIO:
            return event.amount * len(window) / sum(amounts) if sum(amounts) else None
        case Aggregate.SINCE_LAST:
            return since([e for e in key.kept if e.time <= event.time], event)
        case Aggregate.DECAYED_COUNT | Aggregate.DECAYED_SUM | Aggregate.DECAYED_UNUSUAL:
            now = max([event.time, *(e.time for e in key.all)])
            return math.fsum(
                weight(feature.aggregate, e) * 0.5 ** ((now - e.time) / feature.window_ms) for e in key.all
            )
        case Aggregate.LOG_Z:
            logs = [math.log(e.amount + 1.0) for e in past]
            if len(logs) < LEAST_HISTORY or event.amount <= 0:
                return None
            mean = math.fsum(logs) / len(logs)
            deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1))
            return (math.log(event.amount + 1.0) - mean) / max(deviation, LEAST_SPREAD)
        case Aggregate.ROBUST_Z:
            return robust_z(key.all, event.amount)
        case Aggregate.UNUSUAL:
            z = robust_z(key.all, event.amount)
            return float(z is not None and z > UNUSUAL_Z)
        case Aggregate.HOUR_DEVIATION:
            if len(past) < LEAST_HISTORY:
                return None
            usual = math.atan2(
                math.fsum(math.sin(angle(e.time)) for e in past), math.fsum(math.cos(angle(e.time)) for e in past)
            )
            apart = abs(angle(event.time) - usual) % (2 * math.pi)
            return min(apart, 2 * math.pi - apart) * 12 / math.pi
        case Aggregate.WEEKDAY_DEVIATION:
            if len(past) < LEAST_HISTORY:
                return None
            days = [weekday(e.time) / 7 * 2 * math.pi for e in past]
            north, east = math.fsum(map(math.sin, days)), math.fsum(map(math.cos, days))
            if math.hypot(north, east) < 1e-6 * len(past):
                return None
            apart = abs(weekday(event.time) - math.atan2(north, east) * 7 / (2 * math.pi)) % 7
            return min(apart, 7 - apart)
        case Aggregate.DISTANCE_LAST | Aggregate.SPEED:
            present = [e for e in key.all if e.place]
            if not present or not event.place:
                return None
            last = max(reversed(present), key=lambda e: e.time)
            assert last.place is not None
            km = distance_km(last.place, event.place)
            hours = max(abs(event.time - last.time) / 3_600_000, 1 / 60)
            return km if feature.aggregate is Aggregate.DISTANCE_LAST else km / hours
    raise NotImplementedError(feature.aggregate)


def since(earlier: list[Event], event: Event) -> float | None:
    return (event.time - max(e.time for e in earlier)) / 1000 if earlier else None


def weight(aggregate: Aggregate, event: Event) -> float:
    if aggregate is Aggregate.DECAYED_COUNT:
        return 1.0
    return event.amount / 100 if aggregate is Aggregate.DECAYED_SUM else float(event.unusual)


def fold(rows: Iterable[tuple[str, Row]], most: Mapping[Entity, int]) -> list[dict[str, float | bool | None] | None]:
    """The values of the transactions among rows of ("transaction" or "label", row), in order."""
    oracle = Oracle(most)
    values = []
    for kind, row in rows:
        if kind == "label":
            oracle.label(row)
        else:
            values.append(oracle.transaction(row))
    return values
