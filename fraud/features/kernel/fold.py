"""The fold over events: one compiled pass computes every feature of an entity and updates its state in place.

A feature sees what arrived before its event. Of two events of the same instant, the second to arrive sees the first.
"""

from __future__ import annotations

import numpy as np

from fraud.features import aggregates
from fraud.features.kernel.compiling import cached, compiled, inlined
from fraud.features.kernel.counts import different, may_repeat, move_windows, occurs, open_counts, seal_counts
from fraud.features.kernel.habits import decayed_value, history_value, learn, robust_z
from fraud.features.kernel.layout import (
    CODE_FLAGS_SHIFT,
    EVENT_AMOUNT,
    EVENT_CODES,
    EVENT_DELAY,
    EVENT_ID,
    EVENT_TIME,
    LABEL_MATCHED,
    LABEL_TICKET,
    LEAST_VALUE,
    META_ARRIVAL,
    META_CLOCK,
    META_DEVICES,
    REPEATED,
    REPEATED_AT_ONCE,
    ROW_BINS,
    ROW_CHECK,
    ROW_COUNTS,
    ROW_DELAY,
    ROW_EVICTED,
    ROW_FIRST,
    ROW_HISTORY,
    ROW_LAST,
    ROW_LATEST,
    SPEC_CODE,
    SPEC_COUNTED,
    SPEC_INPUT,
    SPEC_SERIES,
    SPEC_SHAPE,
    UNUSUAL_Z,
    USUAL_Z,
    Batch,
    Flag,
    Now,
    Plan,
    Results,
    Scratch,
    State,
)
from fraud.features.kernel.memory import (
    apply_label,
    check_of_row,
    find_row,
    has_id,
    has_short_id,
    places_of,
    remember,
    room_for_one,
    row_for,
)
from fraud.features.kernel.packing import attribute_of, delay_of, pack, time_of
from fraud.features.kernel.windows import distinct_values, first_after, look_into, pays, window_value

_DECLINED, _LABEL = int(Flag.DECLINED), int(Flag.LABEL)
_UNUSUAL, _HIGH = int(Flag.UNUSUAL), int(Flag.HIGH)
_WINDOW, _DECAY = int(aggregates.Shape.WINDOW), int(aggregates.Shape.DECAY)
_DISTINCT = aggregates.DISTINCT.code


@compiled
def _repeats(words, low, end, horizon, delay, latest, state):  # type: ignore[no-untyped-def]
    """How an event repeats a remembered one of its id that arrived within the horizon or has the same event time.

    Args:
        words: of this event.
        low: the first remembered event of its key, by event time.
        end: behind the last.
        horizon: between the two arrivals.
        delay: the longest of the remembered events: none that arrived within the horizon happened earlier than that.
        latest: when the last of them arrived.
        state: is read.

    Returns:
        `REPEATED` or `REPEATED_AT_ONCE`; 0 where it repeats none.
    """
    time = words[EVENT_TIME]
    arrival = time + words[EVENT_DELAY]
    since = min(arrival - horizon - delay, time - 1)
    i = end - 1
    while i >= low and time_of(i, state) > since:
        if has_id(i, words[EVENT_ID], has_short_id(i, latest, horizon, state), state):
            earlier = time_of(i, state)
            apart = abs(arrival - earlier - delay_of(i, state))
            if apart < horizon or earlier == time:
                return REPEATED_AT_ONCE if apart == 0 and earlier == time else REPEATED
        i -= 1
    return 0


@inlined
def _value(feature, now, found, history, state):  # type: ignore[no-untyped-def]
    """One feature's value; NaN where undefined."""
    if feature[SPEC_SHAPE] == _WINDOW:
        value = window_value(feature, now, found, state)
    elif feature[SPEC_SHAPE] == _DECAY:
        value = decayed_value(feature, now, history)
    else:
        value = history_value(feature[SPEC_CODE], now, history, state)
    return 0.0 if abs(value) < LEAST_VALUE else value


@compiled
def _counted_value(feature, now, row, state):  # type: ignore[no-untyped-def]
    """The value of a feature that the table of a busy key counts."""
    number = feature[SPEC_COUNTED] - 1
    if feature[SPEC_CODE] == _DISTINCT:
        return float(different(number, row, state))
    mine = attribute_of(feature[SPEC_INPUT], now.end, state)
    if mine == 0:
        return np.nan
    return 0.0 if occurs(mine, number, row, state) else 1.0


@compiled
def _mark(words, robust):  # type: ignore[no-untyped-def]
    """Flags an event whose amount is above what is usual for its card."""
    if robust > USUAL_Z:
        words[EVENT_CODES] |= (_UNUSUAL | _HIGH if robust > UNUSUAL_Z else _HIGH) << CODE_FLAGS_SHIFT


@cached
def fold(batch, first, arrays, plan, results, scratch):  # type: ignore[no-untyped-def]
    """Folds events in arrival order.

    The arrays come as plain tuples, because a call with named ones costs 20 us more.

    Args:
        batch: the events: the arrays of `Batch`.
        first: the event to begin with.
        arrays: those of `State`; changed.
        plan: those of `Plan`.
        results: those of `Results`; filled in.
        scratch: those of `Scratch`.

    Returns:
        The event that found no room, to be gone on with after `EntityState.make_room`; or their number.
    """
    key, all_words, places = Batch(*batch)
    spec, spans, counted, limits = Plan(*plan)
    retention, most, reach, horizon, expiry, marks, units, busy, plan_id, id_mask, codes_mask, devices = limits
    values, exact, duplicate, labelled = Results(*results)
    seen, found = Scratch(*scratch)
    state = State(*arrays)
    rows = state.rows
    float_rows = rows.view(np.float64)
    state.meta[META_DEVICES] = devices
    for n in range(first, key.shape[0]):
        if key[n] == 0:
            continue
        words = all_words[n]
        time, arrival = words[EVENT_TIME], words[EVENT_TIME] + words[EVENT_DELAY]
        row = find_row(key[n], state.index, rows)
        if (words[EVENT_CODES] >> CODE_FLAGS_SHIFT) & _LABEL:
            ticket = words[LABEL_TICKET]
            if ticket == 0 or labelled[ticket - 1] != LABEL_MATCHED:
                labelled[max(0, ticket - 1)] = apply_label(words, row, state, retention)
            continue
        row = row_for(key[n], row, arrival, expiry, state)
        if row < 0 or not room_for_one(row, words, state):
            return n
        low, end = places_of(row, rows)
        if not open_counts(row, low, end, counted, plan_id, busy, state):
            return n
        has_table = rows[row, ROW_COUNTS] != 0
        if horizon > 0 and (not has_table or may_repeat(words[EVENT_ID], counted, row, state)):
            duplicate[n] = _repeats(words, low, end, horizon, rows[row, ROW_DELAY], rows[row, ROW_LATEST], state)
        if duplicate[n]:
            seal_counts(row, state)
            rows[row, ROW_CHECK] = check_of_row(rows[row])
            continue
        place = first_after(low, end, time, state)
        look_into(spans, time, low, place, found, state)
        if has_table and not move_windows(row, time, low, end, counted, found, state):
            return n
        exact[n] = rows[row, ROW_EVICTED] <= time - reach
        history, bins = float_rows[row, ROW_HISTORY:ROW_BINS], rows[row, ROW_BINS:]
        amount = float(words[EVENT_AMOUNT])
        if (words[EVENT_CODES] >> CODE_FLAGS_SHIFT) & _DECLINED:
            words[EVENT_AMOUNT] = 0  # what is remembered of it: nothing was spent
        spent = float(words[EVENT_AMOUNT])
        robust = robust_z(amount, float(units), history, bins)
        if marks:
            _mark(words, robust)
        unusual = ((words[EVENT_CODES] >> CODE_FLAGS_SHIFT) & _UNUSUAL) != 0
        pack(words, end, state, id_mask, codes_mask)
        lat, lon = places[n, 0], places[n, 1]
        since = rows[row, ROW_FIRST]
        now = Now(time, arrival, since, amount, spent, pays(words), float(units), robust, lat, lon, low, place, end)
        for f in range(spec.shape[0]):
            if has_table and spec[f, SPEC_COUNTED] != 0:
                values[n, f] = _counted_value(spec[f], now, row, state)
            elif spec[f, SPEC_CODE] != _DISTINCT:
                values[n, f] = _value(spec[f], now, found, history, state)
            elif spec[f, SPEC_SERIES] > 0:
                series = slice(f, f + spec[f, SPEC_SERIES])
                distinct_values(spec[series], now, found, values[n, series], seen, state)
        remember(row, place, words, state, counted, retention, horizon, most)
        learn(spec, now, unusual, history, bins)
        rows[row, ROW_LAST] = arrival
        seal_counts(row, state)
        rows[row, ROW_CHECK] = check_of_row(rows[row])
        state.meta[META_CLOCK] = min(state.meta[META_ARRIVAL], arrival)
        state.meta[META_ARRIVAL] = arrival
    return key.shape[0]
