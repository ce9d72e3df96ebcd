"""How often each value occurs in the windows of a busy key, kept from event to event.

A walk over a window takes as long as it is full. So a key with many events has a table: of each feature that counts or
compares values, where its window ended when it was last measured, how many different values it held, and how often
each. The window moves on to the next event, or back to a late one, and touches only the events that it takes in or
leaves. The events of a card are counted by their ids too, whenever they happened: most repeat none, and need no search.

A table says nothing that does not follow from the remembered events. No snapshot has it; a new one begins with windows
that hold nothing. It lies in a region of `State.counts`: `TABLE_WINDOWS` words, two of each window, then slots of two
words, a value and its number of a window with how often it occurs, by open addressing.
"""

from __future__ import annotations

from fraud.features import aggregates
from fraud.features.kernel.compiling import compiled
from fraud.features.kernel.layout import (
    COUNTED_CODE,
    COUNTED_DELAY,
    COUNTED_IDS,
    COUNTED_INPUT,
    COUNTED_SPAN,
    COUNTED_WINDOW,
    META_COUNTS,
    META_COUNTS_FREE,
    META_COUNTS_NEEDED,
    META_FREE_COUNTS,
    NO_TIME,
    ROW_COUNTS,
    SHORT_ID_BITS,
    SPAN_HIGH,
    SPAN_LOW,
)
from fraud.features.kernel.packing import amount_of, attribute_of, id_of, time_of
from fraud.features.kernel.windows import first_after, paid

_IS_NEW = aggregates.IS_NEW.code
_SHORT_ID = (1 << SHORT_ID_BITS) - 1
_ALWAYS = 1 << 61
"""Behind every time."""

TABLE_SIZE, TABLE_COUNTED, TABLE_PLAN, TABLE_HEAD_CHECK, TABLE_CHECK, TABLE_USED, TABLE_WINDOWS = range(7)
"""Exponent of the region's words; windows; what they are, as a hash; checksums of the words before the slots and of the
slots; slots in use; the windows: where each ends, and how many different values it holds."""
_LEAST_SIZE = 10
_COUNT = 0xFFFF_FFFF
_NUMBER_SHIFT = 32


@compiled
def _mixed_entry(value, word):  # type: ignore[no-untyped-def]
    """The checksum of a slot, wherever it lies."""
    h = (1 ^ value) * 0x2545F4914F6CDD1D
    h = ((h ^ (h >> 29)) ^ word) * 0x2545F4914F6CDD1D
    return h ^ (h >> 29)


@compiled
def _first_slot(base, counts):  # type: ignore[no-untyped-def]
    return base + TABLE_WINDOWS + 2 * counts[base + TABLE_COUNTED]


@compiled
def _slots(base, counts):  # type: ignore[no-untyped-def]
    return ((1 << counts[base + TABLE_SIZE]) - TABLE_WINDOWS - 2 * counts[base + TABLE_COUNTED]) // 2


@compiled
def _home(value, number, slots):  # type: ignore[no-untyped-def]
    """The slot where a value of a window is looked for first."""
    h = (value + number * 0x1E3779B97F4A7C15) * 0x2545F4914F6CDD1D
    return ((h ^ (h >> 31)) & 0x7FFF_FFFF_FFFF_FFFF) % slots


@compiled
def _find(value, number, base, counts):  # type: ignore[no-untyped-def]
    """The place of a value of a window, or the empty one where it belongs."""
    first, slots = _first_slot(base, counts), _slots(base, counts)
    slot = _home(value, number, slots)
    while True:
        at = first + 2 * slot
        if counts[at] == 0 or (counts[at] == value and counts[at + 1] >> _NUMBER_SHIFT == number):
            return at
        slot = slot + 1 if slot + 1 < slots else 0


@compiled
def _withdraw(at, base, counts):  # type: ignore[no-untyped-def]
    """Empties a slot; what was entered behind it for want of its slot moves up."""
    first, slots = _first_slot(base, counts), _slots(base, counts)
    hole = (at - first) // 2
    slot = (hole + 1) % slots
    while counts[first + 2 * slot] != 0:
        value, word = counts[first + 2 * slot], counts[first + 2 * slot + 1]
        home = _home(value, word >> _NUMBER_SHIFT, slots)
        if (slot - home) % slots >= (slot - hole) % slots:
            counts[first + 2 * hole] = value
            counts[first + 2 * hole + 1] = word
            hole = slot
        slot = (slot + 1) % slots
    counts[first + 2 * hole] = 0
    counts[first + 2 * hole + 1] = 0


@compiled
def _allocate(size, windows, state):  # type: ignore[no-untyped-def]
    """An empty table in a region of 2^size words; -1 where there is no room (`META_COUNTS_NEEDED` says how much is)."""
    meta, counts = state.meta, state.counts
    free = meta[META_COUNTS_FREE + size]
    if free != 0:
        base = free - 1
        meta[META_COUNTS_FREE + size] = counts[base]
    else:
        base = meta[META_COUNTS]
        if base + (1 << size) > counts.shape[0]:
            meta[META_COUNTS_NEEDED] = base + (1 << size)
            return -1
        meta[META_COUNTS] += 1 << size
    for at in range(base, base + (1 << size)):
        counts[at] = 0
    counts[base + TABLE_SIZE] = size
    counts[base + TABLE_COUNTED] = windows
    for number in range(windows):
        counts[base + TABLE_WINDOWS + 2 * number] = NO_TIME
    return base


@compiled
def close_counts(row, state):  # type: ignore[no-untyped-def]
    """Gives a row's table back, if it has one."""
    base = state.rows[row, ROW_COUNTS] - 1
    if base >= 0:
        size = state.counts[base + TABLE_SIZE]
        state.counts[base] = state.meta[META_COUNTS_FREE + size]
        state.meta[META_COUNTS_FREE + size] = base + 1
        state.rows[row, ROW_COUNTS] = 0


@compiled
def _has_room(row, more, state):  # type: ignore[no-untyped-def]
    """Makes sure that a row's table has room for more slots, by a larger one; false where there is none for that."""
    counts = state.counts
    base = state.rows[row, ROW_COUNTS] - 1
    while 4 * (counts[base + TABLE_USED] + more) > 3 * _slots(base, counts):
        larger = _allocate(counts[base + TABLE_SIZE] + 1, counts[base + TABLE_COUNTED], state)
        if larger < 0:
            return False
        first = _first_slot(base, counts)
        for at in range(TABLE_COUNTED, first - base):
            counts[larger + at] = counts[base + at]
        for at in range(first, first + 2 * _slots(base, counts), 2):
            if counts[at] != 0:
                to = _find(counts[at], counts[at + 1] >> _NUMBER_SHIFT, larger, counts)
                counts[to] = counts[at]
                counts[to + 1] = counts[at + 1]
        close_counts(row, state)
        state.rows[row, ROW_COUNTS] = larger + 1
        base = larger
    return True


@compiled
def _value_of(window, place, state):  # type: ignore[no-untyped-def]
    """What a window counts of a remembered event; 0 where it does not count it."""
    if window[COUNTED_CODE] == COUNTED_IDS:
        return (id_of(place, state) & _SHORT_ID) + 1
    if amount_of(place, state) > 0 if window[COUNTED_CODE] == _IS_NEW else paid(place, state):
        return attribute_of(window[COUNTED_INPUT], place, state)
    return 0


@compiled
def _take_in(place, window, number, row, state):  # type: ignore[no-untyped-def]
    """Counts a remembered event in a window; false where there is no room."""
    value = _value_of(window, place, state)
    if value == 0:
        return True
    if not _has_room(row, 1, state):
        return False
    counts, base = state.counts, state.rows[row, ROW_COUNTS] - 1
    at = _find(value, number, base, counts)
    if counts[at] == 0:
        counts[at] = value
        counts[at + 1] = number << _NUMBER_SHIFT
        counts[base + TABLE_USED] += 1
        counts[base + TABLE_WINDOWS + 2 * number + 1] += 1
    else:
        counts[base + TABLE_CHECK] ^= _mixed_entry(value, counts[at + 1])
    counts[at + 1] += 1
    counts[base + TABLE_CHECK] ^= _mixed_entry(value, counts[at + 1])
    return True


@compiled
def _leave_out(place, window, number, row, state):  # type: ignore[no-untyped-def]
    """Counts a remembered event in a window no longer."""
    value = _value_of(window, place, state)
    if value == 0:
        return
    counts, base = state.counts, state.rows[row, ROW_COUNTS] - 1
    at = _find(value, number, base, counts)
    counts[base + TABLE_CHECK] ^= _mixed_entry(value, counts[at + 1])
    counts[at + 1] -= 1
    if counts[at + 1] & _COUNT != 0:
        counts[base + TABLE_CHECK] ^= _mixed_entry(value, counts[at + 1])
        return
    counts[base + TABLE_USED] -= 1
    counts[base + TABLE_WINDOWS + 2 * number + 1] -= 1
    _withdraw(at, base, counts)


@compiled
def _move(number, window, until, inside_low, inside_high, row, low, end, state):  # type: ignore[no-untyped-def]
    """Moves a window so that it ends at another time; false where there is no room.

    Args:
        number: of the window.
        window: of `Plan.counted`.
        until: where it shall end.
        inside_low: the first event that it shall hold.
        inside_high: behind the last.
        row: of the key.
        low: where the key's events begin.
        end: behind them.
        state: is changed.
    """
    place = TABLE_WINDOWS + 2 * number
    was = state.counts[state.rows[row, ROW_COUNTS] - 1 + place]
    after, was_after = until - window[COUNTED_WINDOW], was - window[COUNTED_WINDOW]
    if until > was:
        i = (inside_low if was >= after else first_after(low, end, was, state)) - 1
        while i >= low and time_of(i, state) > was_after:
            _leave_out(i, window, number, row, state)
            i -= 1
        i = inside_high - 1
        while i >= low and time_of(i, state) > max(was, after):
            if not _take_in(i, window, number, row, state):
                return False
            i -= 1
    elif until < was:
        i = inside_high if until >= was_after else first_after(low, end, was_after, state)
        while i < end and time_of(i, state) <= was:
            _leave_out(i, window, number, row, state)
            i += 1
        i = inside_low
        while i < end and time_of(i, state) <= min(until, was_after):
            if not _take_in(i, window, number, row, state):
                return False
            i += 1
    state.counts[state.rows[row, ROW_COUNTS] - 1 + place] = until
    return True


@compiled
def open_counts(row, low, end, counted, plan, busy, state):  # type: ignore[no-untyped-def]
    """Gives a key that became busy a table, and takes that of one that is quiet again; false where there is no room.

    Args:
        row: of the key.
        low: where its events begin.
        end: behind them.
        counted: see `Plan`.
        plan: its hash: a table of another one is replaced.
        busy: how many events make a key busy.
        state: is changed.
    """
    base = state.rows[row, ROW_COUNTS] - 1
    if base >= 0:
        if state.counts[base + TABLE_PLAN] == plan and 4 * (end - low) >= busy:
            return True
        close_counts(row, state)
    if end - low < busy or counted.shape[0] == 0:
        return True
    size = _LEAST_SIZE
    while (1 << size) < 4 * (TABLE_WINDOWS + 2 * counted.shape[0]):
        size += 1
    base = _allocate(size, counted.shape[0], state)
    if base < 0:
        return False
    state.counts[base + TABLE_PLAN] = plan
    state.rows[row, ROW_COUNTS] = base + 1
    last = counted.shape[0] - 1
    if counted[last, COUNTED_CODE] == COUNTED_IDS and not _move(
        last, counted[last], _ALWAYS, low, end, row, low, end, state
    ):
        close_counts(row, state)
        return False
    return True


@compiled
def move_windows(row, time, low, end, counted, found, state):  # type: ignore[no-untyped-def]
    """Moves all windows of a row's table to an event, and makes room for that; false where there is none.

    Args:
        row: of the key; it has a table.
        time: of the event.
        low: where the key's events begin.
        end: behind them.
        counted: see `Plan`.
        found: what lies in each window, see `look_into`.
        state: is changed.
    """
    for number in range(counted.shape[0]):
        window = counted[number]
        if window[COUNTED_CODE] == COUNTED_IDS:
            continue
        inside = found[window[COUNTED_SPAN]]
        until = time - window[COUNTED_DELAY]
        if not _move(number, window, until, inside[SPAN_LOW], inside[SPAN_HIGH], row, low, end, state):
            close_counts(row, state)
            return False
    return _has_room(row, counted.shape[0], state)


@compiled
def count_event(place, is_new, row, counted, state):  # type: ignore[no-untyped-def]
    """Counts an event that was remembered in the windows where they are, or one that is forgotten no longer.

    `move_windows` made room.
    """
    time = time_of(place, state)
    for number in range(counted.shape[0]):
        window = counted[number]
        until = state.counts[state.rows[row, ROW_COUNTS] - 1 + TABLE_WINDOWS + 2 * number]
        if until - window[COUNTED_WINDOW] < time <= until:
            if is_new:
                _take_in(place, window, number, row, state)
            else:
                _leave_out(place, window, number, row, state)


@compiled
def different(number, row, state):  # type: ignore[no-untyped-def]
    """How many different values a window holds."""
    return state.counts[state.rows[row, ROW_COUNTS] - 1 + TABLE_WINDOWS + 2 * number + 1]


@compiled
def occurs(value, number, row, state):  # type: ignore[no-untyped-def]
    """Whether a window holds a value."""
    return state.counts[_find(value, number, state.rows[row, ROW_COUNTS] - 1, state.counts)] != 0


@compiled
def may_repeat(transaction_id, counted, row, state):  # type: ignore[no-untyped-def]
    """Whether a transaction's id could be that of a remembered event."""
    return occurs((transaction_id & _SHORT_ID) + 1, counted.shape[0] - 1, row, state)


@compiled
def _check_of_head(base, counts):  # type: ignore[no-untyped-def]
    h = 1
    for at in range(base, _first_slot(base, counts)):
        if at != base + TABLE_HEAD_CHECK:
            h = (h ^ counts[at]) * 0x2545F4914F6CDD1D
            h ^= h >> 29
    return h


@compiled
def seal_counts(row, state):  # type: ignore[no-untyped-def]
    """Brings the checksum of a row's table up to date, if it has one."""
    base = state.rows[row, ROW_COUNTS] - 1
    if base >= 0:
        state.counts[base + TABLE_HEAD_CHECK] = _check_of_head(base, state.counts)


@compiled
def words_of_sound_counts(row, state):  # type: ignore[no-untyped-def]
    """The words of a row's table, 0 without one; -1 where it cannot be what a kernel left."""
    counts, base, used = state.counts, state.rows[row, ROW_COUNTS] - 1, state.meta[META_COUNTS]
    if base == -1:
        return 0
    if base < 0 or base + (1 << _LEAST_SIZE) > used:
        return -1
    size, windows = counts[base + TABLE_SIZE], counts[base + TABLE_COUNTED]
    if not (_LEAST_SIZE <= size < META_FREE_COUNTS and base + (1 << size) <= used):
        return -1
    if not (0 <= windows <= (1 << size) // 8 and counts[base + TABLE_HEAD_CHECK] == _check_of_head(base, counts)):
        return -1
    first, taken, check = _first_slot(base, counts), 0, 0
    for at in range(first, first + 2 * _slots(base, counts), 2):
        if counts[at] != 0:
            taken += 1
            check ^= _mixed_entry(counts[at], counts[at + 1])
    if taken != counts[base + TABLE_USED] or check != counts[base + TABLE_CHECK]:
        return -1
    return 1 << size if 4 * taken <= 3 * _slots(base, counts) else -1


@compiled
def free_words(state):  # type: ignore[no-untyped-def]
    """How many words are in free regions; -1 where their lists lead outside or go round."""
    counts, used, words = state.counts, state.meta[META_COUNTS], 0
    for size in range(META_FREE_COUNTS):
        free = state.meta[META_COUNTS_FREE + size]
        while free != 0:
            words += 1 << size
            if free < 0 or free - 1 + (1 << size) > used or words > used:
                return -1
            free = counts[free - 1]
    return words
