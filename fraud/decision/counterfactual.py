"""What would have been approved: the smallest change of a payment that lists, rules and model would have let pass.

One thing is changed at a time, and with it what is known to follow from it; the decision core decides each trial as any
single transaction. What follows is read off the features alone, because the history behind them is not at hand:

- amount: ratios scale exactly; deviations move by the spread that the card's month shows;
- time: windows that are over are empty, decayed sums go on decaying. The usual hour and weekday may lie before or
  after, so it must be approved either way;
- merchant: one that the card has paid before, and so of a kind and in a country that are not new to it;
- velocity: the card has rested, and so have device, address and the like where no other card was seen on them.

It is the same for features that a deployment declares. Where nothing is known to follow, they stay as they are.

Pure functions: no clock, no chance.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, product
from typing import NamedTuple

from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.record import Outcome
from fraud.decision.scorer import Scorer
from fraud.decision.single import outcome_of
from fraud.entities import CARD, MERCHANT, Entity
from fraud.features import Catalogue, aggregates
from fraud.features.catalogue import DAY_MS, HOUR_MS, MINUTE_MS, Feature
from fraud.features.kernel.layout import MIN_SPREAD, UNUSUAL_Z, Flag, Input
from fraud.money import format_money, minor_units
from fraud.records import Row
from fraud.wording import count_of, format_duration

_STEP = 1.25
_STEPS_DOWN, _STEPS_UP = 31, 15
"""From a thousandth of the amount to 28 times as much, in steps of a quarter."""

_HALVINGS = 7
"""Between the last amount that is not approved and the first that is: to a fifth of a percent."""

_LATER_MS = (10 * MINUTE_MS, *(hours * HOUR_MS for hours in range(1, 25)))
_RESTED_MS = {10 * MINUTE_MS: "10 minutes", HOUR_MS: "hour", DAY_MS: "24 hours"}
"""The first windows of the card that are counted, in words."""

_NIGHT_ENDS_H, _SATURDAY = 7, 5

_NULL_WHEN_EMPTY = frozenset({aggregates.MEAN, aggregates.STD, aggregates.MAX, aggregates.AMOUNT_RATIO})
_ADDS_UP = frozenset({aggregates.COUNT, aggregates.SUM, aggregates.FLAGGED})
_DECAYED = frozenset({aggregates.DECAYED_COUNT, aggregates.DECAYED_SUM, aggregates.DECAYED_UNUSUAL})
_SINCE = frozenset({aggregates.SINCE_LAST, aggregates.SINCE_FLAGGED})
_IMPLIED = (Input.OTHER, Input.MCC, Input.COUNTRY)
"""What is not new to a card at a merchant that it has paid: the merchant, its kind, its country."""

_PAYERS = (CARD.columns, ("customer_id",))
"""Columns of those to whom a merchant is not new that the card has paid before."""


class ChangeKind(enum.StrEnum):
    """What of a payment is changed."""

    AMOUNT = "amount"
    TIME = "time"
    MERCHANT = "merchant"
    VELOCITY = "velocity"


class Change(NamedTuple):
    """A change with which a payment would have been approved.

    Attributes:
        kind: what is changed.
        text: how, in words.
        score: with it; None where rules alone decide.
    """

    kind: ChangeKind
    text: str
    score: float | None


class _Trial(NamedTuple):
    """A changed payment: the change in words, and what it may then look like; each must be approved."""

    text: str
    rows: list[Row]


class _Core:
    """The decision core, asked for outcomes alone."""

    def __init__(self, scorer: Scorer, policy: CompiledPolicy) -> None:
        self._scorer = scorer
        self._policy = policy

    def approves(self, row: Row) -> bool:
        return self.ask([row])[0]

    def ask(self, rows: list[Row]) -> tuple[bool, float | None]:
        """Whether all are approved, and the highest score of those that were looked at."""
        highest: float | None = None
        for row in rows:
            outcome, score = outcome_of(row, self._scorer, self._policy)
            if score is not None:
                highest = max(score, highest or 0.0)
            if outcome is not Outcome.APPROVE:
                return False, highest
        return True, highest


class Counterfactuals:
    """What would have been approved, by the features of a catalogue.

    Args:
        catalogue: in force, declared features among the others.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        features = catalogue.features

        def of(*kinds: aggregates.Aggregate) -> list[Feature]:
            return [feature for feature in features if feature.aggregate in kinds]

        brief = [f for f in features if f.entity is not MERCHANT and not f.delay_ms and 0 < f.window_ms <= DAY_MS]
        deviations = of(aggregates.HOUR_DEVIATION, aggregates.WEEKDAY_DEVIATION, aggregates.SPEED)
        own = [f for f in features if f.value in ("hour", "is_night", "is_weekend")]
        self._adding_up = [f for f in of(*_ADDS_UP) if not f.delay_ms]
        self._of_amount = [
            *of(aggregates.AMOUNT_RATIO, aggregates.LOG_Z, aggregates.ROBUST_Z),
            *of(aggregates.UNUSUAL),  # follows from the robust deviation
        ]
        self._of_time = _each_once(own, deviations, of(*_DECAYED, *_SINCE, aggregates.OBSERVED), brief)
        self._of_rest = _each_once(self._adding_up, of(aggregates.SINCE_LAST, aggregates.DECAYED_COUNT), brief)
        self._of_place = [f.name for f in of(aggregates.IS_NEW) if _is_known_where_the_card_has_paid(f)]
        self._robust_z = {f.entity: f.name for f in of(aggregates.ROBUST_Z)}
        self._distance = {f.entity: f.name for f in of(aggregates.DISTANCE_LAST)}
        self._card_counts = {f.window_ms: f.name for f in of(aggregates.COUNT) if f.entity == CARD and not f.delay_ms}
        self._entities = [entity for entity in catalogue.entities if entity is not MERCHANT]
        self._cards_seen = {
            entity.columns: sorted(
                (f for f in of(aggregates.DISTINCT) if f.entity.columns == entity.columns and _counts_cards(f)),
                key=lambda feature: feature.window_ms,
            )
            for entity in self._entities
        }

    def nearest_approvals(self, transaction: Row, scorer: Scorer, policy: CompiledPolicy) -> list[Change]:
        """Of each kind the smallest change with which a transaction would have been approved.

        Args:
            transaction: with its features, as `fraud.decision.decide` takes it.
            scorer: as it was decided with.
            policy: likewise.

        Returns:
            At most one change a kind, in the order of `ChangeKind`; empty where no change of one thing alone would do,
            as on a block list, and where it is approved as it is.
        """
        core = _Core(scorer, policy)
        if core.approves(transaction):
            return []
        kinds = {
            ChangeKind.AMOUNT: self._amounts(transaction, policy.base_currency, core.approves),
            ChangeKind.TIME: self._times(transaction),
            ChangeKind.MERCHANT: self._merchants(transaction),
            ChangeKind.VELOCITY: self._rests(transaction),
        }
        found = []
        for kind, trials in kinds.items():
            for trial in trials:
                approved, score = core.ask(trial.rows)
                if approved:
                    found.append(Change(kind, trial.text, score))
                    break
        return found

    def _amounts(self, transaction: Row, currency: str, approves: Callable[[Row], bool]) -> Iterator[_Trial]:
        """The nearest amount that is approved, in proportion, below or above; nothing where there is none."""
        now: int = transaction["billing_amount_minor"]
        spread = _spread(transaction)

        def of(minor: int) -> Row:
            return self.with_amount(transaction, minor, currency, spread)

        refused = {-1: now, 1: now}
        for step in range(1, _STEPS_DOWN + 1) if now > 0 else ():
            for way in (-1, 1) if step <= _STEPS_UP else (-1,):
                minor = round(now * _STEP ** (way * step))
                if minor in (0, refused[way]):
                    continue
                if not approves(of(minor)):
                    refused[way] = minor
                    continue
                near, approved = refused[way], minor
                for _ in range(_HALVINGS):
                    middle = (near + approved) // 2
                    if middle in (near, approved):
                        break
                    near, approved = (near, middle) if approves(of(middle)) else (middle, approved)
                text = f"{format_money(approved, currency)} instead of {format_money(now, currency)}"
                yield _Trial(text, [of(approved)])
                return

    def with_amount(self, transaction: Row, minor: int, currency: str, spread: float) -> Row:
        """The payment with another amount.

        Args:
            transaction: as it is.
            minor: the other amount, in minor units of the base currency.
            currency: the base currency.
            spread: of the logarithm of what the card spends, taken as that of others too.
        """
        ratio = minor / transaction["billing_amount_minor"]
        amount_minor = max(1, round(transaction["amount_minor"] * ratio))
        changed = Row(transaction, amount_minor=amount_minor, billing_amount_minor=minor)
        changed["tx_amount"] = minor / minor_units(currency)
        for feature in self._of_amount:
            value = transaction.get(feature.name)
            if value is None:
                continue
            if feature.aggregate == aggregates.AMOUNT_RATIO:
                changed[feature.name] = value * ratio
            elif feature.aggregate != aggregates.UNUSUAL:
                changed[feature.name] = value + math.log(ratio) / spread
            elif deviation := self._robust_z.get(feature.entity):
                changed[feature.name] = float((changed.get(deviation) or 0.0) > UNUSUAL_Z)
        return changed

    def _times(self, transaction: Row) -> Iterator[_Trial]:
        """The same payment later on, up to a day."""
        for later_ms in _LATER_MS:
            at = transaction["event_time"] + dt.timedelta(milliseconds=later_ms)
            text = f"{format_duration(later_ms / 1000)} later, at {at.astimezone(dt.UTC):%H:%M} UTC"
            rows: list[Row] = []
            for sides in product((1, -1), (1, -1)):
                row = self.later(transaction, later_ms, sides)
                rows += [] if row in rows else [row]
            yield _Trial(text, rows)

    def later(self, transaction: Row, later_ms: int, sides: tuple[int, int] = (1, 1)) -> Row:
        """The payment later on.

        Args:
            transaction: as it is.
            later_ms: how much later.
            sides: whether the usual hour of the card, and its usual weekday, lie before it (1) or after it (-1); those
                of its customer and the like are taken to lie on the same side.
        """
        before = transaction["event_time"].astimezone(dt.UTC)
        at = before + dt.timedelta(milliseconds=later_ms)
        hours, days = later_ms / HOUR_MS, (at.date() - before.date()).days
        own = {
            "hour": (transaction.get("tx_hour") or 0.0) + hours - 24 * days,
            "is_night": float(at.hour < _NIGHT_ENDS_H),
            "is_weekend": float(at.weekday() >= _SATURDAY),
        }
        alone = self._the_cards_alone(transaction, later_ms)
        changed = Row(transaction, event_time=at)
        for feature in self._of_time:
            value = transaction.get(feature.name)
            if value is None:
                continue
            if feature.value in own:
                changed[feature.name] = own[feature.value]
            elif feature.aggregate == aggregates.HOUR_DEVIATION:
                changed[feature.name] = _apart(sides[0] * value + hours, 24)
            elif feature.aggregate == aggregates.WEEKDAY_DEVIATION:
                changed[feature.name] = _apart(sides[1] * value + days, 7)
            elif feature.aggregate == aggregates.SPEED:
                changed[feature.name] = self._slower(feature, value, transaction, hours)
            elif feature.aggregate == aggregates.OBSERVED:
                changed[feature.name] = value + later_ms / DAY_MS
            elif feature.entity in alone:
                changed[feature.name] = _aged(feature, value, later_ms)
        return changed

    def _slower(self, feature: Feature, value: float, transaction: Row, hours: float) -> float:
        """A speed with some hours more for the same distance; as it is where the distance is not known."""
        distance = self._distance.get(feature.entity)
        if distance is None or not value:
            return value
        took_h = (transaction.get(distance) or 0.0) / value
        return value * took_h / (took_h + hours)

    def _the_cards_alone(self, transaction: Row, window_ms: int) -> set[Entity]:
        """The entities whose doings in a window were this card's alone.

        That is its own, with whatever it is paired, and those where no other card was seen.
        """
        alone = set()
        for entity in self._entities:
            seen = self._cards_seen[entity.columns]
            shortest = next((feature.name for feature in seen if feature.window_ms >= window_ms), None)
            unshared = shortest is not None and (transaction.get(shortest) or 0) <= 1
            if unshared or _CARD in entity.columns:
                alone.add(entity)
        return alone

    def _merchants(self, transaction: Row) -> Iterator[_Trial]:
        """A merchant that the card has paid before, where this one is new to it."""
        if any(transaction.get(name) for name in self._of_place):
            known = {name: 0.0 for name in self._of_place if transaction.get(name) is not None}
            yield _Trial("at a merchant that this card has paid before", [Row(transaction, **known)])

    def _rests(self, transaction: Row) -> Iterator[_Trial]:
        """The card at rest before the payment: for ten minutes, an hour, a day."""
        for rested_ms, window in _RESTED_MS.items():
            changed = self.rested(transaction, rested_ms)
            if changed != transaction:
                payments = transaction.get(self._card_counts[rested_ms]) or 0
                what = count_of(payments, "payments") if payments else "attempts"
                yield _Trial(f"without the {what} of this card in the {window} before it", [changed])

    def rested(self, transaction: Row, rested_ms: int) -> Row:
        """The payment as if the card had not been used for a while before it.

        Args:
            transaction: as it is.
            rested_ms: for how long.
        """
        gone = {
            _measure(feature): transaction.get(feature.name) or 0.0
            for feature in self._adding_up
            if feature.window_ms == rested_ms
        }
        alone = self._the_cards_alone(transaction, rested_ms)
        changed = Row(transaction)
        for feature in self._of_rest:
            value = transaction.get(feature.name)
            if value is None or feature.entity not in alone:
                continue
            if feature.aggregate == aggregates.SINCE_LAST:
                changed[feature.name] = max(value, rested_ms / 1000)
            elif feature.aggregate == aggregates.DECAYED_COUNT:
                changed[feature.name] = max(value - gone.get((feature.entity, aggregates.COUNT, Flag.NONE), 0.0), 0.0)
            elif 0 < feature.window_ms <= rested_ms:
                changed[feature.name] = _emptied(feature, value)
            elif feature.aggregate in _ADDS_UP:
                changed[feature.name] = max(value - gone.get(_measure(feature), 0.0), 0.0)
        return changed


_CARD = CARD.columns[0]


def _each_once(*several: Iterable[Feature]) -> list[Feature]:
    return list(dict.fromkeys(chain.from_iterable(several)))


def _counts_cards(feature: Feature) -> bool:
    return feature.input is Input.OTHER and feature.entity.other == _CARD and not feature.delay_ms


def _is_known_where_the_card_has_paid(feature: Feature) -> bool:
    """Whether a merchant that the card has paid before, its kind or its country cannot be new by this feature."""
    of_merchant = feature.input is not Input.OTHER or feature.entity.other == MERCHANT.columns[0]
    return feature.input in _IMPLIED and of_merchant and feature.entity.columns in _PAYERS


def _spread(transaction: Row) -> float:
    """The standard deviation of the logarithm of what the card spends, taken from its month as a log-normal's."""
    mean, deviation = transaction.get("card_mean_30d"), transaction.get("card_std_30d")
    if not mean or deviation is None:
        return MIN_SPREAD
    return max(math.sqrt(math.log1p((deviation / mean) ** 2)), MIN_SPREAD)


def _apart(distance: float, around: float) -> float:
    """How far apart two points on a circle are.

    >>> _apart(-3.0, 24), _apart(13.0, 24)
    (3.0, 11.0)
    """
    rest = abs(distance) % around
    return min(rest, around - rest)


def _aged(feature: Feature, value: float, later_ms: int) -> float | None:
    """A value of the same events later on."""
    if feature.aggregate in _DECAYED:
        return value * math.pow(0.5, later_ms / feature.window_ms)
    if feature.aggregate in _SINCE:
        since = value + later_ms / 1000
        return since if feature.window_ms == 0 or since * 1000 < feature.window_ms else None
    return _emptied(feature, value) if 0 < feature.window_ms <= later_ms else value


def _emptied(feature: Feature, value: float) -> float | None:
    """A value of a window in which nothing happened."""
    if feature.aggregate in _NULL_WHEN_EMPTY:
        return None
    return 0.0 if feature.aggregate in _ADDS_UP or feature.aggregate == aggregates.DISTINCT else value


def _measure(feature: Feature) -> tuple[Entity, aggregates.Aggregate, Flag]:
    """What a feature that adds up measures, whatever its window."""
    return feature.entity, feature.aggregate, feature.flag
