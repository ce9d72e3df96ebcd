"""What is read from a key's remembered events.

They lie sorted by event time. At every `BLOCK` places of the slab stand the sums of the key's events before; so counts,
sums and shares of any window are two binary searches, a subtraction and a walk over less than two blocks, whatever the
window holds. Sums are integers modulo 2^64 that only grow (counters: below 2^21), so that differences are exact and do
not depend on where they began. Positions are places of the slab.
"""

from __future__ import annotations

import numpy as np

from fraud.features import aggregates
from fraud.features.kernel.compiling import compiled, inlined
from fraud.features.kernel.layout import (
    BLOCK,
    CHECK_COUNTER,
    CODE_FLAGS_SHIFT,
    COUNTER_BITS,
    COUNTERS,
    DECLINED_COUNTER,
    EVENT_CODES,
    FRAUD_COUNTER,
    FRAUD_NORMAL_COUNTER,
    MONEY_BACK_COUNTER,
    NO_PAYMENT,
    PAYMENT_COUNTER,
    SPAN_HIGH,
    SPAN_LOW,
    SPAN_SUMS,
    SPEC_CODE,
    SPEC_FLAG,
    SPEC_INPUT,
    SPEC_SPAN,
    SPENT_COUNTER,
    SUM_AMOUNT,
    SUM_FLAGS,
    SUM_KINDS,
    SUM_MORE_FLAGS,
    UNUSUAL_COUNTER,
    Flag,
)
from fraud.features.kernel.packing import amount_of, attribute_of, packed, packed_flags, time_of

_COUNT, _SUM, _MEAN = aggregates.COUNT.code, aggregates.SUM.code, aggregates.MEAN.code
_STD, _MAX, _AMOUNT_RATIO = aggregates.STD.code, aggregates.MAX.code, aggregates.AMOUNT_RATIO.code
_IS_NEW = aggregates.IS_NEW.code
_FLAGGED, _SINCE_FLAGGED = aggregates.FLAGGED.code, aggregates.SINCE_FLAGGED.code
_FRAUD_NORMAL_SHARE = aggregates.FRAUD_NORMAL_SHARE.code
_SINCE_FRAUD_NORMAL = aggregates.SINCE_FRAUD_NORMAL.code

# Flags as they are remembered.
_DECLINED, _UNUSUAL, _FRAUD = int(Flag.DECLINED), int(Flag.UNUSUAL), int(Flag.FRAUD)
_HIGH, _MONEY_BACK, _CHECK = int(Flag.HIGH) >> 1, int(Flag.MONEY_BACK) >> 1, int(Flag.CHECK) >> 1
_NO_PAYMENT = NO_PAYMENT >> 1


@compiled
def slot_of(key, mask):  # type: ignore[no-untyped-def]
    """Where an open-addressing table of `mask` + 1 slots looks for a key first."""
    return (key ^ (key >> 31)) & mask


@compiled
def bits_of(number):  # type: ignore[no-untyped-def]
    """The exponent of the least power of two that is not below."""
    bits = 0
    while (1 << bits) < number:
        bits += 1
    return bits


@compiled
def pays(words):  # type: ignore[no-untyped-def]
    """Whether an event is a payment, approved or declined."""
    return (words[EVENT_CODES] >> CODE_FLAGS_SHIFT) & NO_PAYMENT == 0


@compiled
def paid(place, state):  # type: ignore[no-untyped-def]
    """The same of a remembered one."""
    return packed_flags(place, state) & _NO_PAYMENT == 0


@compiled
def _one(counter):  # type: ignore[no-untyped-def]
    """One event in a counter's place in its word."""
    return 1 << (COUNTER_BITS * (counter % COUNTERS))


@compiled
def _counted_flags(flags):  # type: ignore[no-untyped-def]
    """What an event adds to the first two words of counters. Money back that is declined was no attempt to get any."""
    first, second = 0, 0
    if flags & _MONEY_BACK:
        second = _one(MONEY_BACK_COUNTER)
    else:
        if flags & _DECLINED:
            first = _one(DECLINED_COUNTER)
        if flags & _CHECK:
            second = _one(CHECK_COUNTER)
    if flags & _NO_PAYMENT:
        return first, second
    if flags & _UNUSUAL:
        first |= _one(UNUSUAL_COUNTER)
    if flags & _FRAUD:
        first |= _one(FRAUD_COUNTER)
        if not flags & (_HIGH | _UNUSUAL):
            second |= _one(FRAUD_NORMAL_COUNTER)
    return first, second


@compiled
def _walked(low, high, state):  # type: ignore[no-untyped-def]
    """The sums over positions low..high, one by one."""
    amount, flags, more_flags, kinds = 0, 0, 0, 0
    for i in range(low, high):
        of_event, spent = packed_flags(i, state), amount_of(i, state)
        amount += spent
        if of_event != 0:
            first, second = _counted_flags(of_event)
            flags += first
            more_flags += second
        if not of_event & _NO_PAYMENT:
            kinds += _one(PAYMENT_COUNTER) | (_one(SPENT_COUNTER) if spent > 0 else 0)
    return amount, flags, more_flags, kinds


@compiled
def totals(low, high, state):  # type: ignore[no-untyped-def]
    """The sums over positions low..high."""
    if high <= low:
        return 0, 0, 0, 0
    first, last = (low + BLOCK - 1) // BLOCK, (high - 1) // BLOCK
    if last <= first:
        return _walked(low, high, state)
    amount, flags, more_flags, kinds = _walked(low, first * BLOCK, state)
    amount_behind, flags_behind, more_flags_behind, kinds_behind = _walked(last * BLOCK, high, state)
    after, before = state.sums[last], state.sums[first]
    return (
        amount + amount_behind + after[SUM_AMOUNT] - before[SUM_AMOUNT],
        flags + flags_behind + after[SUM_FLAGS] - before[SUM_FLAGS],
        more_flags + more_flags_behind + after[SUM_MORE_FLAGS] - before[SUM_MORE_FLAGS],
        kinds + kinds_behind + after[SUM_KINDS] - before[SUM_KINDS],
    )


@compiled
def _summed(low, block, state):  # type: ignore[no-untyped-def]
    """What stands in front of a block: the sums from the block before; from 0 where the first event lies in that."""
    at, before = block * BLOCK, (block - 1) * BLOCK
    if before < low:
        return 0, 0, 0, 0
    amount, flags, more_flags, kinds = _walked(before, at, state)
    sums = state.sums[block - 1]
    return (
        sums[SUM_AMOUNT] + amount,
        sums[SUM_FLAGS] + flags,
        sums[SUM_MORE_FLAGS] + more_flags,
        sums[SUM_KINDS] + kinds,
    )


@compiled
def renew_sums(low, place, end, state):  # type: ignore[no-untyped-def]
    """Computes the sums from position `place` on of the events in low..end; those before are right."""
    for block in range((place + BLOCK - 1) // BLOCK, (end - 1) // BLOCK + 1):
        amount, flags, more_flags, kinds = _summed(low, block, state)
        state.sums[block, SUM_AMOUNT] = amount
        state.sums[block, SUM_FLAGS] = flags
        state.sums[block, SUM_MORE_FLAGS] = more_flags
        state.sums[block, SUM_KINDS] = kinds


@compiled
def sums_are_sound(low, end, state):  # type: ignore[no-untyped-def]
    """Whether the sums among the events in low..end fit."""
    for block in range((low + BLOCK - 1) // BLOCK + 1, (end - 1) // BLOCK + 1):
        amount, flags, more_flags, kinds = _summed(low, block, state)
        sums = state.sums[block]
        if sums[SUM_AMOUNT] != amount or sums[SUM_FLAGS] != flags:
            return False
        if sums[SUM_MORE_FLAGS] != more_flags or sums[SUM_KINDS] != kinds:
            return False
    return True


@compiled
def first_after(low, high, time, state):  # type: ignore[no-untyped-def]
    """The first position in low..high, sorted by time, whose time is greater."""
    while low < high:
        middle = (low + high) // 2
        if time_of(middle, state) > time:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def _counter(sums, counter):  # type: ignore[no-untyped-def]
    """How many events a counter counts, by the sums."""
    return (sums[1 + counter // COUNTERS] >> (COUNTER_BITS * (counter % COUNTERS))) & ((1 << COUNTER_BITS) - 1)


@compiled
def _counted(low, high, counter, state):  # type: ignore[no-untyped-def]
    """Events in low..high that a counter counts."""
    return _counter(totals(low, high, state), counter)


@compiled
def latest_counted(low, high, counter, state):  # type: ignore[no-untyped-def]
    """The position of the last event in low..high that a counter counts; -1 without one."""
    if _counted(low, high, counter, state) == 0:
        return -1
    while high - low > 1:
        middle = (low + high) // 2
        if _counted(middle, high, counter, state) > 0:
            low = middle
        else:
            high = middle
    return low


@compiled
def look_into(spans, time, first, place, found, state):  # type: ignore[no-untyped-def]
    """Finds what lies in each window, for all features that read it.

    Args:
        spans: window and delay of each.
        time: of the event that is measured.
        first: position of the first event that its key remembers.
        place: that of the first one after this event's time.
        found: is filled in: `SPAN_WORDS` each.
        state: is read.
    """
    for s in range(spans.shape[0]):
        window, delay = spans[s, 0], spans[s, 1]
        high = place if delay == 0 else first_after(first, place, time - delay, state)
        low = first_after(first, high, time - delay - window, state)
        amount, flags, more_flags, kinds = totals(low, high, state)
        found[s, SPAN_LOW] = low
        found[s, SPAN_HIGH] = high
        found[s, SPAN_SUMS + SUM_AMOUNT] = amount
        found[s, SPAN_SUMS + SUM_FLAGS] = flags
        found[s, SPAN_SUMS + SUM_MORE_FLAGS] = more_flags
        found[s, SPAN_SUMS + SUM_KINDS] = kinds


@compiled
def _inside(inside, counter):  # type: ignore[no-untyped-def]
    """How many events of a window a counter counts."""
    return _counter(inside[SPAN_SUMS:], counter)


@inlined
def _amount_value(code, now, inside, state):  # type: ignore[no-untyped-def]
    """Of what was spent in a window."""
    count = _inside(inside, SPENT_COUNTER)
    if count == 0:
        return np.nan
    low, high, total = inside[SPAN_LOW], inside[SPAN_HIGH], inside[SPAN_SUMS + SUM_AMOUNT]
    if code == _MAX:
        largest = 0
        for i in range(low, high):
            largest = max(largest, amount_of(i, state))
        return largest / now.units
    if code == _MEAN:
        return total / now.units / count
    if code == _AMOUNT_RATIO:
        return now.amount * count / total if now.amount > 0 else np.nan
    if count < 2:
        return np.nan
    mean = total / count
    squares = 0.0
    for i in range(low, high):
        amount = amount_of(i, state)
        if amount > 0:
            squares += (amount - mean) ** 2
    return np.sqrt(squares / count) / now.units


@inlined
def _counter_of(feature):  # type: ignore[no-untyped-def]
    """The counter of flags that a feature reads."""
    if feature[SPEC_CODE] in (_FRAUD_NORMAL_SHARE, _SINCE_FRAUD_NORMAL):
        return FRAUD_NORMAL_COUNTER
    flag = packed(feature[SPEC_FLAG])
    if flag == _DECLINED:
        return DECLINED_COUNTER
    if flag == _UNUSUAL:
        return UNUSUAL_COUNTER
    if flag == _FRAUD:
        return FRAUD_COUNTER
    return MONEY_BACK_COUNTER if flag == _MONEY_BACK else CHECK_COUNTER


@inlined
def _flag_value(feature, now, inside, state):  # type: ignore[no-untyped-def]
    """Of the flagged events of a window: how many, their share, or the time since the latest."""
    code, counter = feature[SPEC_CODE], _counter_of(feature)
    flagged = _inside(inside, counter)
    if code in (_SINCE_FLAGGED, _SINCE_FRAUD_NORMAL):
        if flagged == 0:
            return np.nan
        latest = latest_counted(inside[SPAN_LOW], inside[SPAN_HIGH], counter, state)
        return (now.time - time_of(latest, state)) / 1000.0
    if code == _FLAGGED:
        return float(flagged)
    payments = _inside(inside, PAYMENT_COUNTER)
    return flagged / payments if payments > 0 else np.nan


@compiled
def _is_new(column, now, inside, state):  # type: ignore[no-untyped-def]
    mine = attribute_of(column, now.end, state)
    if mine == 0:
        return np.nan
    for i in range(inside[SPAN_HIGH] - 1, inside[SPAN_LOW] - 1, -1):
        if amount_of(i, state) > 0 and attribute_of(column, i, state) == mine:
            return 0.0
    return 1.0


@inlined
def window_value(feature, now, found, state):  # type: ignore[no-untyped-def]
    """The value of a feature of a window, but for distinct values."""
    code, inside = feature[SPEC_CODE], found[feature[SPEC_SPAN]]
    if code == _COUNT:
        return float(_inside(inside, PAYMENT_COUNTER))
    if code == _SUM:
        return inside[SPAN_SUMS + SUM_AMOUNT] / now.units
    if code == _IS_NEW:
        return _is_new(feature[SPEC_INPUT], now, inside, state)
    if code in (_MEAN, _STD, _MAX, _AMOUNT_RATIO):
        return _amount_value(code, now, inside, state)
    return _flag_value(feature, now, inside, state)


@compiled
def distinct_values(series, now, found, values, seen, state):  # type: ignore[no-untyped-def]
    """Distinct values of payments, other than 0, for a series of features of one column, the shortest window first.

    One walk from the newest event to the oldest serves all its windows: a hot key pays for its longest alone.

    Args:
        series: their specifications.
        now: the event that is measured.
        found: what lies in each window.
        values: results, one a feature.
        seen: see `Scratch`; a walk takes as much of it as the key's events need.
        state: is read.
    """
    column = series[0, SPEC_INPUT]
    walk = seen[0, 0] + 1
    seen[0, 0] = walk
    mask = (1 << bits_of(2 * (now.end - now.low))) - 1
    i, different = found[series[0, SPEC_SPAN], SPAN_HIGH] - 1, 0
    for f in range(series.shape[0]):
        start = found[series[f, SPEC_SPAN], SPAN_LOW]
        while i >= start:
            value = attribute_of(column, i, state) if paid(i, state) else 0
            i -= 1
            if value == 0:
                continue
            slot = slot_of(value, mask) + 1
            while seen[slot, 1] == walk and seen[slot, 0] != value:
                slot = (slot & mask) + 1
            if seen[slot, 1] != walk:
                seen[slot, 0] = value
                seen[slot, 1] = walk
                different += 1
        values[f] = different
