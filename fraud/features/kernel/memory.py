"""Keeps rows and events: an index by key, regions of a slab that grow by doubling, checksums over all of it.

An event that arrives late takes its place by event time; the values that were given to events before it arrived stay.
"""

from __future__ import annotations

from fraud.features.kernel.compiling import cached, compiled
from fraud.features.kernel.layout import (
    CODE_FLAGS_SHIFT,
    EVENT_CODES,
    EVENT_DELAY,
    EVENT_ID,
    EVENT_OTHER,
    EVENT_SUM,
    EVENT_TIME,
    EVENT_WORDS,
    FIRST_CAPACITY,
    LABEL_AMBIGUOUS,
    LABEL_MATCHED,
    LABEL_PAST,
    LABEL_PRECISION,
    LABEL_UNMATCHED,
    META_FREE,
    META_NEEDED,
    META_ROWS,
    META_SLAB,
    META_WORDS,
    NO_TIME,
    ROW_CAPACITY,
    ROW_CHECK,
    ROW_DELAY,
    ROW_END,
    ROW_EVENTS,
    ROW_EVICTED,
    ROW_FIRST,
    ROW_KEY,
    ROW_LAST,
    ROW_REGION,
    ROW_START,
    ROW_WORDS,
    Flag,
)
from fraud.features.kernel.windows import first_after, renew_sums, size_class, slot_of, sum_before

_FRAUD = int(Flag.FRAUD)


@cached
def find_row(key, index, rows):  # type: ignore[no-untyped-def]
    """The row of a key, or -1."""
    mask = index.shape[0] - 1
    slot = slot_of(key, mask)
    while index[slot] != 0:
        if rows[index[slot] - 1, ROW_KEY] == key:
            return index[slot] - 1
        slot = (slot + 1) & mask
    return -1


@compiled
def _copy(source, target):  # type: ignore[no-untyped-def]
    """What `target[:] = source` does, without the compiled formatting of its error, which takes seconds."""
    for i in range(target.shape[0]):
        target[i] = source[i]


@compiled
def _clear(words, first):  # type: ignore[no-untyped-def]
    for i in range(first, words.shape[0]):
        words[i] = 0


@compiled
def _insert(key, row, index):  # type: ignore[no-untyped-def]
    mask = index.shape[0] - 1
    slot = slot_of(key, mask)
    while index[slot] != 0:
        slot = (slot + 1) & mask
    index[slot] = row + 1


@cached
def fill_index(meta, index, rows):  # type: ignore[no-untyped-def]
    """Enters all rows into an index of zeros."""
    for row in range(meta[META_ROWS]):
        _insert(rows[row, ROW_KEY], row, index)


@compiled
def _allocate(capacity, meta, slab):  # type: ignore[no-untyped-def]
    """A region of a power of two of events; -1 where there is no room (`META_NEEDED` says how much is)."""
    size = size_class(capacity)
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


@compiled
def _release(region, capacity, meta, slab):  # type: ignore[no-untyped-def]
    size = size_class(capacity)
    slab[region, 0] = meta[META_FREE + size]
    meta[META_FREE + size] = region + 1


@compiled
def room_for_one(row, state):  # type: ignore[no-untyped-def]
    """Makes sure that a key's region has room behind its events; false where the slab has none."""
    rows, slab = state.rows, state.slab
    capacity, start, end = rows[row, ROW_CAPACITY], rows[row, ROW_START], rows[row, ROW_END]
    if end < capacity:
        return True
    region = rows[row, ROW_REGION]
    target = region
    if capacity == 0 or start < capacity // 2:
        grown = max(FIRST_CAPACITY, 2 * capacity)
        target = _allocate(grown, state.meta, slab)
        if target < 0:
            return False
        rows[row, ROW_CAPACITY] = grown
    for i in range(end - start):
        _copy(slab[region + start + i], slab[target + i])
    if target != region:
        if capacity > 0:
            _release(region, capacity, state.meta, slab)
        rows[row, ROW_REGION] = target
    rows[row, ROW_START] = 0
    rows[row, ROW_END] = end - start
    return True


@compiled
def _mixed(words, low, high, h):  # type: ignore[no-untyped-def]
    """A checksum of words low..high, going on from another."""
    for i in range(low, high):
        h = (h ^ words[i]) * 0x2545F4914F6CDD1D
        h ^= h >> 29
    return h


@compiled
def check_of_row(row):  # type: ignore[no-untyped-def]
    """The checksum of a row, but for its events, which have their own."""
    return _mixed(row, ROW_CHECK + 1, ROW_WORDS, _mixed(row, 0, ROW_CHECK, 1))


@compiled
def _check_of_event(event):  # type: ignore[no-untyped-def]
    return _mixed(event, 0, EVENT_SUM, 1)


@compiled
def _new_row(key, meta, index, rows):  # type: ignore[no-untyped-def]
    """A row for a new key; -1 where there is no room."""
    row = meta[META_ROWS]
    if row >= rows.shape[0]:
        return -1
    _clear(rows[row], 0)
    rows[row, ROW_KEY] = key
    rows[row, ROW_EVICTED] = NO_TIME
    rows[row, ROW_LAST] = NO_TIME
    rows[row, ROW_CHECK] = check_of_row(rows[row])
    meta[META_ROWS] = row + 1
    _insert(key, row, index)
    return row


@compiled
def row_for(key, row, arrival, expiry, state):  # type: ignore[no-untyped-def]
    """The row for an event of a key: the one found, cleared where the key has expired, or a new one; -1 without room.

    Args:
        key: hash of the key.
        row: that was found; -1 for none.
        arrival: of the event.
        expiry: a key without arrivals for longer begins again.
        state: is changed.
    """
    rows = state.rows
    if row < 0:
        row = _new_row(key, state.meta, state.index, rows)
        if row >= 0:
            rows[row, ROW_FIRST] = arrival
            rows[row, ROW_CHECK] = check_of_row(rows[row])
        return row
    if rows[row, ROW_LAST] != NO_TIME and arrival - rows[row, ROW_LAST] > expiry:
        rows[row, ROW_START] = 0
        rows[row, ROW_END] = 0
        rows[row, ROW_EVICTED] = NO_TIME
        rows[row, ROW_EVENTS] = 0
        _clear(rows[row], ROW_DELAY)
        rows[row, ROW_FIRST] = arrival
    return row


@compiled
def events_of(row, rows, slab):  # type: ignore[no-untyped-def]
    """The region of a row's remembered events, sorted by time, with the positions where they begin and end."""
    region = rows[row, ROW_REGION]
    return slab[region : region + rows[row, ROW_CAPACITY]], rows[row, ROW_START], rows[row, ROW_END]


@compiled
def remember(words, row, state, retention, horizon, most):  # type: ignore[no-untyped-def]
    """Puts an event into its place by time and lets the oldest fall out.

    These are the ones that had happened longer than `retention` before this one arrived. Where duplicates are looked
    for, one that arrived within the duplicate horizon stays, however long ago it happened.
    """
    rows = state.rows
    events, start, end = events_of(row, rows, state.slab)
    place = first_after(events, start, end, words[EVENT_TIME])
    for i in range(end, place, -1):
        _copy(events[i - 1], events[i])
    for word in range(EVENT_SUM):
        events[place, word] = words[word]
    if place == end:
        for prefix in range(EVENT_SUM, EVENT_WORDS):
            events[place, prefix] = sum_before(events, place, place, prefix) if place > start else 0
    end += 1
    rows[row, ROW_EVENTS] ^= _check_of_event(events[place])
    renew_sums(events, place, end)
    arrival = words[EVENT_TIME] + words[EVENT_DELAY]
    rows[row, ROW_DELAY] = max(rows[row, ROW_DELAY], words[EVENT_DELAY])
    while start < end:
        time = events[start, EVENT_TIME]
        is_past = time <= arrival - retention and (
            horizon == 0 or time + events[start, EVENT_DELAY] <= arrival - horizon
        )
        if not is_past and end - start <= most:
            break
        rows[row, ROW_EVICTED] = max(rows[row, ROW_EVICTED], events[start, EVENT_TIME])
        rows[row, ROW_EVENTS] ^= _check_of_event(events[start])
        start += 1
    rows[row, ROW_START] = start
    rows[row, ROW_END] = end


@compiled
def apply_label(words, row, state, retention):  # type: ignore[no-untyped-def]
    """Sets or clears the fraud flag of the transaction that a label is about, as often as it is remembered.

    Ids are unique for a card only: where a label names the other side, so must the transaction. One at the very time of
    the label is meant; otherwise the only one within the precision of that time. Of several, none is.

    Args:
        words: of the label.
        row: of its key; -1 where the key is unknown.
        state: is changed.
        retention: a transaction that happened longer before is forgotten.

    Returns:
        What became of the label.
    """
    rows = state.rows
    time = words[EVENT_TIME]
    if row < 0:
        return LABEL_PAST if words[EVENT_DELAY] >= retention else LABEL_UNMATCHED
    events, start, end = events_of(row, rows, state.slab)
    after = first_after(events, start, end, time + words[LABEL_PRECISION] - 1)
    found, times = after, 0
    i = after - 1
    while i >= start and events[i, EVENT_TIME] >= time:
        if _is_labelled(words, events[i]):
            times += found == after or events[i, EVENT_TIME] != events[found, EVENT_TIME]
            found = i
        i -= 1
    if found == after:
        is_past = words[EVENT_DELAY] >= retention or time + words[LABEL_PRECISION] - 1 <= rows[row, ROW_EVICTED]
        return LABEL_PAST if is_past else LABEL_UNMATCHED
    last = events[found, EVENT_TIME]
    if times > 1 and last != time:
        return LABEL_AMBIGUOUS
    fraud = _FRAUD << CODE_FLAGS_SHIFT
    for n in range(found, after):
        if events[n, EVENT_TIME] == last and _is_labelled(words, events[n]):
            rows[row, ROW_EVENTS] ^= _check_of_event(events[n])
            events[n, EVENT_CODES] = (events[n, EVENT_CODES] & ~fraud) | (words[EVENT_CODES] & fraud)
            rows[row, ROW_EVENTS] ^= _check_of_event(events[n])
    rows[row, ROW_CHECK] = check_of_row(rows[row])
    renew_sums(events, found, end)
    return LABEL_MATCHED


@compiled
def _is_labelled(words, event):  # type: ignore[no-untyped-def]
    """Whether a label may be about an event, by its ids."""
    of_other = words[EVENT_OTHER] == 0 or words[EVENT_OTHER] == event[EVENT_OTHER]
    return of_other and event[EVENT_ID] == words[EVENT_ID]


@cached
def gather(live, slab, events):  # type: ignore[no-untyped-def]
    """Copies the events of rows, one after the other, out of the slab."""
    at = 0
    for row in range(live.shape[0]):
        region = live[row, ROW_REGION]
        for i in range(live[row, ROW_START], live[row, ROW_END]):
            _copy(slab[region + i], events[at])
            at += 1


@cached
def scatter(dumped, events, arrays, done):  # type: ignore[no-untyped-def]
    """Adds dumped rows from number `done` on; gives the number of rows done when room ran out, or all.

    Args:
        dumped: rows.
        events: of these rows, one after the other.
        arrays: of the state: those of `State`, as a plain tuple.
        done: rows that were added before.
    """
    meta, index, rows, slab = arrays
    at = 0
    for n in range(dumped.shape[0]):
        length = dumped[n, ROW_END] - dumped[n, ROW_START]
        if n >= done:
            capacity = 0
            region = 0
            if length > 0:
                capacity = max(FIRST_CAPACITY, 1 << size_class(length))
            if meta[META_ROWS] >= rows.shape[0]:
                return n
            if capacity > 0:
                region = _allocate(capacity, meta, slab)
                if region < 0:
                    return n
            row = _new_row(dumped[n, ROW_KEY], meta, index, rows)
            _copy(dumped[n], rows[row])
            rows[row, ROW_REGION] = region
            rows[row, ROW_CAPACITY] = capacity
            rows[row, ROW_START] = 0
            rows[row, ROW_END] = length
            rows[row, ROW_CHECK] = check_of_row(rows[row])
            for i in range(length):
                _copy(events[at + i], slab[region + i])
        at += length
    return dumped.shape[0]


@compiled
def _events_are_sound(row, rows, slab):  # type: ignore[no-untyped-def]
    """Whether the order, sums and checksum of a row's events fit."""
    events, start, end = events_of(row, rows, slab)
    check = 0
    for i in range(start, end):
        check ^= _check_of_event(events[i])
    if check != rows[row, ROW_EVENTS]:
        return False
    for i in range(start + 1, end):
        if events[i, EVENT_TIME] < events[i - 1, EVENT_TIME]:
            return False
        for prefix in range(EVENT_SUM, EVENT_WORDS):
            if events[i, prefix] != sum_before(events, i, i, prefix):
                return False
    return True


@compiled
def _free_places(meta, slab):  # type: ignore[no-untyped-def]
    """How many places of the slab are in free regions; -1 where their lists lead outside it or go round."""
    used, places = meta[META_SLAB], 0
    for size in range(META_WORDS - META_FREE):
        free = meta[META_FREE + size]
        while free != 0:
            capacity = 1 << size
            places += capacity
            if free < 0 or free - 1 > used - capacity or places > used:
                return -1
            free = slab[free - 1, 0]
    return places


@cached
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
    taken = _free_places(meta, slab)
    if taken < 0:
        return False
    for row in range(keys):
        taken += rows[row, ROW_CAPACITY]
        region, capacity, start, end = rows[row, ROW_REGION : ROW_END + 1]
        if find_row(rows[row, ROW_KEY], index, rows) != row or rows[row, ROW_CHECK] != check_of_row(rows[row]):
            return False
        if not (0 <= start <= end <= capacity and region >= 0 and region + capacity <= used):
            return False
        if not _events_are_sound(row, rows, slab):
            return False
    return taken == used  # every place of the slab belongs to a key or is free, and none to two
