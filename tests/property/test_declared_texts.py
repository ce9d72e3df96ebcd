"""Whatever may be declared is said in words: every aggregate, of single fields and of pairs, whatever its value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import combinations

import pytest

from fraud.decision.rules.fields import fields_of
from fraud.decision.rules.text import parse_template
from fraud.declared import Declared, FeatureRow
from fraud.entities import MERCHANT, Entity, Velocity
from fraud.features import SHIPPED, Catalogue, catalogue_with
from fraud.features.aggregates import AGGREGATES, Reads, Shape
from fraud.features.catalogue import Feature
from fraud.features.text import texts_of
from fraud.wording import count_of
from tests.support.feature_texts import USUAL, VALUES, Faults

PEOPLE_SAY = {
    "card_token": ("card", "cards"),
    "card_last_four": ("card ending", "card endings"),
    "bin": ("BIN", "BINs"),
    "issuer_country": ("issuer country", "issuer countries"),
    "customer_id": ("customer", "customers"),
    "email_hash": ("e-mail address", "e-mail addresses"),
    "shipping_address_hash": ("shipping address", "shipping addresses"),
    "device_id": ("device", "devices"),
    "ip_address": ("IP address", "IP addresses"),
    "merchant_id": ("merchant", "merchants"),
    "merchant_name": ("merchant's name", "names of merchants"),
    "merchant_country": ("merchant country", "merchant countries"),
    "mcc": ("trade", "trades"),
    "terminal_id": ("terminal", "terminals"),
    "currency": ("currency", "currencies"),
    "response_code": ("issuer's answer", "answers of issuers"),
}
"""What people call what can identify something, one and many."""

TOGETHER = 8
"""Entities that are declared in one file."""


def entity_of(columns: tuple[str, ...], other: str) -> Entity:
    label = " and ".join(PEOPLE_SAY[column][0] for column in columns)
    others = PEOPLE_SAY[other][1]
    velocity = Velocity(windows="1h 30d") if re.fullmatch("[a-z ]+", others) else None
    return Entity(f"of_{'_'.join(columns)}"[:40], columns, label, other=other, others=others, velocity=velocity)


def entities() -> list[Entity]:
    """One of every field and of pairs in which each field is, with every field among what is counted of them."""
    fields = list(PEOPLE_SAY)
    pairs = list(combinations(fields, 2))[::4]
    assert {field for pair in pairs for field in pair} == set(fields)
    found = [*((field,) for field in fields), *pairs]
    return [entity_of(columns, fields[(number + 1) % len(fields)]) for number, columns in enumerate(found)]


def rows(entity: Entity) -> Iterator[FeatureRow]:
    """Every way to declare a feature of an entity, but for its unit."""
    of_anything = [a for a in AGGREGATES if a.shape is not Shape.VALUE and not a.reads_labels and a.name != "observed"]
    for aggregate in of_anything:
        windows = {Shape.WINDOW: "10m 45d", Shape.DECAY: "6h"}.get(aggregate.shape, "")
        flags = ("unusual",) if aggregate.name == "flagged share" else ("declined", "unusual", "money_back", "check")
        inputs = ("other", "country", "device", "mcc", "channel")
        for attribute in {Reads.INPUT: inputs, Reads.FLAG: flags}.get(aggregate.reads, ("",)):
            reads = {Reads.INPUT: {"input": attribute}, Reads.FLAG: {"flag": attribute}}.get(aggregate.reads, {})
            name = f"{aggregate.name} {attribute}".strip().replace(" ", "_")
            yield FeatureRow(entity.name, f"x_{name}", aggregate.name, windows=windows, **reads)


EVERY = entities()


@pytest.mark.parametrize("first", range(0, len(EVERY), TOGETHER))
def test_every_value_of_what_is_declared_has_words_without_names_of_columns(first: int) -> None:
    declared = tuple(EVERY[first : first + TOGETHER])
    catalogue = catalogue_with(
        Declared(entities=declared, features=tuple(row for entity in declared for row in rows(entity)))
    )
    features = catalogue.features[len(SHIPPED.features) :]
    assert {feature.entity for feature in features} == set(declared)
    assert_said(catalogue, features)


def test_labels_of_merchants_have_words_too() -> None:
    fraud = {"flag": "fraud", "delay": "8d"}
    declared = (
        FeatureRow("merchant", "frauds", "flagged", windows="14d", **fraud),
        FeatureRow("merchant", "share", "flagged share", windows="14d", **fraud),
        FeatureRow("merchant", "since_fraud_s", "since flagged", windows="14d", **fraud),
        FeatureRow("merchant", "normal", "fraud normal share", windows="14d", delay="8d"),
        FeatureRow("merchant", "since_normal_s", "since fraud normal", windows="14d", delay="8d"),
    )
    catalogue = catalogue_with(Declared(features=declared))
    assert {feature.entity for feature in catalogue.features[len(SHIPPED.features) :]} == {MERCHANT}
    assert_said(catalogue, catalogue.features[len(SHIPPED.features) :])


def assert_said(catalogue: Catalogue, declared: Iterable[Feature]) -> None:
    """Values of declared features, in every way in which they are said."""
    faults, texts = Faults(feature.unit for feature in catalogue.features), texts_of(catalogue.features)
    fields = fields_of(catalogue.features)
    for feature in declared:
        said, name = texts[feature.name], feature.name
        for value in VALUES:
            for usual in USUAL if said.usual else (None,):
                text = said.describe(value, "JPY", usual)
                assert name not in text
                assert faults.in_text(text) == [], name
        one, zero, absent, many = (said.describe(value, "EUR") for value in (1.0, 0.0, None, 40.0))
        assert len({one, zero, absent}) == 3, (one, zero, absent)
        assert feature.entity.label in absent or feature.input, absent
        no_others = dict.fromkeys(fields)
        assert parse_template(f"{{{name}:words}}", fields, "EUR").fill(no_others | {name: 40.0}) == many
        if said.things:
            counted = parse_template(f"{{{name}:counted}}", fields, "EUR")
            shown = {value: counted.fill(no_others | {name: value}) for value in (0.0, 1.0, 40.0)}
            assert shown == {value: count_of(value, feature.unit) for value in shown}
            assert [text.split()[0] for text in shown.values()] == ["no", "1", "40"]
            assert counted.fill(no_others) == "unknown"
