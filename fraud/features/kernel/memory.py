"""Keeps rows and events: an index by key, regions of a slab that grow with their keys, checksums over all of it.

An event that arrives late takes its place by event time; the values that were given to events before it arrived stay.
A region that a key outgrew is taken by the next key of its size; what no key takes is won back by `pack_slab`.
"""

from __future__ import annotations

from fraud.features.kernel.compiling import cached, compiled
from fraud.features.kernel.counts import close_counts, count_event, free_words, words_of_sound_counts
from fraud.features.kernel.layout import (
    BLOCK,
    CODE_FLAGS_SHIFT,
    EVENT_CODES,
    EVENT_DELAY,
    EVENT_ID,
    EVENT_OTHER,
    EVENT_TIME,
    ID_BITS,
    LABEL_AMBIGUOUS,
    LABEL_MATCHED,
    LABEL_PAST,
    LABEL_PRECISION,
    LABEL_UNMATCHED,
    META_COUNTS,
    META_COUNTS_FREE,
    META_CURSOR,
    META_EVENTS,
    META_FREE,
    META_NEEDED,
    META_ODD,
    META_ODD_NEEDED,
    META_PACKED,
    META_ROWS,
    META_SLAB,
    META_UNTIL,
    NO_TIME,
    ODD_DELAY,
    ODD_TIME,
    PACKED_TIME,
    PACKED_WORDS,
    ROW_CAPACITY,
    ROW_CHECK,
    ROW_COUNTS,
    ROW_DELAY,
    ROW_END,
    ROW_EVENTS,
    ROW_EVICTED,
    ROW_FIRST,
    ROW_KEY,
    ROW_LAST,
    ROW_LATEST,
    ROW_REGION,
    ROW_START,
    ROW_WORDS,
    SHORT_ID_BITS,
    Flag,
    State,
)
from fraud.features.kernel.packing import (
    delay_of,
    fits,
    id_of,
    is_odd,
    kept_other,
    odd_place,
    other_of,
    pack,
    packed_flags,
    set_odd_place,
    set_packed_flags,
    time_of,
    unpack,
)
from fraud.features.kernel.windows import first_after, renew_sums, slot_of, sums_are_sound

_FRAUD = int(Flag.FRAUD)
_EXACT_SIZES = 16
"""Regions of up to so many events have any size, larger ones one of eight in an octave."""
_SIZES = META_COUNTS_FREE - META_FREE
_SHORT_ID = (1 << SHORT_ID_BITS) - 1
_ID = (1 << ID_BITS) - 1


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


@compiled
def _withdraw(row, index, rows):  # type: ignore[no-untyped-def]
    """Takes a row out of the index; what was entered behind it for want of its slot moves up."""
    mask = index.shape[0] - 1
    hole = slot_of(rows[row, ROW_KEY], mask)
    while index[hole] != row + 1:
        hole = (hole + 1) & mask
    slot = (hole + 1) & mask
    while index[slot] != 0:
        home = slot_of(rows[index[slot] - 1, ROW_KEY], mask)
        if (slot - home) & mask >= (slot - hole) & mask:
            index[hole] = index[slot]
            hole = slot
        slot = (slot + 1) & mask
    index[hole] = 0


@cached
def fill_index(meta, index, rows):  # type: ignore[no-untyped-def]
    """Enters all rows into an index of zeros."""
    for row in range(meta[META_ROWS]):
        _insert(rows[row, ROW_KEY], row, index)


@compiled
def _size_of(events):  # type: ignore[no-untyped-def]
    """The number of the least size of a region that holds so many events."""
    if events <= _EXACT_SIZES:
        return events
    octave = 0
    while (_EXACT_SIZES << octave) < events:
        octave += 1
    return 8 * octave + (events + (1 << octave) - 1 >> octave)


@compiled
def _capacity_of(size):  # type: ignore[no-untyped-def]
    """How many events a region of a size holds."""
    if size <= _EXACT_SIZES:
        return size
    octave = (size - _EXACT_SIZES - 1) // 8 + 1
    return (size - 8 * octave) << octave


@compiled
def _allocate(size, meta, slab):  # type: ignore[no-untyped-def]
    """A region of a size; -1 where there is no room (`META_NEEDED` says how much is)."""
    free = meta[META_FREE + size]
    if free != 0:
        meta[META_FREE + size] = slab[free - 1, 0]
        return free - 1
    capacity = _capacity_of(size)
    if meta[META_SLAB] + capacity > slab.shape[0]:
        meta[META_NEEDED] = meta[META_SLAB] + capacity
        return -1
    region = meta[META_SLAB]
    meta[META_SLAB] += capacity
    return region


@compiled
def _release(region, capacity, meta, slab):  # type: ignore[no-untyped-def]
    size = _size_of(capacity)
    slab[region, 0] = meta[META_FREE + size]
    meta[META_FREE + size] = region + 1


@compiled
def _forget(row, state):  # type: ignore[no-untyped-def]
    """Removes a row with its events; the last one takes its place."""
    meta, index, rows = state.meta, state.index, state.rows
    meta[META_EVENTS] -= rows[row, ROW_END] - rows[row, ROW_START]
    close_counts(row, state)
    if rows[row, ROW_CAPACITY] > 0:
        _release(rows[row, ROW_REGION], rows[row, ROW_CAPACITY], meta, state.slab)
    _withdraw(row, index, rows)
    last = meta[META_ROWS] - 1
    if row != last:
        _withdraw(last, index, rows)
        _copy(rows[last], rows[row])
        _insert(rows[row, ROW_KEY], row, index)
    meta[META_ROWS] = last


@compiled
def _move(source, target, count, slab):  # type: ignore[no-untyped-def]
    """Moves events to a place that does not lie behind theirs, or that has nothing in common with it."""
    for i in range(count):
        for word in range(PACKED_WORDS):
            slab[target + i, word] = slab[source + i, word]


@compiled
def _has_odd_room(count, state):  # type: ignore[no-untyped-def]
    """Whether `odd` has room for so many more (`META_ODD_NEEDED` says how long it has to be)."""
    state.meta[META_ODD_NEEDED] = state.meta[META_ODD] + count
    return state.meta[META_ODD_NEEDED] <= state.odd.shape[0]


@compiled
def room_for_one(row, words, state):  # type: ignore[no-untyped-def]
    """Makes sure that a key's region has room behind its events, and `odd` for an event; false where there is none."""
    rows, slab = state.rows, state.slab
    if not fits(words[EVENT_TIME], words[EVENT_DELAY]) and not _has_odd_room(1, state):
        return False
    capacity, start, end = rows[row, ROW_CAPACITY], rows[row, ROW_START], rows[row, ROW_END]
    if end < capacity:
        return True
    region = rows[row, ROW_REGION]
    target = region
    if start <= capacity // 16:
        size = _size_of(capacity + 1)
        target = _allocate(size, state.meta, slab)
        if target < 0:
            return False
        rows[row, ROW_CAPACITY] = _capacity_of(size)
    _move(region + start, target, end - start, slab)
    if target != region:
        if capacity > 0:
            _release(region, capacity, state.meta, slab)
        rows[row, ROW_REGION] = target
    rows[row, ROW_START] = 0
    rows[row, ROW_END] = end - start
    renew_sums(target, target, target + end - start, state)
    return True


@cached
def pack_slab(arrays, order, odd):  # type: ignore[no-untyped-def]
    """Moves all regions together, each as small as its events allow, and wins back the odd times of forgotten ones.

    Args:
        arrays: of the state: those of `State`, as a plain tuple.
        order: the rows by their regions (k).
        odd: a copy of the state's.
    """
    state = State(*arrays)
    meta, rows, slab = state.meta, state.rows, state.slab
    used, found = 0, 0
    for n in range(order.shape[0]):
        row = order[n]
        first, length = rows[row, ROW_REGION] + rows[row, ROW_START], rows[row, ROW_END] - rows[row, ROW_START]
        _move(first, used, length, slab)
        for i in range(used, used + length):
            if is_odd(i, state):
                at = odd_place(i, state)
                state.odd[found, ODD_TIME] = odd[at, ODD_TIME]
                state.odd[found, ODD_DELAY] = odd[at, ODD_DELAY]
                set_odd_place(i, found, state)
                found += 1
        renew_sums(used, used, used + length, state)
        capacity = _capacity_of(_size_of(length))
        rows[row, ROW_REGION] = used if capacity > 0 else 0
        rows[row, ROW_CAPACITY] = capacity
        rows[row, ROW_START] = 0
        rows[row, ROW_END] = length
        rows[row, ROW_CHECK] = check_of_row(rows[row])
        used += capacity
    for size in range(_SIZES):
        meta[META_FREE + size] = 0
    meta[META_SLAB] = used
    meta[META_ODD] = found
    meta[META_PACKED] = used - meta[META_EVENTS]


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
def _check_of_event(place, state):  # type: ignore[no-untyped-def]
    """The checksum of an event, wherever it lies."""
    h = (1 ^ time_of(place, state)) * 0x2545F4914F6CDD1D
    h = ((h ^ (h >> 29)) ^ delay_of(place, state)) * 0x2545F4914F6CDD1D
    return _mixed(state.slab[place], PACKED_TIME + 1, PACKED_WORDS, h ^ (h >> 29))


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
    rows[row, ROW_LATEST] = NO_TIME
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
        state.meta[META_EVENTS] -= rows[row, ROW_END] - rows[row, ROW_START]
        rows[row, ROW_START] = 0
        rows[row, ROW_END] = 0
        rows[row, ROW_EVICTED] = NO_TIME
        rows[row, ROW_EVENTS] = 0
        close_counts(row, state)
        _clear(rows[row], ROW_DELAY)
        rows[row, ROW_FIRST] = arrival
        rows[row, ROW_LATEST] = NO_TIME
    return row


@compiled
def places_of(row, rows):  # type: ignore[no-untyped-def]
    """Where a row's remembered events begin in the slab, sorted by time, and where they end."""
    region = rows[row, ROW_REGION]
    return region + rows[row, ROW_START], region + rows[row, ROW_END]


@compiled
def remember(row, place, words, state, counted, retention, horizon, most):  # type: ignore[no-untyped-def]
    """Puts the event that lies behind a key's others into its place by time, and lets the oldest fall out.

    These are the ones that had happened longer than `retention` before this one arrived. Where duplicates are looked
    for, one that arrived within the duplicate horizon stays, however long ago it happened.

    Args:
        row: of the key.
        place: where the event belongs.
        words: of the event.
        state: is changed.
        counted: what a table of the key counts, see `Plan`.
        retention: ms.
        horizon: in which duplicates are looked for, ms; 0 for none.
        most: events that are kept of a key.
    """
    rows, slab = state.rows, state.slab
    start, end = places_of(row, rows)
    if place < end:
        first, second, third, fourth = slab[end, 0], slab[end, 1], slab[end, 2], slab[end, 3]
        for i in range(end, place, -1):
            for word in range(PACKED_WORDS):
                slab[i, word] = slab[i - 1, word]
        slab[place, 0], slab[place, 1], slab[place, 2], slab[place, 3] = first, second, third, fourth
    end += 1
    rows[row, ROW_EVENTS] ^= _check_of_event(place, state)
    renew_sums(start, place, end, state)
    if rows[row, ROW_COUNTS] != 0:
        count_event(place, True, row, counted, state)
    arrival = words[EVENT_TIME] + words[EVENT_DELAY]
    rows[row, ROW_DELAY] = max(rows[row, ROW_DELAY], words[EVENT_DELAY])
    rows[row, ROW_LATEST] = max(rows[row, ROW_LATEST], arrival)
    state.meta[META_EVENTS] += 1
    while start < end:
        time = time_of(start, state)
        is_past = time <= arrival - retention and (horizon == 0 or time + delay_of(start, state) <= arrival - horizon)
        if not is_past and end - start <= most:
            break
        rows[row, ROW_EVICTED] = max(rows[row, ROW_EVICTED], time)
        rows[row, ROW_EVENTS] ^= _check_of_event(start, state)
        if rows[row, ROW_COUNTS] != 0:
            count_event(start, False, row, counted, state)
        state.meta[META_EVENTS] -= 1
        start += 1
    rows[row, ROW_START] = start - rows[row, ROW_REGION]
    rows[row, ROW_END] = end - rows[row, ROW_REGION]


@compiled
def has_short_id(place, latest, horizon, state):  # type: ignore[no-untyped-def]
    """Whether an event arrived so long before the latest of its key that only one of its very time can repeat it.

    `SHORT_ID_BITS` of its id are enough for that, and all that a snapshot keeps.
    """
    return time_of(place, state) + delay_of(place, state) <= latest - horizon


@compiled
def has_id(place, transaction_id, is_short, state):  # type: ignore[no-untyped-def]
    """Whether an event has the id of a hash, as far as it is kept."""
    return (id_of(place, state) ^ transaction_id) & (_SHORT_ID if is_short else _ID) == 0


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
    start, end = places_of(row, rows)
    after = first_after(start, end, time + words[LABEL_PRECISION] - 1, state)
    found, times = after, 0
    i = after - 1
    while i >= start and time_of(i, state) >= time:
        if _is_labelled(words, i, state):
            times += found == after or time_of(i, state) != time_of(found, state)
            found = i
        i -= 1
    if found == after:
        is_past = words[EVENT_DELAY] >= retention or time + words[LABEL_PRECISION] - 1 <= rows[row, ROW_EVICTED]
        return LABEL_PAST if is_past else LABEL_UNMATCHED
    last = time_of(found, state)
    if times > 1 and last != time:
        return LABEL_AMBIGUOUS
    fraud = (words[EVENT_CODES] >> CODE_FLAGS_SHIFT) & _FRAUD
    for n in range(found, after):
        if time_of(n, state) == last and _is_labelled(words, n, state):
            rows[row, ROW_EVENTS] ^= _check_of_event(n, state)
            set_packed_flags(n, (packed_flags(n, state) & ~_FRAUD) | fraud, state)
            rows[row, ROW_EVENTS] ^= _check_of_event(n, state)
    rows[row, ROW_CHECK] = check_of_row(rows[row])
    renew_sums(start, found, end, state)
    return LABEL_MATCHED


@compiled
def _is_labelled(words, place, state):  # type: ignore[no-untyped-def]
    """Whether a label may be about an event, by its ids."""
    other = kept_other(words[EVENT_OTHER], state)
    return (other == 0 or other == other_of(place, state)) and has_id(place, words[EVENT_ID], True, state)


@cached
def gather(live, arrays, events, horizon):  # type: ignore[no-untyped-def]
    """Copies the events of rows, one after the other, out of the slab; short ids without their higher bits.

    Args:
        live: rows.
        arrays: of the state: those of `State`, as a plain tuple.
        events: (n, EVENT_WORDS), filled in.
        horizon: in which duplicates are looked for, ms; 0 for none.
    """
    state = State(*arrays)
    at = 0
    for row in range(live.shape[0]):
        start, end = places_of(row, live)
        for i in range(start, end):
            unpack(i, state, events[at])
            if has_short_id(i, live[row, ROW_LATEST], horizon, state):
                events[at, EVENT_ID] &= _SHORT_ID
            at += 1


@cached
def next_slice(arrays, oldest, most, row_weight):  # type: ignore[no-untyped-def]
    """Moves the cursor of a round over the rows of its next slice; those that it does not keep are forgotten.

    Args:
        arrays: of the state: those of `State`, as a plain tuple.
        oldest: rows whose last event arrived earlier are forgotten.
        most: events of a slice, unless its first row has more.
        row_weight: how many events a row counts for.
    """
    state = State(*arrays)
    meta, rows = state.meta, state.rows
    weight = 0
    while meta[META_CURSOR] < meta[META_UNTIL]:
        row = meta[META_CURSOR]
        if rows[row, ROW_LAST] < oldest:
            _forget(row, state)
            meta[META_UNTIL] = min(meta[META_UNTIL], meta[META_ROWS])
            continue
        weight += row_weight + rows[row, ROW_END] - rows[row, ROW_START]
        if weight > most and weight > row_weight + rows[row, ROW_END] - rows[row, ROW_START]:
            break
        meta[META_CURSOR] = row + 1


@cached
def forget(keys, arrays):  # type: ignore[no-untyped-def]
    """Removes the rows of keys, as far as there are any."""
    state = State(*arrays)
    for n in range(keys.shape[0]):
        row = find_row(keys[n], state.index, state.rows)
        if row >= 0:
            _forget(row, state)


@cached
def scatter(dumped, lengths, events, arrays, done):  # type: ignore[no-untyped-def]
    """Adds dumped rows from number `done` on; gives the number of rows done when room ran out, or all.

    Args:
        dumped: rows.
        lengths: how many events each has.
        events: of these rows, one after the other.
        arrays: of the state: those of `State`, as a plain tuple.
        done: rows that were added before.
    """
    state = State(*arrays)
    meta, rows = state.meta, state.rows
    at = 0
    for n in range(dumped.shape[0]):
        length = lengths[n]
        if n >= done:
            odd = 0
            for i in range(at, at + length):
                odd += not fits(events[i, EVENT_TIME], events[i, EVENT_DELAY])
            if meta[META_ROWS] >= rows.shape[0] or not _has_odd_room(odd, state):
                return n
            region, size = 0, _size_of(length)
            if length > 0:
                region = _allocate(size, meta, state.slab)
                if region < 0:
                    return n
            row = _new_row(dumped[n, ROW_KEY], meta, state.index, rows)
            _copy(dumped[n], rows[row])
            check = 0
            for i in range(length):
                pack(events[at + i], region + i, state, _ID, -1)
                check ^= _check_of_event(region + i, state)
            renew_sums(region, region, region + length, state)
            meta[META_EVENTS] += length
            rows[row, ROW_REGION] = region
            rows[row, ROW_CAPACITY] = _capacity_of(size)
            rows[row, ROW_START] = 0
            rows[row, ROW_END] = length
            rows[row, ROW_EVENTS] = check
            rows[row, ROW_CHECK] = check_of_row(rows[row])
        at += length
    return dumped.shape[0]


@compiled
def _events_are_sound(row, state):  # type: ignore[no-untyped-def]
    """Whether the order, sums and checksum of a row's events fit."""
    start, end = places_of(row, state.rows)
    check = 0
    for i in range(start, end):
        if is_odd(i, state) and odd_place(i, state) >= state.meta[META_ODD]:
            return False
        check ^= _check_of_event(i, state)
        if i > start and time_of(i, state) < time_of(i - 1, state):
            return False
    return check == state.rows[row, ROW_EVENTS] and sums_are_sound(start, end, state)


@compiled
def _free_places(meta, slab):  # type: ignore[no-untyped-def]
    """How many places of the slab are in free regions; -1 where their lists lead outside it or go round."""
    used, places = meta[META_SLAB], 0
    for size in range(_SIZES):
        free = meta[META_FREE + size]
        while free != 0:
            capacity = _capacity_of(size)
            places += capacity
            if capacity == 0 or free < 0 or free - 1 > used - capacity or places > used:
                return -1
            free = slab[free - 1, 0]
    return places


@cached
def is_sound(arrays):  # type: ignore[no-untyped-def]
    """See `fraud.features.state.EntityState.is_sound`."""
    state = State(*arrays)
    meta, index, rows = state.meta, state.index, state.rows
    keys, used, size = meta[META_ROWS], meta[META_SLAB], index.shape[0]
    if not (0 <= keys <= rows.shape[0] and 0 <= used <= state.slab.shape[0] and size & (size - 1) == 0 and size > keys):
        return False
    if not (0 <= meta[META_ODD] <= state.odd.shape[0] and state.sums.shape[0] * BLOCK >= state.slab.shape[0]):
        return False
    entered = 0
    for slot in range(size):
        if index[slot] < 0 or index[slot] > keys:
            return False
        entered += index[slot] != 0
    if entered != keys:
        return False
    taken, events, words = _free_places(meta, state.slab), 0, free_words(state)
    if taken < 0 or words < 0 or not meta[META_COUNTS] <= state.counts.shape[0]:
        return False
    for row in range(keys):
        region, capacity, start, end = rows[row, ROW_REGION : ROW_END + 1]
        taken += capacity
        events += end - start
        if find_row(rows[row, ROW_KEY], index, rows) != row or rows[row, ROW_CHECK] != check_of_row(rows[row]):
            return False
        if not (0 <= start <= end <= capacity and region >= 0 and region + capacity <= used):
            return False
        of_table = words_of_sound_counts(row, state)
        if of_table < 0 or not _events_are_sound(row, state):
            return False
        words += of_table
    # Every place of the slab belongs to a key or is free, and none to two; so does every word of the tables.
    return taken == used and events == meta[META_EVENTS] and words == meta[META_COUNTS]
