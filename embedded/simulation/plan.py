"""What goes wrong in a schedule, and when: drawn from a seed, or given as a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_MASK = (1 << 64) - 1


def draw(seed: int, place: int, what: int = 0) -> int:
    """64 bits that follow from a seed and a place alone (SplitMix64), so that one draw never moves another one.

    >>> draw(7, 1) == draw(7, 1), draw(7, 1) == draw(7, 2)
    (True, False)
    """
    mixed = (seed * 0x9E3779B97F4A7C15 + place * 0xD1B54A32D192ED03 + what * 0x8CB92BA72F3D8DD7) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)


def share(seed: int, place: int, what: int = 0) -> float:
    """The same as a number from 0 to, without, 1."""
    return draw(seed, place, what) / (1 << 64)


_WEIGHT = {"producer": 1 / 6, "driver": 1 / 6, "service": 1 / 2}
"""What a crash of a process is worth, by the first of what may die at its calls; 1 for others."""

_MOST_BESIDE = {"person": 3, "service": 4, "move": 2, "upkeep": 3, "closing": 4}
"""Most crashes of those who work beside the job, by the first of what may die at their calls: the job has its own."""

_COUNTED = {"power": "service"}


@dataclass(frozen=True)
class Weather:
    """How rough a schedule is.

    Attributes:
        faults: share of calls that a service does not answer as asked.
        crashes: share of its executors' calls at which something dies or is cut off, until `most_crashes` have.
        pauses: share of calls before which their process stands still for a while.
        switches: share of calls after which somebody else goes on.
        most_crashes: then nothing dies any more.
    """

    faults: float
    crashes: float
    pauses: float
    switches: float
    most_crashes: int

    @classmethod
    def of(cls, seed: int) -> Weather:
        """The weather of a seed: some are calm but for crashes, some are storms."""
        return cls(
            faults=(0.0, 0.01, 0.03, 0.08)[draw(seed, 0, 1) % 4],
            crashes=(1 / 10, 1 / 20, 1 / 35)[draw(seed, 0, 2) % 3],
            pauses=(0.0, 0.005, 0.02)[draw(seed, 0, 3) % 3],
            switches=(0.05, 0.2, 0.5)[draw(seed, 0, 4) % 3],
            most_crashes=6 + draw(seed, 0, 5) % 4,
        )


@dataclass
class Plan:
    """The events of a schedule by the number of the call at which they happen.

    Args:
        seed: draws everything that is not an event: records, latencies, who is next among several.
        records: how many transactions the producers send.
        events: those to happen; None draws them.

    Attributes:
        calm: nothing goes wrong any more.
        happened: the events that did, by call: with the same seed and records they make the same schedule again.
    """

    seed: int
    records: int = 200
    events: Mapping[int, str] | None = None
    happened: dict[int, str] = field(default_factory=dict)
    crashes: int = 0
    calm: bool = False

    def __post_init__(self) -> None:
        self._weather = Weather.of(self.seed)

    def event(self, call: int, faults: Sequence[str], crashes: Sequence[str], *, may_wait: bool) -> str | None:
        """What happens at a call.

        Args:
            call: its number.
            faults: what its service may do.
            crashes: what may die around it.
            may_wait: whether its process may stand still, or another go on.
        """
        if self.calm:
            return None
        if self.events is not None:
            found = self.events.get(call)
        else:
            found = self._drawn(call, faults, crashes, may_wait=may_wait)
        if found is not None:
            self.happened[call] = found
        return found

    def _drawn(self, call: int, faults: Sequence[str], crashes: Sequence[str], *, may_wait: bool) -> str | None:
        weather, chance = self._weather, share(self.seed, call, 11)
        # Most calls of a driver look for new records: a crash of those in between is worth less. Around a call that
        # changes something, it is worth more.
        rate = weather.crashes * _WEIGHT.get(crashes[0] if crashes else "", 1.0) * (2 if "unanswered" in faults else 1)
        if crashes and chance < rate and self._may_crash(crashes):
            self.crashes += 1
            when = "before" if draw(self.seed, call, 12) & 1 else "after"
            return f"crash {crashes[draw(self.seed, call, 13) % len(crashes)]} {when}"
        chance -= rate
        # Calls that may be done in part are few, and what is left of one is what a retry may forget.
        faulty = weather.faults * (4 if "partial" in faults else 1)
        if faults and 0 <= chance < faulty:
            return f"fault {faults[draw(self.seed, call, 14) % len(faults)]}"
        chance -= faulty
        if may_wait and 0 <= chance < weather.pauses:
            return f"pause {(200, 2_000, 20_000, 90_000)[draw(self.seed, call, 15) % 4]}"
        chance -= weather.pauses
        if may_wait and 0 <= chance < weather.switches:
            return "switch"
        return None

    def _may_crash(self, crashes: Sequence[str]) -> bool:
        died = Counter(event.split()[1] for event in self.happened.values() if event.startswith("crash"))
        beside: Counter[str] = Counter()
        for what, count in died.items():
            beside[_COUNTED.get(what, what)] += count
        if (most := _MOST_BESIDE.get(crashes[0])) is not None:
            return beside[crashes[0]] < most
        return self.crashes - sum(beside[what] for what in _MOST_BESIDE) < self._weather.most_crashes
