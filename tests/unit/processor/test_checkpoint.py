"""A checkpoint is refused where it would be misread or written over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fraud.entities import BIN, CARD, TRANSACTION, Entity
from fraud.errors import MisconfiguredError
from fraud.features import CATALOGUE, SHIPPED, Catalogue, catalogue
from fraud.settings import Job, Money, Settings
from processor.checkpoint import Claim, fixed_settings, refuse_changes

CLAIM = Claim("id-1", fixed_settings(Settings()))


def test_the_same_checkpoint_with_the_same_settings_goes_on() -> None:
    refuse_changes({"fraud": CLAIM}, "id-1", Settings(job=Job(trigger_ms=999, max_records_per_trigger=5)))


@pytest.mark.parametrize("found", [None, "id-2"])
def test_a_name_whose_batches_are_archived_is_refused_to_another_checkpoint(found: str | None) -> None:
    with pytest.raises(MisconfiguredError, match=r"job\.query: fraud belongs to a checkpoint other"):
        refuse_changes({"fraud": CLAIM}, found, Settings())


def test_what_changed_is_named_with_both_values_and_the_way_out() -> None:
    with pytest.raises(MisconfiguredError, match=r"job\.key_groups: is 8, .* created with 2; .*job\.start"):
        refuse_changes({"fraud": CLAIM}, "id-1", Settings(job=Job(key_groups=8)))


def test_the_base_currency_is_fixed() -> None:
    with pytest.raises(MisconfiguredError, match=r"money\.base_currency: is JPY, .* created with EUR"):
        refuse_changes({"fraud": CLAIM}, "id-1", Settings(money=Money(base_currency="JPY")))


def test_a_claim_that_notes_no_currency_goes_on_where_amounts_keep_their_scale() -> None:
    older = Claim("id-1", {name: value for name, value in CLAIM.fixed.items() if name != "money.base_currency"})
    refuse_changes({"fraud": older}, "id-1", Settings(money=Money(base_currency="USD")))
    with pytest.raises(MisconfiguredError, match=r"money\.base_currency: is KWD, .* created with None"):
        refuse_changes({"fraud": older}, "id-1", Settings(money=Money(base_currency="KWD")))


def test_a_checkpoint_goes_on_under_its_own_name_only() -> None:
    renamed = Settings(job=Job(query="fraud-2"))
    with pytest.raises(MisconfiguredError, match=r"job\.query: is fraud-2, but the checkpoint .* belongs to fraud, "):
        refuse_changes({"fraud": CLAIM}, "id-1", renamed)
    refuse_changes({"fraud": CLAIM}, None, renamed)
    refuse_changes({}, "id-1", Settings())


def add_feature(monkeypatch: pytest.MonkeyPatch, entity: Entity) -> None:
    """One more feature of an entity: its first again, under another name."""
    first = next(feature for feature in CATALOGUE if feature.entity is entity)
    more = Catalogue(SHIPPED.entities, (*CATALOGUE, replace(first, name="a_new_one")))
    monkeypatch.setattr(catalogue, "SHIPPED", more)


def test_a_new_feature_of_an_entity_with_state_needs_a_new_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    add_feature(monkeypatch, CARD)
    differs = r"^feature definitions: is \w+, .* created with \w+; .*job\.start"
    with pytest.raises(MisconfiguredError, match=differs) as found:
        refuse_changes({"fraud": CLAIM}, "id-1", Settings())
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("entity", [TRANSACTION, BIN])
def test_a_checkpoint_without_state_of_the_new_feature_goes_on(monkeypatch: pytest.MonkeyPatch, entity: Entity) -> None:
    add_feature(monkeypatch, entity)
    refuse_changes({"fraud": CLAIM}, "id-1", Settings())


def test_a_new_entity_needs_a_new_checkpoint() -> None:
    with pytest.raises(MisconfiguredError, match=r"^job\.entities: is .*bin.*, .* created with .*card") as found:
        refuse_changes({"fraud": CLAIM}, "id-1", Settings(job=Job(entities=("card", "merchant", "device", "bin"))))
    assert "\n" not in str(found.value)
