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
from functools import cached_property
from typing import Any

from fraud.entities import CARD, MERCHANT, TRANSACTION, Entity
from fraud.features import aggregates
from fraud.features.aggregates import Aggregate, Shape
from fraud.features.catalogue import (
    DAY_MS,
    SHIPPED,
    Catalogue,
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


def column_of(feature: Feature, entity: Entity) -> str:
    return entity.other if feature.input is Input.OTHER else COLUMN[feature.input]


EPOCH, MILLISECOND = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.timedelta(milliseconds=1)


def ms(time: dt.datetime) -> int:
    return (time - EPOCH) // MILLISECOND


@dataclass(eq=False)
class Event:
    """One transaction of an entity, as it is remembered."""

    row: Row
    unusual: bool
    high: bool = False
    fraud: bool = False

    def __post_init__(self) -> None:
        row = self.row
        recorded = row.get("recorded_arrival")
        self.time = ms(row["event_time"])
        self.arrival: int = row["arrival_ms"] if recorded is None else ms(recorded)
        self.seen = min(self.time, self.arrival)  # nothing is ahead of its arrival
        kind, paid = row["transaction_type"], row["billing_amount_minor"]
        self.money_back = kind in ("refund", "reversal", "void")
        self.payment: bool = kind in ("purchase", "withdrawal") and paid > 0
        self.check = not self.money_back and not self.payment
        self.declined: bool = row["authorisation_result"] == "declined"
        self.amount: int = paid if self.payment else 0
        self.spent = 0 if self.declined else self.amount
        self.place = self._place()

    def _place(self) -> tuple[float, float] | None:
        if self.money_back or self.row["channel"] in ("ecommerce", "moto"):
            return None
        lat, lon = self.row["merchant_lat"], self.row["merchant_lon"]
        return None if lat is None or lon is None else (lat, lon)


Ids = tuple[str | None, ...]


def ids_of(entity: Entity, row: Row) -> Ids:
    return tuple(row[column] for column in entity.columns)


@dataclass
class Key:
    """Everything that is known of one card, merchant or the like."""

    all: list[Event] = field(default_factory=list)  # in arrival order
    kept: list[Event] = field(default_factory=list)  # by event time; equal times in arrival order
    times: list[int] = field(default_factory=list)  # of those kept
    dropped_until: float = -math.inf


@dataclass(eq=False)
class Label:
    """A label that was read and not taken yet."""

    row: Row
    group: int
    waits: bool = False  # its place in arrival order is reached

    def __post_init__(self) -> None:
        row, recorded = self.row, self.row.get("recorded_arrival")
        self.place = place_of(row)
        self.time = ms(row["transaction_time"])
        self.precision_ms: int = row["transaction_time_precision_ms"] or 1
        self.arrival: int = row["arrival_ms"] if recorded is None else ms(recorded)


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
    """Folds transactions and labels one by one.

    Args:
        most: events kept of each entity; those without an entry are switched off.
        lateness_ms: how late events may come and find their windows whole.
        group_of: the key group of a row's merchant: a label's place is reached, and its time passes, with the
            transactions of its key group.
        catalogue: of the features to compute.

    Attributes:
        features: by entity.
        horizon_ms: how long an event can lie in a window of what comes in time.
    """

    def __init__(
        self,
        most: Mapping[Entity, int],
        lateness_ms: int = DAY_MS,
        group_of: Callable[[Row], int] = lambda _: 0,
        catalogue: Catalogue = SHIPPED,
    ) -> None:
        self.features = {
            entity: [f for f in catalogue.features if f.entity == entity]
            for entity in (TRANSACTION, *catalogue.entities)
        }
        self.values = {
            entity: [(feature.name, OF_ENTITY[feature.aggregate.code], feature) for feature in self.features[entity]]
            for entity in catalogue.entities
        }
        self.horizon_ms = {
            entity: max(f.window_ms + f.delay_ms for f in self.features[entity] if f.aggregate.shape is Shape.WINDOW)
            for entity in catalogue.entities
        }
        self.most = most
        self.group_of = group_of
        self.lateness_ms = lateness_ms
        self.keys: dict[tuple[Entity, Ids], Key] = {}
        self.labels: list[Label] = []
        self.ended: list[Row] = []  # labels that have waited for too long
        self.read_labels = 0  # how many
        self.last_arrivals: dict[int, int] = {}

    def label(self, row: Row) -> None:
        """Reads a label, at its place in arrival order or ahead of it."""
        if MERCHANT in self.most:
            self.labels.append(Label(row, self.group_of(row)))
            self.read_labels += 1

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
        return self.horizon_ms[entity] + self.lateness_ms

    def labels_before(self, row: Row, arrival: int) -> None:
        """Takes the labels whose place comes before a transaction, and ends those that have waited long enough."""
        group = self.group_of(row)
        clock, self.last_arrivals[group] = min(self.last_arrivals.get(group, 0), arrival), arrival
        own = sorted((label for label in self.labels if label.group == group), key=lambda label: label.place)
        place = place_of(row)
        for label in own:
            if not label.waits and label.place < place:
                label.waits = True
                if self.settled(label):
                    self.labels.remove(label)
        over = [
            label
            for label in own
            if label in self.labels
            and label.waits
            and clock >= min(label.time, label.arrival) + self.reach_of(MERCHANT)
        ]
        self.labels = [label for label in self.labels if label not in over]
        self.ended += [label.row for label in over]

    def labels_behind(self, row: Row) -> None:
        """Takes the labels that have waited for a transaction."""
        time = ms(row["event_time"])
        about = [
            label
            for label in self.labels
            if label.waits
            and label.time <= time < label.time + label.precision_ms
            and all(label.row[name] == row[name] for name in LABELLED_BY)
        ]
        for label in sorted(about, key=lambda label: label.place):
            if self.settled(label):
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
            f.name: not_too_small(OF_TRANSACTION[f.value](event)) for f in self.features[TRANSACTION]
        }
        for entity in self.horizon_ms:
            ids = ids_of(entity, row)
            if entity not in self.most or None in ids:
                values |= {f"exact_{entity}": None} | {f.name: None for f in self.features[entity]}
                continue
            key = self.keys.setdefault((entity, ids), Key())
            horizon = self.horizon_ms[entity]
            values[f"exact_{entity}"] = key.dropped_until <= event.time - horizon
            before = Before(key, event, entity)
            values |= {name: not_too_small(value(feature, before)) for name, value, feature in self.values[entity]}
            remembered = Event(row, event.unusual, event.high)
            key.all.append(remembered)
            place = bisect.bisect_right(key.times, remembered.time)
            key.kept.insert(place, remembered)
            key.times.insert(place, remembered.time)
            while len(key.kept) > self.most[entity] or self.is_past(key.kept, entity, event.arrival, horizon):
                key.kept.pop(0)
                key.dropped_until = max(key.dropped_until, key.times.pop(0))
        self.labels_behind(row)
        return values

    def is_past(self, kept: list[Event], entity: Entity, arrival: int, horizon: int) -> bool:
        """Whether the oldest event lies in no window of what may still come, and repeats nothing."""
        if not kept or kept[0].time > arrival - horizon - self.lateness_ms:
            return False
        return entity is not CARD or kept[0].arrival <= arrival - DAY_MS


def not_too_small(value: float | None) -> float | None:
    return 0.0 if value is not None and abs(value) < 2**-126 else value


OF_TRANSACTION: Mapping[str, Callable[[Event], float | None]] = {
    "amount": lambda e: e.row["billing_amount_minor"] / 100,
    "hour": lambda e: e.time % DAY_MS / 3_600_000,
    "is_night": lambda e: float(e.row["event_time"].hour < 7),
    "is_weekend": lambda e: float(e.row["event_time"].weekday() >= 5),
    "is_ecommerce": lambda e: float(e.row["channel"] == "ecommerce"),
    "is_atm": lambda e: float(e.row["channel"] == "atm"),
    "is_magstripe": lambda e: float(e.row["entry_mode"] == "magstripe"),
    "is_cross_border": lambda e: float(e.row["merchant_country"] != e.row["issuer_country"]),
    "is_contactless": lambda e: float(e.row["entry_mode"] == "contactless"),
    "is_keyed": lambda e: float(e.row["entry_mode"] == "manual"),
    "is_on_file": lambda e: float(e.row["entry_mode"] == "credential_on_file"),
    "is_merchant_initiated": lambda e: float(e.row["initiation"] in ("recurring", "merchant")),
    "cvv_mismatch": lambda e: mismatch(e.row["cvv_result"]),
    "avs_mismatch": lambda e: mismatch(e.row["avs_result"]),
    "three_ds_doubt": lambda e: three_ds_doubt(e.row["three_ds_result"]),
    "is_wrong_data": lambda e: float(e.row["response_code"] in ("14", "54", "55", "82", "N7")),
    "is_over_limit": lambda e: float(e.row["response_code"] in ("51", "61", "65")),
    "mcc_risk": lambda e: {"5732": 2.0, "7995": 3.0, "6011": 1.0}.get(e.row["mcc"], 0.0),
    "is_money_back": lambda e: float(e.money_back),
    "is_account_check": lambda e: float(e.check),
    "is_declined": lambda e: float(e.declined),
    "distance_home_km": lambda e: from_home(e),
}
"""Features of the transaction itself, by the value that they are."""


def from_home(event: Event) -> float | None:
    home = (event.row["home_lat"], event.row["home_lon"])
    return distance_km(home, event.place) if event.place and None not in home else None


def mismatch(result: str | None) -> float | None:
    if result is None or result == "unavailable":
        return None
    return 1.0 if result == "no_match" else 0.5 if result == "partial" else 0.0


def three_ds_doubt(result: str | None) -> float | None:
    return None if result is None else ["authenticated", "attempted", "not_enrolled", "failed"].index(result) / 3


@dataclass(eq=False)
class Window:
    """The events of a window, those of them that are payments, and what was spent by each that spent."""

    events: list[Event]

    def __post_init__(self) -> None:
        self.payments = [e for e in self.events if e.payment]
        self.amounts = [e.spent for e in self.payments if e.spent > 0]
        self._flagged: dict[Flag, list[Event]] = {}

    def flagged(self, flag: Flag) -> list[Event]:
        """Those of the events that are flagged so."""
        if flag not in self._flagged:
            self._flagged[flag] = list(filter(FLAGGED[flag], self.events))
        return self._flagged[flag]


@dataclass(eq=False)
class Before:
    """What is known of an entity when an event comes that is not yet part of its history."""

    key: Key
    event: Event
    entity: Entity

    def __post_init__(self) -> None:
        self._windows: dict[tuple[int, int], Window] = {}

    def window(self, feature: Feature) -> Window:
        span = feature.window_ms, feature.delay_ms
        found = self._windows.get(span)
        if found is None:
            end, times = self.event.time - feature.delay_ms, self.key.times
            first, last = bisect.bisect_right(times, end - feature.window_ms), bisect.bisect_right(times, end)
            found = self._windows[span] = Window(self.key.kept[first:last])
        return found

    @cached_property
    def past(self) -> list[Event]:
        """Everything that was spent by."""
        return [e for e in self.key.all if e.spent > 0]

    @cached_property
    def aged(self) -> list[tuple[Event, int]]:
        """Everything, the last first, with how long it was under way and how long ago it arrived, together."""
        found, age = [], 0
        for earlier, later in reversed(list(itertools.pairwise([*self.key.all, self.event]))):
            age += max(0, later.arrival - earlier.arrival)
            found.append((earlier, age + earlier.arrival - earlier.seen))
        return found

    @cached_property
    def robust_z(self) -> float | None:
        return robust_z(self.key.all, self.event.amount)


def mean_of(window: Window) -> float | None:
    return sum(window.amounts) / 100 / len(window.amounts) if window.amounts else None


def std_of(window: Window) -> float | None:
    amounts = window.amounts
    if len(amounts) < 2:
        return None
    mean = sum(amounts) / len(amounts)
    return math.sqrt(sum((a - mean) ** 2 for a in amounts) / len(amounts)) / 100


def distinct(feature: Feature, before: Before) -> float:
    column = column_of(feature, before.entity)
    return len({e.row[column] for e in before.window(feature).payments} - {None})


def is_new(feature: Feature, before: Before) -> float | None:
    column = column_of(feature, before.entity)
    mine = before.event.row[column]
    paid = [e.row[column] for e in before.window(feature).payments if e.spent > 0]
    return None if mine is None else float(mine not in paid)


FLAGGED: Mapping[Flag, Callable[[Event], bool]] = {
    Flag.DECLINED: lambda e: e.declined and not e.money_back,
    Flag.UNUSUAL: lambda e: e.unusual and e.payment,
    Flag.FRAUD: lambda e: e.fraud and e.payment,
    Flag.MONEY_BACK: lambda e: e.money_back,
    Flag.CHECK: lambda e: e.check,
}


def share_of_payments(count: int, window: Window) -> float | None:
    return count / len(window.payments) if window.payments else None


def flagged_events(feature: Feature, before: Before) -> list[Event]:
    return before.window(feature).flagged(feature.flag)


def flagged(feature: Feature, before: Before) -> int:
    return len(flagged_events(feature, before))


def quiet_fraud(feature: Feature, before: Before) -> list[Event]:
    """Fraud of amounts that were usual."""
    return [e for e in before.window(feature).payments if e.fraud and not e.high]


def amount_ratio(feature: Feature, before: Before) -> float | None:
    amounts, event = before.window(feature).amounts, before.event
    return event.amount * len(amounts) / sum(amounts) if amounts and event.payment else None


def since_last(_: Feature, before: Before) -> float | None:
    return since([e for e in before.key.kept if e.time <= before.event.time and e.payment], before.event)


def observed(_: Feature, before: Before) -> float:
    arrival = before.event.arrival
    first = before.key.all[0].arrival if before.key.all else arrival
    return max(0, arrival - first) / DAY_MS


def log_z(_: Feature, before: Before) -> float | None:
    logs = [math.log(e.spent + 1.0) for e in before.past]
    if len(logs) < MIN_HISTORY or before.event.amount <= 0:
        return None
    mean = math.fsum(logs) / len(logs)
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1))
    return (math.log(before.event.amount + 1.0) - mean) / max(deviation, MIN_SPREAD)


def hour_deviation(_: Feature, before: Before) -> float | None:
    if len(before.past) < MIN_HISTORY:
        return None
    angles = [angle(e.time) for e in before.past]
    usual = math.atan2(math.fsum(map(math.sin, angles)), math.fsum(map(math.cos, angles)))
    apart = abs(angle(before.event.time) - usual) % (2 * math.pi)
    return min(apart, 2 * math.pi - apart) * 12 / math.pi


def weekday_deviation(_: Feature, before: Before) -> float | None:
    if len(before.past) < MIN_HISTORY:
        return None
    days = [weekday(e.time) / 7 * 2 * math.pi for e in before.past]
    north, east = math.fsum(map(math.sin, days)), math.fsum(map(math.cos, days))
    if math.hypot(north, east) < 1e-6 * len(before.past):
        return None
    apart = abs(weekday(before.event.time) - math.atan2(north, east) * 7 / (2 * math.pi)) % 7
    return min(apart, 7 - apart)


def from_last(before: Before) -> tuple[float, float] | None:
    """Kilometres from where it was last seen, and hours since."""
    event, present = before.event, [e for e in before.key.all if e.place]
    if not present or not event.place:
        return None
    last = max(reversed(present), key=lambda e: e.seen)
    assert last.place is not None
    return distance_km(last.place, event.place), max(abs(event.time - last.seen) / 3_600_000, 1 / 60)


def speed(_: Feature, before: Before) -> float | None:
    found = from_last(before)
    return None if found is None else found[0] / found[1]


def distance_last(_: Feature, before: Before) -> float | None:
    found = from_last(before)
    return None if found is None else found[0]


def decayed(feature: Feature, before: Before) -> float:
    """Of everything before: each halved with every half-life until it arrived, and with every one since."""
    weighed = [(weight(feature.aggregate, e), age) for e, age in before.aged]
    return math.fsum(worth * 0.5 ** (age / feature.window_ms) for worth, age in weighed if worth)


OF_ENTITY: Mapping[int, Callable[[Feature, Before], float | None]] = {
    aggregate.code: value
    for aggregate, value in (
        (aggregates.COUNT, lambda f, b: len(b.window(f).payments)),
        (aggregates.SUM, lambda f, b: sum(b.window(f).amounts) / 100),
        (aggregates.MEAN, lambda f, b: mean_of(b.window(f))),
        (aggregates.STD, lambda f, b: std_of(b.window(f))),
        (aggregates.MAX, lambda f, b: max(b.window(f).amounts) / 100 if b.window(f).amounts else None),
        (aggregates.DISTINCT, distinct),
        (aggregates.IS_NEW, is_new),
        (aggregates.FLAGGED, flagged),
        (aggregates.FLAGGED_SHARE, lambda f, b: share_of_payments(flagged(f, b), b.window(f))),
        (aggregates.FRAUD_NORMAL_SHARE, lambda f, b: share_of_payments(len(quiet_fraud(f, b)), b.window(f))),
        (aggregates.SINCE_FLAGGED, lambda f, b: since(flagged_events(f, b), b.event)),
        (aggregates.SINCE_FRAUD_NORMAL, lambda f, b: since(quiet_fraud(f, b), b.event)),
        (aggregates.AMOUNT_RATIO, amount_ratio),
        (aggregates.SINCE_LAST, since_last),
        (aggregates.DECAYED_COUNT, decayed),
        (aggregates.DECAYED_SUM, decayed),
        (aggregates.DECAYED_UNUSUAL, decayed),
        (aggregates.OBSERVED, observed),
        (aggregates.LOG_Z, log_z),
        (aggregates.ROBUST_Z, lambda _, b: b.robust_z),
        (aggregates.UNUSUAL, lambda _, b: float(b.robust_z is not None and b.robust_z > UNUSUAL_Z)),
        (aggregates.HOUR_DEVIATION, hour_deviation),
        (aggregates.WEEKDAY_DEVIATION, weekday_deviation),
        (aggregates.DISTANCE_LAST, distance_last),
        (aggregates.SPEED, speed),
    )
}
"""Features of an entity, by the code of their aggregate."""


def since(earlier: list[Event], event: Event) -> float | None:
    return (event.time - max(e.time for e in earlier)) / 1000 if earlier else None


def weight(aggregate: Aggregate, event: Event) -> float:
    if aggregate is aggregates.DECAYED_COUNT:
        return float(event.payment)
    return event.spent / 100 if aggregate is aggregates.DECAYED_SUM else float(event.unusual)


def fold(
    rows: Iterable[tuple[str, Row]], most: Mapping[Entity, int], catalogue: Catalogue = SHIPPED
) -> list[dict[str, float | bool | None] | None]:
    """The values of the transactions among rows of ("transaction" or "label", row), in order."""
    return Oracle(most, catalogue=catalogue).fold(rows)
