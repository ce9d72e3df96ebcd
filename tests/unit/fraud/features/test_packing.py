"""What is remembered of an event, in as few bytes as exactness allows."""

from __future__ import annotations

import numpy as np
import pytest

from fraud.entities import CARD, DEVICE, MERCHANT, Entity
from fraud.features.catalogue import DAY_MS, features_of
from fraud.features.events import Events, Ints
from fraud.features.fold import EntityFold
from fraud.features.kernel import layout
from fraud.features.kernel.layout import Flag
from fraud.features.state import EntityState

NOON_MS = 1_780_315_200_000
LOWEST_48, LOWEST_40, LOWEST_32 = (1 << 48) - 1, (1 << 40) - 1, (1 << 32) - 1


def fold_of(entity: Entity) -> EntityFold:
    return EntityFold(entity, 1_024, 400 * DAY_MS, "EUR", features_of(entity))


def words_of(count: int) -> Ints:
    words = np.zeros((count, layout.EVENT_WORDS), np.int64)
    words[:, layout.EVENT_TIME] = NOON_MS + np.arange(count)
    words[:, layout.EVENT_ID] = (np.arange(count) + 1) * 0x0123_4567_89AB_CDE
    words[:, layout.EVENT_OTHER] = (1 << 62) + 12_345
    words[:, layout.EVENT_DEVICE] = (1 << 61) + 54_321
    words[:, layout.EVENT_CODES] = ord("D") << 8 | ord("E") | 5_412 << 16 | ord("p") << 32
    return words


def events_of(words: Ints, key: Ints | int = 7) -> Events:
    keys = np.full(len(words), key) if isinstance(key, int) else key
    return Events(keys, words, np.full((len(words), 2), np.nan))


def remembered(entity: Entity, words: Ints) -> Ints:
    state = EntityState()
    fold_of(entity).run(state, events_of(words))
    assert state.is_sound()
    return state.unpacked(state.arrays.rows[: state.keys])


@pytest.mark.parametrize(
    ("time_ms", "delay_ms"),
    [
        (NOON_MS, 0),
        (NOON_MS, 3_600_000),
        (NOON_MS, -3_600_000),
        (NOON_MS, 20 * 3_600_000),  # 23 bits of delay end at 2 h 20 min
        (1_262_304_000_000 + (1 << 41) - 1, 5),  # the last time that 41 bits since 2010 hold
        (1_262_304_000_000 + (1 << 41), 5),
        (1_262_304_000_000, 0),
        (1_262_303_999_999, 0),
        (0, 50 * 365 * DAY_MS),
        (NOON_MS + 26_000 * DAY_MS, -26_000 * DAY_MS),
    ],
)
def test_time_and_delay_are_kept_however_far_apart_they_lie(time_ms: int, delay_ms: int) -> None:
    words = words_of(1)
    words[0, layout.EVENT_TIME], words[0, layout.EVENT_DELAY] = time_ms, delay_ms
    (kept,) = remembered(CARD, words)
    assert (kept[layout.EVENT_TIME], kept[layout.EVENT_DELAY]) == (time_ms, delay_ms)


@pytest.mark.parametrize("amount_minor", [0, 1, 999, 10**12])
@pytest.mark.parametrize("country", ["AA", "DE", "ZZ"])
def test_amounts_codes_and_flags_are_kept(amount_minor: int, country: str) -> None:
    places = [(mcc, channel) for mcc in (0, 742, 9_999) for channel in "paem"]
    words = words_of(len(places))
    for number, (mcc, channel) in enumerate(places):
        codes = ord(country[0]) << 8 | ord(country[1]) | (mcc + 1) << 16 | ord(channel) << 32
        words[number, layout.EVENT_CODES] = codes | int(Flag.CHECK | Flag.FRAUD) << layout.CODE_FLAGS_SHIFT
    words[:, layout.EVENT_AMOUNT] = amount_minor
    kept = remembered(CARD, words)
    assert kept[:, layout.EVENT_CODES].tolist() == words[:, layout.EVENT_CODES].tolist()
    assert kept[:, layout.EVENT_AMOUNT].tolist() == [amount_minor] * len(places)


def test_each_entity_keeps_what_its_features_read() -> None:
    words = words_of(1)
    (card,), (merchant,), (device,) = (remembered(entity, words.copy()) for entity in (CARD, MERCHANT, DEVICE))
    transaction_id, other, of_device = (
        int(words[0, word]) for word in (layout.EVENT_ID, layout.EVENT_OTHER, layout.EVENT_DEVICE)
    )
    ids = (layout.EVENT_ID, layout.EVENT_OTHER, layout.EVENT_DEVICE)
    assert card[[*ids]].tolist() == [transaction_id & LOWEST_48, other & LOWEST_40, of_device & LOWEST_32]
    assert merchant[[*ids]].tolist() == [transaction_id & LOWEST_32, other, 0]
    assert device[[*ids]].tolist() == [0, other, 0]
    assert (merchant[layout.EVENT_CODES], device[layout.EVENT_CODES]) == (0, 0)


def test_an_id_of_days_ago_is_kept_shorter_and_still_repeats_a_transaction_of_its_time() -> None:
    words = words_of(2)
    words[1, layout.EVENT_TIME] += 2 * DAY_MS
    fold, state, loaded = fold_of(CARD), EntityState(), EntityState()
    fold.run(state, events_of(words))
    for piece in state.dump():
        loaded.load(piece)
    kept = loaded.unpacked(loaded.arrays.rows[:1])[:, layout.EVENT_ID]
    assert kept.tolist() == [words[0, layout.EVENT_ID] & LOWEST_32, words[1, layout.EVENT_ID] & LOWEST_48]
    again = words[:1].copy()
    again[0, layout.EVENT_DELAY] = 3 * DAY_MS
    for each in (state, loaded):
        assert fold.run(each, events_of(again)).duplicate.tolist() == [layout.REPEATED]


def test_a_key_with_many_odd_times_is_dumped_and_loaded() -> None:
    words = words_of(100)
    words[:, layout.EVENT_DELAY] = 5 * 3_600_000
    state, loaded = EntityState(), EntityState()
    fold_of(CARD).run(state, events_of(words))
    for piece in state.dump():
        loaded.load(piece)
    assert loaded.is_sound()
    rows = loaded.arrays.rows[:1]
    assert loaded.unpacked(rows)[:, layout.EVENT_DELAY].tolist() == [5 * 3_600_000] * 100


@pytest.mark.parametrize("entity", [CARD, DEVICE])
def test_little_of_the_copy_is_empty_and_packing_changes_no_value(entity: Entity) -> None:
    """Forty days of 300 keys, some of which have many events; every tenth arrives late, some by days."""
    rng = np.random.default_rng(5)
    fold, state, packed = fold_of(entity), EntityState(), EntityState()
    keys = np.repeat(np.arange(1, 301), rng.integers(1, 12, 300) ** 2)
    for number in range(40):
        words = words_of(600)
        words[:, layout.EVENT_TIME] = np.sort(NOON_MS + number * DAY_MS + rng.integers(0, DAY_MS, 600))
        late = np.where(rng.random(600) < 0.1, rng.choice([60_000, 5 * 3_600_000, 3 * DAY_MS], 600), 0)
        words[:, layout.EVENT_TIME] -= late
        words[:, layout.EVENT_DELAY] = late
        words[:, layout.EVENT_ID] = rng.integers(1, 1 << 62, 600)
        words[:, layout.EVENT_AMOUNT] = rng.integers(1, 10_000, 600)
        words[:, layout.EVENT_OTHER] = rng.integers(1, 9, 600)
        key = rng.choice(keys, 600)
        packed._pack()
        wanted = fold.run(packed, events_of(words.copy(), key))
        found = fold.run(state, events_of(words, key))
        assert all(np.array_equal(one, other, equal_nan=True) for one, other in zip(found, wanted, strict=True))
        assert state.is_sound()
        assert packed.is_sound()
    used, odd = int(state.arrays.meta[layout.META_SLAB]), int(state.arrays.meta[layout.META_ODD])
    rows_bytes = state.keys * 8 * (layout.ROW_WORDS + 2)
    assert 4_096 < used <= 1.24 * state.events
    assert state.used_bytes - rows_bytes <= 34 * used + 16 * odd
