"""What is read from a key's remembered events.

They lie sorted by event time, each with the prefix sums of those before it; so counts, sums and shares of any window
are two binary searches and a subtraction, whatever the window holds. Prefix sums are integers modulo 2^64 (flags:
2^16), so that differences are exact and do not depend on where they began.
"""

from __future__ import annotations

import numpy as np

from fraud.features import aggregates
from fraud.features.kernel.compiling import compiled, inlined
from fraud.features.kernel.layout import (
    CHECK_COUNTER,
    CODE_CHANNEL,
    CODE_COUNTRY,
    CODE_FLAGS_SHIFT,
    CODE_MCC,
    DECLINED_COUNTER,
    EVENT_AMOUNT,
    EVENT_CODES,
    EVENT_DEVICE,
    EVENT_FLAGGED,
    EVENT_OTHER,
    EVENT_SUM,
    EVENT_TIME,
    EVENT_WORDS,
    FRAUD_COUNTER,
    FRAUD_NORMAL_COUNTER,
    MONEY_BACK_COUNTER,
    NO_PAYMENT,
    PAYMENT_COUNTER,
    SPEC_CODE,
    SPEC_DELAY,
    SPEC_FLAG,
    SPEC_INPUT,
    SPEC_WINDOW,
    SPENT_COUNTER,
    UNUSUAL_COUNTER,
    Flag,
    Input,
    Ints,
)

_COUNT, _SUM, _MEAN = aggregates.COUNT.code, aggregates.SUM.code, aggregates.MEAN.code
_STD, _MAX, _AMOUNT_RATIO = aggregates.STD.code, aggregates.MAX.code, aggregates.AMOUNT_RATIO.code
_IS_NEW = aggregates.IS_NEW.code
_FLAGGED, _SINCE_FLAGGED = aggregates.FLAGGED.code, aggregates.SINCE_FLAGGED.code
_FRAUD_NORMAL_SHARE = aggregates.FRAUD_NORMAL_SHARE.code
_SINCE_FRAUD_NORMAL = aggregates.SINCE_FRAUD_NORMAL.code

_DECLINED, _UNUSUAL, _FRAUD, _HIGH = int(Flag.DECLINED), int(Flag.UNUSUAL), int(Flag.FRAUD), int(Flag.HIGH)
_MONEY_BACK, _CHECK = int(Flag.MONEY_BACK), int(Flag.CHECK)


@compiled
def slot_of(key, mask):  # type: ignore[no-untyped-def]
    """Where an open-addressing table of `mask` + 1 slots looks for a key first."""
    return (key ^ (key >> 31)) & mask


@compiled
def size_class(capacity):  # type: ignore[no-untyped-def]
    """The exponent of the least power of two that is not below."""
    size = 0
    while (1 << size) < capacity:
        size += 1
    return size


def room_for_set(most: int) -> Ints:
    """Room for the distinct values of so many events: (n, 2), in use from call to call.

    It is a set by open addressing: value of each slot, and the number of the walk that filled it. In front stands how
    many walks there were.
    """
    return np.zeros((1 + (1 << (2 * most - 1).bit_length()), 2), np.int64)


@compiled
def pays(words):  # type: ignore[no-untyped-def]
    """Whether an event is a payment, approved or declined."""
    return (words[EVENT_CODES] >> CODE_FLAGS_SHIFT) & NO_PAYMENT == 0


@compiled
def _one(counter):  # type: ignore[no-untyped-def]
    """One event in a counter's place in its word."""
    return 1 << (16 * (counter & 3))


@compiled
def _flagged(event):  # type: ignore[no-untyped-def]
    """What an event adds to the first four counters. Money back that is declined was no attempt to get any."""
    flags = event[EVENT_CODES] >> CODE_FLAGS_SHIFT
    added = 0
    if flags & _DECLINED and not flags & _MONEY_BACK:
        added |= _one(DECLINED_COUNTER)
    if flags & NO_PAYMENT:
        return added
    if flags & _UNUSUAL:
        added |= _one(UNUSUAL_COUNTER)
    if flags & _FRAUD:
        added |= _one(FRAUD_COUNTER)
        if not flags & (_HIGH | _UNUSUAL):
            added |= _one(FRAUD_NORMAL_COUNTER)
    return added


@compiled
def _kinds(event):  # type: ignore[no-untyped-def]
    """What an event adds to the other four."""
    flags = event[EVENT_CODES] >> CODE_FLAGS_SHIFT
    if flags & _MONEY_BACK:
        return _one(MONEY_BACK_COUNTER)
    if flags & _CHECK:
        return _one(CHECK_COUNTER)
    return _one(PAYMENT_COUNTER) | (_one(SPENT_COUNTER) if event[EVENT_AMOUNT] > 0 else 0)


@compiled
def _add_counters(a, b):  # type: ignore[no-untyped-def]
    """Adds four 16-bit counters without carrying between them."""
    total = 0
    for shift in range(0, 64, 16):
        total |= (((a >> shift) + (b >> shift)) & 0xFFFF) << shift
    return total


@compiled
def _sum_after(event, prefix):  # type: ignore[no-untyped-def]
    """The prefix sum behind an event."""
    if prefix == EVENT_SUM:
        return event[EVENT_SUM] + event[EVENT_AMOUNT]
    return _add_counters(event[prefix], _flagged(event) if prefix == EVENT_FLAGGED else _kinds(event))


@compiled
def sum_before(events, at, end, prefix):  # type: ignore[no-untyped-def]
    """The prefix sum in front of position `at`, which may be the end."""
    if at < end:
        return events[at, prefix]
    return _sum_after(events[end - 1], prefix)


@compiled
def renew_sums(events, place, end):  # type: ignore[no-untyped-def]
    """Recomputes the prefix sums behind position `place`, whose own are right."""
    for i in range(place + 1, end):
        for prefix in range(EVENT_SUM, EVENT_WORDS):
            events[i, prefix] = _sum_after(events[i - 1], prefix)


@compiled
def first_after(events, low, high, time):  # type: ignore[no-untyped-def]
    """The first position in low..high, sorted by time, whose time is greater."""
    while low < high:
        middle = (low + high) // 2
        if events[middle, EVENT_TIME] > time:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def _total(events, low, high, end):  # type: ignore[no-untyped-def]
    """The sum of amounts over positions low..high."""
    if high <= low:
        return 0
    return sum_before(events, high, end, EVENT_SUM) - sum_before(events, low, end, EVENT_SUM)


@compiled
def _counted(events, low, high, end, counter):  # type: ignore[no-untyped-def]
    """Events in low..high that a counter counts."""
    if high <= low:
        return 0
    prefix, shift = EVENT_FLAGGED + (counter >> 2), 16 * (counter & 3)
    above = sum_before(events, high, end, prefix) >> shift
    below = sum_before(events, low, end, prefix) >> shift
    return (above - below) & 0xFFFF


@compiled
def latest_counted(events, low, high, end, counter):  # type: ignore[no-untyped-def]
    """The position of the last event in low..high that a counter counts; -1 without one."""
    if _counted(events, low, high, end, counter) == 0:
        return -1
    while high - low > 1:
        middle = (low + high) // 2
        if _counted(events, middle, high, end, counter) > 0:
            low = middle
        else:
            high = middle
    return low


@compiled
def _attribute(words, column):  # type: ignore[no-untyped-def]
    """The value of an event's attribute, 0 where it has none."""
    if column == Input.OTHER:
        return words[EVENT_OTHER]
    if column == Input.DEVICE:
        return words[EVENT_DEVICE]
    if column == Input.COUNTRY:
        return words[EVENT_CODES] & CODE_COUNTRY
    if column == Input.MCC:
        return words[EVENT_CODES] & CODE_MCC
    return words[EVENT_CODES] & CODE_CHANNEL


@inlined
def _amount_value(code, now, events, low, high):  # type: ignore[no-untyped-def]
    """Of what was spent in a window."""
    count = _counted(events, low, high, now.end, SPENT_COUNTER)
    if count == 0:
        return np.nan
    if code == _MAX:
        largest = 0
        for i in range(low, high):
            largest = max(largest, events[i, EVENT_AMOUNT])
        return largest / now.units
    total = _total(events, low, high, now.end)
    if code == _MEAN:
        return total / now.units / count
    if code == _AMOUNT_RATIO:
        return now.amount * count / total if now.amount > 0 else np.nan
    if count < 2:
        return np.nan
    mean = total / count
    squares = 0.0
    for i in range(low, high):
        if events[i, EVENT_AMOUNT] > 0:
            squares += (events[i, EVENT_AMOUNT] - mean) ** 2
    return np.sqrt(squares / count) / now.units


@inlined
def _counter_of(feature):  # type: ignore[no-untyped-def]
    """The counter of flags that a feature reads."""
    if feature[SPEC_CODE] in (_FRAUD_NORMAL_SHARE, _SINCE_FRAUD_NORMAL):
        return FRAUD_NORMAL_COUNTER
    flag = feature[SPEC_FLAG]
    if flag == _DECLINED:
        return DECLINED_COUNTER
    if flag == _UNUSUAL:
        return UNUSUAL_COUNTER
    if flag == _FRAUD:
        return FRAUD_COUNTER
    return MONEY_BACK_COUNTER if flag == _MONEY_BACK else CHECK_COUNTER


@inlined
def _flag_value(feature, now, events, low, high):  # type: ignore[no-untyped-def]
    """Of the flagged events of a window: how many, their share, or the time since the latest."""
    code, counter = feature[SPEC_CODE], _counter_of(feature)
    if code in (_SINCE_FLAGGED, _SINCE_FRAUD_NORMAL):
        latest = latest_counted(events, low, high, now.end, counter)
        return (now.time - events[latest, EVENT_TIME]) / 1000.0 if latest >= 0 else np.nan
    flagged = float(_counted(events, low, high, now.end, counter))
    if code == _FLAGGED:
        return flagged
    payments = _counted(events, low, high, now.end, PAYMENT_COUNTER)
    return flagged / payments if payments > 0 else np.nan


@compiled
def _is_new(column, words, events, low, high):  # type: ignore[no-untyped-def]
    mine = _attribute(words, column)
    if mine == 0:
        return np.nan
    for i in range(high - 1, low - 1, -1):
        if events[i, EVENT_AMOUNT] > 0 and _attribute(events[i], column) == mine:
            return 0.0
    return 1.0


@inlined
def window_value(feature, now, words, events):  # type: ignore[no-untyped-def]
    """The value of a feature of a window, but for distinct values."""
    code, delay = feature[SPEC_CODE], feature[SPEC_DELAY]
    high = now.place if delay == 0 else first_after(events, now.low, now.place, now.time - delay)
    low = first_after(events, now.low, high, now.time - delay - feature[SPEC_WINDOW])
    if code == _COUNT:
        return float(_counted(events, low, high, now.end, PAYMENT_COUNTER))
    if code == _SUM:
        return _total(events, low, high, now.end) / now.units
    if code == _IS_NEW:
        return _is_new(feature[SPEC_INPUT], words, events, low, high)
    if code in (_MEAN, _STD, _MAX, _AMOUNT_RATIO):
        return _amount_value(code, now, events, low, high)
    return _flag_value(feature, now, events, low, high)


@compiled
def distinct_values(series, now, events, values, seen):  # type: ignore[no-untyped-def]
    """Distinct values of payments, other than 0, for a series of features of one column, the shortest window first.

    One walk from the newest event to the oldest serves all its windows: a hot key pays for its longest alone.

    Args:
        series: their specifications.
        now: the event that is measured.
        events: remembered of its key.
        values: results, one a feature.
        seen: room for a set, see `room_for_set`. A walk takes as much of it as its events need.
    """
    column, delay = series[0, SPEC_INPUT], series[0, SPEC_DELAY]
    walk = seen[0, 0] + 1
    seen[0, 0] = walk
    mask = (1 << size_class(2 * (now.end - now.low))) - 1
    high = now.place if delay == 0 else first_after(events, now.low, now.place, now.time - delay)
    i, found = high - 1, 0
    for f in range(series.shape[0]):
        start = first_after(events, now.low, high, now.time - delay - series[f, SPEC_WINDOW])
        while i >= start:
            value = _attribute(events[i], column) if pays(events[i]) else 0
            i -= 1
            if value == 0:
                continue
            slot = slot_of(value, mask) + 1
            while seen[slot, 1] == walk and seen[slot, 0] != value:
                slot = (slot & mask) + 1
            if seen[slot, 1] != walk:
                seen[slot, 0] = value
                seen[slot, 1] = walk
                found += 1
        values[f] = found
