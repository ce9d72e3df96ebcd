"""What can be computed of an entity's events: one row an aggregate.

Payments are purchases and withdrawals of more than 0, approved or declined; spending is what was approved of them.
Money back (refunds, reversals, voids) and account checks are neither: they count where a flag says so.

A new aggregate is a row here, its lines in `fraud.features.kernel` and in `embedded/simulation/feature_oracle.py`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

MONEY = "base currency"
"""Unit of amounts."""


class Shape(enum.IntEnum):
    """What an aggregate reads, and so how the kernel computes it."""

    WINDOW = 0
    """Of the events in `(t - delay - window, t - delay]` that arrived before."""
    DECAY = 1
    """Of all events, each halved with every half-life (`window`) since it happened."""
    HISTORY = 2
    """Of an entity's whole history; no window."""
    VALUE = 3
    """Of the transaction itself; `Feature.value` says which. Needs no entity."""


class Reads(enum.Enum):
    """What of an event an aggregate reads, besides that it happened and when."""

    NOTHING = enum.auto()
    AMOUNT = enum.auto()
    INPUT = enum.auto()  # `Feature.input`
    FLAG = enum.auto()  # `Feature.flag`


class Usual(enum.Enum):
    """What a value is compared with in words."""

    NOTHING = enum.auto()
    PACE = enum.auto()  # it adds up over time: the same over the longest window, by the day
    LONGEST_WINDOW = enum.auto()  # the same over the longest window
    MEAN = enum.auto()  # the entity's mean amount: of the same window, else of the longest


@dataclass(frozen=True)
class Aggregate:
    """One row.

    Attributes:
        name: unique.
        code: unique; part of the hash of every definition that uses it, so it never changes.
        shape: what it reads.
        meaning: of its value, for the reference page.
        text: its value in words, with `{value}` (a number with its unit), `{entity}`, `{window}`, `{one_flagged}`
            and `{thing}` of the feature; two texts, for true and false, where it is a flag. Empty where
            `fraud.features.text` has one for each of its features.
        absent: what it says where there is no value.
        reads: what of an event it reads.
        usual: what its value is compared with in words.
        unit: of its values; empty where they are numbers of things, which features name.
        reads_labels: whether it reads the fraud flag, whatever the feature's own.
    """

    name: str
    code: int
    shape: Shape
    meaning: str
    text: str | tuple[str, str] = ""
    absent: str = ""
    reads: Reads = Reads.NOTHING
    usual: Usual = Usual.NOTHING
    unit: str = ""
    reads_labels: bool = False

    @property
    def is_money(self) -> bool:
        """Whether its values are amounts."""
        return self.unit == MONEY


COUNT = Aggregate(
    "count",
    0,
    Shape.WINDOW,
    "number of payments in the window, approved or declined",
    "{value} of this {entity} in {window}",
    "how many payments of this {entity} there were in {window} is not known",
    usual=Usual.PACE,
)
SUM = Aggregate(
    "sum",
    1,
    Shape.WINDOW,
    "spent in the window: approved payments only",
    "{value} spent with this {entity} in {window}",
    "what was spent with this {entity} in {window} is not known",
    Reads.AMOUNT,
    Usual.PACE,
    unit=MONEY,
)
MEAN = Aggregate(
    "mean",
    2,
    Shape.WINDOW,
    "mean of what was spent in the window; null without",
    "the mean amount of this {entity} in {window} is {value}",
    "nothing was spent with this {entity} in {window}",
    Reads.AMOUNT,
    Usual.LONGEST_WINDOW,
    unit=MONEY,
)
STD = Aggregate(
    "std",
    3,
    Shape.WINDOW,
    "standard deviation of what was spent in the window; null below two approved payments",
    "amounts of this {entity} vary by {value} in {window}",
    "too few payments of this {entity} in {window} to compare amounts",
    Reads.AMOUNT,
    Usual.LONGEST_WINDOW,
    unit=MONEY,
)
MAX = Aggregate(
    "max",
    4,
    Shape.WINDOW,
    "most spent at once in the window; null without",
    "the largest amount of this {entity} in {window} is {value}",
    "nothing was spent with this {entity} in {window}",
    Reads.AMOUNT,
    Usual.LONGEST_WINDOW,
    unit=MONEY,
)
DISTINCT = Aggregate(
    "distinct",
    5,
    Shape.WINDOW,
    "distinct values of the window's payments; missing ones are not counted",
    "{value} for this {entity} in {window}",
    "how many {units} this {entity} had in {window} is not known",
    Reads.INPUT,
    Usual.LONGEST_WINDOW,
)
IS_NEW = Aggregate(
    "is new",
    6,
    Shape.WINDOW,
    "1 when no approved payment of the window has this one's value; null where this one has none",
    ("first payment of this {entity} {thing} in {window}", "this {entity} {paid} {thing} before, within {window}"),
    "this payment does not say {unknown}",
    reads=Reads.INPUT,
    unit="flag",
)
FLAGGED = Aggregate(
    "flagged",
    7,
    Shape.WINDOW,
    "number in the window that are flagged",
    "{value} of this {entity} in {window}",
    "how many {units} this {entity} had in {window} is not known",
    Reads.FLAG,
    Usual.PACE,
)
FLAGGED_SHARE = Aggregate(
    "flagged share",
    8,
    Shape.WINDOW,
    "the share of the window's payments that are flagged; null without any",
    "{value} of the payments of this {entity} in {window} {flagged}",
    "this {entity} has no payments in {window}",
    reads=Reads.FLAG,
    usual=Usual.LONGEST_WINDOW,
    unit="share",
)
FRAUD_NORMAL_SHARE = Aggregate(
    "fraud normal share",
    9,
    Shape.WINDOW,
    "share of the window's payments that are fraud at an amount usual for their card",
    "{value} of the payments of this {entity} in {window} were fraud at amounts usual for their cards",
    "this {entity} has no payments in {window}",
    reads_labels=True,
    unit="share",
)
AMOUNT_RATIO = Aggregate(
    "amount ratio",
    10,
    Shape.WINDOW,
    "this payment's amount over the mean of what was spent in the window; null without",
    "the amount is {value} the mean of this {entity} in {window}",
    "nothing was spent with this {entity} in {window} to compare the amount with",
    Reads.AMOUNT,
    Usual.MEAN,
    unit="ratio",
)
SINCE_FLAGGED = Aggregate(
    "since flagged",
    11,
    Shape.WINDOW,
    "time since the window's latest flagged payment; null without one",
    "{value} since the last {one_flagged} of this {entity}",
    "no {one_flagged} of this {entity} in {window}",
    Reads.FLAG,
    unit="seconds",
)
SINCE_FRAUD_NORMAL = Aggregate(
    "since fraud normal",
    12,
    Shape.WINDOW,
    "time since the window's latest fraud at an amount usual for its card; null without",
    "{value} since the last known fraud at this {entity} that only the place explains",
    "no fraud is known at this {entity} in {window} that only the place explains",
    reads_labels=True,
    unit="seconds",
)
SINCE_LAST = Aggregate(
    "since last",
    13,
    Shape.HISTORY,
    "time since the latest payment not after this one; null without one",
    "{value} since the last payment of this {entity}",
    "this is the first payment of this {entity}",
    unit="seconds",
)
DECAYED_COUNT = Aggregate(
    "decayed count",
    14,
    Shape.DECAY,
    "payments, each halved with every half-life since it happened",
    "lately {value}, the last {window} counting most",
    "how many payments of this {entity} there were lately is not known",
)
DECAYED_SUM = Aggregate(
    "decayed sum",
    15,
    Shape.DECAY,
    "spent, each amount halved with every half-life since it happened",
    "lately {value}, the last {window} counting most",
    "what was spent with this {entity} lately is not known",
    Reads.AMOUNT,
    unit=MONEY,
)
DECAYED_UNUSUAL = Aggregate(
    "decayed unusual",
    16,
    Shape.DECAY,
    "unusual payments, each halved with every half-life since it happened",
    "lately {value}, the last {window} counting most",
    "how many payments of this {entity} were unusual lately is not known",
)
LOG_Z = Aggregate(
    "log z",
    17,
    Shape.HISTORY,
    "deviation of a payment's logarithm from the mean of what was spent, in standard deviations",
    "the amount is {far} what this {entity} spends on average",
    "this {entity} has too few payments for an average",
    Reads.AMOUNT,
    Usual.MEAN,
    unit="deviations",
)
ROBUST_Z = Aggregate(
    "robust z",
    18,
    Shape.HISTORY,
    "deviation of a payment's logarithm from the median of what was spent, in robust deviations",
    "the amount is {far} most of what this {entity} spends",
    "this {entity} has too few payments to say what most of them are",
    Reads.AMOUNT,
    Usual.MEAN,
    unit="deviations",
)
UNUSUAL = Aggregate(
    "unusual",
    19,
    Shape.HISTORY,
    "1 when the robust deviation is above the limit for unusual amounts",
    ("the amount is unusually large for this {entity}", "the amount is not unusually large for this {entity}"),
    "this {entity} has too few payments to say what it usually spends",
    reads=Reads.AMOUNT,
    unit="flag",
)
HOUR_DEVIATION = Aggregate(
    "hour deviation",
    20,
    Shape.HISTORY,
    "distance of this time of day from the circular mean of approved payments",
    "{value} the usual time of day of this {entity}",
    "this {entity} has no usual time of day",
    unit="hours",
)
DISTANCE_LAST = Aggregate(
    "distance last",
    21,
    Shape.HISTORY,
    "great-circle distance from where the card was last present; null without both places",
    "{value} km from where this {entity} was last present",
    "where this {entity} was last present is not known",
    unit="km",
)
SPEED = Aggregate(
    "speed",
    22,
    Shape.HISTORY,
    "that distance over the time in between, at least a minute",
    "as if this {entity} had travelled at {value} km/h since it was last present",
    "how fast this {entity} would have travelled is not known",
    unit="km/h",
)
VALUE = Aggregate("value", 23, Shape.VALUE, "of the transaction itself")
WEEKDAY_DEVIATION = Aggregate(
    "weekday deviation",
    24,
    Shape.HISTORY,
    "distance of this weekday from the circular mean of approved payments; null where it has none",
    "{value} the usual weekday of this {entity}",
    "this {entity} has no usual weekday",
    unit="days",
)
OBSERVED = Aggregate(
    "observed",
    25,
    Shape.HISTORY,
    "days since its first transaction arrived, as far as it is remembered; 0 at the first",
    "this {entity} was first seen {value} ago",
    "since when this {entity} is known is not recorded",
    unit="days",
)

AGGREGATES: tuple[Aggregate, ...] = tuple(row for row in list(globals().values()) if isinstance(row, Aggregate))
"""Every row above; their order means nothing."""
