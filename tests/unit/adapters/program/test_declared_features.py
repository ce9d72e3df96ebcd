"""A file of features is checked like rules: what does not hold is named with its line and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.program.configuration import load_settings
from adapters.program.declared_features import read_declared
from fraud.decision.record import decision_schema
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
        ("[card_token, ip_address]", "[card_token, ip]", 4, "columns: 'ip': write some of bin, "),
        ("[customer_id]", "[device_id]", 2, "device is found by the same, and counts the same others"),
        ("name: card_ip", "name: card", 3, "there is an entity card already"),
        ("name: card_ip", "name: Card-IP", 3, "'Card-IP' is not up to 40 small letters, digits and _"),
        ("events: 64", "events: 8", 6, "8 is not between 16 and 1,048,576"),
        ("events: 64", "leads: true", 6, "only the state of cards leads"),
        ("  - {entity: card_ip,", "  - {entity: card,", 3, "card_ip has no feature with a window"),
        ("name: customer", "name: [customer", 2, "not YAML"),
        ("[card_token, ip_address]", "[bin, bin]", 4, "bin is given twice: a pair is of two different fields"),
        (
            "windows: 1h 24h",
            "windows: 1h 24h 1h",
            2,
            "there is a customer_count_1h already: give another name or window",
        ),
        ("windows: 1h 24h", "windows: ''", 2, "entities.0.velocity.windows: write at least one"),
        ("label: customer,", "label: customer, others: Big Shops,", 2, "entities.0.others: 'Big Shops' is not up to"),
        (
            "name: sum, aggregate: sum, windows: 10m",
            "name: observed_days, aggregate: since last",
            9,
            "is a card_observed",
        ),
        (
            "aggregate: sum, windows: 10m",
            "aggregate: sum, unit: EUR, windows: 10m",
            9,
            "'EUR' for amounts: leave it out",
        ),
        (
            "sum, aggregate: sum, windows: 10m",
            "x, aggregate: unusual, unit: times",
            9,
            "'times' for values in flag: leave",
        ),
        (
            "declined, windows",
            "declined, unit: card_ids, windows",
            8,
            "'card_ids' is not what people call them, such as",
        ),
        ("label: customer", "label: customer_id", 2, "entities.0.label: 'customer_id' is not what people call one"),
        ("label: customer", "label: '{value}'", 2, "entities.0.label: '{value}' is not what people call one"),
        ("events: 64", "others: 'x{y}'", 6, "entities.1.others: 'x{y}' is not what people call them, such as cards"),
        ("windows: 10m}", f"windows: {'9' * 5_000}d}}", 8, "no window '9999"),
        ("windows: 10m}", "windows: 3650d}", 8, "longer than 45d"),
        ("windows: 10m}", "windows: 0h}", 8, "no window '0h'"),
        ("windows: 10m}", "windows: [10m]}", 8, "features.0.windows: write a text, in quotes where YAML"),
        ("[customer_id]", "customer_id", 2, "entities.0.columns: write a list, got 'customer_id'"),
        ("features:", "features:\nentities:", 8, "entities is given twice"),
        ("entity: card, name: sum", "name: sum, entity: card, name: max", 9, "name is given twice"),
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
    with pytest.raises(MisconfiguredError, match=r"must hold ip too: job\.features counts their events"):
        load_settings(None, {}, {"job.features": str(file)})
    assert measured(load_settings(None, {}, {"job.features": str(file), "job.entities": ["card", "ip"]}).job)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"missing\.yaml: cannot be read: No such file or directory"):
        read_declared(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (b"", "declares nothing; write entities or features (docs/windows.md), or leave job.features out"),
        (b"# nothing yet\n", "declares nothing"),
        (b"entities: []\nfeatures: []\n", "declares nothing"),
        (b"- {entity: card, name: sum, aggregate: sum, windows: 10m}\n", "write keys with values, got a list"),
        (b"card_sum_10m\n", "write keys with values, got 'card_sum_10m'"),
        (b"features: {entity: card}\n", "features: write a list, got keys with values"),
        (b"features:\n  - card_sum_10m\n", "features.0: write keys with values, got 'card_sum_10m'"),
        (b"entities:\nfeatures: []\n", "entities: write a list, got nothing"),
        (
            b"features: [" + b"{entity: card, name: x, aggregate: unusual}, " * 501 + b"]",
            "features: has 501, more than 500",
        ),
        ("features:\n  # f\u00fcr Karten\n".encode("latin-1"), "line 2 is not UTF-8; save it as UTF-8"),
        ("features: []\n".encode("utf-16"), "line 1 is not UTF-8"),
        (b"features: \x00[]\n", "not YAML"),
        (b"features: []\n---\nfeatures: []\n", "but found another document"),
    ],
)
def test_what_is_no_list_of_rows_is_refused_in_one_line(tmp_path: Path, written: bytes, said: str) -> None:
    file = tmp_path / "features.yaml"
    file.write_bytes(written)
    with pytest.raises(MisconfiguredError) as refused:
        load_settings(None, {}, {"job.features": str(file)})
    assert str(refused.value).startswith(f"{file}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("given", ["", " ", 5, ["features.yaml"], True])
def test_a_value_that_names_no_file_is_refused_by_the_settings_name(given: object) -> None:
    with pytest.raises(MisconfiguredError, match=r"job\.features: name a file of features \(docs/windows\.md\), got"):
        load_settings(None, {}, {"job.features": given})


def test_no_file_declares_nothing(file: Path) -> None:
    settings = load_settings(None, {"FRAUD_JOB__FEATURES": str(file)}, {"job.features": None})
    assert catalogue_of(settings) is SHIPPED


@pytest.mark.parametrize("column", [name for name in decision_schema(SHIPPED.columns).names if "_" in name])
def test_no_feature_takes_the_name_of_a_column_of_the_archive(column: str, tmp_path: Path) -> None:
    entity, _, name = column.partition("_")
    file = tmp_path / "features.yaml"
    known = entity in {"tx", *(shipped.name for shipped in SHIPPED.entities)}
    declared = f"  - {{name: {entity}, columns: [shipping_address_hash], label: x, velocity: {{windows: 13m}}}}\n"
    row = f"features:\n  - {{entity: {entity}, name: {name}, aggregate: since last}}\n"
    file.write_text(("" if known else f"entities:\n{declared}") + row)
    with pytest.raises(
        MisconfiguredError, match=f"there is a {column} already|there is an entity transaction|is no 'tx'"
    ):
        read_declared(file)


def test_a_unit_that_is_left_out_is_what_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "features.yaml"
    file.write_text(
        """entities:
  - {name: email_issuer, columns: [email_hash], label: e-mail address, other: issuer_country, others: issuer countries,
     velocity: {windows: 1h}}
features:
  - {entity: email_issuer, name: trades, aggregate: distinct, input: mcc, windows: 1h}
  - {entity: email_issuer, name: back, aggregate: flagged, flag: money_back, windows: 1h}
  - {entity: email_issuer, name: mean, aggregate: mean, windows: 1h}
  - {entity: email_issuer, name: lately, aggregate: decayed count, windows: 1h}
  - {entity: email_issuer, name: kmh, aggregate: speed}
  - {entity: email_issuer, name: orders, aggregate: count, windows: 1h, unit: orders}
"""
    )
    catalogue = catalogue_of(load_settings(None, {}, {"job.features": str(file)}))
    declared = catalogue.features[len(SHIPPED.features) :]
    assert {feature.name.removeprefix("email_issuer_"): feature.unit for feature in declared} == {
        "count_1h": "payments",
        "sum_1h": "base currency",
        "issuer_countries_1h": "issuer countries",
        "declines_1h": "declines",
        "checks_1h": "account checks",
        "trades_1h": "merchant categories",
        "back_1h": "refunds, reversals and voids",
        "mean_1h": "base currency",
        "lately_1h": "payments",
        "kmh": "km/h",
        "orders_1h": "orders",
        "observed_days": "days",
    }
