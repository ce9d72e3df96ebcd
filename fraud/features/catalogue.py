"""The catalogue of behavioural features: kernels, schema, documentation and model input derive from its entries.

The shipped entries are the rows of `catalogue.yaml` beside this module; a deployment declares others in the same form.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from fraud.decision.record import decision_schema
from fraud.declared import Declared, FeatureRow
from fraud.documents import parse_yaml
from fraud.entities import ENTITIES, LEAST_EVENTS, MERCHANT, MOST_EVENTS, TRANSACTION, Entity
from fraud.errors import MisconfiguredError
from fraud.features import aggregates
from fraud.features.aggregates import MONEY, Aggregate, Reads, Shape
from fraud.features.kernel.layout import (
    BINS,
    DECAYED,
    KERNEL_VERSION,
    MIN_HISTORY,
    MIN_SPREAD,
    UNUSUAL_Z,
    USUAL_Z,
    Flag,
    Input,
)
from fraud.records.arrival import DUPLICATE_HORIZON_MS
from fraud.records.schema import literals
from fraud.records.transaction import TRANSACTION_SCHEMA, Transaction
from fraud.settings import Settings

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


LATENESS_MS = DAY_MS
"""How late an event may arrive and still find its longest window whole."""


@dataclass(frozen=True)
class Feature:
    """One entry of the catalogue.

    Attributes:
        name: column name, unique.
        entity: whose behaviour.
        aggregate: what is computed.
        unit: of the value; what it counts, in the plural, where the aggregate has none of its own.
        why: what it says about fraud.
        window_ms: length of the window, or half-life; 0 where neither applies.
        input: the attribute of events whose values DISTINCT and IS_NEW compare.
        flag: the flag that FLAGGED and FLAGGED_SHARE count and SINCE_FLAGGED looks for.
        delay_ms: how far the window ends before the event: for labels, which come late.
        value: which value of the transaction, for VALUE.
    """

    name: str
    entity: Entity
    aggregate: Aggregate
    unit: str
    why: str
    window_ms: int = 0
    input: Input = Input.NONE
    flag: Flag = Flag.NONE
    delay_ms: int = 0
    value: str = ""

    def __post_init__(self) -> None:
        if self.aggregate.shape is not Shape.VALUE and self.is_money is not self.aggregate.is_money:
            raise ValueError(f"{self.name}: unit {self.unit!r} for an aggregate {self.aggregate.name!r}")

    @property
    def is_money(self) -> bool:
        """Whether its values are amounts, in major units."""
        return self.unit == MONEY

    @cached_property
    def reads_labels(self) -> bool:
        """Whether its values depend on labels."""
        return bool(self.flag & Flag.FRAUD) or self.aggregate.reads_labels


_UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


def window_ms(text: str) -> int:
    """The length of a window as names of features write it: a whole number of minutes, hours or days.

    Raises:
        ValueError: it is not written so, or empty.

    >>> window_ms("90m"), window_ms("6h"), window_ms("3d")
    (5400000, 21600000, 259200000)
    """
    number, unit = text[:-1], text[-1:]
    if not (_WHOLE.fullmatch(number) and int(number) and unit in _UNITS_MS):
        raise ValueError(f"no window {text[:40]!r}: write a number of minutes, hours or days, such as 10m, 6h or 30d")
    return int(number) * _UNITS_MS[unit]


_WHOLE = re.compile("[0-9]{1,9}")


LABEL_DELAY_MS = 7 * DAY_MS
"""Age from which a transaction without a fraud label counts as good."""


_AGGREGATES = {aggregate.name: aggregate for aggregate in aggregates.AGGREGATES}
_INPUTS = {value.name.lower(): value for value in Input if value is not Input.NONE}
_FLAGS = {name: Flag[name.upper()] for name in ("declined", "unusual", "fraud", "money_back", "check")}
_PREFIXES = {TRANSACTION: "tx"}
"""Of names of features, where it is not the entity's own."""


class DeclarationError(ValueError):
    """A row that does not hold.

    Attributes:
        place: the way to what is at fault, as in `("features", 3, "windows")`.
    """

    def __init__(self, place: tuple[str | int, ...], problem: str) -> None:
        super().__init__(problem)
        self.place = place


def _features(row: FeatureRow, entity: Entity) -> Iterator[Feature]:
    """What a row stands for: a feature for each of its windows.

    Raises:
        DeclarationError: with the key of the row that is at fault.
    """
    aggregate = _one_of(_AGGREGATES, row.aggregate, "aggregate")
    name = f"{_PREFIXES.get(entity, entity.name)}_{row.name}"
    windows = [(f"{name}_{text}", _length(text, "windows")) for text in row.windows.split()]
    if row.window or not windows:
        windows.append((name, _length(row.window, "window") if row.window else 0))
    unit = _unit(row, entity, aggregate)
    for column, length in windows:
        yield Feature(
            column,
            entity,
            aggregate,
            unit,
            row.why,
            window_ms=length,
            input=_one_of(_INPUTS, row.input, "input") if row.input else Input.NONE,
            flag=_one_of(_FLAGS, row.flag, "flag") if row.flag else Flag.NONE,
            delay_ms=_length(row.delay, "delay") if row.delay else 0,
            value=row.name if aggregate.shape is Shape.VALUE else "",
        )


def _unit(row: FeatureRow, entity: Entity, aggregate: Aggregate) -> str:
    """That of the aggregate, or else what is counted: as the row says, or as it follows from what the row counts."""
    if aggregate.unit:
        if row.unit not in ("", aggregate.unit):
            values = "amounts" if aggregate.is_money else f"values in {aggregate.unit}"
            raise DeclarationError(("unit",), f"{row.unit[:40]!r} for {values}: leave it out")
        return aggregate.unit
    if row.unit:
        return row.unit
    if aggregate is aggregates.DISTINCT:
        return entity.others.replace("_", " ") if row.input == "other" else _DIFFERENT.get(row.input, "")
    return _FLAGGED.get(row.flag, "") if aggregate is aggregates.FLAGGED else "payments"


_DIFFERENT = {"country": "countries", "device": "devices", "mcc": "merchant categories", "channel": "channels"}
"""What DISTINCT counts of an input other than `other`."""

_FLAGGED = {
    "declined": "declines",
    "unusual": "unusual payments",
    "fraud": "frauds",
    "money_back": "refunds, reversals and voids",
    "check": "account checks",
}
"""What FLAGGED counts of a flag."""


ValueT = TypeVar("ValueT")


def _one_of(known: Mapping[str, ValueT], name: str, key: str) -> ValueT:
    if name not in known:
        raise DeclarationError((key,), f"there is no {name[:40]!r}; write one of {', '.join(known)}")
    return known[name]


def _length(text: str, key: str) -> int:
    try:
        return window_ms(text)
    except ValueError as error:
        raise DeclarationError((key,), str(error)) from None


def _velocity(entity: Entity) -> Iterator[FeatureRow]:
    """The features that every entity can have, as its row says."""
    velocity = entity.velocity
    if velocity is None:
        return
    row = partial(FeatureRow, entity.name, windows=velocity.windows)
    yield row("count", "count", why=velocity.count)
    yield row("sum", "sum", why=velocity.sum)
    yield row(entity.others.replace(" ", "_"), "distinct", input="other", why=velocity.others)
    yield row("declines", "flagged", flag="declined", why=velocity.declines)
    yield row("checks", "flagged", flag="check", why=velocity.checks)


def _observed(entity: Entity) -> FeatureRow:
    """How much history the features of an entity stand on."""
    name, why = entity.observed_column.removeprefix(f"{entity}_"), "new is not suspicious: it has no habits to break"
    return FeatureRow(entity.name, name, "observed", why=why)


def definition_hash(features: Iterable[Feature]) -> str:
    """First 16 hexadecimal digits of a SHA-256 over everything that determines the values, in order.

    That is the entries, and the constants that all entries share.
    """
    shared = (KERNEL_VERSION, UNUSUAL_Z, USUAL_Z, MIN_HISTORY, MIN_SPREAD, BINS, LATENESS_MS, DUPLICATE_HORIZON_MS)
    definitions = [
        (f.name, f.entity.name, f.aggregate.code, f.window_ms, int(f.input), int(f.flag), f.delay_ms, f.value)
        for f in features
    ]
    return hashlib.sha256(repr((shared, definitions)).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Features, and the entities that they are of.

    Attributes:
        entities: those with state, in the order in which they are folded.
        features: every feature, in the order of model input.
    """

    entities: tuple[Entity, ...]
    features: tuple[Feature, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the features."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def fields(self) -> tuple[pa.Field, ...]:
        """The columns of features, null where a value is undefined."""
        return tuple(pa.field(name, pa.float64()) for name in self.names)

    @cached_property
    def exact_fields(self) -> tuple[pa.Field, ...]:
        """Per entity: whether its windows saw every transaction that belongs in them; null without the entity."""
        return tuple(pa.field(entity.exact_column, pa.bool_()) for entity in self.entities)

    @cached_property
    def columns(self) -> tuple[pa.Field, ...]:
        """All columns that the features' path adds."""
        return (*self.fields, *self.exact_fields)

    @cached_property
    def no_values(self) -> dict[str, None]:
        """A row of these columns without values."""
        return dict.fromkeys(field.name for field in self.columns)

    @cached_property
    def hash(self) -> str:
        """See `definition_hash`."""
        return definition_hash(self.features)

    def features_of(self, *entities: Entity) -> tuple[Feature, ...]:
        """The entries of entities, in catalogue order."""
        if entities not in self._of:
            self._of[entities] = tuple(feature for feature in self.features if feature.entity in entities)
        return self._of[entities]

    @cached_property
    def _of(self) -> dict[tuple[Entity, ...], tuple[Feature, ...]]:
        """What was asked for before: a step asks for the same again and again."""
        return {}

    def features_named(self, names: Iterable[str]) -> tuple[Feature, ...]:
        """The entries of these names, in their order.

        Raises:
            KeyError: the catalogue has no such entry.
        """
        by_name = {feature.name: feature for feature in self.features}
        return tuple(by_name[name] for name in names)


def _shipped() -> Catalogue:
    file = Path(__file__).with_name("catalogue.yaml")
    rows = [
        *Declared.model_validate(parse_yaml(file.name, file.read_text())).features,
        *(row for entity in ENTITIES for row in _velocity(entity)),
        *(_observed(entity) for entity in ENTITIES),
    ]
    known = {entity.name: entity for entity in (TRANSACTION, *ENTITIES)}
    return Catalogue(ENTITIES, tuple(feature for row in rows for feature in _features(row, known[row.entity])))


SHIPPED = _shipped()
"""The catalogue without what a deployment declares."""

CATALOGUE = SHIPPED.features
"""Every shipped feature, in the order of model input."""

FEATURE_NAMES, FEATURE_FIELDS, EXACT_FIELDS = SHIPPED.names, SHIPPED.fields, SHIPPED.exact_fields
"""Its names and columns."""

features_of, features_named = SHIPPED.features_of, SHIPPED.features_named


MAX_REACH_MS = 45 * DAY_MS
"""The longest window with its delay that may be declared: shorter than the time after which a silent key is forgotten,
whatever `job.state_expiry_days` says."""

_NAME = re.compile("[a-z][a-z0-9_]{0,39}")
_WORDS = re.compile(r"[^\W_](?:[^\W_]|[ ,.'/&()-]){0,79}")
_IDS = frozenset(field.name for field in TRANSACTION_SCHEMA if field.type == pa.string()) - {
    *literals(Transaction),
    "transaction_id",
}
"""Columns of a transaction that can identify something."""


def _entity_columns(entities: Iterable[Entity]) -> Iterator[pa.Field]:
    """The columns that every entity has, whatever its features: how far to believe them."""
    for entity in entities:
        yield pa.field(entity.observed_column, pa.float64())
        yield pa.field(entity.exact_column, pa.bool_())


@lru_cache(maxsize=8)
def catalogue_with(declared: Declared) -> Catalogue:
    """The shipped catalogue, and behind it what a deployment declares.

    Raises:
        DeclarationError: a row does not hold.
    """
    for number, entity in enumerate(declared.entities):
        with _at("entities", number):
            _check_entity(entity, [*SHIPPED.entities, *declared.entities[:number]])
    known = {entity.name: entity for entity in (*SHIPPED.entities, *declared.entities)}
    taken = {*SHIPPED.names, *decision_schema(_entity_columns(known.values())).names}
    features = list[Feature]()

    def add(row: FeatureRow) -> None:
        for feature in _checked(row, _one_of(known, row.entity, "entity")):
            if feature.name in taken:
                raise DeclarationError(("name",), f"there is a {feature.name} already: give another name or window")
            taken.add(feature.name)
            features.append(feature)

    for number, entity in enumerate(declared.entities):
        with _at("entities", number):
            _check_velocity(entity)
        for row in _velocity(entity):
            with _at("entities", number, "velocity"):
                add(row)
    for number, row in enumerate(declared.features):
        with _at("features", number):
            add(row)
    for number, entity in enumerate(declared.entities):
        with _at("entities", number):
            if not any(f.entity == entity and f.aggregate.shape is Shape.WINDOW for f in features):
                raise DeclarationError(("name",), f"{entity} has no feature with a window: give it a velocity or one")
        features.extend(_features(_observed(entity), entity))
    for entity in known.values():
        decayed = [f for f in (*SHIPPED.features, *features) if (f.entity, f.aggregate.shape) == (entity, Shape.DECAY)]
        if len(decayed) > DECAYED:
            raise DeclarationError(("features",), f"{len(decayed)} decayed features of {entity}, more than {DECAYED}")
    return Catalogue(tuple(known.values()), (*SHIPPED.features, *features))


@contextmanager
def _at(*place: str | int) -> Iterator[None]:
    try:
        yield
    except DeclarationError as error:
        raise DeclarationError((*place, *error.place), str(error)) from None


def _check_entity(entity: Entity, before: Sequence[Entity]) -> None:
    if not _NAME.fullmatch(entity.name):
        raise DeclarationError(("name",), f"{entity.name[:80]!r} is not up to 40 small letters, digits and _")
    if entity.name in {TRANSACTION.name, *_PREFIXES.values(), *(other.name for other in before)}:
        raise DeclarationError(("name",), f"there is an entity {entity} already: give another name")
    for key, columns in (("columns", entity.columns), ("other", (entity.other,))):
        wrong = next((repr(column[:40]) for column in columns if column not in _IDS), None)
        if wrong or not columns:
            raise DeclarationError((key,), f"{wrong or 'none'}: write some of {', '.join(sorted(_IDS))}")
        if twice := [column for column in columns if columns.count(column) > 1]:
            raise DeclarationError((key,), f"{twice[0]} is given twice: a pair is of two different fields")
    if same := [other for other in before if _counted_by(other) == _counted_by(entity)]:
        raise DeclarationError(("columns",), f"{same[0]} is found by the same, and counts the same others")
    if entity.leads:
        raise DeclarationError(("leads",), "only the state of cards leads: leave it out")
    if not LEAST_EVENTS <= entity.events <= MOST_EVENTS:
        raise DeclarationError(("events",), f"{entity.events} is not between {LEAST_EVENTS} and {MOST_EVENTS:,}")
    if not _WORDS.fullmatch(entity.label):
        raise DeclarationError(("label",), f"{entity.label[:40]!r} is not what people call one, such as customer")
    if not _WORDS.fullmatch(entity.others.replace("_", " ")):
        raise DeclarationError(("others",), f"{entity.others[:40]!r} is not what people call them, such as cards")


def _check_velocity(entity: Entity) -> None:
    """Its keys by their own names, where `_checked` would name those of rows that nobody wrote."""
    if entity.velocity is not None and not entity.velocity.windows.split():
        raise DeclarationError(("velocity", "windows"), "write at least one, such as 1h 24h")
    if entity.velocity is not None and not _NAME.fullmatch(entity.others.replace(" ", "_")):
        raise DeclarationError(("others",), f"{entity.others[:40]!r} is not up to 40 small letters, digits and spaces")


def _counted_by(entity: Entity) -> tuple[frozenset[str], str]:
    """What identifies one, and whose different values it counts."""
    return frozenset(entity.columns), entity.other


def _checked(row: FeatureRow, entity: Entity) -> list[Feature]:
    """The features of a declared row; see `_features`."""
    if not _NAME.fullmatch(row.name):
        raise DeclarationError(("name",), f"{row.name[:80]!r} is not up to 40 small letters, digits and _")
    aggregate = _one_of(_AGGREGATES, row.aggregate, "aggregate")
    if aggregate.shape is Shape.VALUE:
        raise DeclarationError(("aggregate",), f"{aggregate.name} is of a transaction itself, which rules read anyway")
    takes_window = aggregate.shape in (Shape.WINDOW, Shape.DECAY)
    if takes_window is not bool(row.windows or row.window):
        needed = "needs windows, such as 1h 24h" if takes_window else "is of the whole history: leave windows out"
        raise DeclarationError(("aggregate",), f"{aggregate.name} {needed}")
    if row.windows and row.window:
        raise DeclarationError(("window",), "give windows or window, not both")
    for key, given, reads in (("input", row.input, Reads.INPUT), ("flag", row.flag, Reads.FLAG)):
        if bool(given) is not (aggregate.reads is reads):
            problem = "reads none: leave it out" if given else "needs one"
            raise DeclarationError(("aggregate",), f"{aggregate.name}, {key}: it {problem}")
    if aggregate is aggregates.FLAGGED_SHARE and row.flag not in ("unusual", "fraud"):
        raise DeclarationError(("flag",), f"{row.flag} is not of payments alone: only shares of unusual and fraud are")
    if row.unit and not (row.unit == aggregate.unit or _WORDS.fullmatch(row.unit)):
        raise DeclarationError(("unit",), f"{row.unit[:40]!r} is not what people call them, such as payments")
    if row.delay and aggregate.shape is not Shape.WINDOW:
        raise DeclarationError(("delay",), f"{aggregate.name} has no window that could end earlier")
    features = list(_features(row, entity))
    for feature in features:
        if feature.window_ms + feature.delay_ms > MAX_REACH_MS:
            raise DeclarationError(
                ("windows" if row.windows else "window",), f"longer than {MAX_REACH_MS // DAY_MS}d, with its delay"
            )
        if feature.reads_labels and entity != MERCHANT:
            raise DeclarationError(("entity",), f"labels are known of merchants only, not of {entity}")
        if feature.reads_labels and feature.delay_ms < LABEL_DELAY_MS:
            raise DeclarationError(("delay",), f"labels come late: write {LABEL_DELAY_MS // DAY_MS}d or more")
    return features


def catalogue_of(settings: Settings) -> Catalogue:
    """The catalogue of a query.

    Raises:
        MisconfiguredError: a row that `job.features` declares does not hold.
    """
    declared = settings.job.features
    try:
        return catalogue_with(declared) if declared.entities or declared.features else SHIPPED
    except DeclarationError as error:
        raise MisconfiguredError(f"job.features.{'.'.join(map(str, error.place))}", str(error)) from None
