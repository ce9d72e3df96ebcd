"""The settings that decide what becomes of a record: pinned with a batch, so that all its attempts decide alike.

What else decides is pinned in its own way: policy and lists by their version, the model by its version, and what the
state is laid out by for the life of a checkpoint (`processor.checkpoint.fixed_settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fraud.errors import MisconfiguredError
from fraud.settings import Settings

PINNED = (
    "job.max_age_s",
    "job.max_ahead_s",
    "job.recorded_arrival",
    "job.state_expiry_days",
    "job.waiting_labels",
    "answers.keys",
)
"""Their names."""


def pinned_settings(settings: Settings) -> dict[str, Any]:
    """The values to pin, by name.

    >>> pinned_settings(Settings())["job.state_expiry_days"]
    400
    """
    given = settings.model_dump(mode="json")
    return {name: given[section][field] for section, field, name in _split(PINNED)}


def with_pinned(settings: Settings, pinned: Mapping[str, Any]) -> Settings:
    """Settings as a batch was begun with; what its pin does not name stays.

    Raises:
        MisconfiguredError: the pin names a setting, or a value of one, that this version does not have.

    >>> with_pinned(Settings(), {"job.max_age_s": 60}).job.max_age_s
    60
    """
    given = settings.model_dump(mode="json")
    for section, field, name in _split(pinned):
        if name not in PINNED:
            raise MisconfiguredError(name, "decided about the records of a batch, and this version does not have it")
        given[section][field] = pinned[name]
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise MisconfiguredError(
            name, f"decided about the records of a batch as {first['input']!r}: {first['msg']}"
        ) from None


def _split(names: Mapping[str, Any] | tuple[str, ...]) -> list[tuple[str, str, str]]:
    return [(*name.split(".", 1), name) for name in names]  # type: ignore[misc]
