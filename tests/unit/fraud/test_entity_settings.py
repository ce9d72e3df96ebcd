"""Entities are chosen and bounded by name; settings as older versions had them are still read."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fraud.entities import ENTITIES, measured
from fraud.settings import Job


def kept(**settings: Any) -> dict[str, int]:
    return {entity.name: events for entity, events in measured(Job.model_validate(settings)).items()}


def test_by_default_cards_merchants_and_devices_are_measured() -> None:
    assert kept() == {"card": 16_384, "merchant": 1 << 20, "device": 1 << 20}


def test_entities_are_bounded_by_name_and_folded_in_their_own_order() -> None:
    found = kept(entities={"ip": {"events": 512}, "card": {"events": 2_048}, "card_merchant": {}, "merchant": None})
    assert found == {"card": 2_048, "merchant": 1 << 20, "ip": 512, "card_merchant": 1_024}
    assert list(found) == [entity.name for entity in ENTITIES if entity.name in found]


def test_a_list_of_names_takes_their_own_bounds() -> None:
    assert kept(entities=["card", "device"]) == {"card": 16_384, "device": 1 << 20}


def test_bounds_of_older_settings_are_read() -> None:
    assert kept(card_events=64) == {"card": 64, "merchant": 1 << 20, "device": 1 << 20}
    assert kept(entities=["card", "bin"], bin_events=32, device_events=99) == {"card": 16_384, "bin": 32}
    assert kept(entities={"card": {"events": 128}}, card_events=64) == {"card": 128}


@pytest.mark.parametrize(
    ("entities", "wrong"),
    [
        (["merchant"], "must hold card"),
        (["card", "terminal"], "has no entity named terminal; available: card, merchant, device"),
        ({"card": {"events": 3}}, "greater than or equal to 16"),
        ({"card": {"kept": 3}}, "Extra inputs are not permitted"),
        (5, "valid dictionary"),
    ],
)
def test_what_cannot_be_measured_is_refused(entities: Any, wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        Job.model_validate({"entities": entities})


def test_settings_are_read_back_as_they_were_written() -> None:
    job = Job.model_validate({"entities": {"card": {"events": 64}, "ip": {}}})
    assert Job.model_validate(job.model_dump(mode="json")) == job
