"""What is read from a key's remembered events.

They lie sorted by event time. At every `BLOCK` places of the slab stand the sums of the key's events before; so counts,
sums and shares of any window are two binary searches, a subtraction and a walk over less than two blocks, whatever the
window holds. Sums are integers modulo 2^64 (counters: 2^16), so that differences are exact and do not depend on where
they began. Positions are places of the slab.
"""

from __future__ import annotations

import numpy as np

from fraud.features import aggregates
from fraud.features.kernel.compiling import compiled, inlined
from fraud.features.kernel.layout import (
    BLOCK,
    CHECK_COUNTER,
    CODE_FLAGS_SHIFT,
    DECLINED_COUNTER,
    EVENT_CODES,
    FRAUD_COUNTER,
    FRAUD_NORMAL_COUNTER,
    MONEY_BACK_COUNTER,
    NO_PAYMENT,
    PAYMENT_COUNTER,
    SPAN_AMOUNT,
    SPAN_FLAGGED,
    SPAN_HIGH,
    SPAN_KINDS,
    SPAN_LOW,
    SPEC_CODE,
    SPEC_FLAG,
    SPEC_INPUT,
    SPEC_SPAN,
    SPENT_COUNTER,
    SUM_AMOUNT,
    SUM_FLAGGED,
    SUM_KINDS,
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
    return 1 << (16 * (counter & 3))


@compiled
def _flagged(flags):  # type: ignore[no-untyped-def]
    """What an event adds to the first four counters. Money back that is declined was no attempt to get any."""
    added = 0
    if flags & _DECLINED and not flags & _MONEY_BACK:
        added |= _one(DECLINED_COUNTER)
    if flags & _NO_PAYMENT:
        return added
    if flags & _UNUSUAL:
        added |= _one(UNUSUAL_COUNTER)
    if flags & _FRAUD:
        added |= _one(FRAUD_COUNTER)
        if not flags & (_HIGH | _UNUSUAL):
            added |= _one(FRAUD_NORMAL_COUNTER)
    return added


@compiled
def _kinds(flags, amount):  # type: ignore[no-untyped-def]
    """What an event adds to the other four."""
    if flags & _MONEY_BACK:
        return _one(MONEY_BACK_COUNTER)
    if flags & _CHECK:
        return _one(CHECK_COUNTER)
    return _one(PAYMENT_COUNTER) | (_one(SPENT_COUNTER) if amount > 0 else 0)


@compiled
def _add_counters(a, b):  # type: ignore[no-untyped-def]
    """Adds four 16-bit counters without carrying between them."""
    total = 0
    for shift in range(0, 64, 16):
        total |= (((a >> shift) + (b >> shift)) & 0xFFFF) << shift
    return total


@compiled
def _less_counters(a, b):  # type: ignore[no-untyped-def]
    """Subtracts four 16-bit counters without borrowing between them."""
    total = 0
    for shift in range(0, 64, 16):
        total |= (((a >> shift) - (b >> shift)) & 0xFFFF) << shift
    return total


@compiled
def _walked(low, high, state):  # type: ignore[no-untyped-def]
    """The sums over positions low..high, one by one: amount and both words of counters."""
    amount, flagged, kinds = 0, 0, 0
    for i in range(low, high):
        flags, spent = packed_flags(i, state), amount_of(i, state)
        amount += spent
        if flags != 0:
            flagged = _add_counters(flagged, _flagged(flags))
        kinds = _add_counters(kinds, _kinds(flags, spent))
    return amount, flagged, kinds


@compiled
def totals(low, high, state):  # type: ignore[no-untyped-def]
    """The sums over positions low..high: amount and both words of counters."""
    if high <= low:
        return 0, 0, 0
    first, last = (low + BLOCK - 1) // BLOCK, (high - 1) // BLOCK
    if last <= first:
        return _walked(low, high, state)
    amount, flagged, kinds = _walked(low, first * BLOCK, state)
    more, more_flagged, more_kinds = _walked(last * BLOCK, high, state)
    after, before = state.sums[last], state.sums[first]
    amount += more + after[SUM_AMOUNT] - before[SUM_AMOUNT]
    more_flagged = _add_counters(more_flagged, _less_counters(after[SUM_FLAGGED], before[SUM_FLAGGED]))
    more_kinds = _add_counters(more_kinds, _less_counters(after[SUM_KINDS], before[SUM_KINDS]))
    return amount, _add_counters(flagged, more_flagged), _add_counters(kinds, more_kinds)


@compiled
def _summed(low, block, state):  # type: ignore[no-untyped-def]
    """What stands in front of a block: the sums from the block before; from 0 where the first event lies in that."""
    at, before = block * BLOCK, (block - 1) * BLOCK
    if before < low:
        return 0, 0, 0
    amount, flagged, kinds = _walked(before, at, state)
    sums = state.sums[block - 1]
    flagged, kinds = _add_counters(sums[SUM_FLAGGED], flagged), _add_counters(sums[SUM_KINDS], kinds)
    return sums[SUM_AMOUNT] + amount, flagged, kinds


@compiled
def renew_sums(low, place, end, state):  # type: ignore[no-untyped-def]
    """Computes the sums from position `place` on of the events in low..end; those before are right."""
    for block in range((place + BLOCK - 1) // BLOCK, (end - 1) // BLOCK + 1):
        amount, flagged, kinds = _summed(low, block, state)
        state.sums[block, SUM_AMOUNT] = amount
        state.sums[block, SUM_FLAGGED] = flagged
        state.sums[block, SUM_KINDS] = kinds


@compiled
def sums_are_sound(low, end, state):  # type: ignore[no-untyped-def]
    """Whether the sums among the events in low..end fit."""
    for block in range((low + BLOCK - 1) // BLOCK + 1, (end - 1) // BLOCK + 1):
        amount, flagged, kinds = _summed(low, block, state)
        sums = state.sums[block]
        if sums[SUM_AMOUNT] != amount or sums[SUM_FLAGGED] != flagged or sums[SUM_KINDS] != kinds:
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
def _counter(flagged, kinds, counter):  # type: ignore[no-untyped-def]
    """How many events a counter counts, by both words of counters."""
    return ((flagged if counter < 4 else kinds) >> (16 * (counter & 3))) & 0xFFFF


@compiled
def _counted(low, high, counter, state):  # type: ignore[no-untyped-def]
    """Events in low..high that a counter counts."""
    _, flagged, kinds = totals(low, high, state)
    return _counter(flagged, kinds, counter)


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
def look_into(spans, now, found, state):  # type: ignore[no-untyped-def]
    """Finds what lies in each window, for all features that read it.

    Args:
        spans: window and delay of each.
        now: the event that is measured.
        found: is filled in: `SPAN_WORDS` each.
        state: is read.
    """
    for s in range(spans.shape[0]):
        window, delay = spans[s, 0], spans[s, 1]
        high = now.place if delay == 0 else first_after(now.low, now.place, now.time - delay, state)
        low = first_after(now.low, high, now.time - delay - window, state)
        amount, flagged, kinds = totals(low, high, state)
        found[s, SPAN_LOW] = low
        found[s, SPAN_HIGH] = high
        found[s, SPAN_AMOUNT] = amount
        found[s, SPAN_FLAGGED] = flagged
        found[s, SPAN_KINDS] = kinds


@inlined
def _amount_value(code, now, inside, state):  # type: ignore[no-untyped-def]
    """Of what was spent in a window."""
    count = _counter(0, inside[SPAN_KINDS], SPENT_COUNTER)
    if count == 0:
        return np.nan
    low, high, total = inside[SPAN_LOW], inside[SPAN_HIGH], inside[SPAN_AMOUNT]
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
    flagged = _counter(inside[SPAN_FLAGGED], inside[SPAN_KINDS], counter)
    if code in (_SINCE_FLAGGED, _SINCE_FRAUD_NORMAL):
        if flagged == 0:
            return np.nan
        latest = latest_counted(inside[SPAN_LOW], inside[SPAN_HIGH], counter, state)
        return (now.time - time_of(latest, state)) / 1000.0
    if code == _FLAGGED:
        return float(flagged)
    payments = _counter(0, inside[SPAN_KINDS], PAYMENT_COUNTER)
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
        return float(_counter(0, inside[SPAN_KINDS], PAYMENT_COUNTER))
    if code == _SUM:
        return inside[SPAN_AMOUNT] / now.units
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
