"""The fold over events: one compiled pass computes every feature of an entity and updates its state.

An entity's events are kept sorted by event time in one stretch of a matrix; prefix sums beside it make counts, sums and
shares of any window two binary searches and a subtraction, whatever the window holds. Prefix sums are integers modulo
2^64, so that differences are exact and do not depend on where the stretch began.

An event that arrives late takes its place by event time; its own windows end at its event time, and the values that
were given to events before it arrived stay. Of two events of the same instant, the second to arrive sees the first.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from fraud.features.catalogue import UNUSUAL_Z, Aggregate, Flag, Input
from fraud.features.events import NO_TIME

PREFIXES = 6
"""Prefix sums: amount, its square, declined, unusual, fraud, and fraud whose amount was usual."""

HISTORY = 18
"""Scalars of an entity's whole history, see the constants below."""

BINS = 64
"""Bins of the amount's logarithm, half an octave each, for median and quartiles."""

MAX_SQUARED_AMOUNT = 20_000_000
"""Amounts above 200,000.00 count as that much in squares, so that 16,384 squares fit 63 bits."""

DUPLICATE_HORIZON_MS = 86_400_000

_TIME, _ID, _AMOUNT, _FLAGS = int(Input.TIME), int(Input.ID), int(Input.AMOUNT), int(Input.FLAGS)
_DECLINED, _UNUSUAL, _FRAUD, _LABEL = int(Flag.DECLINED), int(Flag.UNUSUAL), int(Flag.FRAUD), int(Flag.LABEL)
_COUNT, _SUM, _MEAN, _STD, _MAX = (int(Aggregate[n]) for n in ("COUNT", "SUM", "MEAN", "STD", "MAX"))
_DISTINCT, _IS_NEW = int(Aggregate.DISTINCT), int(Aggregate.IS_NEW)
_FLAGGED, _FLAGGED_SHARE = int(Aggregate.FLAGGED), int(Aggregate.FLAGGED_SHARE)
_FRAUD_NORMAL_SHARE, _AMOUNT_RATIO = int(Aggregate.FRAUD_NORMAL_SHARE), int(Aggregate.AMOUNT_RATIO)
_SINCE_LAST = int(Aggregate.SINCE_LAST)
_DECAYED_COUNT, _DECAYED_SUM = int(Aggregate.DECAYED_COUNT), int(Aggregate.DECAYED_SUM)
_DECAYED_UNUSUAL = int(Aggregate.DECAYED_UNUSUAL)
_LOG_Z, _ROBUST_Z, _UNUSUAL_FLAG = int(Aggregate.LOG_Z), int(Aggregate.ROBUST_Z), int(Aggregate.UNUSUAL)
_HOUR_DEVIATION = int(Aggregate.HOUR_DEVIATION)
_DISTANCE_LAST, _SPEED = int(Aggregate.DISTANCE_LAST), int(Aggregate.SPEED)

_H_COUNT, _H_MEAN, _H_M2 = 0, 1, 2  # of the amount's logarithm, by Welford's method
_H_COS, _H_SIN = 3, 4  # of the time of day
_H_PLACE_TIME, _H_LAT, _H_LON = 5, 6, 7  # where the card was last present; time 0 for never
_H_DECAYED = 8  # pairs of value and time, one for each decayed feature
DECAYED = (HISTORY - _H_DECAYED) // 2
"""Most decayed features of an entity."""

_LEAST_HISTORY = 5  # events before an entity has a usual amount
_LEAST_SPREAD = 0.1  # of the logarithm: a card that always pays the same is not infinitely surprised


@nb.njit(cache=True)
def _prefix(prefix, at, row):  # type: ignore[no-untyped-def]
    """Fills prefix[at + 1] from prefix[at] and an event."""
    amount = row[_AMOUNT]
    squared = min(amount, MAX_SQUARED_AMOUNT)
    flags = row[_FLAGS]
    fraud = 1 if flags & _FRAUD else 0
    unusual = 1 if flags & _UNUSUAL else 0
    prefix[at + 1, 0] = prefix[at, 0] + amount
    prefix[at + 1, 1] = prefix[at, 1] + squared * squared
    prefix[at + 1, 2] = prefix[at, 2] + (1 if flags & _DECLINED else 0)
    prefix[at + 1, 3] = prefix[at, 3] + unusual
    prefix[at + 1, 4] = prefix[at, 4] + fraud
    prefix[at + 1, 5] = prefix[at, 5] + fraud * (1 - unusual)


@nb.njit(cache=True)
def _first_after(ring, low, high, time):  # type: ignore[no-untyped-def]
    """The first row of ring[low:high], sorted by time, whose time is greater."""
    while low < high:
        middle = (low + high) // 2
        if ring[middle, _TIME] > time:
            high = middle
        else:
            low = middle + 1
    return low


@nb.njit(cache=True)
def _distinct(ring, low, high, column, value, table, stamps, stamp):  # type: ignore[no-untyped-def]
    """Distinct values other than 0 among rows low..high and the given value."""
    mask = table.shape[0] - 1
    found = 0
    for i in range(low, high + 1):
        seen = ring[i, column] if i < high else value
        if seen == 0:
            continue
        slot = (seen ^ (seen >> 29)) & mask
        while stamps[slot] == stamp and table[slot] != seen:
            slot = (slot + 1) & mask
        if stamps[slot] != stamp:
            stamps[slot] = stamp
            table[slot] = seen
            found += 1
    return found


@nb.njit(cache=True)
def _quantile(bins, total, share):  # type: ignore[no-untyped-def]
    """A quantile of the amount's logarithm, interpolated inside its bin, in bins."""
    wanted = share * total
    below = 0
    for b in range(BINS):
        if below + bins[b] >= wanted and bins[b] > 0:
            return b + (wanted - below) / bins[b]
        below += bins[b]
    return float(BINS)


@nb.njit(cache=True)
def _haversine_km(lat_a, lon_a, lat_b, lon_b):  # type: ignore[no-untyped-def]
    p = np.pi / 180
    half = (
        np.sin((lat_b - lat_a) * p / 2) ** 2
        + np.cos(lat_a * p) * np.cos(lat_b * p) * np.sin((lon_b - lon_a) * p / 2) ** 2
    )
    return 2 * 6371.0088 * np.arcsin(np.sqrt(min(1.0, half)))


@nb.njit(cache=True)
def _robust_z(bins, count, position):  # type: ignore[no-untyped-def]
    if count < _LEAST_HISTORY:
        return np.nan
    median = _quantile(bins, count, 0.5)
    spread = (_quantile(bins, count, 0.75) - _quantile(bins, count, 0.25)) / 1.349
    return (position - median) / max(spread, _LEAST_SPREAD * 2 / np.log(2.0))


@nb.njit(cache=True)
def fold(  # type: ignore[no-untyped-def]
    key, matrix, places, ring, offset, length, evicted, history, bins, spec, retention, most, horizon, expiry,
    values, exact, dup,
):  # fmt: skip
    """Folds events in arrival order.

    Args:
        key: for each event the number of its entity (n).
        matrix: events (n, len(Input)).
        places: latitude and longitude (n, 2), NaN where unknown.
        ring: kept events of all entities, each a stretch sorted by time with room for its new events behind.
        offset: where each entity's stretch starts; moves on as events fall out.
        length: events in each stretch.
        evicted: latest time of the events that fell out of each stretch.
        history: whole-history scalars (entities, HISTORY).
        bins: histogram of the amount's logarithm (entities, BINS).
        spec: features (f, 6): aggregate, window, delay, input, flag, decayed slot.
        retention: events older than the newest by this fall out, ms.
        most: events kept of an entity.
        horizon: how far the longest window reaches back, ms.
        expiry: an entity without events for longer begins anew, ms.
        values: results (n, f), NaN where undefined; rows of labels and duplicates are left.
        exact: whether all windows were whole (n).
        dup: whether a transaction repeats one of the last 24 hours (n).
    """
    table = np.zeros(1 << 16, np.int64)
    stamps = np.zeros(1 << 16, np.int64)
    stamp = 0
    entities = offset.shape[0]
    ends = np.empty(entities, np.int64)
    prefix = np.zeros((ring.shape[0] + entities, PREFIXES), np.int64)
    for k in range(entities):
        ends[k] = offset[k] + length[k]
        for i in range(offset[k], ends[k]):
            _prefix(prefix, i + k, ring[i])
    for n in range(key.shape[0]):
        k = key[n]
        event = matrix[n]
        time = event[_TIME]
        if ends[k] > offset[k] and time - ring[ends[k] - 1, _TIME] > expiry and not event[_FLAGS] & _LABEL:
            offset[k] = ends[k]
            evicted[k] = NO_TIME
            history[k] = 0.0
            bins[k] = 0
        low, end = offset[k], ends[k]
        place = _first_after(ring, low, end, time)
        if event[_FLAGS] & _LABEL:
            i = place - 1
            while i >= low and ring[i, _TIME] == time:
                if ring[i, _ID] == event[_ID]:
                    ring[i, _FLAGS] = (ring[i, _FLAGS] & ~_FRAUD) | (event[_FLAGS] & _FRAUD)
                    for j in range(i, end):
                        _prefix(prefix, j + k, ring[j])
                    break
                i -= 1
            continue
        i = _first_after(ring, low, end, time + DUPLICATE_HORIZON_MS) - 1
        while i >= low and ring[i, _TIME] > time - DUPLICATE_HORIZON_MS:
            if ring[i, _ID] == event[_ID]:
                dup[n] = True
                break
            i -= 1
        if dup[n]:
            continue
        exact[n] = evicted[k] <= time - horizon

        amount = float(event[_AMOUNT])
        log_amount = np.log(amount + 1.0)
        position = min(BINS - 1e-9, 2 * log_amount / np.log(2.0))
        seen = history[k, _H_COUNT]
        robust = _robust_z(bins[k], seen, position) if amount > 0 else np.nan
        for f in range(spec.shape[0]):
            kind, window, delay, column, flag, slot = spec[f]
            value = np.nan
            if kind <= _AMOUNT_RATIO:
                high = place if delay == 0 else _first_after(ring, low, end, time - delay)
                start = _first_after(ring, low, high, time - delay - window)
                count = high - start
                a, b = start + k, high + k
                if kind == _COUNT:
                    value = count
                elif kind == _SUM:
                    value = (prefix[b, 0] - prefix[a, 0]) / 100.0
                elif kind == _MEAN:
                    if count > 0:
                        value = (prefix[b, 0] - prefix[a, 0]) / 100.0 / count
                elif kind == _STD:
                    if count > 1:
                        mean = (prefix[b, 0] - prefix[a, 0]) / count
                        square = (prefix[b, 1] - prefix[a, 1]) / count
                        value = np.sqrt(max(0.0, square - mean * mean)) / 100.0
                elif kind == _MAX:
                    if count > 0:
                        largest = 0
                        for i in range(start, high):
                            largest = max(largest, ring[i, _AMOUNT])
                        value = largest / 100.0
                elif kind == _DISTINCT:
                    stamp += 1
                    value = _distinct(ring, start, high, column, event[column], table, stamps, stamp)
                elif kind == _IS_NEW:
                    if event[column] != 0:
                        value = 1.0
                        for i in range(high - 1, start - 1, -1):
                            if ring[i, column] == event[column]:
                                value = 0.0
                                break
                elif kind in (_FLAGGED, _FLAGGED_SHARE):
                    p = 2 if flag == _DECLINED else 3 if flag == _UNUSUAL else 4
                    value = prefix[b, p] - prefix[a, p]
                    if kind == _FLAGGED_SHARE:
                        value = value / count if count > 0 else np.nan
                elif kind == _FRAUD_NORMAL_SHARE:
                    if count > 0:
                        value = (prefix[b, 5] - prefix[a, 5]) / count
                elif kind == _AMOUNT_RATIO:
                    total = prefix[b, 0] - prefix[a, 0]
                    if total > 0:
                        value = amount * count / total
            elif kind == _SINCE_LAST:
                if place > low:
                    value = (time - ring[place - 1, _TIME]) / 1000.0
            elif kind in (_DECAYED_COUNT, _DECAYED_SUM, _DECAYED_UNUSUAL):
                at = _H_DECAYED + 2 * slot
                age = max(0.0, time - history[k, at + 1])
                value = history[k, at] * 0.5 ** (age / window)
            elif kind == _LOG_Z:
                if seen >= _LEAST_HISTORY and amount > 0:
                    deviation = np.sqrt(history[k, _H_M2] / (seen - 1))
                    value = (log_amount - history[k, _H_MEAN]) / max(deviation, _LEAST_SPREAD)
            elif kind == _ROBUST_Z:
                value = robust
            elif kind == _UNUSUAL_FLAG:
                value = 1.0 if robust > UNUSUAL_Z else 0.0
            elif kind == _HOUR_DEVIATION:
                if seen >= _LEAST_HISTORY:
                    angle = (time % 86_400_000) / 86_400_000 * 2 * np.pi
                    usual = np.arctan2(history[k, _H_SIN], history[k, _H_COS])
                    apart = abs(angle - usual) % (2 * np.pi)
                    value = min(apart, 2 * np.pi - apart) * 12 / np.pi
            elif kind in (_DISTANCE_LAST, _SPEED) and history[k, _H_PLACE_TIME] > 0 and not np.isnan(places[n, 0]):
                value = _haversine_km(history[k, _H_LAT], history[k, _H_LON], places[n, 0], places[n, 1])
                if kind == _SPEED:
                    hours = abs(time - history[k, _H_PLACE_TIME]) / 3_600_000
                    value = value / max(hours, 1 / 60)
            values[n, f] = value

        for i in range(end, place, -1):
            ring[i] = ring[i - 1]
        ring[place] = event
        ends[k] = end + 1
        for i in range(place, end + 1):
            _prefix(prefix, i + k, ring[i])
        newest = ring[end, _TIME]
        while ring[offset[k], _TIME] <= newest - retention or ends[k] - offset[k] > most:
            evicted[k] = max(evicted[k], ring[offset[k], _TIME])
            offset[k] += 1

        if amount > 0:
            history[k, _H_COUNT] = seen + 1
            before = log_amount - history[k, _H_MEAN]
            history[k, _H_MEAN] += before / (seen + 1)
            history[k, _H_M2] += before * (log_amount - history[k, _H_MEAN])
            bins[k, int(position)] += 1
            angle = (time % 86_400_000) / 86_400_000 * 2 * np.pi
            history[k, _H_COS] += np.cos(angle)
            history[k, _H_SIN] += np.sin(angle)
        if not np.isnan(places[n, 0]) and time >= history[k, _H_PLACE_TIME]:
            history[k, _H_PLACE_TIME] = time
            history[k, _H_LAT] = places[n, 0]
            history[k, _H_LON] = places[n, 1]
        for f in range(spec.shape[0]):
            kind, window, delay, column, flag, slot = spec[f]
            if kind in (_DECAYED_COUNT, _DECAYED_SUM, _DECAYED_UNUSUAL):
                added = 1.0 if kind == _DECAYED_COUNT else amount / 100.0
                if kind == _DECAYED_UNUSUAL:
                    added = 1.0 if robust > UNUSUAL_Z else 0.0
                at = _H_DECAYED + 2 * slot
                since = time - history[k, at + 1]
                if since >= 0:
                    history[k, at] = history[k, at] * 0.5 ** (since / window) + added
                    history[k, at + 1] = time
                else:
                    history[k, at] += added * 0.5 ** (-since / window)
    for k in range(entities):
        length[k] = ends[k] - offset[k]
