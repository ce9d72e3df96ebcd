"""Which campaigns run, when and how much: read from YAML."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud.errors import MisconfiguredError
from producer.campaigns import CAMPAIGNS
from producer.campaigns.base import DAY_MS
from producer.economy import Economy
from producer.rows import Rows, concat, empty

CAMPAIGN_FOLDER = Path(__file__).parent.parent.parent / "config" / "campaigns"
_NUMBER_OF = {campaign.name: number for number, campaign in enumerate(CAMPAIGNS)}


class Stretch(BaseModel):
    """One campaign of a plan; see `config/campaigns/default.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    weight: float = Field(gt=0)
    from_day: int = Field(default=0, ge=0)
    days: int = Field(default=100_000, ge=1)


class CampaignPlan(BaseModel):
    """The campaigns of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: float = Field(ge=0, le=0.5)
    campaigns: tuple[Stretch, ...] = ()


def load_plan(name: str) -> CampaignPlan:
    """Reads a plan: a name in `config/campaigns` or a YAML file.

    Raises:
        MisconfiguredError: it is missing, malformed, or names a campaign that does not exist.
    """
    file = Path(name) if name.endswith((".yaml", ".yml")) else CAMPAIGN_FOLDER / f"{name}.yaml"
    try:
        plan = CampaignPlan.model_validate(yaml.safe_load(file.read_text()))
    except OSError:
        known = ", ".join(sorted(path.stem for path in CAMPAIGN_FOLDER.glob("*.yaml")))
        raise MisconfiguredError("--campaigns", f"{file} cannot be read; there are: {known}") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise MisconfiguredError("--campaigns", f"{file}: {' '.join(str(error).split())}") from None
    for stretch in plan.campaigns:
        if stretch.name not in _NUMBER_OF:
            raise MisconfiguredError(
                "--campaigns", f"{file}: no campaign {stretch.name}; there are: {', '.join(_NUMBER_OF)}"
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
    running = [s for s in plan.campaigns if s.from_day <= ran < s.from_day + s.days]
    total = sum(stretch.weight for stretch in running)
    parts = [empty()]
    for stretch in running:
        number = _NUMBER_OF[stretch.name]
        campaign = CAMPAIGNS[number]
        wanted = genuine * plan.rate * stretch.weight / total
        for case in range(rng.poisson(wanted / campaign.per_case)):
            start_ms = int((day + rng.random()) * DAY_MS)
            progress = min(1.0, (ran - stretch.from_day) / min(stretch.days, 60))
            rows = campaign.case(
                np.random.default_rng([economy.seed, 3, day, number, case]), economy, start_ms, progress
            )
            rows.campaign[:] = number + 1
            rows.case[:] = day * 1000 + case
            parts.append(rows)
    return concat(parts)
