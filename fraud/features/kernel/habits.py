"""What is known of a key's whole history: usual amounts, times of day and weekdays, the last place, decayed sums."""

from __future__ import annotations

import numpy as np

from fraud.features import aggregates
from fraud.features.kernel.compiling import compiled
from fraud.features.kernel.geography import great_circle_km
from fraud.features.kernel.layout import (
    BINS,
    H_COS,
    H_COUNT,
    H_DECAYED,
    H_LAT,
    H_LON,
    H_M2,
    H_MEAN,
    H_PLACE_TIME,
    H_SIN,
    H_WEEK_COS,
    H_WEEK_SIN,
    MIN_HISTORY,
    MIN_SPREAD,
    PAYMENT_COUNTER,
    SPEC_CODE,
    SPEC_SHAPE,
    SPEC_SLOT,
    SPEC_WINDOW,
    UNUSUAL_Z,
)
from fraud.features.kernel.packing import time_of
from fraud.features.kernel.windows import latest_counted, paid

_SINCE_LAST, _UNUSUAL = aggregates.SINCE_LAST.code, aggregates.UNUSUAL.code
_LOG_Z, _ROBUST_Z = aggregates.LOG_Z.code, aggregates.ROBUST_Z.code
_HOUR_DEVIATION, _WEEKDAY_DEVIATION = aggregates.HOUR_DEVIATION.code, aggregates.WEEKDAY_DEVIATION.code
_DISTANCE_LAST, _OBSERVED = aggregates.DISTANCE_LAST.code, aggregates.OBSERVED.code
_DECAYED_COUNT, _DECAYED_SUM = aggregates.DECAYED_COUNT.code, aggregates.DECAYED_SUM.code
_DECAY = int(aggregates.Shape.DECAY)

_DAY_MS = 86_400_000
_MONDAY_OFFSET_DAYS = 3  # 1970-01-01 was a Thursday
_WEEK_COS, _WEEK_SIN = np.cos(np.arange(7) * 2 * np.pi / 7), np.sin(np.arange(7) * 2 * np.pi / 7)
_NO_DIRECTION = 1e-6  # length of a circular mean that is nothing but rounding


@compiled
def _log_of(amount, units):  # type: ignore[no-untyped-def]
    """Logarithm of an amount in hundredths of the currency's unit plus one, whatever its minor unit."""
    return np.log(amount * 100.0 / units + 1.0)


@compiled
def _bin(bins, number):  # type: ignore[no-untyped-def]
    return (bins[number >> 1] >> (32 * (number & 1))) & 0xFFFF_FFFF


@compiled
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


@compiled
def robust_z(amount, units, history, bins):  # type: ignore[no-untyped-def]
    """Robust deviations of an amount from the median of the history; NaN where either is unknown."""
    count = history[H_COUNT]
    if amount <= 0 or count < MIN_HISTORY:
        return np.nan
    position = min(BINS - 1e-9, 2 * _log_of(amount, units) / np.log(2.0))
    median = _quantile(bins, count, 0.5)
    spread = (_quantile(bins, count, 0.75) - _quantile(bins, count, 0.25)) / 1.349
    return (position - median) / max(spread, MIN_SPREAD * 2 / np.log(2.0))


@compiled
def _weekday(time):  # type: ignore[no-untyped-def]
    """0 is Monday."""
    return (time // _DAY_MS + _MONDAY_OFFSET_DAYS) % 7


@compiled
def _log_z(now, history):  # type: ignore[no-untyped-def]
    if history[H_COUNT] < MIN_HISTORY or now.amount <= 0:
        return np.nan
    deviation = np.sqrt(history[H_M2] / (history[H_COUNT] - 1))
    return (_log_of(now.amount, now.units) - history[H_MEAN]) / max(deviation, MIN_SPREAD)


@compiled
def _hour_deviation(time, history):  # type: ignore[no-untyped-def]
    if history[H_COUNT] < MIN_HISTORY:
        return np.nan
    angle = (time % _DAY_MS) / _DAY_MS * 2 * np.pi
    apart = abs(angle - np.arctan2(history[H_SIN], history[H_COS])) % (2 * np.pi)
    return min(apart, 2 * np.pi - apart) * 12 / np.pi


@compiled
def _weekday_deviation(time, history):  # type: ignore[no-untyped-def]
    east, north, seen = history[H_WEEK_COS], history[H_WEEK_SIN], history[H_COUNT]
    if seen < MIN_HISTORY or np.hypot(east, north) < _NO_DIRECTION * seen:
        return np.nan
    days = abs(_weekday(time) - np.arctan2(north, east) * 7 / (2 * np.pi)) % 7
    return min(days, 7 - days)


@compiled
def _travel(code, now, history):  # type: ignore[no-untyped-def]
    """Distance from the last place, or the speed that it takes."""
    if history[H_PLACE_TIME] <= 0 or np.isnan(now.lat):
        return np.nan
    km = great_circle_km(history[H_LAT], history[H_LON], now.lat, now.lon)
    if code == _DISTANCE_LAST:
        return km
    return km / max(abs(now.time - history[H_PLACE_TIME]) / 3_600_000, 1 / 60)


@compiled
def history_value(code, now, history, state):  # type: ignore[no-untyped-def]
    """The value of a feature of the whole history."""
    if code == _SINCE_LAST:
        latest = now.place - 1
        if latest >= now.low and not paid(latest, state):
            latest = latest_counted(now.low, now.place, PAYMENT_COUNTER, state)
        return (now.time - time_of(latest, state)) / 1000.0 if latest >= now.low else np.nan
    if code == _OBSERVED:
        return max(0, now.arrival - now.first) / _DAY_MS
    if code == _LOG_Z:
        return _log_z(now, history)
    if code == _ROBUST_Z:
        return now.robust
    if code == _UNUSUAL:
        return 1.0 if now.robust > UNUSUAL_Z else 0.0
    if code == _HOUR_DEVIATION:
        return _hour_deviation(now.time, history)
    if code == _WEEKDAY_DEVIATION:
        return _weekday_deviation(now.time, history)
    return _travel(code, now, history)


@compiled
def decayed_value(feature, now, history):  # type: ignore[no-untyped-def]
    """The value of a decayed feature when the event arrived."""
    at = H_DECAYED + 2 * feature[SPEC_SLOT]
    return history[at] * 0.5 ** (max(0.0, now.arrival - history[at + 1]) / feature[SPEC_WINDOW])


@compiled
def _weight(code, now, unusual):  # type: ignore[no-untyped-def]
    """What an event adds to a decayed feature."""
    if code == _DECAYED_COUNT:
        return 1.0 if now.pays else 0.0
    if code == _DECAYED_SUM:
        return now.spent / now.units
    return 1.0 if unusual else 0.0


@compiled
def _learn_decayed(feature, now, unusual, history):  # type: ignore[no-untyped-def]
    added = _weight(feature[SPEC_CODE], now, unusual) * 0.5 ** (max(0, now.arrival - now.time) / feature[SPEC_WINDOW])
    at = H_DECAYED + 2 * feature[SPEC_SLOT]
    history[at] = decayed_value(feature, now, history) + added
    history[at + 1] = now.arrival


@compiled
def _learn_amount(now, history, bins):  # type: ignore[no-untyped-def]
    log_amount = _log_of(now.spent, now.units)
    history[H_COUNT] += 1
    before = log_amount - history[H_MEAN]
    history[H_MEAN] += before / history[H_COUNT]
    history[H_M2] += before * (log_amount - history[H_MEAN])
    number = int(min(BINS - 1e-9, 2 * log_amount / np.log(2.0)))
    bins[number >> 1] += 1 << (32 * (number & 1))
    angle = (now.time % _DAY_MS) / _DAY_MS * 2 * np.pi
    history[H_COS] += np.cos(angle)
    history[H_SIN] += np.sin(angle)
    history[H_WEEK_COS] += _WEEK_COS[_weekday(now.time)]
    history[H_WEEK_SIN] += _WEEK_SIN[_weekday(now.time)]


@compiled
def learn(spec, now, unusual, history, bins):  # type: ignore[no-untyped-def]
    """Adds an event to the whole history."""
    if now.spent > 0:
        _learn_amount(now, history, bins)
    seen = min(now.time, now.arrival)  # nothing is ahead of its arrival, or no later place would be the last
    if not np.isnan(now.lat) and seen >= history[H_PLACE_TIME]:
        history[H_PLACE_TIME] = seen
        history[H_LAT] = now.lat
        history[H_LON] = now.lon
    for f in range(spec.shape[0]):
        if spec[f, SPEC_SHAPE] == _DECAY:
            _learn_decayed(spec[f], now, unusual, history)
