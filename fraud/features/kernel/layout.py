"""Where everything lies in an event, a key's row and a feature's specification, and the numbers that shape values."""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Input(enum.IntEnum):
    """The attribute of an event whose values an aggregate compares; the numbers are part of definitions' hashes."""

    NONE = 2
    OTHER = 3  # the merchant (of a card's events) or the card (of those of all others)
    COUNTRY = 4  # the merchant's
    DEVICE = 5  # 0 without
    MCC = 6
    CHANNEL = 7


class Flag(enum.IntFlag):
    """Bits of an event."""

    NONE = 0
    DECLINED = 1  # the authorisation was declined
    UNUSUAL = 2  # the amount was unusual for the card
    FRAUD = 4  # labelled as fraud, by a label that had arrived
    LABEL = 8  # the row is a label, not a transaction
    HIGH = 16  # the amount was above what is usual for the card, if not yet unusual
    MONEY_BACK = 32  # a refund, reversal or void: money flows back to the cardholder
    CHECK = 64  # an account check: no money moves


NO_PAYMENT = int(Flag.MONEY_BACK | Flag.CHECK)
"""The flags of events that are no payments. A payment is a purchase or withdrawal, approved or declined."""


KERNEL_VERSION = 2
"""Raised when the kernel gives another value for the same entry and events; part of every definition's hash."""

UNUSUAL_Z = 3.0
"""Robust deviations above which an amount is unusual for its card."""

USUAL_Z = 1.5
"""Robust deviations up to which an amount is usual for its card: fraud at such an amount speaks of the place. Between
the two limits an amount is no evidence of either."""

MIN_HISTORY = 5
"""Amounts before an entity has a usual one."""

MIN_SPREAD = 0.1
"""Of the amount's logarithm: for a card that always pays the same, the smallest change is not infinitely unusual."""

BINS = 64
"""Bins of the amount's logarithm, half an octave each, from which median and quartiles come."""

LEAST_VALUE = 2.0**-126
"""A value nearer to 0 is 0, as a decayed count after years: the least that float32 has with all its digits, in which
models see values, and more than what any store takes for too little. It is no part of the definitions, since no model
can distinguish such a value from 0."""

NO_TIME = -(1 << 62)

# An event as it is folded.
EVENT_TIME, EVENT_ID, EVENT_AMOUNT, EVENT_OTHER, EVENT_DEVICE, EVENT_CODES = range(6)
EVENT_DELAY = 6  # from the event to its arrival, ms; negative where it lies ahead of it
EVENT_WORDS = 7
LABEL_PRECISION = EVENT_AMOUNT  # of a label, which has no amount: how much later its transaction may be
LABEL_TICKET = EVENT_DEVICE  # of a label: from 1, the same for each try of one label; 0 for the only try

# How a transaction repeats one before it: with another arrival, or with the same event time and arrival.
REPEATED, REPEATED_AT_ONCE = 1, 2

# What became of a label.
LABEL_UNMATCHED, LABEL_MATCHED, LABEL_AMBIGUOUS = range(1, 4)
LABEL_PAST = 4  # not found, and if its transaction ever came, it is forgotten by now

# Codes of an event: country, merchant category, channel, flags.
CODE_COUNTRY = 0xFFFF
CODE_MCC = 0xFFFF_0000
CODE_CHANNEL = 0xFF_0000_0000
CODE_FLAGS_SHIFT = 40
CHANNELS = tuple(ord(letter) for letter in "paem")

# A remembered event: four words, see `fraud.features.kernel.packing`.
PACKED_TIME, PACKED_KIND, PACKED_AMOUNT, PACKED_ID = range(4)
PACKED_WORDS = 4
ID_BITS = 48
"""Of a transaction's hash, by which a card's transactions are compared while one repeats another by its id alone."""
SHORT_ID_BITS = 32
"""The same where more must agree: the time too, or time, card and merchant of a label."""
ODD_TIME, ODD_DELAY = range(2)
ODD_WORDS = 2

BLOCK = 16
"""Events of the slab between two sums of those before."""
SUM_AMOUNT, SUM_FLAGS, SUM_MORE_FLAGS, SUM_KINDS = range(4)
SUM_WORDS = 4

# Counters in the three sums behind that of amounts, three a word: more events than any region of the slab holds.
COUNTER_BITS, COUNTERS = 21, 3
DECLINED_COUNTER, UNUSUAL_COUNTER, FRAUD_COUNTER = range(3)
FRAUD_NORMAL_COUNTER, MONEY_BACK_COUNTER, CHECK_COUNTER = range(3, 6)
PAYMENT_COUNTER, SPENT_COUNTER = range(6, 8)

# A key's row; history and histogram follow the fixed words.
ROW_KEY, ROW_LAST, ROW_EVICTED, ROW_REGION, ROW_CAPACITY, ROW_START, ROW_END = range(7)
ROW_EVENTS, ROW_CHECK = 7, 8  # checksums: of the remembered events, whatever their order; of all other words of the row
ROW_DELAY = 9  # the longest delay of any event since the key began: ids seen lately lie within it
ROW_FIRST = 10  # arrival of the first event since the key began
ROW_LATEST = 11  # the latest arrival since the key began
ROW_HISTORY = 12

# Whole-history scalars, floats.
H_COUNT, H_MEAN, H_M2 = 0, 1, 2  # of the amount's logarithm, by Welford's method
H_COS, H_SIN = 3, 4  # of the time of day
H_WEEK_COS, H_WEEK_SIN = 5, 6  # of the weekday
H_PLACE_TIME, H_LAT, H_LON = 7, 8, 9  # where the card was last present, at the latest when it arrived; 0 for never
H_DECAYED = 10  # pairs of value and arrival, one for each decayed feature
DECAYED = 6
"""Most decayed features of an entity."""
HISTORY = H_DECAYED + 2 * DECAYED

ROW_BINS = ROW_HISTORY + HISTORY
"""The bins of the amount's logarithm: 32-bit counters, two a word."""
ROW_DUMPED = ROW_BINS + BINS // 2
"""Behind the words that a snapshot keeps."""
ROW_COUNTS = ROW_DUMPED  # where the key's table lies, plus 1; 0 for none: see `fraud.features.kernel.counts`
ROW_WORDS = ROW_COUNTS + 1

META_ROWS, META_SLAB, META_CLOCK, META_NEEDED = range(4)
META_ARRIVAL = 4  # of the last event; two in turn move the clock, so that no single one makes other keys forgotten
META_EVENTS = 5  # remembered, of all keys
META_ODD = 6  # places of `odd` that were taken
META_PACKED = 7  # places of the slab that held no event when it was last packed
META_DEVICES = 8  # whether events keep a device
META_ODD_NEEDED = 9  # places of `odd` that were needed where there was no room
META_ROUND = 10  # the round of snapshots that the next two words are of
META_CURSOR = 11  # rows before it are in the round's snapshots, or came after the round began
META_UNTIL = 12  # behind the last row that the round has to hold
META_COUNTS = 13  # words of `counts` that were taken
META_COUNTS_NEEDED = 14  # how many were needed where there was no room
META_FREE = 16  # the first free region of each size class, plus 1
META_COUNTS_FREE = 256  # the same of the regions of `counts`, by the exponent of their size
META_FREE_COUNTS = 32
META_WORDS = META_COUNTS_FREE + META_FREE_COUNTS

# A feature's specification.
SPEC_CODE, SPEC_SHAPE, SPEC_WINDOW, SPEC_INPUT, SPEC_FLAG = range(5)
SPEC_SLOT = 5  # of a decayed value, among those of its entity
SPEC_SPAN = 6  # of a window: its length and delay, among those of its entity
SPEC_SERIES = 7  # distinct values: how many features from this one on are counted in one walk, 0 inside such a series
SPEC_COUNTED = 8  # of values that are counted or compared: its number in `Plan.counted`, plus 1; 0 for none
SPEC_WORDS = 9

# What the tables of busy keys count, by window.
COUNTED_CODE, COUNTED_INPUT, COUNTED_WINDOW, COUNTED_DELAY, COUNTED_SPAN = range(5)
COUNTED_WORDS = 5
COUNTED_IDS = -1
"""In place of an aggregate's code: the last window, of all remembered events of a card, by their ids."""

# What lies in a window, for the event that is measured.
SPAN_LOW, SPAN_HIGH, SPAN_SUMS = range(3)
SPAN_WORDS = SPAN_SUMS + SUM_WORDS


class Batch(NamedTuple):
    """Events in arrival order.

    Attributes:
        key: hash of each event's key (n); 0 where it has none: it is passed over.
        words: (n, EVENT_WORDS).
        places: (n, 2) latitude and longitude where the card was present, NaN where unknown.
    """

    key: Ints
    words: Ints
    places: Floats


class State(NamedTuple):
    """The arrays of `fraud.features.state`."""

    meta: Ints
    index: Ints  # type: ignore[assignment]  # hides tuple.index
    rows: Ints
    slab: Ints
    sums: Ints
    odd: Ints
    counts: Ints


class Plan(NamedTuple):
    """What is computed.

    Attributes:
        spec: (f, SPEC_WORDS) the features.
        spans: (s, 2) window and delay of each of `SPEC_SPAN`, ms.
        counted: (c, COUNTED_WORDS) what the table of a busy key counts.
        limits: retention, most events, longest reach, duplicate horizon (0: none) and expiry, in ms where times;
            whether this fold decides which amounts are unusual; minor units in one unit of the currency; how many
            events make a key busy, and a hash of `counted`; what is kept of an event: masks of its id and of its codes,
            and whether its device.
    """

    spec: Ints
    spans: Ints
    counted: Ints
    limits: Ints


class Scratch(NamedTuple):
    """Room that is in use from call to call; what it holds means nothing behind one.

    Attributes:
        seen: (n, 2) a set by open addressing: value of each slot, and the number of the walk that filled it. In front
            stands how many walks there were. It is twice as long as the events of any key without a table.
        totals: (s, SPAN_WORDS) what lies in each of `Plan.spans`.
    """

    seen: Ints
    totals: Ints


class Results(NamedTuple):
    """What is filled in.

    Attributes:
        values: (n, f), NaN where undefined; rows of labels and duplicates are left.
        exact: (n) whether all windows were whole; true is what it begins with.
        duplicate: (n) whether a transaction id repeats inside the duplicate horizon, and how; 0 is what it begins with.
        labelled: (n) what became of the label of each ticket, less 1; 0 is what it begins with.
    """

    values: Floats
    exact: Bools
    duplicate: Ints
    labelled: Ints


class Now(NamedTuple):
    """The event that is measured, and where its key's remembered events lie. Numbers only: arrays in it cost time.

    Attributes:
        time: of the event, ms.
        arrival: of the event, ms.
        first: arrival of the key's first event, ms; of this one where it is that.
        amount: of a payment, approved or declined, in minor units; 0 of all else.
        spent: the same, but 0 of a declined payment too.
        pays: whether it is a payment.
        units: minor units in one unit of the currency.
        robust: robust deviation of the amount from the key's usual one; NaN where unknown.
        lat: where the card was present; NaN where unknown.
        lon: the same.
        low: position of the first remembered event in the slab.
        place: that of the first one after this event's time.
        end: behind the last.
    """

    time: int
    arrival: int
    first: int
    amount: float
    spent: float
    pays: bool
    units: float
    robust: float
    lat: float
    lon: float
    low: int
    place: int
    end: int
