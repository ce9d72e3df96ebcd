"""Distances between places."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from fraud.features.kernel.compiling import cached
from fraud.features.kernel.layout import LEAST_VALUE

Floats = npt.NDArray[np.float64]

_EARTH_RADIUS_KM = 6371.0088
_RADIANS = np.pi / 180


@cached
def great_circle_km(lat_a, lon_a, lat_b, lon_b):  # type: ignore[no-untyped-def]
    """Distance of two places given by degrees of latitude and longitude, by the haversine formula."""
    half = (
        np.sin((lat_b - lat_a) * _RADIANS / 2) ** 2
        + np.cos(lat_a * _RADIANS) * np.cos(lat_b * _RADIANS) * np.sin((lon_b - lon_a) * _RADIANS / 2) ** 2
    )
    km = 2 * _EARTH_RADIUS_KM * np.arcsin(np.sqrt(min(1.0, half)))
    return km if km >= LEAST_VALUE else 0.0


def distances_km(lat_a: Floats, lon_a: Floats, lat_b: Floats, lon_b: Floats) -> Floats:
    """The same of columns; NaN where any of the numbers is."""
    with np.errstate(invalid="ignore"):  # where one is NaN, it is compared before the result is chosen
        return _each(lat_a, lon_a, lat_b, lon_b)  # type: ignore[no-any-return]


@nb.vectorize(["float64(float64, float64, float64, float64)"], cache=True)
def _each(lat_a, lon_a, lat_b, lon_b):  # type: ignore[no-untyped-def]
    if np.isnan(lat_a + lon_a + lat_b + lon_b):
        return np.nan
    return great_circle_km(lat_a, lon_a, lat_b, lon_b)
