"""Which campaigns run, when and how much: read from YAML."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from adapters.files.text_files import read_model
from fraud.errors import MisconfiguredError
from producer.campaigns import CAMPAIGNS
from producer.campaigns.base import DAY_MS, HOUR_MS
from producer.economy import Economy
from producer.rows import Rows, checked, concat, empty

CAMPAIGN_FOLDER = Path(__file__).parent.parent.parent / "config" / "campaigns"
_NUMBER_OF = {campaign.name: number for number, campaign in enumerate(CAMPAIGNS)}

_LONGEST_COURSE_DAYS = 60
"""A campaign that changes has changed entirely after so many days, however long it runs."""

_BUSY_HOUR = 15.5

_MAX_STRETCHES, _MAX_CASES = 100, 10_000


class Stretch(BaseModel):
    """One campaign of a plan; see `config/campaigns/default.yaml`.

    Attributes:
        name: which campaign.
        weight: its intensity, as a share of the fraud of the days on which it runs.
        from_day: day of the run on which it starts.
        days: for so long.
        spread: factor on the time between a case's transactions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    weight: float = Field(gt=0)
    from_day: int = Field(default=0, ge=0)
    days: int = Field(default=100_000, ge=1)
    spread: float = Field(default=1.0, gt=0, le=100)


class CampaignPlan(BaseModel):
    """The campaigns of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: float = Field(ge=0, le=0.5)
    campaigns: tuple[Stretch, ...] = Field(default=(), max_length=_MAX_STRETCHES)


def load_plan(name: str) -> CampaignPlan:
    """Reads a plan: a name in `config/campaigns` or a YAML file.

    Raises:
        MisconfiguredError: it is missing, malformed, or names a campaign that does not exist.
    """
    file = Path(name) if name.endswith((".yaml", ".yml")) else CAMPAIGN_FOLDER / f"{name}.yaml"
    if not file.exists():
        known = ", ".join(sorted(path.stem for path in CAMPAIGN_FOLDER.glob("*.yaml")))
        raise MisconfiguredError("--campaigns", f"{file} cannot be read; available: {known}")
    plan = read_model(file, CampaignPlan)
    for stretch in plan.campaigns:
        if stretch.name not in _NUMBER_OF:
            raise MisconfiguredError(
                "--campaigns", f"{file}: no campaign {stretch.name}; available: {', '.join(_NUMBER_OF)}"
            )
    return plan


def fraud_of_day(economy: Economy, plan: CampaignPlan, day: int, first_day: int, genuine: int) -> Rows:
    """The fraud that starts on a day; its transactions may reach into later days.

    Args:
        economy: victims and merchants.
        plan: which campaigns.
        day: days since 1970.
        first_day: of the run.
        genuine: genuine transactions of the day, which the rate refers to.
    """
    rng = np.random.default_rng([economy.seed, 2, day])
    ran = day - first_day
    running = [(place, s) for place, s in enumerate(plan.campaigns) if s.from_day <= ran < s.from_day + s.days]
    total = sum(stretch.weight for _, stretch in running)
    parts = [empty()]
    for place, stretch in running:
        number = _NUMBER_OF[stretch.name]
        campaign = CAMPAIGNS[number]
        wanted = genuine * plan.rate * stretch.weight / total
        progress = min(1.0, (ran - stretch.from_day) / min(stretch.days, _LONGEST_COURSE_DAYS))
        for case in range(rng.poisson(wanted / campaign.per_case)):
            start_ms = day * DAY_MS + int(rng.normal(_BUSY_HOUR, 5.5) % 24 * HOUR_MS)
            dice = np.random.default_rng([economy.seed, 3, day, place, case])
            rows = campaign.case(dice, economy, start_ms, progress)
            parts.append(
                checked(dice, rows, campaign.knows).but(
                    time_ms=start_ms + (rows.time_ms - start_ms) * stretch.spread,
                    campaign=number + 1,
                    case=(day * _MAX_STRETCHES + place) * _MAX_CASES + case,
                )
            )
    return concat(parts)
