"""The fold over events: one compiled pass computes every feature of an entity and updates its state in place.

A key's events are kept sorted by event time in one region of the slab, each with the prefix sums of those before it;
so counts, sums and shares of any window are two binary searches and a subtraction, whatever the window holds. Prefix
sums are integers modulo 2^64 (flags: 2^16), so that differences are exact and do not depend on where they began.

An event that arrives late takes its place by event time; its own windows end at its event time, and the values that
were given to events before it arrived stay. Of two events of the same instant, the second to arrive sees the first.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from fraud.features.catalogue import BINS, LEAST_HISTORY, LEAST_SPREAD, UNUSUAL_Z, USUAL_Z, Aggregate, Flag, Input

NO_TIME = -(1 << 62)

# A remembered event.
EVENT_TIME, EVENT_ID, EVENT_AMOUNT, EVENT_OTHER, EVENT_DEVICE, EVENT_CODES = range(6)
EVENT_SUM, EVENT_FLAGGED = 6, 7  # prefix sums of the events before it: amounts, flags
EVENT_WORDS = 8

# A key's row; history and histogram follow the fixed words.
ROW_KEY, ROW_LAST, ROW_EVICTED, ROW_REGION, ROW_CAPACITY, ROW_START, ROW_END = range(7)
ROW_EVENTS, ROW_CHECK = 7, 8  # checksums: of the remembered events, whatever their order; of all other words of the row
ROW_HISTORY = 9

# Whole-history scalars, floats.
H_COUNT, H_MEAN, H_M2 = 0, 1, 2  # of the amount's logarithm, by Welford's method
H_COS, H_SIN = 3, 4  # of the time of day
H_WEEK_COS, H_WEEK_SIN = 5, 6  # of the weekday
H_PLACE_TIME, H_LAT, H_LON = 7, 8, 9  # where the card was last present; time 0 for never
H_DECAYED = 10  # pairs of value and time, one for each decayed feature
DECAYED = 6
"""Most decayed features of an entity."""
HISTORY = H_DECAYED + 2 * DECAYED

ROW_BINS = ROW_HISTORY + HISTORY
"""The bins of the amount's logarithm: 32-bit counters, two a word."""
ROW_WORDS = ROW_BINS + BINS // 2

META_ROWS, META_SLAB, META_CLOCK, META_NEEDED = range(4)
META_FREE = 8  # the first free region of each size class, plus 1
META_WORDS = 40

FIRST_CAPACITY = 2

# Codes of an event: country, merchant category, channel, flags.
CODE_COUNTRY = 0xFFFF
CODE_MCC = 0xFFFF_0000
CODE_CHANNEL = 0xFF_0000_0000
CODE_FLAGS_SHIFT = 40

_DECLINED, _UNUSUAL, _FRAUD, _LABEL, _HIGH = (int(Flag[n]) for n in ("DECLINED", "UNUSUAL", "FRAUD", "LABEL", "HIGH"))
_COUNT, _SUM, _MEAN, _STD, _MAX = (int(Aggregate[n]) for n in ("COUNT", "SUM", "MEAN", "STD", "MAX"))
_DISTINCT, _IS_NEW = int(Aggregate.DISTINCT), int(Aggregate.IS_NEW)
_FLAGGED, _FLAGGED_SHARE = int(Aggregate.FLAGGED), int(Aggregate.FLAGGED_SHARE)
_FRAUD_NORMAL_SHARE, _AMOUNT_RATIO = int(Aggregate.FRAUD_NORMAL_SHARE), int(Aggregate.AMOUNT_RATIO)
_SINCE_FLAGGED, _SINCE_FRAUD_NORMAL = int(Aggregate.SINCE_FLAGGED), int(Aggregate.SINCE_FRAUD_NORMAL)
_SINCE_LAST = int(Aggregate.SINCE_LAST)
_DECAYED_COUNT, _DECAYED_SUM = int(Aggregate.DECAYED_COUNT), int(Aggregate.DECAYED_SUM)
_DECAYED_UNUSUAL = int(Aggregate.DECAYED_UNUSUAL)
_LOG_Z, _ROBUST_Z, _UNUSUAL_FLAG = int(Aggregate.LOG_Z), int(Aggregate.ROBUST_Z), int(Aggregate.UNUSUAL)
_HOUR_DEVIATION, _WEEKDAY_DEVIATION = int(Aggregate.HOUR_DEVIATION), int(Aggregate.WEEKDAY_DEVIATION)
_DISTANCE_LAST, _SPEED = int(Aggregate.DISTANCE_LAST), int(Aggregate.SPEED)

_DAY_MS = 86_400_000
_MONDAY_OFFSET_DAYS = 3  # 1970-01-01 was a Thursday
_WEEK_COS, _WEEK_SIN = np.cos(np.arange(7) * 2 * np.pi / 7), np.sin(np.arange(7) * 2 * np.pi / 7)
_NO_DIRECTION = 1e-6  # length of a circular mean that is nothing but rounding


@nb.njit(cache=True)
def _slot_of(key, mask):  # type: ignore[no-untyped-def]
    return (key ^ (key >> 31)) & mask


@nb.njit(cache=True)
def find_row(key, index, rows):  # type: ignore[no-untyped-def]
    """The row of a key, or -1."""
    mask = index.shape[0] - 1
    slot = _slot_of(key, mask)
    while index[slot] != 0:
        if rows[index[slot] - 1, ROW_KEY] == key:
            return index[slot] - 1
        slot = (slot + 1) & mask
    return -1


@nb.njit(cache=True)
def _insert(key, row, index):  # type: ignore[no-untyped-def]
    mask = index.shape[0] - 1
    slot = _slot_of(key, mask)
    while index[slot] != 0:
        slot = (slot + 1) & mask
    index[slot] = row + 1


@nb.njit(cache=True)
def fill_index(meta, index, rows):  # type: ignore[no-untyped-def]
    """Enters all rows into an index of zeros."""
    for row in range(meta[META_ROWS]):
        _insert(rows[row, ROW_KEY], row, index)


@nb.njit(cache=True)
def _size_class(capacity):  # type: ignore[no-untyped-def]
    size = 0
    while (1 << size) < capacity:
        size += 1
    return size


@nb.njit(cache=True)
def _allocate(capacity, meta, slab):  # type: ignore[no-untyped-def]
    """A region of a power of two of events; -1 where there is no room (`META_NEEDED` says how much is)."""
    size = _size_class(capacity)
    free = meta[META_FREE + size]
    if free != 0:
        meta[META_FREE + size] = slab[free - 1, 0]
        return free - 1
    if meta[META_SLAB] + capacity > slab.shape[0]:
        meta[META_NEEDED] = meta[META_SLAB] + capacity
        return -1
    region = meta[META_SLAB]
    meta[META_SLAB] += capacity
    return region


@nb.njit(cache=True)
def _release(region, capacity, meta, slab):  # type: ignore[no-untyped-def]
    size = _size_class(capacity)
    slab[region, 0] = meta[META_FREE + size]
    meta[META_FREE + size] = region + 1


@nb.njit(cache=True)
def _room_for_one(row, meta, rows, slab):  # type: ignore[no-untyped-def]
    """Makes sure that a key's region has room behind its events; false where the slab has none."""
    capacity, start, end = rows[row, ROW_CAPACITY], rows[row, ROW_START], rows[row, ROW_END]
    if end < capacity:
        return True
    region = rows[row, ROW_REGION]
    target = region
    if capacity == 0 or start < capacity // 2:
        grown = max(FIRST_CAPACITY, 2 * capacity)
        target = _allocate(grown, meta, slab)
        if target < 0:
            return False
        rows[row, ROW_CAPACITY] = grown
    for i in range(end - start):
        slab[target + i] = slab[region + start + i]
    if target != region:
        if capacity > 0:
            _release(region, capacity, meta, slab)
        rows[row, ROW_REGION] = target
    rows[row, ROW_START] = 0
    rows[row, ROW_END] = end - start
    return True


@nb.njit(cache=True)
def _mixed(words, low, high, h):  # type: ignore[no-untyped-def]
    """A checksum of words low..high, going on from another."""
    for i in range(low, high):
        h = (h ^ words[i]) * 0x2545F4914F6CDD1D
        h ^= h >> 29
    return h


@nb.njit(cache=True)
def _check_of_row(row):  # type: ignore[no-untyped-def]
    return _mixed(row, ROW_CHECK + 1, ROW_WORDS, _mixed(row, 0, ROW_CHECK, 1))


@nb.njit(cache=True)
def _check_of_event(event):  # type: ignore[no-untyped-def]
    return _mixed(event, 0, EVENT_SUM, 1)


@nb.njit(cache=True)
def _new_row(key, meta, index, rows):  # type: ignore[no-untyped-def]
    """A row for a new key; -1 where there is no room."""
    row = meta[META_ROWS]
    if row >= rows.shape[0]:
        return -1
    rows[row] = 0
    rows[row, ROW_KEY] = key
    rows[row, ROW_EVICTED] = NO_TIME
    rows[row, ROW_LAST] = NO_TIME
    rows[row, ROW_CHECK] = _check_of_row(rows[row])
    meta[META_ROWS] = row + 1
    _insert(key, row, index)
    return row


@nb.njit(cache=True)
def gather(live, slab, events):  # type: ignore[no-untyped-def]
    """Copies the events of rows, one after the other, out of the slab."""
    at = 0
    for row in range(live.shape[0]):
        region = live[row, ROW_REGION]
        for i in range(live[row, ROW_START], live[row, ROW_END]):
            events[at] = slab[region + i]
            at += 1


@nb.njit(cache=True)
def scatter(dumped, events, meta, index, rows, slab, done):  # type: ignore[no-untyped-def]
    """Adds dumped rows from number `done` on; gives the number of rows done when room ran out, or all."""
    at = 0
    for n in range(dumped.shape[0]):
        length = dumped[n, ROW_END] - dumped[n, ROW_START]
        if n >= done:
            capacity = 0
            region = 0
            if length > 0:
                capacity = max(FIRST_CAPACITY, 1 << _size_class(length))
            if meta[META_ROWS] >= rows.shape[0]:
                return n
            if capacity > 0:
                region = _allocate(capacity, meta, slab)
                if region < 0:
                    return n
            row = _new_row(dumped[n, ROW_KEY], meta, index, rows)
            rows[row] = dumped[n]
            rows[row, ROW_REGION] = region
            rows[row, ROW_CAPACITY] = capacity
            rows[row, ROW_START] = 0
            rows[row, ROW_END] = length
            rows[row, ROW_CHECK] = _check_of_row(rows[row])
            for i in range(length):
                slab[region + i] = events[at + i]
        at += length
    return dumped.shape[0]


@nb.njit(cache=True)
def _flagged(codes):  # type: ignore[no-untyped-def]
    """What an event adds to the four counters of flags: declined, unusual, fraud, fraud at a usual amount."""
    flags = codes >> CODE_FLAGS_SHIFT
    added = 0
    if flags & _DECLINED:
        added |= 1
    if flags & _UNUSUAL:
        added |= 1 << 16
    if flags & _FRAUD:
        added |= 1 << 32
        if not flags & (_HIGH | _UNUSUAL):
            added |= 1 << 48
    return added


@nb.njit(cache=True)
def _add_counters(a, b):  # type: ignore[no-untyped-def]
    """Adds four 16-bit counters without carrying between them."""
    total = 0
    for shift in range(0, 64, 16):
        total |= (((a >> shift) + (b >> shift)) & 0xFFFF) << shift
    return total


@nb.njit(cache=True)
def _sum_before(ring, at, end, prefix):  # type: ignore[no-untyped-def]
    """The prefix sum in front of position `at`, which may be the end."""
    if at < end:
        return ring[at, prefix]
    last = ring[end - 1]
    if prefix == EVENT_SUM:
        return last[EVENT_SUM] + last[EVENT_AMOUNT]
    return _add_counters(last[EVENT_FLAGGED], _flagged(last[EVENT_CODES]))


@nb.njit(cache=True)
def _between(ring, low, high, end, prefix):  # type: ignore[no-untyped-def]
    """The sum over positions low..high."""
    if high <= low:
        return 0
    return _sum_before(ring, high, end, prefix) - _sum_before(ring, low, end, prefix)


@nb.njit(cache=True)
def _counted(ring, low, high, end, counter):  # type: ignore[no-untyped-def]
    """Events in low..high with a flag; counter 0 declined, 1 unusual, 2 fraud, 3 fraud at a usual amount."""
    if high <= low:
        return 0
    above = _sum_before(ring, high, end, EVENT_FLAGGED) >> (16 * counter)
    below = _sum_before(ring, low, end, EVENT_FLAGGED) >> (16 * counter)
    return (above - below) & 0xFFFF


@nb.njit(cache=True)
def _latest_counted(ring, low, high, end, counter):  # type: ignore[no-untyped-def]
    """The position of the last event in low..high with a flag, numbered as for `_counted`; -1 without one."""
    if _counted(ring, low, high, end, counter) == 0:
        return -1
    while high - low > 1:
        middle = (low + high) // 2
        if _counted(ring, middle, high, end, counter) > 0:
            low = middle
        else:
            high = middle
    return low


@nb.njit(cache=True)
def _renew_sums(ring, place, end):  # type: ignore[no-untyped-def]
    """Recomputes the prefix sums behind position `place`, whose own are right."""
    for i in range(place + 1, end):
        ring[i, EVENT_SUM] = _sum_before(ring, i, i, EVENT_SUM)
        ring[i, EVENT_FLAGGED] = _sum_before(ring, i, i, EVENT_FLAGGED)


@nb.njit(cache=True)
def _first_after(ring, low, high, time):  # type: ignore[no-untyped-def]
    """The first position in low..high, sorted by time, whose time is greater."""
    while low < high:
        middle = (low + high) // 2
        if ring[middle, EVENT_TIME] > time:
            high = middle
        else:
            low = middle + 1
    return low


@nb.njit(cache=True)
def _attribute(event, column):  # type: ignore[no-untyped-def]
    """The value of an event's column, 0 where it has none."""
    if column == Input.OTHER:
        return event[EVENT_OTHER]
    if column == Input.DEVICE:
        return event[EVENT_DEVICE]
    if column == Input.COUNTRY:
        return event[EVENT_CODES] & CODE_COUNTRY
    if column == Input.MCC:
        return event[EVENT_CODES] & CODE_MCC
    return event[EVENT_CODES] & CODE_CHANNEL


@nb.njit(cache=True)
def _distinct(series, time, place, ring, low, values, table, stamps, stamp):  # type: ignore[no-untyped-def]
    """Distinct values other than 0 for a series of features of one column, the shortest window first.

    One walk from the newest event to the oldest serves all its windows: a hot key pays for its longest alone.
    """
    column, delay = series[0, 3], series[0, 2]
    mask = table.shape[0] - 1
    high = place if delay == 0 else _first_after(ring, low, place, time - delay)
    i, found = high - 1, 0
    for f in range(series.shape[0]):
        start = _first_after(ring, low, high, time - delay - series[f, 1])
        while i >= start:
            seen = _attribute(ring[i], column)
            i -= 1
            if seen == 0:
                continue
            slot = _slot_of(seen, mask)
            while stamps[slot] == stamp and table[slot] != seen:
                slot = (slot + 1) & mask
            if stamps[slot] != stamp:
                stamps[slot] = stamp
                table[slot] = seen
                found += 1
        values[f] = found


@nb.njit(cache=True)
def _bin(bins, number):  # type: ignore[no-untyped-def]
    return (bins[number >> 1] >> (32 * (number & 1))) & 0xFFFF_FFFF


@nb.njit(cache=True)
def _quantile(bins, total, share):  # type: ignore[no-untyped-def]
    """A quantile of the amount's logarithm, interpolated inside its bin, in bins."""
    wanted = share * total
    below = 0
    for b in range(BINS):
        count = _bin(bins, b)
        if count > 0 and below + count >= wanted:
            return b + (wanted - below) / count
        below += count
    return float(BINS)


@nb.njit(cache=True)
def _robust_z(bins, count, position):  # type: ignore[no-untyped-def]
    if count < LEAST_HISTORY:
        return np.nan
    median = _quantile(bins, count, 0.5)
    spread = (_quantile(bins, count, 0.75) - _quantile(bins, count, 0.25)) / 1.349
    return (position - median) / max(spread, LEAST_SPREAD * 2 / np.log(2.0))


@nb.njit(cache=True)
def _haversine_km(lat_a, lon_a, lat_b, lon_b):  # type: ignore[no-untyped-def]
    p = np.pi / 180
    half = (
        np.sin((lat_b - lat_a) * p / 2) ** 2
        + np.cos(lat_a * p) * np.cos(lat_b * p) * np.sin((lon_b - lon_a) * p / 2) ** 2
    )
    return 2 * 6371.0088 * np.arcsin(np.sqrt(min(1.0, half)))


@nb.njit(cache=True)
def _weekday(time):  # type: ignore[no-untyped-def]
    """0 is Monday."""
    return (time // _DAY_MS + _MONDAY_OFFSET_DAYS) % 7


@nb.njit(cache=True)
def _value(spec, n, time, amount, robust, event, place, ring, low, end, history, places):  # type: ignore[no-untyped-def]
    """One feature's value; NaN where undefined. `place` is the first position after the event's time."""
    kind, window, delay, column, flag, slot = spec[:6]
    if kind <= _SINCE_FRAUD_NORMAL:
        high = place if delay == 0 else _first_after(ring, low, place, time - delay)
        start = _first_after(ring, low, high, time - delay - window)
        count = high - start
        if kind == _COUNT:
            return float(count)
        if kind == _SUM:
            return _between(ring, start, high, end, EVENT_SUM) / 100.0
        if kind in (_FLAGGED, _FLAGGED_SHARE, _FRAUD_NORMAL_SHARE, _SINCE_FLAGGED, _SINCE_FRAUD_NORMAL):
            counter = 0 if flag == _DECLINED else 1 if flag == _UNUSUAL else 2
            if kind in (_FRAUD_NORMAL_SHARE, _SINCE_FRAUD_NORMAL):
                counter = 3
            if kind in (_SINCE_FLAGGED, _SINCE_FRAUD_NORMAL):
                latest = _latest_counted(ring, start, high, end, counter)
                return (time - ring[latest, EVENT_TIME]) / 1000.0 if latest >= 0 else np.nan
            flagged = float(_counted(ring, start, high, end, counter))
            if kind == _FLAGGED:
                return flagged
            return flagged / count if count > 0 else np.nan
        if kind == _IS_NEW:
            mine = _attribute(event, column)
            if mine == 0:
                return np.nan
            for i in range(high - 1, start - 1, -1):
                if _attribute(ring[i], column) == mine:
                    return 0.0
            return 1.0
        if count == 0:
            return np.nan
        if kind == _MAX:
            largest = 0
            for i in range(start, high):
                largest = max(largest, ring[i, EVENT_AMOUNT])
            return largest / 100.0
        total = _between(ring, start, high, end, EVENT_SUM)
        if kind == _MEAN:
            return total / 100.0 / count
        if kind == _STD:
            if count < 2:
                return np.nan
            mean = total / count
            squares = 0.0
            for i in range(start, high):
                squares += (ring[i, EVENT_AMOUNT] - mean) ** 2
            return np.sqrt(squares / count) / 100.0
        return amount * count / total if total > 0 else np.nan
    if kind == _SINCE_LAST:
        return (time - ring[place - 1, EVENT_TIME]) / 1000.0 if place > low else np.nan
    if kind in (_DECAYED_COUNT, _DECAYED_SUM, _DECAYED_UNUSUAL):
        at = H_DECAYED + 2 * slot
        return history[at] * 0.5 ** (max(0.0, time - history[at + 1]) / window)
    seen = history[H_COUNT]
    if kind == _LOG_Z:
        if seen < LEAST_HISTORY or amount <= 0:
            return np.nan
        deviation = np.sqrt(history[H_M2] / (seen - 1))
        return (np.log(amount + 1.0) - history[H_MEAN]) / max(deviation, LEAST_SPREAD)
    if kind == _ROBUST_Z:
        return robust
    if kind == _UNUSUAL_FLAG:
        return 1.0 if robust > UNUSUAL_Z else 0.0
    if kind == _HOUR_DEVIATION:
        if seen < LEAST_HISTORY:
            return np.nan
        angle = (time % _DAY_MS) / _DAY_MS * 2 * np.pi
        apart = abs(angle - np.arctan2(history[H_SIN], history[H_COS])) % (2 * np.pi)
        return min(apart, 2 * np.pi - apart) * 12 / np.pi
    if kind == _WEEKDAY_DEVIATION:
        east, north = history[H_WEEK_COS], history[H_WEEK_SIN]
        if seen < LEAST_HISTORY or np.hypot(east, north) < _NO_DIRECTION * seen:
            return np.nan
        days = abs(_weekday(time) - np.arctan2(north, east) * 7 / (2 * np.pi)) % 7
        return min(days, 7 - days)
    if history[H_PLACE_TIME] > 0 and not np.isnan(places[n, 0]):
        km = _haversine_km(history[H_LAT], history[H_LON], places[n, 0], places[n, 1])
        if kind == _DISTANCE_LAST:
            return km
        return km / max(abs(time - history[H_PLACE_TIME]) / 3_600_000, 1 / 60)
    return np.nan


@nb.njit(cache=True)
def _remember(event, time, row, rows, slab, retention, most):  # type: ignore[no-untyped-def]
    """Puts an event into its place by time and lets the oldest fall out."""
    region = rows[row, ROW_REGION]
    ring = slab[region : region + rows[row, ROW_CAPACITY]]
    start, end = rows[row, ROW_START], rows[row, ROW_END]
    place = _first_after(ring, start, end, time)
    for i in range(end, place, -1):
        ring[i] = ring[i - 1]
    for word in range(EVENT_SUM):
        ring[place, word] = event[word]
    if place == end:
        for prefix in range(EVENT_SUM, EVENT_WORDS):
            ring[place, prefix] = _sum_before(ring, place, place, prefix) if place > start else 0
    end += 1
    rows[row, ROW_EVENTS] ^= _check_of_event(ring[place])
    _renew_sums(ring, place, end)
    newest = ring[end - 1, EVENT_TIME]
    while start < end and (ring[start, EVENT_TIME] <= newest - retention or end - start > most):
        rows[row, ROW_EVICTED] = max(rows[row, ROW_EVICTED], ring[start, EVENT_TIME])
        rows[row, ROW_EVENTS] ^= _check_of_event(ring[start])
        start += 1
    rows[row, ROW_START] = start
    rows[row, ROW_END] = end


@nb.njit(cache=True)
def _learn(spec, n, time, amount, unusual, history, bins, places):  # type: ignore[no-untyped-def]
    """Adds an event to the whole history."""
    if amount > 0:
        log_amount = np.log(amount + 1.0)
        history[H_COUNT] += 1
        before = log_amount - history[H_MEAN]
        history[H_MEAN] += before / history[H_COUNT]
        history[H_M2] += before * (log_amount - history[H_MEAN])
        number = int(min(BINS - 1e-9, 2 * log_amount / np.log(2.0)))
        bins[number >> 1] += 1 << (32 * (number & 1))
        angle = (time % _DAY_MS) / _DAY_MS * 2 * np.pi
        history[H_COS] += np.cos(angle)
        history[H_SIN] += np.sin(angle)
        history[H_WEEK_COS] += _WEEK_COS[_weekday(time)]
        history[H_WEEK_SIN] += _WEEK_SIN[_weekday(time)]
    if not np.isnan(places[n, 0]) and time >= history[H_PLACE_TIME]:
        history[H_PLACE_TIME] = time
        history[H_LAT] = places[n, 0]
        history[H_LON] = places[n, 1]
    for f in range(spec.shape[0]):
        kind, window, slot = spec[f, 0], spec[f, 1], spec[f, 5]
        if kind in (_DECAYED_COUNT, _DECAYED_SUM, _DECAYED_UNUSUAL):
            added = 1.0 if kind == _DECAYED_COUNT else amount / 100.0
            if kind == _DECAYED_UNUSUAL:
                added = 1.0 if unusual else 0.0
            at = H_DECAYED + 2 * slot
            since = time - history[at + 1]
            if since >= 0:
                history[at] = history[at] * 0.5 ** (since / window) + added
                history[at + 1] = time
            else:
                history[at] += added * 0.5 ** (-since / window)


@nb.njit(cache=True)
def _judge(event, row, rows, slab):  # type: ignore[no-untyped-def]
    """Lets a label set or clear the fraud flag of its transaction."""
    region = rows[row, ROW_REGION]
    ring = slab[region : region + rows[row, ROW_CAPACITY]]
    start, end = rows[row, ROW_START], rows[row, ROW_END]
    i = _first_after(ring, start, end, event[EVENT_TIME]) - 1
    while i >= start and ring[i, EVENT_TIME] == event[EVENT_TIME]:
        if ring[i, EVENT_ID] == event[EVENT_ID]:
            fraud = _FRAUD << CODE_FLAGS_SHIFT
            rows[row, ROW_EVENTS] ^= _check_of_event(ring[i])
            ring[i, EVENT_CODES] = (ring[i, EVENT_CODES] & ~fraud) | (event[EVENT_CODES] & fraud)
            rows[row, ROW_EVENTS] ^= _check_of_event(ring[i])
            rows[row, ROW_CHECK] = _check_of_row(rows[row])
            _renew_sums(ring, i, end)
            return
        i -= 1


@nb.njit(cache=True)
def is_sound(meta, index, rows, slab):  # type: ignore[no-untyped-def]
    """See `fraud.features.state.EntityState.is_sound`."""
    keys, used = meta[META_ROWS], meta[META_SLAB]
    size = index.shape[0]
    if not (0 <= keys <= rows.shape[0] and 0 <= used <= slab.shape[0] and size & (size - 1) == 0 and size > keys):
        return False
    entered = 0
    for slot in range(size):
        if index[slot] < 0 or index[slot] > keys:
            return False
        entered += index[slot] != 0
    if entered != keys:
        return False
    for row in range(keys):
        region, capacity, start, end = rows[row, ROW_REGION : ROW_END + 1]
        if find_row(rows[row, ROW_KEY], index, rows) != row:
            return False
        if not (0 <= start <= end <= capacity and region >= 0 and region + capacity <= used):
            return False
        ring = slab[region : region + capacity]
        check = 0
        for i in range(start, end):
            check ^= _check_of_event(ring[i])
        if check != rows[row, ROW_EVENTS] or rows[row, ROW_CHECK] != _check_of_row(rows[row]):
            return False
        for i in range(start + 1, end):
            if ring[i, EVENT_TIME] < ring[i - 1, EVENT_TIME] or ring[i, EVENT_FLAGGED] != _sum_before(
                ring, i, i, EVENT_FLAGGED
            ):
                return False
            if ring[i, EVENT_SUM] != _sum_before(ring, i, i, EVENT_SUM):
                return False
    return True


@nb.njit(cache=True)
def fold(  # type: ignore[no-untyped-def]
    key, events, places, first, meta, index, rows, slab, spec, limits, mark_unusual, values, exact, duplicate
):
    """Folds events in arrival order.

    Args:
        key: hash of each event's key (n); 0 where it has none: it is passed over.
        events: (n, EVENT_SUM) words up to the prefix sums.
        places: latitude and longitude (n, 2), NaN where unknown.
        first: the event to begin with.
        meta: counters of the state, see `fraud.features.state`.
        index: of the state.
        rows: of the state.
        slab: of the state.
        spec: features (f, 7): aggregate, window, delay, input, flag, decayed slot; of those that count distinct values,
            how many from this one on form a series, 0 inside one.
        limits: retention, most events, longest reach, duplicate horizon (0: none), expiry; ms where times.
        mark_unusual: whether this fold decides which amounts are unusual.
        values: results (n, f), NaN where undefined; rows of labels and duplicates are left.
        exact: whether all windows were whole (n); true is what it begins with.
        duplicate: whether a transaction id repeats inside the duplicate horizon (n).

    Returns:
        The event that found no room, to be gone on with after `EntityState.make_room`; or n.
    """
    retention, most, reach, horizon, expiry = limits
    table = np.empty(4, np.int64)
    stamps = np.zeros(4, np.int64)
    stamp = 0
    float_rows = rows.view(np.float64)
    for n in range(first, key.shape[0]):
        if key[n] == 0:
            continue
        event = events[n]
        time = event[EVENT_TIME]
        row = find_row(key[n], index, rows)
        if (event[EVENT_CODES] >> CODE_FLAGS_SHIFT) & _LABEL:
            if row >= 0:
                _judge(event, row, rows, slab)
            continue
        if row < 0:
            row = _new_row(key[n], meta, index, rows)
            if row < 0:
                return n
        elif rows[row, ROW_LAST] != NO_TIME and time - rows[row, ROW_LAST] > expiry:
            rows[row, ROW_START] = 0
            rows[row, ROW_END] = 0
            rows[row, ROW_EVICTED] = NO_TIME
            rows[row, ROW_EVENTS] = 0
            rows[row, ROW_HISTORY:] = 0
        if not _room_for_one(row, meta, rows, slab):
            return n
        low, end = rows[row, ROW_START], rows[row, ROW_END]
        region = rows[row, ROW_REGION]
        ring = slab[region : region + rows[row, ROW_CAPACITY]]
        if horizon > 0:
            i = _first_after(ring, low, end, time + horizon) - 1
            while i >= low and ring[i, EVENT_TIME] > time - horizon:
                if ring[i, EVENT_ID] == event[EVENT_ID]:
                    duplicate[n] = True
                    break
                i -= 1
            if duplicate[n]:
                rows[row, ROW_CHECK] = _check_of_row(rows[row])
                continue
        exact[n] = rows[row, ROW_EVICTED] <= time - reach
        if table.shape[0] < 2 * (end - low):
            size = 1 << (_size_class(2 * (end - low)) + 1)
            table = np.empty(size, np.int64)
            stamps = np.zeros(size, np.int64)
        place = _first_after(ring, low, end, time)
        history = float_rows[row, ROW_HISTORY:ROW_BINS]
        bins = rows[row, ROW_BINS:]
        amount = float(event[EVENT_AMOUNT])
        robust = np.nan
        if amount > 0:
            robust = _robust_z(bins, history[H_COUNT], min(BINS - 1e-9, 2 * np.log(amount + 1.0) / np.log(2.0)))
        for f in range(spec.shape[0]):
            if spec[f, 0] != _DISTINCT:
                values[n, f] = _value(spec[f], n, time, amount, robust, event, place, ring, low, end, history, places)
            elif spec[f, 6] > 0:
                stamp += 1
                series = slice(f, f + spec[f, 6])
                _distinct(spec[series], time, place, ring, low, values[n, series], table, stamps, stamp)
        if mark_unusual and robust > USUAL_Z:
            event[EVENT_CODES] |= (_UNUSUAL | _HIGH if robust > UNUSUAL_Z else _HIGH) << CODE_FLAGS_SHIFT
        unusual = ((event[EVENT_CODES] >> CODE_FLAGS_SHIFT) & _UNUSUAL) != 0
        _remember(event, time, row, rows, slab, retention, most)
        _learn(spec, n, time, amount, unusual, history, bins, places)
        rows[row, ROW_LAST] = max(rows[row, ROW_LAST], time)
        rows[row, ROW_CHECK] = _check_of_row(rows[row])
        meta[META_CLOCK] = max(meta[META_CLOCK], time)
    return key.shape[0]
