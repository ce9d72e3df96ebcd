"""What no text about a feature's value may have."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

VALUES = (0.0, 1e-9, 0.251, 0.4, 1.0, 1.2, 2.5, 3.39, 40.0, 1e6, -2.0, math.inf, math.nan, None)
USUAL = (None, 0.0, 1.0, 3.39, 70.0)
_SPANS = {"seconds", "minutes", "hours", "days"}
_TECHNICAL = re.compile(r"[_{}]|unknown|deviation|\bnan\b|\binf\b|None| {2}")


class Faults:
    """Looks for names of columns, and for counts that nobody would say so.

    Args:
        units: of all features that texts are about.
    """

    def __init__(self, units: Iterable[str]) -> None:
        things = "|".join(sorted({unit for unit in units if unit.endswith("s")} - _SPANS | _SPANS))
        self._faults = (
            _TECHNICAL,
            re.compile(rf"(?<![\d.,])1 (unusual )?({things})\b"),
            re.compile(rf"\d\.\d+ (unusual )?({things}|km|times (?<=\d\d\.\d times ))"),
        )

    def in_text(self, text: str) -> list[str]:
        """What is wrong with a text, empty where nothing is."""
        return [] if text and not any(fault.search(text) for fault in self._faults) else [text or "nothing is said"]
