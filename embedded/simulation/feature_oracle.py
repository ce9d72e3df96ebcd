"""The features once more, as plainly as they can be written: lists, loops and no state but what has happened.

Every transaction's values follow from the whole list of what arrived before it. Slow on purpose.
"""

from __future__ import annotations

import bisect
import datetime as dt
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fraud.entities import CARD, ENTITIES, MERCHANT, TRANSACTION, Entity
from fraud.features import aggregates
from fraud.features.aggregates import Aggregate, Shape
from fraud.features.catalogue import (
    CATALOGUE,
    DAY_MS,
    Feature,
)
from fraud.features.kernel.layout import UNUSUAL_Z, USUAL_Z, Flag, Input

MIN_HISTORY = 5
MIN_SPREAD = 0.1
BINS = 64
COLUMN = {
    Input.COUNTRY: "merchant_country",
    Input.DEVICE: "device_id",
    Input.MCC: "mcc",
    Input.CHANNEL: "channel",
}

LABELLED_BY = ("transaction_id", "card_token", "merchant_id")

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
    arrival: int = field(init=False)
    amount: int = field(init=False)

    def __post_init__(self) -> None:
        self.time = ms(self.row["event_time"])
        recorded = self.row.get("recorded_arrival")
        self.arrival = self.row["arrival_ms"] if recorded is None else ms(recorded)
        self.amount = self.row["billing_amount_minor"] if self.payment else 0

    @property
    def money_back(self) -> bool:
        return self.row["transaction_type"] in ("refund", "reversal", "void")

    @property
    def payment(self) -> bool:
        return self.row["transaction_type"] in ("purchase", "withdrawal") and self.row["billing_amount_minor"] > 0

    @property
    def check(self) -> bool:
        return not self.money_back and not self.payment

    @property
    def seen(self) -> int:
        """When it was seen: nothing is ahead of its arrival."""
        return min(self.time, self.arrival)

    @property
    def declined(self) -> bool:
        return self.row["authorisation_result"] == "declined"  # type: ignore[no-any-return]

    @property
    def spent(self) -> int:
        return 0 if self.declined else self.amount

    @property
    def place(self) -> tuple[float, float] | None:
        if self.money_back or self.row["channel"] in ("ecommerce", "moto"):
            return None
        lat, lon = self.row["merchant_lat"], self.row["merchant_lon"]
        return None if lat is None or lon is None else (lat, lon)

    def value(self, column: Input, entity: Entity) -> str | None:
        if column is Input.OTHER:
            return self.row[entity.other]  # type: ignore[no-any-return]
        return self.row[COLUMN[column]]  # type: ignore[no-any-return]


Ids = tuple[str | None, ...]


def ids_of(entity: Entity, row: Row) -> Ids:
    return tuple(row[column] for column in entity.columns)


@dataclass
class Key:
    """Everything that is known of one card, merchant or the like."""

    all: list[Event] = field(default_factory=list)  # in arrival order
    kept: list[Event] = field(default_factory=list)  # by event time; equal times in arrival order
    dropped_until: float = -math.inf


@dataclass(eq=False)
class Label:
    """A label that was read and not taken yet."""

    row: Row
    waits: bool = False  # its place in arrival order is reached

    @property
    def time(self) -> int:
        return ms(self.row["transaction_time"])

    @property
    def precision_ms(self) -> int:
        return self.row["transaction_time_precision_ms"] or 1

    @property
    def arrival(self) -> int:
        recorded = self.row.get("recorded_arrival")
        return self.row["arrival_ms"] if recorded is None else ms(recorded)


def place_of(row: Row) -> tuple[int, str, str, int, int]:
    return row["arrival_ms"], row["stream"], row["shard"], int(row["sequence_number"]), row["sub_sequence"]


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
    positions = [position(e.spent) for e in past if e.spent > 0]
    if amount <= 0 or len(positions) < MIN_HISTORY:
        return None
    spread = (quantile(positions, 0.75) - quantile(positions, 0.25)) / 1.349
    return (position(amount) - quantile(positions, 0.5)) / max(spread, MIN_SPREAD * 2 / math.log(2))


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
        self.keys: dict[tuple[Entity, Ids], Key] = {}
        self.labels: list[Label] = []
        self.ended: list[Row] = []  # labels that have waited for too long
        self.last_arrival = 0

    def label(self, row: Row) -> None:
        """Reads a label, at its place in arrival order or ahead of it."""
        if MERCHANT in self.most:
            self.labels.append(Label(row))

    def settled(self, label: Label) -> bool:
        """Whether a label needs to wait no more: it was taken, or its transaction matters no more."""
        row, first, last = label.row, label.time, label.time + label.precision_ms - 1
        key = self.keys.get((MERCHANT, ids_of(MERCHANT, row)), Key())
        named = [e for e in key.kept if all(e.row[name] == row[name] for name in LABELLED_BY)]
        about = [e for e in named if e.time == first] or [e for e in named if first <= e.time <= last]
        if len({event.time for event in about}) == 1:
            for event in about:
                event.fraud = row["verdict"] == "fraud"
            return True
        return not about and (label.arrival - first >= self.reach_of(MERCHANT) or last <= key.dropped_until)

    def reach_of(self, entity: Entity) -> int:
        """How long an event can lie in a window of what may still come."""
        return max(f.window_ms + f.delay_ms for f in CATALOGUE if f.entity is entity and windowed(f)) + self.lateness_ms

    def labels_before(self, row: Row, arrival: int) -> None:
        """Takes the labels whose place comes before a transaction, and ends those that have waited long enough."""
        clock, self.last_arrival = min(self.last_arrival, arrival), arrival
        for label in sorted(self.labels, key=lambda label: place_of(label.row)):
            if not label.waits and place_of(label.row) < place_of(row):
                label.waits = True
                if self.settled(label):
                    self.labels.remove(label)
        over = [
            label
            for label in self.labels
            if label.waits and clock >= min(label.time, label.arrival) + self.reach_of(MERCHANT)
        ]
        self.labels = [label for label in self.labels if label not in over]
        self.ended += [label.row for label in over]

    def labels_behind(self, row: Row) -> None:
        """Takes the labels that have waited for a transaction."""
        for label in sorted(self.labels, key=lambda label: place_of(label.row)):
            in_time = label.time <= ms(row["event_time"]) < label.time + label.precision_ms
            named = all(label.row[name] == row[name] for name in LABELLED_BY)
            if label.waits and in_time and named and self.settled(label):
                self.labels.remove(label)

    def fold(self, rows: Iterable[tuple[str, Row]]) -> list[dict[str, float | bool | None] | None]:
        """The values of the transactions among rows of ("transaction" or "label", row), in order."""
        values = []
        for kind, row in rows:
            if kind == "label":
                self.label(row)
            else:
                values.append(self.transaction(row))
        return values

    def transaction(self, row: Row) -> dict[str, float | bool | None] | None:
        """The features and `exact_*` of a transaction; None for a duplicate."""
        event = Event(row, unusual=False)
        card = self.keys.setdefault((CARD, (row["card_token"],)), Key())
        if any(
            e.row["transaction_id"] == row["transaction_id"]
            and (abs(event.arrival - e.arrival) < DAY_MS or e.time == event.time)
            for e in card.kept
        ):
            return None
        self.labels_before(row, event.arrival)
        z = robust_z(card.all, event.amount)
        event.unusual = z is not None and z > UNUSUAL_Z
        event.high = z is not None and z > USUAL_Z
        values: dict[str, float | bool | None] = {
            f.name: not_too_small(transaction_value(f.value, event)) for f in CATALOGUE if f.entity is TRANSACTION
        }
        for entity in ENTITIES:
            ids = ids_of(entity, row)
            if entity not in self.most or None in ids:
                values |= {f"exact_{entity}": None} | {f.name: None for f in CATALOGUE if f.entity is entity}
                continue
            key = self.keys.setdefault((entity, ids), Key())
            horizon = max(f.window_ms + f.delay_ms for f in CATALOGUE if f.entity is entity and windowed(f))
            values[f"exact_{entity}"] = key.dropped_until <= event.time - horizon
            values |= {f.name: not_too_small(value_of(f, key, event)) for f in CATALOGUE if f.entity is entity}
            remembered = Event(row, event.unusual, event.high)
            key.all.append(remembered)
            bisect.insort_right(key.kept, remembered, key=lambda e: e.time)
            while len(key.kept) > self.most[entity] or self.is_past(key.kept, entity, event.arrival, horizon):
                key.dropped_until = max(key.dropped_until, key.kept.pop(0).time)
        self.labels_behind(row)
        return values

    def is_past(self, kept: list[Event], entity: Entity, arrival: int, horizon: int) -> bool:
        """Whether the oldest event lies in no window of what may still come, and repeats nothing."""
        if not kept or kept[0].time > arrival - horizon - self.lateness_ms:
            return False
        return entity is not CARD or kept[0].arrival <= arrival - DAY_MS


def not_too_small(value: float | None) -> float | None:
    return 0.0 if value is not None and abs(value) < 2**-126 else value


def windowed(feature: Feature) -> bool:
    return feature.aggregate.shape is Shape.WINDOW


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
        "is_contactless": lambda: float(row["entry_mode"] == "contactless"),
        "is_keyed": lambda: float(row["entry_mode"] == "manual"),
        "is_on_file": lambda: float(row["entry_mode"] == "credential_on_file"),
        "is_merchant_initiated": lambda: float(row["initiation"] in ("recurring", "merchant")),
        "cvv_mismatch": lambda: mismatch(row["cvv_result"]),
        "avs_mismatch": lambda: mismatch(row["avs_result"]),
        "three_ds_doubt": lambda: three_ds_doubt(row["three_ds_result"]),
        "is_wrong_data": lambda: float(row["response_code"] in ("14", "54", "55", "82", "N7")),
        "is_over_limit": lambda: float(row["response_code"] in ("51", "61", "65")),
        "mcc_risk": lambda: {"5732": 2.0, "7995": 3.0, "6011": 1.0}.get(row["mcc"], 0.0),
        "is_money_back": lambda: float(event.money_back),
        "is_account_check": lambda: float(event.check),
        "is_declined": lambda: float(event.declined),
        "distance_home_km": lambda: distance_km(home, event.place) if event.place and None not in home else None,
    }
    return value[name]()


def mismatch(result: str | None) -> float | None:
    if result is None or result == "unavailable":
        return None
    return 1.0 if result == "no_match" else 0.5 if result == "partial" else 0.0


def three_ds_doubt(result: str | None) -> float | None:
    return None if result is None else ["authenticated", "attempted", "not_enrolled", "failed"].index(result) / 3


def value_of(feature: Feature, key: Key, event: Event) -> float | None:
    """One feature of an entity at an event that is not yet part of its history."""
    end = event.time - feature.delay_ms
    window = [e for e in key.kept if end - feature.window_ms < e.time <= end]
    payments = [e for e in window if e.payment]
    amounts = [e.spent for e in window if e.spent > 0]
    past = [e for e in key.all if e.spent > 0]
    match feature.aggregate:
        case aggregates.COUNT:
            return len(payments)
        case aggregates.SUM:
            return sum(amounts) / 100
        case aggregates.MEAN:
            return sum(amounts) / 100 / len(amounts) if amounts else None
        case aggregates.STD:
            if len(amounts) < 2:
                return None
            mean = sum(amounts) / len(amounts)
            return math.sqrt(sum((a - mean) ** 2 for a in amounts) / len(amounts)) / 100
        case aggregates.MAX:
            return max(amounts) / 100 if amounts else None
        case aggregates.DISTINCT:
            return len({e.value(feature.input, feature.entity) for e in payments} - {None})
        case aggregates.IS_NEW:
            mine = event.value(feature.input, feature.entity)
            paid = [e.value(feature.input, feature.entity) for e in window if e.spent > 0]
            return None if mine is None else float(mine not in paid)
        case aggregates.FLAGGED | aggregates.FLAGGED_SHARE:
            flagged = sum(
                {
                    Flag.DECLINED: e.declined and not e.money_back,
                    Flag.UNUSUAL: e.unusual and e.payment,
                    Flag.FRAUD: e.fraud and e.payment,
                    Flag.MONEY_BACK: e.money_back,
                    Flag.CHECK: e.check,
                }[feature.flag]
                for e in window
            )
            if feature.aggregate is aggregates.FLAGGED:
                return flagged
            return flagged / len(payments) if payments else None
        case aggregates.FRAUD_NORMAL_SHARE:
            return sum(e.fraud and not e.high for e in payments) / len(payments) if payments else None
        case aggregates.SINCE_FLAGGED:
            assert feature.flag is Flag.UNUSUAL
            return since([e for e in payments if e.unusual], event)
        case aggregates.SINCE_FRAUD_NORMAL:
            return since([e for e in payments if e.fraud and not e.high], event)
        case aggregates.AMOUNT_RATIO:
            return event.amount * len(amounts) / sum(amounts) if amounts and event.payment else None
        case aggregates.SINCE_LAST:
            return since([e for e in key.kept if e.time <= event.time and e.payment], event)
        case aggregates.DECAYED_COUNT | aggregates.DECAYED_SUM | aggregates.DECAYED_UNUSUAL:
            return decayed(feature, [*key.all, event])
        case aggregates.OBSERVED:
            first = key.all[0].arrival if key.all else event.arrival
            return max(0, event.arrival - first) / DAY_MS
        case aggregates.LOG_Z:
            logs = [math.log(e.spent + 1.0) for e in past]
            if len(logs) < MIN_HISTORY or event.amount <= 0:
                return None
            mean = math.fsum(logs) / len(logs)
            deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1))
            return (math.log(event.amount + 1.0) - mean) / max(deviation, MIN_SPREAD)
        case aggregates.ROBUST_Z:
            return robust_z(key.all, event.amount)
        case aggregates.UNUSUAL:
            z = robust_z(key.all, event.amount)
            return float(z is not None and z > UNUSUAL_Z)
        case aggregates.HOUR_DEVIATION:
            if len(past) < MIN_HISTORY:
                return None
            usual = math.atan2(
                math.fsum(math.sin(angle(e.time)) for e in past), math.fsum(math.cos(angle(e.time)) for e in past)
            )
            apart = abs(angle(event.time) - usual) % (2 * math.pi)
            return min(apart, 2 * math.pi - apart) * 12 / math.pi
        case aggregates.WEEKDAY_DEVIATION:
            if len(past) < MIN_HISTORY:
                return None
            days = [weekday(e.time) / 7 * 2 * math.pi for e in past]
            north, east = math.fsum(map(math.sin, days)), math.fsum(map(math.cos, days))
            if math.hypot(north, east) < 1e-6 * len(past):
                return None
            apart = abs(weekday(event.time) - math.atan2(north, east) * 7 / (2 * math.pi)) % 7
            return min(apart, 7 - apart)
        case aggregates.DISTANCE_LAST | aggregates.SPEED:
            present = [e for e in key.all if e.place]
            if not present or not event.place:
                return None
            last = max(reversed(present), key=lambda e: e.seen)
            assert last.place is not None
            km = distance_km(last.place, event.place)
            hours = max(abs(event.time - last.seen) / 3_600_000, 1 / 60)
            return km if feature.aggregate is aggregates.DISTANCE_LAST else km / hours
    raise NotImplementedError(feature.aggregate)


def decayed(feature: Feature, events: list[Event]) -> float:
    """Of all events but the last: each halved with every half-life until it arrived, and with every one since."""
    halved, age = [], 0
    for earlier, later in reversed(list(itertools.pairwise(events))):
        age += max(0, later.arrival - earlier.arrival)
        halved.append(
            weight(feature.aggregate, earlier) * 0.5 ** ((age + earlier.arrival - earlier.seen) / feature.window_ms)
        )
    return math.fsum(halved)


def since(earlier: list[Event], event: Event) -> float | None:
    return (event.time - max(e.time for e in earlier)) / 1000 if earlier else None


def weight(aggregate: Aggregate, event: Event) -> float:
    if aggregate is aggregates.DECAYED_COUNT:
        return float(event.payment)
    return event.spent / 100 if aggregate is aggregates.DECAYED_SUM else float(event.unusual)


def fold(rows: Iterable[tuple[str, Row]], most: Mapping[Entity, int]) -> list[dict[str, float | bool | None] | None]:
    """The values of the transactions among rows of ("transaction" or "label", row), in order."""
    return Oracle(most).fold(rows)
