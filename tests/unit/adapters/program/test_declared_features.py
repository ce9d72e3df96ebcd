"""A file of features is checked like rules: what does not hold is named with its line and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.program.configuration import load_settings
from adapters.program.declared_features import read_declared
from fraud.entities import measured
from fraud.errors import MisconfiguredError
from fraud.features import SHIPPED, catalogue_of
from fraud.settings import Settings
from processor.checkpoint import fixed_settings

FILE = """entities:
  - {name: customer, columns: [customer_id], label: customer, velocity: {windows: 1h 24h}}
  - name: card_ip
    columns: [card_token, ip_address]
    label: card at this address
    events: 64
features:
  - {entity: card_ip, name: failures, aggregate: flagged, flag: declined, windows: 10m}
  - {entity: card, name: sum, aggregate: sum, windows: 10m}
  - {entity: merchant, name: frauds, aggregate: flagged, flag: fraud, windows: 7d, delay: 7d}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "features.yaml"
    path.write_text(FILE)
    return path


def test_a_file_adds_its_columns_behind_the_shipped_ones(file: Path) -> None:
    settings = load_settings(None, {"FRAUD_JOB__FEATURES": str(file)})
    catalogue = catalogue_of(settings)
    assert catalogue.names[len(SHIPPED.names) :] == (
        *(f"customer_{what}_{window}" for what in ("count", "sum", "cards") for window in ("1h", "24h")),
        *(f"customer_{what}_{window}" for what in ("declines", "checks") for window in ("1h", "24h")),
        "card_ip_failures_10m",
        "card_sum_10m",
        "merchant_frauds_7d",
        "customer_observed_days",
        "card_ip_observed_days",
    )
    assert [entity.name for entity in measured(settings.job)][-2:] == ["customer", "card_ip"]
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_a_checkpoint_is_tied_to_what_is_declared(file: Path) -> None:
    before = fixed_settings(Settings())
    after = fixed_settings(load_settings(None, {}, {"job.features": str(file)}))
    assert {name for name in after if after[name] != before.get(name)} == {
        "feature definitions",
        "job.entities",
        "job.customer_events",
        "job.card_ip_events",
    }


@pytest.mark.parametrize(
    ("written", "instead", "line", "said"),
    [
        ("flag: declined, ", "", 8, "flagged, flag: it needs one"),
        ("flag: declined", "flag: high", 8, "there is no 'high'; write one of declined, unusual, fraud"),
        ("flag: declined", "falg: declined", 8, "falg: no such key"),
        ("aggregate: sum", "aggregate: total", 9, "there is no 'total'; write one of count, sum"),
        ("aggregate: sum", "aggregate: since last", 9, "since last is of the whole history: leave windows out"),
        ("aggregate: sum", "aggregate: distinct", 9, "distinct, input: it needs one"),
        ("aggregate: sum, windows: 10m", "aggregate: sum", 9, "sum needs windows, such as 1h 24h"),
        ("name: sum, aggregate: sum, windows: 10m", "name: sum, aggregate: sum, windows: 1h", 9, "is a card_sum_1h"),
        ("entity: card,", "entity: account,", 9, "there is no 'account'; write one of card, merchant, device"),
        ("windows: 10m}", "windows: 10x}", 8, "no window '10x': write a number of minutes, hours or days"),
        ("windows: 7d, delay: 7d", "windows: 40d, delay: 7d", 10, "longer than 45d, with its delay"),
        ("windows: 7d, delay: 7d", "windows: 7d", 10, "labels come late: write 7d or more"),
        ("entity: merchant, name: frauds", "entity: card, name: frauds", 10, "labels are known of merchants only"),
        ("[card_token, ip_address]", "[card_token, ip]", 4, "card_token, ip: write some of bin, "),
        ("[customer_id]", "[device_id]", 2, "device is found by the same, and counts the same others"),
        ("name: card_ip", "name: card", 3, "there is an entity card already"),
        ("name: card_ip", "name: Card-IP", 3, "'Card-IP' is not up to 40 small letters, digits and _"),
        ("events: 64", "events: 8", 6, "8 is not between 16 and 1,048,576"),
        ("events: 64", "leads: true", 6, "only the state of cards leads"),
        ("  - {entity: card_ip,", "  - {entity: card,", 3, "card_ip has no feature with a window"),
        ("name: customer", "name: [customer", 2, "not YAML"),
    ],
)
def test_what_does_not_hold_is_named_with_its_line(
    file: Path, written: str, instead: str, line: int, said: str
) -> None:
    file.write_text(FILE.replace(written, instead, 1))
    with pytest.raises(MisconfiguredError) as refused:
        load_settings(None, {}, {"job.features": str(file)})
    assert str(refused.value).startswith(f"{file}: {'' if said == 'not YAML' else f'line {line}'}")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_features_of_an_entity_that_is_off_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "features.yaml"
    file.write_text("features:\n  - {entity: ip, name: max, aggregate: max, windows: 1h}\n")
    with pytest.raises(MisconfiguredError, match=r"must hold ip: job\.features counts events of it"):
        load_settings(None, {}, {"job.features": str(file)})
    assert measured(load_settings(None, {}, {"job.features": str(file), "job.entities": ["card", "ip"]}).job)


def test_an_empty_file_declares_nothing_and_a_missing_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert catalogue_of(load_settings(None, {}, {"job.features": str(tmp_path / "empty.yaml")})) is SHIPPED
    with pytest.raises(MisconfiguredError, match=r"missing\.yaml: cannot be read"):
        read_declared(tmp_path / "missing.yaml")
