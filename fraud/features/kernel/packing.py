"""A remembered event in four words: what the windows of its entity need, exactly, and no more.

| word | bits from the highest down |
|---|---|
| `PACKED_TIME` | 41 milliseconds since `_EPOCH_MS`, 23 delay plus `_DELAY_BIAS` |
| `PACKED_KIND` | 32 device, or without 23 of the other side's hash; 10 country, 14 category, 2 channel, 6 flags |
| `PACKED_AMOUNT` | 40 minor units, 24 of the other side's hash |
| `PACKED_ID` | 48 of the transaction's hash, 16 of the other side's hash |

Time or delay of a rare event may need more: it has delay 0, and lies in `odd` at the place that stands for its time.
"""

from __future__ import annotations

from fraud.features.kernel.compiling import compiled
from fraud.features.kernel.layout import (
    CHANNELS,
    CODE_FLAGS_SHIFT,
    EVENT_AMOUNT,
    EVENT_CODES,
    EVENT_DELAY,
    EVENT_DEVICE,
    EVENT_ID,
    EVENT_OTHER,
    EVENT_TIME,
    META_DEVICES,
    META_ODD,
    ODD_DELAY,
    ODD_TIME,
    PACKED_AMOUNT,
    PACKED_ID,
    PACKED_KIND,
    PACKED_TIME,
    Flag,
    Input,
)

_EPOCH_MS = 1_262_304_000_000  # 2010
_TIME_MASK = (1 << 41) - 1
_DELAY_MASK = (1 << 23) - 1
_DELAY_BIAS = 1 << 22
_DEVICE_MASK = 0xFFFF_FFFF
_FLAGS_MASK = 0x3F
_CHANNEL_SHIFT, _MCC_SHIFT, _COUNTRY_SHIFT, _DEVICE_SHIFT = 6, 8, 22, 32
_MCC_MASK, _COUNTRY_MASK = 0x3FFF, 0x3FF
_AMOUNT_SHIFT, _OTHER_LOW_MASK = 24, 0xFF_FFFF
_ID_SHIFT, _OTHER_MIDDLE_MASK = 16, 0xFFFF
_OTHER_MIDDLE_SHIFT, _OTHER_HIGH_SHIFT = 24, 40
_OTHER_MASK = (1 << _OTHER_HIGH_SHIFT) - 1
_FLAGS_BELOW_LABEL = int(Flag.LABEL) - 1  # the flag of a label is not remembered


@compiled
def time_of(place, state):  # type: ignore[no-untyped-def]
    """When the event at a place of the slab happened, ms."""
    word = state.slab[place, PACKED_TIME]
    if word & _DELAY_MASK == 0:
        return state.odd[(word >> 23) & _TIME_MASK, ODD_TIME]
    return ((word >> 23) & _TIME_MASK) + _EPOCH_MS


@compiled
def delay_of(place, state):  # type: ignore[no-untyped-def]
    """From then until it arrived, ms."""
    word = state.slab[place, PACKED_TIME]
    if word & _DELAY_MASK == 0:
        return state.odd[(word >> 23) & _TIME_MASK, ODD_DELAY]
    return (word & _DELAY_MASK) - _DELAY_BIAS


@compiled
def is_odd(place, state):  # type: ignore[no-untyped-def]
    """Whether its time and delay lie in `odd`."""
    return state.slab[place, PACKED_TIME] & _DELAY_MASK == 0


@compiled
def odd_place(place, state):  # type: ignore[no-untyped-def]
    """Where they lie there."""
    return (state.slab[place, PACKED_TIME] >> 23) & _TIME_MASK


@compiled
def set_odd_place(place, at, state):  # type: ignore[no-untyped-def]
    """Says where they lie there."""
    state.slab[place, PACKED_TIME] = at << 23


@compiled
def amount_of(place, state):  # type: ignore[no-untyped-def]
    """What was spent, in minor units."""
    return (state.slab[place, PACKED_AMOUNT] >> _AMOUNT_SHIFT) & 0xFF_FFFF_FFFF


@compiled
def id_of(place, state):  # type: ignore[no-untyped-def]
    """What is kept of the transaction's hash."""
    return (state.slab[place, PACKED_ID] >> _ID_SHIFT) & 0xFFFF_FFFF_FFFF


@compiled
def packed_flags(place, state):  # type: ignore[no-untyped-def]
    """The flags, without a place for `Flag.LABEL`."""
    return state.slab[place, PACKED_KIND] & _FLAGS_MASK


@compiled
def packed(flags):  # type: ignore[no-untyped-def]
    """Flags of a transaction as they are remembered."""
    return (flags & _FLAGS_BELOW_LABEL) | ((flags >> 1) & ~_FLAGS_BELOW_LABEL & _FLAGS_MASK)


@compiled
def set_packed_flags(place, flags, state):  # type: ignore[no-untyped-def]
    """Changes the flags."""
    state.slab[place, PACKED_KIND] = (state.slab[place, PACKED_KIND] & ~_FLAGS_MASK) | flags


@compiled
def other_of(place, state):  # type: ignore[no-untyped-def]
    """The hash of the other side as it is kept: all of it, or 40 bits where a device stands beside it."""
    low = state.slab[place, PACKED_AMOUNT] & _OTHER_LOW_MASK
    other = low | (state.slab[place, PACKED_ID] & _OTHER_MIDDLE_MASK) << _OTHER_MIDDLE_SHIFT
    if state.meta[META_DEVICES] == 0:
        other |= ((state.slab[place, PACKED_KIND] >> _DEVICE_SHIFT) & _DEVICE_MASK) << _OTHER_HIGH_SHIFT
    return other


@compiled
def kept_other(other, state):  # type: ignore[no-untyped-def]
    """What is kept of the hash of another side; 0 of none only."""
    return other if state.meta[META_DEVICES] == 0 or other == 0 else max(1, other & _OTHER_MASK)


@compiled
def device_of(place, state):  # type: ignore[no-untyped-def]
    """What is kept of the device's hash; 0 without one."""
    if state.meta[META_DEVICES] == 0:
        return 0
    return (state.slab[place, PACKED_KIND] >> _DEVICE_SHIFT) & _DEVICE_MASK


@compiled
def attribute_of(column, place, state):  # type: ignore[no-untyped-def]
    """The value of an attribute of the event, for comparing; 0 where it has none."""
    if column == Input.OTHER:
        return other_of(place, state)
    if column == Input.DEVICE:
        return device_of(place, state)
    kind = state.slab[place, PACKED_KIND]
    if column == Input.COUNTRY:
        return (kind >> _COUNTRY_SHIFT) & _COUNTRY_MASK
    if column == Input.MCC:
        return (kind >> _MCC_SHIFT) & _MCC_MASK
    return ((kind >> _CHANNEL_SHIFT) & 3) + 1


@compiled
def fits(time, delay):  # type: ignore[no-untyped-def]
    """Whether time and delay of an event need no place in `odd`."""
    return 0 <= time - _EPOCH_MS <= _TIME_MASK and 0 < delay + _DELAY_BIAS <= _DELAY_MASK


@compiled
def _kind_of(codes, mask):  # type: ignore[no-untyped-def]
    """Country, category, channel and flags of an event's codes, under a mask of those that are kept."""
    kept = codes & mask
    country = 0
    if kept & 0xFFFF:
        country = ((kept >> 8) & 0xFF) * 26 + (kept & 0xFF) - 65 * 27 + 1
    letter = (kept >> 32) & 0xFF
    channel = 0
    for number in range(len(CHANNELS)):
        if letter == CHANNELS[number]:
            channel = number
    kind = packed(codes >> CODE_FLAGS_SHIFT) | channel << _CHANNEL_SHIFT
    return kind | ((kept >> 16) & _MCC_MASK) << _MCC_SHIFT | (country & _COUNTRY_MASK) << _COUNTRY_SHIFT


@compiled
def pack(words, place, state, id_mask, codes_mask):  # type: ignore[no-untyped-def]
    """Puts an event into a place of the slab. `odd` has room, where it needs that.

    Args:
        words: of the event.
        place: in the slab.
        state: is changed.
        id_mask: which bits of the transaction's hash are kept, none above `ID_BITS`.
        codes_mask: which of country, category and channel are kept.
    """
    slab = state.slab
    time, delay = words[EVENT_TIME], words[EVENT_DELAY]
    if fits(time, delay):
        slab[place, PACKED_TIME] = (time - _EPOCH_MS) << 23 | (delay + _DELAY_BIAS)
    else:
        at = state.meta[META_ODD]
        state.meta[META_ODD] = at + 1
        state.odd[at, ODD_TIME] = time
        state.odd[at, ODD_DELAY] = delay
        set_odd_place(place, at, state)
    other = kept_other(words[EVENT_OTHER], state)
    high = other >> _OTHER_HIGH_SHIFT
    if state.meta[META_DEVICES] != 0:
        device = words[EVENT_DEVICE]
        high = device if device == 0 else max(1, device & _DEVICE_MASK)
    slab[place, PACKED_KIND] = high << _DEVICE_SHIFT | _kind_of(words[EVENT_CODES], codes_mask)
    slab[place, PACKED_AMOUNT] = words[EVENT_AMOUNT] << _AMOUNT_SHIFT | (other & _OTHER_LOW_MASK)
    middle = (other >> _OTHER_MIDDLE_SHIFT) & _OTHER_MIDDLE_MASK
    slab[place, PACKED_ID] = (words[EVENT_ID] & id_mask) << _ID_SHIFT | middle


@compiled
def unpack(place, state, words):  # type: ignore[no-untyped-def]
    """The event at a place of the slab, as far as it was kept; what was not is 0."""
    kind = state.slab[place, PACKED_KIND]
    flags = kind & _FLAGS_MASK
    flags = (flags & _FLAGS_BELOW_LABEL) | (flags & ~_FLAGS_BELOW_LABEL) << 1
    country, mcc = (kind >> _COUNTRY_SHIFT) & _COUNTRY_MASK, (kind >> _MCC_SHIFT) & _MCC_MASK
    codes = flags << CODE_FLAGS_SHIFT
    if mcc != 0:
        codes |= mcc << 16
    if country != 0:
        codes |= ((country - 1) // 26 + 65) << 8 | ((country - 1) % 26 + 65)
        codes |= CHANNELS[(kind >> _CHANNEL_SHIFT) & 3] << 32
    words[EVENT_TIME] = time_of(place, state)
    words[EVENT_DELAY] = delay_of(place, state)
    words[EVENT_ID] = id_of(place, state)
    words[EVENT_AMOUNT] = amount_of(place, state)
    words[EVENT_OTHER] = other_of(place, state)
    words[EVENT_DEVICE] = device_of(place, state)
    words[EVENT_CODES] = codes
